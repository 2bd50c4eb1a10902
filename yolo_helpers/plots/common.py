"""What all pictures share: colours, names that can be written, and files."""

import functools
import itertools
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from yolo_helpers.files import replacing

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
GREY, TINT = "#767676", "#D5ECF9"  # what takes no part, and a pale COLOURS[5] under black text
MARKERS = "osD^v*"
AREA = 7.8  # of one of several pictures, in square inches


def plain(name: str, otherwise: str | None = None) -> str:
    """A name that Matplotlib writes as it is: between two dollars it would read a formula.

    Where its font lacks letters, one that has them is added to its settings; where none has, another text is written.

    Args:
        name: of a class, or of a file.
        otherwise: what to write where letters lack everywhere; the name with \\u and their numbers when None.
    """
    families = plt.rcParams["font.family"]
    lacking = "".join(sorted({letter for letter in name if not any(_has(family, letter) for family in families)}))
    if lacking:
        family = _family_with(lacking)
        if family:
            plt.rcParams["font.family"] = [*families, family]
        else:
            name = otherwise or name.encode("ascii", "backslashreplace").decode()
    return name.replace("$", r"\$")


def file_name(path: Path) -> str:
    """A photograph's name for above its picture, without its middle if it is long: `plain`.

    Args:
        path: of the photograph.
    """
    return plain(_short(path.name))


def class_name(class_names: Sequence[str], class_index: int) -> str:
    """A class's name for a label, without its middle if it is long: `plain`.

    Args:
        class_names: names of the classes, in order.
        class_index: number of the class.
    """
    return plain(_short(class_names[int(class_index)]), str(int(class_index)))


def _short(name: str, most: int = 24) -> str:
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def cell_size(images: Sequence) -> tuple[float, float]:
    """Width and height for each of some pictures beside each other, in inches, in the middle one's proportions.

    Args:
        images: (h, w, 3) uint8, or Pillow images.
    """
    aspect = np.median([np.divide(*np.asarray(image).shape[1::-1]) for image in images] or [4 / 3])
    aspect = np.clip(aspect, 0.5, 2)
    return float((AREA * aspect) ** 0.5), float((AREA / aspect) ** 0.5)


def _has(family: str, letters: str) -> bool:
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties(family=[family])))
    return bool(font.scalable) and all(font.get_char_index(ord(letter)) for letter in letters)


@functools.cache
def _family_with(letters: str) -> str | None:
    """An installed font that has all these letters; says once that there is none."""
    for family in sorted({font.name for font in font_manager.fontManager.ttflist}):
        if "lastresort" not in family.lower().replace(" ", "") and _has(family, letters):  # which has boxes for all
            return family
    warnings.warn(
        f"No font that is installed here has {letters}, so pictures show numbers in place of such names: install one "
        "that has, such as Noto Sans CJK for Chinese, Japanese and Korean.",
        stacklevel=2,
    )
    return None


def show_image(ax: Axes, image: np.ndarray, alpha: float | None = None, enough: int | None = None) -> None:
    """A picture whose pixels are counted as boxes count them.

    Args:
        ax: where to draw.
        image: (h, w, 3) uint8, or a Pillow image.
        alpha: how opaque, 0 to 1.
        enough: pixels of the shorter side that will do; drawing the ten million of a telephone takes long.
    """
    height, width = np.asarray(image).shape[:2]
    if enough is not None and min(height, width) >= 2 * enough:
        image = Image.fromarray(np.asarray(image)).reduce(min(height, width) // enough)
    # Matplotlib puts the middle of the first pixel at 0; boxes count from its edge.
    ax.imshow(image, alpha=alpha, extent=(0, width, height, 0))


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a PNG file, whole or not at all.

    Args:
        figure: what to write.
        path: the file.
    """
    with replacing(path) as beside:
        # A photograph's noise does not compress: the usual level takes several times as long for a fifth of the file.
        figure.savefig(beside, format="png", pil_kwargs={"compress_level": 1})


class Labels(Artist):
    """Finds room for labels at their boxes, the first before the others, and hides those that have none.

    An artist, since only when a picture is drawn is it known how large its letters are beside its photograph.

    Args:
        ax: where to draw, with a photograph.
    """

    FONT_SIZE, PAD = 6, 0.1  # points, and what is around the letters as a part of them

    def __init__(self, ax: Axes):
        super().__init__()
        self.placed = []
        self.set(zorder=2.5, in_layout=False)  # drawn before the texts, which have 3
        ax.add_artist(self)

    def add(self, words: str, box: Sequence[float], colour: str, gid: str | None = None) -> None:
        """Another label.

        Args:
            words: what stands there, as `plain` gives it.
            box: x_min, y_min, x_max, y_max in pixels.
            colour: under the letters, of `COLOURS`.
            gid: Matplotlib's name for it.
        """
        ink = "black" if colour in COLOURS[3:7] else "white"  # the light ones
        style = {"boxstyle": f"square,pad={self.PAD}", "facecolor": colour, "edgecolor": "none"}
        label = self.axes.text(*box[:2], words, fontsize=self.FONT_SIZE, color=ink, bbox=style, va="bottom", gid=gid)
        label.set(clip_on=True, in_layout=False)
        self.placed.append((label, box))

    def draw(self, renderer):
        """Puts each label where it can be read and hides least; the canvas calls it."""
        pad = renderer.points_to_pixels(self.PAD * self.FONT_SIZE)
        to_canvas, low, high = self.axes.transData, self.axes.bbox.min, self.axes.bbox.max
        boxes = to_canvas.transform(np.reshape([box for _, box in self.placed], (-1, 2))).reshape(-1, 4)
        boxes = boxes[:, [0, 3, 2, 1]]  # x_min, y_min, x_max, y_max on the canvas, where y goes up
        seen = ((boxes[:, 2:] > low) & (boxes[:, :2] < high)).all(1)
        boxes = np.clip(boxes, [*low, *low], [*high, *high])
        taken = np.zeros((0, 4))
        for (label, _), (left, bottom, right, top), is_seen in zip(self.placed, boxes, seen, strict=True):
            label.set_visible(True)  # what is not visible has no extent
            width, height = np.add(label.get_window_extent(renderer).size, 2 * pad)
            # Above, below and inside the box, and there at the left or the right, moved into the photograph.
            sides = itertools.product((top, bottom - height, top - height, bottom), (left, right - width))
            corners = np.array([(min(max(x, low[0]), high[0] - width), y) for y, x in sides])
            places = np.hstack([corners, corners + (width, height)])
            inside = ((corners >= low - 1) & (places[:, 2:] <= high + 1)).all(1)
            free = places[inside & ~_covered(places, taken).any(1) & is_seen]
            label.set_visible(len(free) > 0)
            if len(free):
                hidden = _covered(free, boxes).sum(1)  # a small object is hidden sooner than a large one
                place = free[np.argmax(hidden <= hidden.min() + 0.1)]
                label.set_position(to_canvas.inverted().transform(place[:2] + pad))
                taken = np.vstack([taken, place])


def _covered(places: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(P, B): which part of each box each place covers."""
    sides = np.minimum(places[:, None, 2:], boxes[:, 2:]) - np.maximum(places[:, None, :2], boxes[:, :2])
    return np.maximum(sides, 0).prod(-1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(-1), 1)
