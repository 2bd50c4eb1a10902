"""What a detector finds, and what of it is right."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yolo_helpers.detection import Detections
from yolo_helpers.evaluation import Curve, Mistake
from yolo_helpers.images import open_image
from yolo_helpers.plots.common import COLOURS, plain, save_figure
from yolo_helpers.plots.photographs import show_boxes


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
    save_figure(figure, path)


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
        photograph = plain(mistake.image_path.name)
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
            label=f"{plain(name, str(number))}, AP50 {curve.precision.mean():.2f}",
        )
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall: part of the true boxes that is found")
    ax.set_ylabel("precision: part of what is found that is right")
    ax.legend(fontsize=8, loc="lower left")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
