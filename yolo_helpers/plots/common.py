"""What all pictures share: colours, names that can be written, and files."""

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from yolo_helpers.files import replacing

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
GREY, TINT = "#767676", "#D5ECF9"  # what takes no part, and a pale COLOURS[5] under black text
MARKERS = "osD^v*"


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


def file_name(path: Path, most: int = 24) -> str:
    """A photograph's name for above its picture, without its middle if it is long: `plain`.

    Args:
        path: of the photograph.
        most: letters.
    """
    name = path.name
    half = (most - 1) // 2
    return plain(name if len(name) <= most else f"{name[:half]}…{name[-half:]}")


def cell_size(images: Sequence, area: float = 7.8) -> tuple[float, float]:
    """Width and height for each of some pictures beside each other, in inches, in the middle one's proportions.

    Args:
        images: (h, w, 3) uint8, or Pillow images.
        area: of a picture in square inches.
    """
    aspect = np.median([np.divide(*np.asarray(image).shape[1::-1]) for image in images] or [4 / 3])
    aspect = np.clip(aspect, 0.5, 2)
    return float((area * aspect) ** 0.5), float((area / aspect) ** 0.5)


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
