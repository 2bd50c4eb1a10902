"""Pictures: boxes on photographs, targets on their grids, the curves of a training and what a detector gets wrong.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; every box also carries its name.
"""

import functools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from yolo_helpers.annotations import Annotation
from yolo_helpers.detection import Detections
from yolo_helpers.evaluation import Curve, Mistake
from yolo_helpers.files import replacing
from yolo_helpers.images import open_image

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")


def show_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    classes: np.ndarray,
    class_names: Sequence[str],
    scores: np.ndarray | None = None,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """A photograph with its boxes, each in the colour of its class and named.

    Args:
        image: (h, w, 3) uint8, or a Pillow image.
        boxes: (N, 4), x_min, y_min, x_max, y_max in pixels.
        classes: (N,).
        class_names: names of the classes, in order.
        scores: (N,), 0 to 1, written beside the name; None for true boxes.
        ax: where to draw; a new figure when None.
        title: above the picture.

    Returns:
        The axes.
    """
    ax = ax or plt.subplots(figsize=(5, 4))[1]
    _show_image(ax, image)
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()
    for number, (box, c) in enumerate(zip(boxes, classes, strict=True)):
        colour = COLOURS[int(c) % len(COLOURS)]
        x, y = box[:2]
        ax.add_patch(Rectangle((x, y), box[2] - x, box[3] - y, fill=False, edgecolor=colour, linewidth=1.5))
        label = _plain(class_names[int(c)], str(int(c))) + ("" if scores is None else f" {scores[number]:.2f}")
        style = {"boxstyle": "square,pad=0.1", "facecolor": colour, "edgecolor": "none", "alpha": 0.8}
        ink = "black" if colour in COLOURS[3:7] else "white"  # the light ones
        ax.text(x, y, label, fontsize=6, color=ink, va="top", bbox=style, clip_on=True)
    return ax


def save_boxes(
    path: Path,
    image: np.ndarray,
    boxes: np.ndarray,
    classes: np.ndarray,
    class_names: Sequence[str],
    scores: np.ndarray | None = None,
) -> None:
    """Writes the picture of `show_boxes` as a PNG file, whole or not at all; no display is needed.

    Args:
        path: the file; the picture has the pixels of the photograph, or if that is small, 800 on its longer side.
        image, boxes, classes, class_names, scores: as in `show_boxes`.
    """
    height, width = np.asarray(image).shape[:2]
    longer = max(height, width)
    # A Figure that pyplot does not know opens no window and needs no closing.
    figure = Figure(figsize=(8 * width / longer, 8 * height / longer), dpi=max(100, longer / 8))
    show_boxes(image, boxes, classes, class_names, scores, figure.add_axes((0, 0, 1, 1)))
    _save(figure, path)


def save_found(
    path: Path,
    photographs: Sequence[Path],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    title: str = "",
) -> None:
    """Writes photographs with what was found on them, side by side, as a PNG file, whole or not at all.

    Args:
        path: the file.
        photographs: their paths.
        detections: of each.
        class_names: names of the classes, in order.
        title: above the first.
    """
    figure = Figure(figsize=(3 * len(photographs), 2.6), dpi=80, layout="constrained")
    axes = figure.subplots(1, len(photographs), squeeze=False)[0]
    for ax, photograph, (boxes, scores, classes) in zip(axes, photographs, detections, strict=True):
        show_boxes(open_image(photograph), boxes, classes, class_names, scores, ax)
    axes[0].set_title(title, fontsize=9, loc="left")
    _save(figure, path)


