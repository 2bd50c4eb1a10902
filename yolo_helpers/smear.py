"""Synthetic blood smears: pictures with known boxes, drawn in milliseconds, the same on every machine.

The three classes and their sizes follow the public BCCD photographs (640x480): red cells about 100 pixels across,
white cells 120 to 250, platelets 30 to 60. Everything scales with the height of the picture.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from yolo_helpers.files import replacing

CLASS_NAMES = ("Platelets", "RBC", "WBC")
PLATELET, RED, WHITE = range(3)

# Colours are red, green, blue, from 0 to 1.
BACKGROUND = (0.86, 0.85, 0.81)
RED_STAIN = (0.80, 0.60, 0.57)
WHITE_BODY = (0.77, 0.68, 0.80)
NUCLEUS = (0.34, 0.27, 0.62)
PLATELET_BODY = (0.55, 0.45, 0.76)
GREEN_LAMP = (0.6, 0.95, 0.5)  # of another microscope, whose pictures no network has seen that was trained on ours

# (smallest, largest) radius in pixels of a picture 480 high, and (fewest, most) cells in a picture of shape 4:3.
RADII = {WHITE: (64.0, 116.0), RED: (42.0, 58.0), PLATELET: (15.0, 27.0)}
COUNTS = {WHITE: (0, 2), RED: (8, 20), PLATELET: (0, 4)}
# How close two centres may come, as a part of the sum of their radii. Only red cells overlap, and only a little.
CLOSEST = {WHITE: 1.0, RED: 0.78, PLATELET: 1.15}

# Why there is no sin, cos, exp or normal here, and no rng.uniform: their last bit depends on the machine's library
# or compiler. Addition, multiplication, division, square root, comparison and the generator's raw numbers do not.


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def _direction(rng: np.random.Generator) -> tuple[float, float]:
    """A random unit vector: a point of the disc, moved to its edge."""
    while True:
        x, y = 2.0 * float(rng.random()) - 1.0, 2.0 * float(rng.random()) - 1.0
        length = float(np.sqrt(x * x + y * y))
        if 0.1 < length <= 1.0:
            return x / length, y / length


def _blob(rng, grid, x, y, radius, stretch, wobble):
    """A slightly deformed ellipse on a grid of pixel centres.

    Returns:
        depth: 0 at the centre, 1 at the outline, more outside.
        coverage: 1 inside, 0 outside, between the two on the outline, so that edges look smooth.
    """
    rows, columns = grid
    c, s = _direction(rng)
    u = ((columns - x) * c + (rows - y) * s) / stretch
    v = ((rows - y) * c - (columns - x) * s) * stretch
    distance = np.sqrt(u * u + v * v) + 1e-9
    cosine = u / distance
    cosine_3 = (4.0 * cosine * cosine - 3.0) * cosine  # cos(3a) from cos(a): a bump every 120 degrees
    outline = radius * (1.0 + wobble * cosine_3)
    return distance / outline, np.clip(outline - distance + 0.5, 0.0, 1.0)


def _ramp(depth, start, end):
    """0 below `start`, 1 above `end`, smooth between the two."""
    t = np.clip((depth - start) / (end - start), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _stain(patch, colour, strength):
    """Light passes through: what lies below shows, as in a red cell."""
    patch *= 1.0 - strength[..., None] * (1.0 - np.array(colour))


def _cover(patch, colour, strength):
    """Paint that hides what lies below."""
    patch += strength[..., None] * (np.array(colour) - patch)


def draw_cell(
    image: np.ndarray, rng: np.random.Generator, kind: int, x: float, y: float, radius: float
) -> tuple[int, int, int, int, np.ndarray]:
    """Draws one cell into a picture.

    Args:
        image: (h, w, 3) float64, 0 to 1, changed in place.
        rng: decides on the form of the cell.
        kind: index into CLASS_NAMES.
        x, y, radius: pixels. The centre lies inside the picture.

    Returns:
        x_min, y_min, x_max, y_max of what is inside the picture, and the cell's mask, (h, w) bool.
    """
    height, width = image.shape[:2]
    reach = 1.5 * radius + 2.0
    top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 1)
    left, right = max(0, int(x - reach)), min(width, int(x + reach) + 1)
    # The centre of pixel 0 lies at 0.5.
    grid = np.arange(top, bottom)[:, None] + 0.5, np.arange(left, right)[None, :] + 0.5
    patch = image[top:bottom, left:right]

    stretch = _between(rng, 1.0, 1.06 if kind == WHITE else 1.16)
    depth, coverage = _blob(rng, grid, x, y, radius, stretch, _between(rng, 0.0, 0.04))
    if kind == RED:
        pale = _between(rng, 0.25, 0.85)  # how much of the colour the thin middle lacks
        middle = _between(rng, 0.35, 0.5)
        thickness = 1.0 - pale * (1.0 - _ramp(depth, middle - 0.3, middle + 0.3))
        rim = 0.25 * _ramp(depth, 0.78, 0.95)
        _stain(patch, RED_STAIN, coverage * (thickness + rim) * _between(rng, 0.75, 1.0))
    elif kind == WHITE:
        grain = 0.12 * rng.random(depth.shape)
        _cover(patch, WHITE_BODY, coverage * (0.96 - grain))
        _stain(patch, WHITE_BODY, coverage * (0.9 * _ramp(depth, 0.8, 1.0) + 2.0 * grain))
        lobes = int(rng.integers(1, 6))
        nucleus = np.zeros(depth.shape)
        cx, cy = _direction(rng)
        for _ in range(lobes):
            # One lobe fills the cell; several sit side by side around the middle, each a turn further.
            share = (0.72, 0.52, 0.44, 0.38, 0.35)[lobes - 1]
            away = radius * (_between(rng, 0.0, 0.12) if lobes == 1 else _between(rng, 0.38, 0.48))
            lobe_x, lobe_y = x + cx * away, y + cy * away
            inner, lobe_coverage = _blob(
                rng, grid, lobe_x, lobe_y, share * radius, _between(rng, 1.0, 1.2), _between(rng, 0.0, 0.06)
            )
            nucleus = np.maximum(nucleus, lobe_coverage * (0.97 - 0.25 * _ramp(inner, 0.0, 1.0)))
            turn = (0.0, -0.6, -0.3, 0.2, 0.4)[lobes - 1]  # the cosine of the angle to the next lobe
            sine = float(np.sqrt(1.0 - turn * turn))
            cx, cy = cx * turn - cy * sine, cx * sine + cy * turn
        _cover(patch, NUCLEUS, nucleus * (1.0 - grain) * (1.0 - _ramp(depth, 0.84, 0.94)))
    else:
        grain = 0.35 * rng.random(depth.shape)
        _cover(patch, PLATELET_BODY, coverage * (0.95 - grain * depth.clip(0.0, 1.0)))
        _cover(patch, NUCLEUS, coverage * 0.6 * (1.0 - _ramp(depth, 0.0, 0.8)))

    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = coverage >= 0.5
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1, mask


def draw_smear(
    rng: np.random.Generator, image_shape: tuple[int, int] = (192, 256)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws one blood smear.

    Args:
        rng: where the numbers come from; the same state draws the same picture on every machine.
        image_shape: (height, width) in pixels, each 64 or more.

    Returns:
        image: (height, width, 3) uint8.
        boxes: (N, 4) float32, x_min, y_min, x_max, y_max in whole pixels, inside the picture.
        classes: (N,) int64, indices into CLASS_NAMES.

    Raises:
        ValueError: a side is shorter than 64 pixels, so that a platelet would vanish.
    """
    height, width = image_shape
    if min(height, width) < 64:
        raise ValueError(f"image_shape is {image_shape}: a smear needs at least 64 pixels on each side.")
    scale, room = height / 480.0, width / height * 0.75  # room: 1 for 4:3, more for a wider picture

    placed: list[tuple[int, float, float, float]] = []

    def is_free(kind: int, x: float, y: float, radius: float) -> bool:
        for other, ox, oy, other_radius in placed:
            gap = (radius + other_radius) * max(CLOSEST[kind], CLOSEST[other])
            if (x - ox) * (x - ox) + (y - oy) * (y - oy) < gap * gap:
                return False
        return True

    for kind in (WHITE, RED, PLATELET):
        fewest, most = COUNTS[kind]
        # One white cell in most pictures, as in a real smear.
        wanted = 1 if kind == WHITE and rng.random() < 0.7 else int(rng.integers(fewest, most + 1))
        for _ in range(max(int(wanted * room + 0.5), fewest)):
            radius = _between(rng, *RADII[kind]) * scale
            for _ in range(30):  # where no place is found, the picture stays without this cell
                x, y = _between(rng, 0.0, width), _between(rng, 0.0, height)
                if is_free(kind, x, y, radius):
                    placed.append((kind, x, y, radius))
                    break

    # Uneven light: brightest at one point, darker away from it.
    rows, columns = np.arange(height)[:, None] / height, np.arange(width)[None, :] / width
    x, y = columns - float(rng.random()), rows - float(rng.random())
    light = 1.0 - _between(rng, 0.02, 0.14) * (x * x + y * y)
    image = light[..., None] * (np.array(BACKGROUND) * [_between(rng, 0.98, 1.02) for _ in range(3)])

    placed.sort(key=lambda cell: (RED, WHITE, PLATELET).index(cell[0]))  # white cells lie on top of red ones
    boxes = [draw_cell(image, rng, *cell)[:4] for cell in placed]
    noise = rng.integers(-1, 2, size=(height, width, 1))
    pixels = np.clip(image * 255.0 + noise + 0.5, 0.0, 255.0).astype(np.uint8)
    classes = [kind for kind, *_ in placed]
    return pixels, np.array(boxes, np.float32).reshape(-1, 4), np.array(classes, np.int64)


