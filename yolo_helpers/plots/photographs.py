"""Photographs with their boxes."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from yolo_helpers.annotations import Annotation
from yolo_helpers.images import open_image
from yolo_helpers.plots.common import COLOURS, Labels, class_name, file_name, save_figure, show_image


def show_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    classes: np.ndarray,
    class_names: Sequence[str],
    scores: np.ndarray | None = None,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """A photograph with its boxes, each in the colour of its class and named, where names do not cover each other.

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
    show_image(ax, image)
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()
    for (x_min, y_min, x_max, y_max), c in zip(boxes, classes, strict=True):
        size, colour = (x_max - x_min, y_max - y_min), COLOURS[int(c) % len(COLOURS)]
        ax.add_patch(Rectangle((x_min, y_min), *size, fill=False, edgecolor=colour, linewidth=1.5))
    labels = Labels(ax)
    # The surest finds its place before the others.
    for n in range(len(boxes)) if scores is None else np.argsort(-np.asarray(scores), kind="stable"):
        words = class_name(class_names, classes[n]) + ("" if scores is None else f" {scores[n]:.2f}")
        labels.add(words, boxes[n], COLOURS[int(classes[n]) % len(COLOURS)])
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
    save_figure(figure, path)


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
        show_boxes(open_image(path), annotation.boxes, annotation.classes, class_names, None, ax, file_name(path))
    return axes[: len(annotations)]


def save_photographs(path: Path, annotations: Sequence[Annotation], class_names: Sequence[str]) -> None:
    """Writes the picture of `show_photographs` as a PNG file, whole or not at all; no display is needed.

    Args:
        path: the file.
        annotations, class_names: as in `show_photographs`.
    """
    figure = Figure(dpi=100, layout="constrained")
    show_photographs(annotations, class_names, figure=figure)
    save_figure(figure, path)