def show_photographs(
    annotations: Sequence[Annotation], class_names: Sequence[str], columns: int = 5, figure: Figure | None = None
) -> list[Axes]:
    """Annotated photographs with their boxes, in rows.

    Args:
        annotations: a few photographs with their boxes.
        class_names: names of the classes, in order.
        columns: photographs in a row.
        figure: where to draw; a new one when None.

    Returns:
        The axes of each photograph.
    """
    rows = max(1, -(-len(annotations) // columns))
    size = (3 * columns, 2.6 * rows)
    figure = figure or plt.figure(dpi=80, layout="constrained")
    figure.set_size_inches(size)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for ax in axes:
        ax.set_axis_off()
    for annotation, ax in zip(annotations, axes, strict=False):
        path = annotation.image_path
        show_boxes(open_image(path), annotation.boxes, annotation.classes, class_names, None, ax, _plain(path.name))
    return axes[: len(annotations)]


def save_photographs(path: Path, annotations: Sequence[Annotation], class_names: Sequence[str]) -> None:
    """Writes the picture of `show_photographs` as a PNG file, whole or not at all; no display is needed.

    Args:
        path: the file.
        annotations, class_names: as in `show_photographs`.
    """
    figure = Figure(dpi=100, layout="constrained")
    show_photographs(annotations, class_names, figure=figure)
    _save(figure, path)


def _plain(name: str, otherwise: str | None = None) -> str:
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


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as beside:
        # A photograph's noise does not compress: the usual level takes several times as long for a fifth of the file.
        figure.savefig(beside, format="png", pil_kwargs={"compress_level": 1})


def show_mistakes(mistakes: Sequence[Mistake], class_names: Sequence[str], columns: int = 4) -> list[Axes]:
    """A gallery of mistakes, in their order: each in the middle of its part of the photograph.

    Args:
        mistakes: one of the lists of `worst_mistakes`.
        class_names: names of the classes, in order.
        columns: pictures beside each other.

    Returns:
        The axes of each mistake.
    """
    rows = max(1, -(-len(mistakes) // columns))
    _, axes = plt.subplots(rows, columns, figsize=(2.5 * columns, 2.6 * rows), squeeze=False)
    axes = axes.ravel().tolist()
    for ax in axes:
        ax.set_axis_off()
    for mistake, ax in zip(mistakes, axes, strict=False):
        photograph = _plain(mistake.image_path.name)
        title = f"missed, {photograph}"
        scores = None
        if mistake.score is not None:
            title, scores = f"wrong, {photograph}", [mistake.score]
        image, box = open_image(mistake.image_path), mistake.box
        show_boxes(image, box[None], [mistake.class_index], class_names, scores, ax, title)
        reach = 1.5 * max(box[2:] - box[:2])
        (x, y), (width, height) = (box[:2] + box[2:]) / 2, image.size
        ax.set(xlim=(max(x - reach, 0), min(x + reach, width)), ylim=(min(y + reach, height), max(y - reach, 0)))
    return axes[: len(mistakes)]


def show_precision_recall(curves: Mapping[str, Curve], ax: Axes | None = None) -> Axes:
    """Precision over recall, one line and marker for each class, up to the highest recall that its detections reach.

    Args:
        curves: what `precision_recall` returned, or some classes of it; one without true boxes is left out.
        ax: where to draw; a new figure when None.

    Returns:
        The axes.
    """
    ax = ax or plt.subplots(figsize=(5, 4))[1]
    for number, (name, curve) in enumerate(curves.items()):
        if np.isnan(curve.precision).any():
            continue
        reached = curve.precision > 0
        ax.plot(
            curve.recall[reached],
            curve.precision[reached],
            marker="osD^v*"[number % 6],
            markersize=4,
            markevery=10,
            color=COLOURS[number % len(COLOURS)],
            label=f"{_plain(name, str(number))}, AP50 {curve.precision.mean():.2f}",
        )
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall: part of the true boxes that is found")
    ax.set_ylabel("precision: part of what is found that is right")
    ax.legend(fontsize=8, loc="lower left")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def show_grid(image: np.ndarray, y_true: np.ndarray, ax: Axes | None = None, title: str = "") -> Axes:
    """A photograph under the grid of one head, with every filled slot: its cell, its centre and its box.

    Args:
        image: (h, w, 3) uint8, the network's input.
        y_true: (rows, columns, 3, 5 + C), the head's target for this photograph.
        ax: where to draw; a new figure when None.
        title: above the picture.

    Returns:
        The axes.
    """
    ax = ax or plt.subplots(figsize=(5, 4))[1]
    height, width = image.shape[:2]
    rows, columns = y_true.shape[:2]
    _show_image(ax, image, alpha=0.75)
    ax.set_title(title, fontsize=9)
    ax.set_xticks(np.arange(columns + 1) * width / columns, [])
    ax.set_yticks(np.arange(rows + 1) * height / rows, [])
    ax.grid(color="black", linewidth=0.5)
    ax.tick_params(length=0)
    ax.set(xlim=(0, width), ylim=(height, 0))  # boxes that touch the border would widen it
    for j, i, k in np.argwhere(y_true[..., 4] > 0):
        x, y, w, h = y_true[j, i, k, :4] * (width, height, width, height)
        colour = COLOURS[k]
        corner = (i * width / columns, j * height / rows)
        ax.add_patch(Rectangle(corner, width / columns, height / rows, facecolor=colour, alpha=0.35))
        ax.add_patch(Rectangle((x - w / 2, y - h / 2), w, h, fill=False, edgecolor=colour, linewidth=1.5))
        ax.plot(x, y, "o", color=colour, markersize=4, markeredgecolor="white")
        ax.text(x, y, f" {k}", fontsize=7, color="black", va="center", clip_on=True)
    return ax


def show_overlap(
    image: np.ndarray,
    iou: np.ndarray,
    positive: np.ndarray,
    ignore_thresh: float,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """A photograph under the grid of one head: how well the boxes predicted at each cell fit a true box.

    The better the best of a cell's three slots fits, the darker the cell. A thick frame marks the cells where an empty
    slot is ignored, a dot those that hold an object.

    Args:
        image: (h, w, 3) uint8, the network's input.
        iou: (rows, columns, 3), for each slot the IoU with the true box that it overlaps most.
        positive: (rows, columns, 3), whether the slot holds an object.
        ignore_thresh: IoU from which an empty slot is ignored.
        ax: where to draw; a new figure when None.
        title: above the picture.

    Returns:
        The axes.
    """
    ax = ax or plt.subplots(figsize=(5, 4))[1]
    height, width = image.shape[:2]
    rows, columns = iou.shape[:2]
    _show_image(ax, image)
    shade = ax.imshow(iou.max(-1), cmap="Greys", vmin=0, vmax=1, alpha=0.7, extent=(0, width, height, 0))
    ax.figure.colorbar(shade, ax=ax, label="best IoU of the cell's slots")
    side_x, side_y = width / columns, height / rows
    for j, i in np.argwhere((~positive & (iou >= ignore_thresh)).any(-1)):
        corner = (i * side_x, j * side_y)
        ax.add_patch(Rectangle(corner, side_x, side_y, fill=False, edgecolor=COLOURS[4], linewidth=2))
    rows_with, columns_with = np.nonzero(positive.any(-1))
    x, y = (columns_with + 0.5) * side_x, (rows_with + 0.5) * side_y
    ax.plot(x, y, "o", color=COLOURS[1], markersize=4, markeredgecolor="white")
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()
    ax.set(xlim=(0, width), ylim=(height, 0))
    return ax


def _show_image(ax, image, alpha=None):
    height, width = np.asarray(image).shape[:2]
    # Matplotlib puts the middle of the first pixel at 0; boxes count from its edge.
    ax.imshow(image, alpha=alpha, extent=(0, width, height, 0))


def show_history(history: Mapping[str, Sequence], figures: Sequence[str], ax: Axes | None = None) -> Axes:
    """Curves of a training, one line and marker for each figure.

    Args:
        history: figure -> one value an epoch, None where there is none.
        figures: which to draw.
        ax: where to draw; a new figure when None.

    Returns:
        The axes.
    """
    ax = ax or plt.subplots(figsize=(5, 3))[1]
    for number, figure in enumerate(figures):
        known = [(epoch, value) for epoch, value in enumerate(history[figure], start=1) if value is not None]
        marker = "osD^v*"[number % 6]
        ax.plot(*zip(*known, strict=True), marker=marker, markersize=4, color=COLOURS[number], label=figure)
    ax.set_xlabel("epoch")
    ax.legend(fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