def png_bytes(image: np.ndarray) -> bytes:
    """The picture, (h, w, 3) uint8, as the content of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def write_file(path: Path, content: bytes) -> None:
    """Writes beside the file, then moves into place: nobody ever sees half a file."""
    with replacing(path) as beside:
        beside.write_bytes(content)


def write_smears(
    folder: Path | str,
    count: int,
    image_shape: tuple[int, int] = (192, 256),
    seed: int = 0,
    lamp: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Path:
    """Writes pictures `smear_0000.png` onwards, `classes.txt` and, last of all, `annotations.txt`.

    Args:
        folder: made if it does not exist.
        count: number of pictures.
        image_shape: (height, width) in pixels.
        seed: picture i depends on the seed and i alone, not on the count.
        lamp: how much red, green and blue light comes through the microscope, 0 to 1 each.

    Returns:
        The path of annotations.txt, in the form of keras-yolo3, for `annotations.read_annotations`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for i in range(count):
        image, boxes, classes = draw_smear(np.random.default_rng([seed, i]), image_shape)
        name = f"smear_{i:04d}.png"
        write_file(folder / name, png_bytes((image * lamp).astype(np.uint8)))
        fields = [",".join(str(int(v)) for v in [*box, kind]) for box, kind in zip(boxes, classes, strict=True)]
        lines.append(" ".join([name, *fields]) + "\n")
    write_file(folder / "classes.txt", "".join(f"{name}\n" for name in CLASS_NAMES).encode())
    write_file(folder / "annotations.txt", "".join(lines).encode())
    return folder / "annotations.txt"
