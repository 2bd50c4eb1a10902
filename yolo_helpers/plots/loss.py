"""What the loss sees: the targets on their grids, the ignored slots, one slot with its terms, and two replicas."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from yolo_helpers.plots.common import COLOURS, GREY, TINT, show_image

_SLOT_STYLES = {  # colour and line of the boxes of show_slot
    "true box": (COLOURS[1], "-"),
    "anchor": (COLOURS[7], ":"),
    "prediction": (COLOURS[0], "--"),
}
_LONGEST_BAR = 8


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
    show_image(ax, image, alpha=0.75)
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
    show_image(ax, image)
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
    show_image(picture, image)
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
