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
GREY, TINT = "#767676", "#D5ECF9"  # what takes no part, and a pale COLOURS[5] under black text


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
    """A photograph under the grid of one head, with every filled slot: its square, its centre and its box.

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
    """A photograph under the grid of one head: how well each grid square's boxes fit a true box.

    The better the best of a square's three slots fits, the darker the square. A thick frame marks the squares where an
    empty slot is ignored, a dot those that hold an object.

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
    ax.figure.colorbar(shade, ax=ax, label="best IoU of the square's slots")
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


_SLOT_STYLES = {  # colour and line of the boxes of show_slot
    "true box": (COLOURS[1], "-"),
    "anchor": (COLOURS[7], ":"),
    "prediction": (COLOURS[0], "--"),
}
_LONGEST_BAR = 8


def show_slot(
    image: np.ndarray,
    square: Sequence[float],
    boxes: Mapping[str, Sequence[float]],
    terms: Mapping[str, float],
    axes: tuple[Axes, Axes] | None = None,
) -> tuple[Axes, Axes]:
    """One slot of a grid: its boxes on the picture, and beside them the terms of its loss as bars.

    What part of the picture is seen depends on the true box and the square only, and the bars' axis always ends at 8.
    So under a slider the prediction and the bars move, and nothing else.

    Args:
        image: (H, W, 3) uint8.
        square: the grid square, x_min, y_min, x_max, y_max in pixels.
        boxes: name -> x_min, y_min, x_max, y_max in pixels: 'true box', and 'anchor' and 'prediction' where they are
            to be drawn.
        terms: name -> value, such as xy, wh, confidence and class.
        axes: where to draw, picture and bars; a new figure when None.

    Returns:
        The axes of the picture and of the bars.

    Raises:
        ValueError: if there is no true box, or a box has another name.
    """
    if "true box" not in boxes or not set(boxes) <= set(_SLOT_STYLES):
        raise ValueError(f"Expected 'true box' and perhaps 'anchor' and 'prediction', found {list(boxes)}.")
    if axes is None:
        figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1, 1.1))
        figure.subplots_adjust(left=0.02, right=0.91, bottom=0.12, top=0.9, wspace=0.8)
    picture, bars = axes
    _show_image(picture, image)
    picture.set_facecolor("#EEEEEE")  # beyond the border of the image
    corner, size = square[:2], (square[2] - square[0], square[3] - square[1])
    tint = {"facecolor": COLOURS[6], "alpha": 0.5, "edgecolor": "black"}
    picture.add_patch(Rectangle(corner, *size, label="grid square", **tint))
    for name, box in boxes.items():
        colour, line = _SLOT_STYLES[name]
        x, y, width, height = box[0], box[1], box[2] - box[0], box[3] - box[1]
        style = {"fill": False, "edgecolor": colour, "linestyle": line, "linewidth": 2.2}
        picture.add_patch(Rectangle((x, y), width, height, label=name, gid=name, **style))
        picture.plot(x + width / 2, y + height / 2, "o", color=colour, markersize=6, markeredgecolor="white")
    near = np.array([boxes["true box"], square])
    low, high = near[:, :2].min(0), near[:, 2:].max(0)
    pad = 0.75 * (high - low).max()
    picture.set(xlim=(low[0] - pad, high[0] + pad), ylim=(high[1] + pad, low[1] - pad), xticks=[], yticks=[])
    picture.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9, frameon=False)

    rows = np.arange(len(terms))
    bars.barh(rows, [min(value, _LONGEST_BAR) for value in terms.values()], color=COLOURS[1], height=0.6)
    for row, value in zip(rows, terms.values(), strict=True):
        # Beside the axis, where no bar reaches, however long.
        bars.text(1.02, row, f"{value:.2f}", transform=bars.get_yaxis_transform(), fontsize=10, va="center")
    bars.set(xlim=(0, _LONGEST_BAR), ylim=(len(terms) - 0.5, -0.5))
    bars.set_yticks(rows, list(terms), fontsize=10)
    bars.set_title(f"sum of the terms: {sum(terms.values()):.2f}", fontsize=10)
    bars.spines[["top", "right"]].set_visible(False)
    return picture, bars


def show_replicas(losses: np.ndarray, axes: tuple[Axes, Axes] | None = None) -> tuple[Axes, Axes]:
    """What two replicas make of one batch: with a loss per image each mean is divided by 2, with a scalar it is not.

    Args:
        losses: (B,) or (B, 1), the loss of each image; B is even.
        axes: where to draw, loss per image and scalar; a new figure when None.

    Returns:
        The axes of both.

    Raises:
        ValueError: if the images cannot be shared equally.
    """
    losses = np.asarray(losses, float).ravel()
    if not len(losses) or len(losses) % 2:
        raise ValueError(f"Two replicas share an even number of images, found {len(losses)}.")
    if axes is None:
        axes = plt.subplots(2, 1, figsize=(9.5, 5), layout="constrained")[1]
    per_image, scalar = axes
    per_image.set_title("a loss per image, (B, 1)", fontsize=11, loc="left")
    scalar.set_title("a scalar, ()", fontsize=11, loc="left")
    _draw_replicas(per_image, losses, divided=True)
    _draw_replicas(scalar, losses, divided=False)
    return per_image, scalar


