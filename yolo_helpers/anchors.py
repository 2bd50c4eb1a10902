"""Anchors: the nine (or six) box shapes that the heads start from, and which head owns which."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolo_helpers.annotations import Annotation
from yolo_helpers.boxes import letterbox
from yolo_helpers.images import image_size

ANCHORS_PER_HEAD = 3
STRIDES = (32, 16, 8)  # input pixels a grid square covers, coarsest head first
DATA = Path(__file__).resolve().parents[1] / "data"


def get_anchors(path: str | Path) -> np.ndarray:
    """Anchors from a text file with all numbers on one line, as in keras-yolo3: `10,13, 16,30, ...`.

    Args:
        path: the file.

    Returns:
        (A, 2) float32, width and height in pixels of the network's input.

    Raises:
        ValueError: if the file does not hold pairs of positive numbers.
    """
    text = Path(path).read_text(encoding="utf-8-sig")
    try:
        anchors = np.array([float(number) for number in text.replace("\n", ",").split(",") if number.strip()])
    except ValueError as error:
        raise ValueError(f"{path}: anchors are numbers with commas between them, like 10,13, 16,30; {error}.") from None
    if len(anchors) == 0 or len(anchors) % 2 or not ((anchors > 1e-6) & (anchors < 1e6)).all():
        raise ValueError(
            f"{path}: anchors are pairs of positive numbers, width and height in pixels; found {text.strip()!r:.80}."
        )
    return anchors.reshape(-1, 2).astype(np.float32)


def default_anchors(num_heads: int) -> np.ndarray:
    """The anchors of the original, for photographs of all kinds (data/yolo_anchors.txt, data/tiny_yolo_anchors.txt).

    Args:
        num_heads: 3, or 2 for the tiny network.

    Returns:
        (3 num_heads, 2) float32, width and height in pixels of the network's input.
    """
    return get_anchors(DATA / ("yolo_anchors.txt" if num_heads == 3 else "tiny_yolo_anchors.txt"))


def default_anchor_mask(num_anchors: int) -> list[list[int]]:
    """Which anchors belong to which head, coarsest head first: the large anchors go to the coarse grid.

    This is darknet's map (`mask=` in yolov3.cfg and yolov3-tiny.cfg), and the only copy in this package.

    Args:
        num_anchors: 9 for the full network, 6 for the tiny one, 3 for a network with one head.

    Returns:
        The numbers of each head's anchors.

    Raises:
        ValueError: for another number.

    >>> default_anchor_mask(6)
    [[3, 4, 5], [0, 1, 2]]
    """
    if num_anchors not in (3, 6, 9):
        raise ValueError(f"Expected 9 anchors (three heads), 6 (two heads) or 3 (one head), found {num_anchors}.")
    indices = np.arange(num_anchors).reshape(-1, ANCHORS_PER_HEAD)
    return indices[::-1].tolist()


def read_shape(text: str) -> tuple[int, int] | None:
    """The input's size as a reader writes it: "320 416", "320x416" or "(320, 416)".

    Args:
        text: height and width in pixels; "" for none.

    Returns:
        (height, width), or None. Whether a network can have it is for `grid_shapes` to say.

    Raises:
        ValueError: if the text holds anything else.

    >>> read_shape("320 x 416"), read_shape("")
    ((320, 416), None)
    """
    text = str(text).strip()  # a tuple will do too
    if not text:
        return None
    sides = re.fullmatch(r"[(\[]?\s*(\d{1,6})[\s,x×]+(\d{1,6})\s*[)\]]?", text, re.IGNORECASE)
    if not sides:
        raise ValueError(f"INPUT_SHAPE: expected height and width in pixels, such as 320 416, found {text!r:.80}.")
    return int(sides[1]), int(sides[2])


def grid_shapes(input_shape: tuple[int, int], num_heads: int) -> list[tuple[int, int]]:
    """Cells of each head's grid, coarsest first.

    Args:
        input_shape: (height, width) of the network's input in pixels, multiples of 32.
        num_heads: 1 to 3.

    Returns:
        (height, width) in grid squares for each head.

    Raises:
        ValueError: if a side is not a multiple of 32.
    """
    sides = tuple(np.ravel(input_shape).tolist())
    if len(sides) != 2 or not all(side > 0 and side % STRIDES[0] == 0 for side in sides):
        raise ValueError(f"input_shape (height, width) needs multiples of {STRIDES[0]}, found {sides}.")
    height, width = map(int, sides)
    return [(height // stride, width // stride) for stride in STRIDES[:num_heads]]


@dataclass(frozen=True, eq=False)
class Heads:
    """What the heads of a network are made for; data set, training, detection and evaluation share it.

    Attributes:
        input_shape: (height, width) of the network's input in pixels, multiples of 32.
        anchors: (A, 2) float32, width and height in pixels of the input.
        num_classes: C.
        anchor_mask: the anchors of each head, coarsest head first; darknet's when None is given.

    Raises:
        ValueError: if a side is not a multiple of 32, the mask names an anchor that is not there, or num_classes is not
            a whole number from 1 on.

    >>> heads = Heads((416, 608), default_anchors(2), num_classes=80)
    >>> heads.grids, heads.strides, heads.channels
    ([(13, 19), (26, 38)], (32, 16), 255)
    """

    input_shape: tuple[int, int]
    anchors: np.ndarray
    num_classes: int
    anchor_mask: Sequence[Sequence[int]] | None = None

    def __post_init__(self):
        anchors = np.asarray(self.anchors, np.float32).reshape(-1, 2)
        mask = default_anchor_mask(len(anchors)) if self.anchor_mask is None else self.anchor_mask
        mask = [[int(anchor) for anchor in of_head] for of_head in mask]
        numbers = {anchor for of_head in mask for anchor in of_head}
        if len({len(of_head) for of_head in mask}) != 1 or not numbers <= set(range(len(anchors))):
            raise ValueError(
                f"anchor_mask: expected as many of the anchors 0 to {len(anchors) - 1} for each head, found {mask}."
            )
        if not 1 <= len(mask) <= len(STRIDES):
            raise ValueError(f"anchor_mask: expected one to {len(STRIDES)} heads, coarsest first, found {len(mask)}.")
        if not isinstance(self.num_classes, int | np.integer) or self.num_classes < 1:
            raise ValueError(f"num_classes: expected a whole number from 1 on, found {self.num_classes}.")
        grid_shapes(self.input_shape, len(mask))
        shape = tuple(int(side) for side in self.input_shape)
        for name, value in (("anchors", anchors), ("anchor_mask", mask), ("input_shape", shape)):
            object.__setattr__(self, name, value)

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels that a grid square covers, of each head."""
        return STRIDES[: len(self.anchor_mask)]

    @property
    def grids(self) -> list[tuple[int, int]]:
        """Height and width of each head's grid in squares."""
        return grid_shapes(self.input_shape, len(self.anchor_mask))

    @property
    def channels(self) -> int:
        """Numbers that each head gives for a grid square: anchors of the head times (5 + C)."""
        return len(self.anchor_mask[0]) * (5 + self.num_classes)


