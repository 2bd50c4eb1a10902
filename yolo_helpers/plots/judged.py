"""What a detector finds, and what of it is right, wrong and missed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from yolo_helpers.annotations import Annotation
from yolo_helpers.boxes import box_iou
from yolo_helpers.evaluation import Mistake, Verdict
from yolo_helpers.images import open_image
from yolo_helpers.plots.common import (
    COLOURS,
    Labels,
    cell_size,
    class_name,
    file_name,
    save_figure,
    show_image,
)

KINDS = {  # told apart by colour, and by line
    "right": {"edgecolor": COLOURS[2], "linestyle": "-", "linewidth": 1.3},
    "missed": {"edgecolor": COLOURS[1], "linestyle": (0, (3, 1.5)), "linewidth": 1.8},
    "wrong": {"edgecolor": COLOURS[0], "linestyle": "-", "linewidth": 2.4},
}
_STYLES = KINDS | {"true": {"edgecolor": "black", "linestyle": ":", "linewidth": 1.2}}
_IN_A_ROW = {  # of a legend
    "ncols": 3,
    "fontsize": 8,
    "frameon": False,
    "handlelength": 1.6,
    "handletextpad": 0.5,
    "columnspacing": 1.2,
}


def show_verdicts(
    annotations: Sequence[Annotation],
    judged: Sequence[Verdict],
    class_names: Sequence[str],
    columns: int = 4,
    figure: Figure | None = None,
    title: str = "",
) -> list[Axes]:
    """Photographs in rows, with what is right, what is wrong and what is missed, and how many of each there are in all.

    Names stand at what is wrong or missed, wherever they do not cover each other; with one class, scores alone.

    Args:
        annotations: a few photographs.
        judged: the verdict on each, from `verdicts`.
        class_names: names of the classes, in order.
        columns: photographs in a row.
        figure: where to draw; a new one when None.
        title: above all.

    Returns:
        The axes of each photograph.
    """
    images = [open_image(annotation.image_path) for annotation in annotations]
    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    width, height = cell_size(images)
    figure = figure or plt.figure(dpi=100, layout="constrained")
    figure.set_size_inches(max(3, width * columns), (height + 0.2) * rows + (0.6 if title else 0.3))
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for ax in axes[len(images) :]:
        ax.set_axis_off()
    for ax, image, annotation, verdict in zip(axes, images, annotations, judged, strict=False):
        _draw_verdict(ax, image, verdict, class_names)
        ax.set_title(file_name(annotation.image_path), fontsize=8)
    if title:
        figure.suptitle(title, fontsize=10)
    figure.legend(handles=_counted(judged), loc="outside lower center", **_IN_A_ROW)
    return axes[: len(images)]


def save_verdicts(
    path: Path,
    annotations: Sequence[Annotation],
    judged: Sequence[Verdict],
    class_names: Sequence[str],
    title: str = "",
) -> None:
    """Writes the picture of `show_verdicts`, one photograph below the other, as a PNG file, whole or not at all.

    Args:
        path: the file.
        annotations, judged, class_names, title: as in `show_verdicts`.
    """
    figure = Figure(dpi=100, layout="constrained")
    show_verdicts(annotations, judged, class_names, columns=1, figure=figure, title=title)
    save_figure(figure, path)


def _counted(judged: Sequence[Verdict]) -> list[Rectangle]:
    """The entries of a legend."""
    counts = {
        "right": sum(len(verdict.right.boxes) for verdict in judged),
        "wrong": sum(len(verdict.wrong.boxes) for verdict in judged),
        "missed": sum(len(verdict.missed) for verdict in judged),
    }
    return [
        Rectangle((0, 0), 1, 1, fill=False, label=f"{count} {kind}", **KINDS[kind]) for kind, count in counts.items()
    ]


def _draw_verdict(ax: Axes, image: np.ndarray, verdict: Verdict, class_names: Sequence[str]) -> None:
    show_image(ax, image, enough=600)
    ax.set_axis_off()
    for kind, boxes in zip(KINDS, (verdict.right.boxes, verdict.missed, verdict.wrong.boxes), strict=True):
        for box in boxes:
            _draw_box(ax, kind, box)
    labels, wrong = Labels(ax), verdict.wrong
    for n in np.argsort(-wrong.scores, kind="stable"):
        _label(labels, "wrong", class_names, wrong.boxes[n], wrong.classes[n], wrong.scores[n])
    for box, c in zip(verdict.missed, verdict.missed_classes, strict=True):
        _label(labels, "missed", class_names, box, c)


def _draw_box(ax: Axes, kind: str, box: Sequence[float]) -> None:
    # White around the line, since a photograph may have its colour.
    outline = [withStroke(linewidth=_STYLES[kind]["linewidth"] + 1.2, foreground="white")]
    corner, size = box[:2], (box[2] - box[0], box[3] - box[1])
    ax.add_patch(Rectangle(corner, *size, fill=False, gid=kind, path_effects=outline, **_STYLES[kind]))


def _label(labels: Labels, kind: str, class_names, box, class_index, score=None) -> None:
    """The class, unless there is only one, and the score of what was found."""
    name = [class_name(class_names, class_index)] if len(class_names) > 1 else []
    words = name + ([] if score is None else [f"{score:.2f}"])
    if words:
        labels.add(" ".join(words), box, _STYLES[kind]["edgecolor"], gid=kind)


def show_threshold(
    annotations: Sequence[Annotation], judged: Sequence[Verdict], class_names: Sequence[str], threshold: float
) -> tuple[Axes, Axes, Axes]:
    """What a score threshold does: to the first photograph, to the counts on all, and to precision and recall.

    For a slider: the axes stay as they are, whatever the threshold.

    Args:
        annotations: the photographs, of which the first one is drawn.
        judged: the verdict on each, from `verdicts`, on all that was found with a low threshold such as
            `evaluation.SCORE_THRESHOLD`.
        class_names: names of the classes, in order.
        threshold: least score of a detection that counts.

    Returns:
        The axes of the photograph, of the counts and of the curve.
    """
    scores = np.concatenate([part.scores for verdict in judged for part in (verdict.right, verdict.wrong)])
    fits = np.concatenate([[True] * len(v.right.scores) + [False] * len(v.wrong.scores) for v in judged]).astype(bool)
    truth, counts = sum(len(v.taken) + len(v.missed) for v in judged), scores >= threshold
    right, wrong = int((counts & fits).sum()), int((counts & ~fits).sum())

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=(1.35, 0.75, 1))
    figure.subplots_adjust(left=0.01, right=0.98, bottom=0.15, top=0.9, wspace=0.36)
    picture, bars, curve = axes
    path = annotations[0].image_path
    _draw_verdict(picture, open_image(path), judged[0].above(threshold), class_names)
    picture.set_title(f"{file_name(path)}, scores from {threshold:.2f} on", fontsize=9)
    _draw_counts(bars, {"right": right, "wrong": wrong, "missed": truth - right}, longest=max(1, 1.2 * truth))
    bars.set_title(f"all photographs: {truth:,} true boxes", fontsize=9)

    order = np.argsort(-scores, kind="stable")
    scores, so_far = scores[order], fits[order].cumsum()
    together = np.append(scores[1:] != scores[:-1], True)[: len(scores)]  # equal scores pass a threshold together
    precision, recall = so_far / np.arange(1, len(scores) + 1), so_far / max(1, truth)
    curve.plot(recall[together], precision[together], drawstyle="steps-pre", color="black", linewidth=1.5)
    curve.set(xlim=(0, 1.02), ylim=(0, 1.05))
    curve.set_xlabel("recall: right / true boxes", fontsize=9)
    curve.set_ylabel("precision: right / found", fontsize=9)
    curve.spines[["top", "right"]].set_visible(False)
    if truth and right + wrong:
        x, y = right / truth, right / (right + wrong)
        curve.plot([x, x, 0], [0, y, y], ":", color=COLOURS[3], linewidth=1.5)
        curve.plot(x, y, "D", color=COLOURS[3], markersize=9, markeredgecolor="black", gid="threshold", clip_on=False)
        curve.set_title(f"precision {y:.2f}, recall {x:.2f}", fontsize=9)
    else:
        curve.set_title("nothing found" if truth else "no true boxes", fontsize=9)
    return picture, bars, curve


def _draw_counts(ax: Axes, counts: Mapping[str, int], longest: float) -> None:
    for row, (kind, count) in enumerate(counts.items()):
        end, colour = min(count, longest), KINDS[kind]["edgecolor"]
        ax.barh(row, end, height=0.55, color=colour, gid=kind)
        if count > longest:  # its point says that the bar goes on
            end = 1.12 * longest
            ax.fill([longest, longest, end], [row - 0.42, row + 0.42, row], color=colour, linewidth=0)
        ax.annotate(f"{count:,}", (end, row), (4, 0), textcoords="offset points", fontsize=10, va="center")
    ax.set(xlim=(0, 1.45 * longest), ylim=(len(counts) - 0.5, -0.5))  # with room for a number behind the longest bar
    ax.set_yticks(range(len(counts)), list(counts), fontsize=10)
    ax.xaxis.get_major_locator().set_params(integer=True, nbins=4)
    ax.spines[["top", "right"]].set_visible(False)


def show_mistakes(
    mistakes: Sequence[Mistake],
    class_names: Sequence[str],
    annotations: Sequence[Annotation] | None = None,
    columns: int = 4,
) -> list[Axes]:
    """A gallery of mistakes, in their order: each with what lies around it on the photograph.

    Args:
        mistakes: one of the lists of `worst_mistakes`.
        class_names: names of the classes, in order.
        annotations: of these photographs, whose true boxes are then dotted, and named where one of another class
            touches the mistake: a box that fits badly is told from one at an object that nobody labelled.
        columns: most pictures beside each other.

    Returns:
        The axes of each mistake.

    Raises:
        ValueError: if a mistake's photograph is not in the annotations.
    """
    columns = max(1, min(columns, len(mistakes)))
    rows = max(1, -(-len(mistakes) // columns))
    size = (2.5 * columns, 2.7 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    axes, truth = axes.ravel().tolist(), {annotation.image_path: annotation for annotation in annotations or ()}
    for ax in axes:
        ax.set_axis_off()
    for mistake, ax in zip(mistakes, axes, strict=False):
        image, box = open_image(mistake.image_path), mistake.box
        kind = "missed" if mistake.score is None else "wrong"
        show_image(ax, image)
        ax.set_title(f"{kind}, {file_name(mistake.image_path)}", fontsize=8)
        # A square around the box, moved into the photograph where it would reach beyond.
        side = np.minimum(3 * max(box[2:] - box[:2]), image.size)
        left, top = np.clip((box[:2] + box[2:] - side) / 2, 0, image.size - side)
        ax.set(xlim=(left, left + side[0]), ylim=(top + side[1], top))
        labels = Labels(ax)
        _label(labels, kind, class_names, box, mistake.class_index, mistake.score)
        if annotations is not None:
            _draw_truth(ax, labels, mistake, truth, class_names)
        _draw_box(ax, kind, box)
    if annotations is not None:
        figure.suptitle("dotted: true boxes", fontsize=9)
    return axes[: len(mistakes)]


def _draw_truth(ax, labels: Labels, mistake: Mistake, truth: Mapping[Path, Annotation], class_names) -> None:
    if mistake.image_path not in truth:
        raise ValueError(
            f"{mistake.image_path}: expected this photograph in the annotations too: give those that the mistakes were "
            "counted with."
        )
    annotation = truth[mistake.image_path]
    touches = box_iou(annotation.boxes, mistake.box[None])[:, 0] > 0
    for box, c, touching in zip(annotation.boxes, annotation.classes, touches, strict=True):
        if mistake.score is not None or (box != mistake.box).any():  # what was missed is drawn already
            _draw_box(ax, "true", box)
            if touching and c != mistake.class_index:
                _label(labels, "true", class_names, box, c)