def _draw_replicas(ax, losses, divided):
    def write(x, y, text, width=1.0, **style):
        frame = {"facecolor": "white", "edgecolor": "black"} | style
        ax.add_patch(Rectangle((x - width / 2, y - 0.3), width, 0.6, **frame))
        ax.text(x, y, text, fontsize=10, ha="center", va="center", color="black")

    def point(start, end):
        ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "color": "black"})

    digits = 0 if losses.max() >= 1000 else 1
    images = len(losses) // 2
    for row, part in enumerate(np.split(losses, 2)):
        first = row * images
        of = f"image {first}" if images == 1 else f"images {first}-{first + images - 1}"
        ax.text(0, row, f"replica {row}\n{of}", fontsize=10, ha="left", va="center", linespacing=1.4)
        texts = [f"{loss:.{digits}f}" for loss in part]
        for column, text in enumerate(texts if images <= 4 else [*texts[:3], "…"]):
            write(2.2 + 0.8 * column, row, text, width=0.8)
        point((5.0, row), (5.4, row))
        write(6.1, row, f"mean {part.mean():.{digits}f}", width=1.4)
        point((6.8, row), (7.2, row))
        if divided:
            write(7.9, row, f"/ 2 = {part.mean() / 2:.{digits}f}", width=1.4, facecolor=TINT)
        else:
            write(7.9, row, "missing: / 2", width=1.4, linestyle="--", edgecolor=GREY)
        point((8.6, row), (9.2, 0.5 + 0.2 * (row - 0.5)))
    mean = losses.mean()
    colour, verdict = (COLOURS[2], f"right: the mean of {len(losses)}") if divided else (COLOURS[0], "doubled")
    write(9.8, 0.5, f"sum {mean if divided else 2 * mean:.{digits}f}", width=1.2, edgecolor=colour, linewidth=3)
    ax.text(9.8, 1.05, verdict, fontsize=10, ha="center", va="center", color=colour, weight="bold")
    ax.set(xlim=(-0.05, 10.9), ylim=(1.45, -0.45))
    ax.set_axis_off()


def show_memory(
    parts_by_name: Mapping[str, Mapping[str, int]],
    limit: int | None = None,
    measured: Mapping[str, int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Counted memory of some trainings, a bar each, part by part, beside what a device has and what was measured.

    Args:
        parts_by_name: name of a training -> what `count_memory` returned for it.
        limit: bytes that a device has; None for none.
        measured: name of a training -> bytes, where they are known.
        ax: where to draw; a new figure when None.

    Returns:
        The axes.
    """
    ax = ax or plt.subplots(figsize=(9, 1.4 + 0.45 * len(parts_by_name)), layout="constrained")[1]
    rows, left = np.arange(len(parts_by_name)), np.zeros(len(parts_by_name))
    for number, part in enumerate(dict.fromkeys(part for parts in parts_by_name.values() for part in parts)):
        width = np.array([parts.get(part, 0) for parts in parts_by_name.values()]) / 1e9
        hatch = ("", "////", "", "....", "", "xxxx")[number % 6]
        style = {"color": COLOURS[(1, 5, 2, 4, 3, 6)[number % 6]], "hatch": hatch, "edgecolor": "white"}
        ax.barh(rows, width, left=left, height=0.6, label=part, **style)
        left += width
    for row, (name, total) in enumerate(zip(parts_by_name, left, strict=True)):
        ax.annotate(
            f"{total:.{2 if total < 1 else 1}f}",
            (total, row),
            (4, 0),
            textcoords="offset points",
            fontsize=9,
            va="center",
        )
        if name in (measured or {}):
            style = {"marker": "D", "color": "black", "markeredgecolor": "white", "markersize": 8, "linestyle": "none"}
            ax.plot(measured[name] / 1e9, row, label="measured", zorder=3, **style)
    if limit is not None:
        ax.axvline(limit / 1e9, color=COLOURS[0], linestyle="--", linewidth=2, label=f"{limit / 1e9:.3g} GB")
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))  # "measured" once
    ax.legend(handles.values(), handles, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9, frameon=False)
    ax.set_yticks(rows, list(parts_by_name), fontsize=9)
    ax.set(xlabel="GB", xlim=(0, 1.08 * ax.get_xlim()[1]), ylim=(len(rows) - 0.5, -0.5))
    ax.spines[["top", "right"]].set_visible(False)
    return ax
