"""Pictures: boxes on photographs, targets on their grids, and the curves of a training.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; every box also carries its name.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

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
    ax.imshow(image)
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()
    for number, (box, c) in enumerate(zip(boxes, classes, strict=True)):
        colour = COLOURS[int(c) % len(COLOURS)]
        x, y = box[:2]
        ax.add_patch(Rectangle((x, y), box[2] - x, box[3] - y, fill=False, edgecolor=colour, linewidth=1.5))
        label = class_names[int(c)] + ("" if scores is None else f" {scores[number]:.2f}")
        style = {"boxstyle": "square,pad=0.1", "facecolor": colour, "edgecolor": "none", "alpha": 0.8}
        ax.text(x, y, label, fontsize=6, color="white", va="top", bbox=style, clip_on=True)
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
    ax.imshow(image, alpha=0.75)
    ax.set_title(title, fontsize=9)
    ax.set_xticks(np.arange(columns + 1) * width / columns - 0.5, [])
    ax.set_yticks(np.arange(rows + 1) * height / rows - 0.5, [])
    ax.grid(color="black", linewidth=0.5)
    ax.tick_params(length=0)
    for j, i, k in np.argwhere(y_true[..., 4] > 0):
        x, y, w, h = y_true[j, i, k, :4] * (width, height, width, height)
        colour = COLOURS[k]
        corner = (i * width / columns - 0.5, j * height / rows - 0.5)
        ax.add_patch(Rectangle(corner, width / columns, height / rows, facecolor=colour, alpha=0.35))
        ax.add_patch(Rectangle((x - w / 2, y - h / 2), w, h, fill=False, edgecolor=colour, linewidth=1.5))
        ax.plot(x, y, "o", color=colour, markersize=4, markeredgecolor="white")
        ax.text(x, y, f" {k}", fontsize=7, color="black", va="center", clip_on=True)
    return ax


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