def objects_gathered(slots: int) -> int:
    """The most objects that one image may have in one head: one slot in eight, and 128 or all in a small grid.

    The loss gathers this many slots, a number that compilers know; `preprocess_true_boxes` refuses more.

    Args:
        slots: of one head, 3 for each grid square.
    """
    return min(slots, max(128, slots // 8))


def anchor_iou(sizes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """IoU of boxes and anchors that are laid on the same centre, so that only the shapes count.

    Args:
        sizes: (N, 2), width and height of the boxes.
        anchors: (A, 2), width and height of the anchors, in the same unit.

    Returns:
        (N, A), from 0 to 1.
    """
    sizes, anchors = np.asarray(sizes)[:, None], np.asarray(anchors)[None]
    intersection = np.minimum(sizes, anchors).prod(-1)
    return intersection / (sizes.prod(-1) + anchors.prod(-1) - intersection)


def box_sizes(annotations: Sequence[Annotation], input_shape: tuple[int, int]) -> np.ndarray:
    """Width and height of every box in pixels of the letterboxed input, (N, 2): what anchors are chosen for.

    Args:
        annotations: photographs with their boxes.
        input_shape: (height, width) of the network's input in pixels.
    """
    sizes = (a.size or image_size(a.image_path) for a in annotations)
    placed = [letterbox(size, input_shape).to_input(a.boxes) for size, a in zip(sizes, annotations, strict=True)]
    boxes = np.concatenate(placed)
    return boxes[:, 2:] - boxes[:, :2]


def fitting_shape(annotations: Sequence[Annotation], area: int) -> tuple[int, int]:
    """An input of given size in the photographs' proportions, so that little of it is filled with grey bars.

    Args:
        annotations: photographs.
        area: about as many pixels.

    Returns:
        (height, width), multiples of 32. In the middle photograph's proportions, between 1:2 and 2:1.
    """
    sizes = np.array([a.size or image_size(a.image_path) for a in annotations])
    aspect = np.clip(np.median(sizes[:, 1] / sizes[:, 0]), 0.5, 2)
    height, width = (
        max(1, round(side / STRIDES[0])) * STRIDES[0] for side in ((area / aspect) ** 0.5, (area * aspect) ** 0.5)
    )
    return height, width


def kmeans_anchors(sizes: np.ndarray, start: np.ndarray, rounds: int = 100) -> np.ndarray:
    """Anchors that fit given boxes: k-means with 1 - IoU as the distance (YOLOv2, arXiv:1612.08242, section 2).

    It starts from given anchors and moves each within its head: a box counts for the head whose anchor fits it best
    at the start. Free k-means would spend most anchors on the most frequent size and spread it over several heads,
    whatever their strides. An anchor that no box is nearest to stays as it is.

    Args:
        sizes: (N, 2), width and height of the boxes in pixels of the network's input.
        start: (A, 2), the anchors to start from, likewise; three for each head.
        rounds: most rounds; it stops earlier when nothing moves.

    Returns:
        (A, 2) float32, in each head the smallest area first.

    >>> sizes = [[100, 100], [104, 100], [100, 104]]
    >>> kmeans_anchors(sizes, start=[[10, 10], [90, 90], [300, 300]]).round().tolist()
    [[10.0, 10.0], [100.0, 100.0], [300.0, 300.0]]
    """
    sizes = np.asarray(sizes, np.float32).reshape(-1, 2)
    start = np.asarray(start, np.float32).reshape(-1, ANCHORS_PER_HEAD, 2)
    head = anchor_iou(sizes, start.reshape(-1, 2)).argmax(1) // ANCHORS_PER_HEAD
    fitted = []
    for number, centres in enumerate(start):
        of_head = sizes[head == number]
        for _ in range(rounds):
            nearest = anchor_iou(of_head, centres).argmax(1)
            near = [of_head[nearest == k] if (nearest == k).any() else centres[[k]] for k in range(ANCHORS_PER_HEAD)]
            moved = np.stack([np.median(group, axis=0) for group in near])
            if np.array_equal(moved, centres):
                break
            centres = moved
        fitted.append(centres[centres.prod(1).argsort()])
    return np.concatenate(fitted).astype(np.float32)
