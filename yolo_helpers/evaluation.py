"""Evaluation: average precision, thresholds and mistakes of the detections, judged by pycocotools."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import Annotation
from yolo_helpers.boxes import box_area
from yolo_helpers.detection import Detections, detect

LEAST_THRESHOLD = 0.05  # below, a box is right by chance
SCORE_THRESHOLD = 0.01  # average precision looks at the weak detections too
IOUS = 10  # pycocotools' own: 0.50, 0.55 … 0.95


def average_precision(
    annotations: Sequence[Annotation], detections: Sequence[Detections], class_names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Average precision (AP) of each class: the area under its curve of precision over recall.

    Args:
        annotations: the true boxes of each photograph.
        detections: what was found on each, in the same order.
        class_names: names of the classes, in order.

    Returns:
        {'AP50': {name: value, …, 'mean': value}, 'AP': …}: with a detection counted as right from an IoU of 0.5, and
        averaged over IoU 0.50, 0.55 … 0.95 (COCO's figure). A class without a true box has NaN and is left out of
        the mean.

    Raises:
        ValueError: if the two lists differ in length.

    Of two true boxes one is found, and nothing else: up to half of the recall the precision is 1, then 0.

    >>> true = Annotation(Path("a.jpg"), np.array([[0, 0, 10, 10], [50, 50, 90, 90]]), np.array([0, 0]))
    >>> found = Detections(np.array([[0, 0, 10, 9]]), np.array([0.8]), np.array([0]))
    >>> round(average_precision([true], [found], ["cat"])["AP50"]["cat"], 2)
    0.5
    """
    return _figures(_judge(annotations, detections, class_names, ious=IOUS), class_names)


class Curve(NamedTuple):
    """Precision over recall for one class, at the 101 recalls 0, 0.01 … 1; a detection is right from an IoU of 0.5.

    Attributes:
        recall: (101,), the part of the true boxes that is found.
        precision: (101,), the part of the detections that is right, at this recall or at a higher one if it is better
            there; 0 beyond the highest recall reached, NaN if the class has no true box. Its mean is the class's AP50.
        scores: (101,), the score threshold that gives this recall; 0 and NaN likewise.
    """

    recall: np.ndarray
    precision: np.ndarray
    scores: np.ndarray


def precision_recall(
    annotations: Sequence[Annotation], detections: Sequence[Detections], class_names: Sequence[str]
) -> dict[str, Curve]:
    """The curve of each class under which `average_precision` takes the area, at an IoU of 0.5.

    Args:
        annotations, detections, class_names: as in `average_precision`.
    """
    judge = _judge(annotations, detections, class_names)
    precision, scores = (_known(judge.eval[figure][0, ..., 0, -1]).T for figure in ("precision", "scores"))
    return {name: Curve(judge.params.recThrs, *curve) for name, *curve in zip(class_names, precision, scores)}


def best_threshold(
    annotations: Sequence[Annotation], detections: Sequence[Detections], class_names: Sequence[str]
) -> tuple[float, float]:
    """The score threshold for `detect` that finds most and errs least: the one with the highest F1 over all classes.

    It is 0.05 or more: where next to nothing is found, one right box among hundreds of wrong ones would win below.
    Choose it on the validation photographs; on those of the test it would flatter the figures that follow.

    Args:
        annotations, class_names: as in `average_precision`.
        detections: likewise, found with a low threshold such as SCORE_THRESHOLD: a higher one than theirs is sought.

    Returns:
        The threshold, and its F1: 2 right / (found + true boxes), from 0 to 1; right is from an IoU of 0.5.

    Raises:
        ValueError: if no detection with such a score is right.
    """
    judge = _judge(annotations, detections, class_names)
    verdicts = [pair for image in _at_iou_50(judge) for pair in zip(image["dtScores"], image["dtMatches"][0] > 0)]
    verdicts = sorted((pair for pair in verdicts if pair[0] >= LEAST_THRESHOLD), key=lambda pair: -pair[0])
    if not any(right for _, right in verdicts):
        raise ValueError(
            f"No detection with a score of {LEAST_THRESHOLD:g} or more fits a true box, so no threshold is best: train "
            "longer, into another folder, or give more photographs."
        )
    scores, right = np.array(verdicts).T
    truth = sum(len(annotation.boxes) for annotation in annotations)
    f1 = 2 * right.cumsum() / (np.arange(1, len(right) + 1) + truth)
    f1[:-1][scores[1:] == scores[:-1]] = 0  # equal scores pass a threshold together, and count at the last of them
    return float(scores[f1.argmax()]), float(f1.max())


class Verdict(NamedTuple):
    """A photograph's detections and true boxes, told apart by whether they fit each other.

    Attributes:
        right: R detections on a true box of their class, with an IoU of 0.5 or more: highest score first, each takes
            the one that it fits best of those that are left.
        wrong: all others.
        missed: (M, 4), true boxes that no detection is right about, x_min, y_min, x_max, y_max in pixels.
        missed_classes: (M,).
        taken: (R, 4), the true box of each right detection, likewise.
    """

    right: Detections
    wrong: Detections
    missed: np.ndarray
    missed_classes: np.ndarray
    taken: np.ndarray

    def above(self, score_threshold: float) -> "Verdict":
        """The verdict if detections with a lower score do not count, without matching boxes again.

        What a detection fits depends on those with higher scores alone, so that none becomes right or wrong by it.
        """
        stay, wrong = self.right.scores >= score_threshold, self.wrong.scores >= score_threshold
        return Verdict(
            Detections(*(part[stay] for part in self.right)),
            Detections(*(part[wrong] for part in self.wrong)),
            np.concatenate([self.missed, self.taken[~stay]]),
            np.concatenate([self.missed_classes, self.right.classes[~stay]]),
            self.taken[stay],
        )


def verdicts(
    annotations: Sequence[Annotation],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    score_threshold: float = 0.0,
) -> list[Verdict]:
    """What is right, what is wrong and what is missed on each photograph.

    Args:
        annotations, detections, class_names: as in `average_precision`.
        score_threshold: detections with a lower score do not count.

    Returns:
        The verdict on each photograph, in order.

    Raises:
        ValueError: if the two lists differ in length.

    Of two true boxes the first is found, and something in another place:

    >>> true = Annotation(Path("a.jpg"), np.array([[0, 0, 10, 10], [50, 50, 90, 90]]), np.array([0, 0]))
    >>> found = Detections(np.array([[0, 0, 10, 9], [20, 0, 30, 9]]), np.array([0.8, 0.7]), np.array([0, 0]))
    >>> (verdict,) = verdicts([true], [found], ["cat"])
    >>> verdict.right.scores.tolist(), verdict.wrong.scores.tolist(), verdict.missed.tolist()
    ([0.8], [0.7], [[50, 50, 90, 90]])
    """
    kept = [Detections(*(part[one.scores >= score_threshold] for part in one)) for one in detections]
    judge = _judge(annotations, kept, class_names)
    judged, first = [], 1  # true boxes have numbers that go through all photographs
    for annotation, one, match in zip(annotations, kept, _matches(judge, kept), strict=True):
        right, taken = match > 0, match[match > 0] - first
        first += len(annotation.boxes)
        judged.append(
            Verdict(
                Detections(*(part[right] for part in one)),
                Detections(*(part[~right] for part in one)),
                np.delete(annotation.boxes, taken, axis=0),
                np.delete(annotation.classes, taken),
                annotation.boxes[taken],
            )
        )
    return judged


class Mistake(NamedTuple):
    """Something found where nothing of its class is, or a true box that was not found.

    Attributes:
        image_path: the photograph.
        box: (4,), x_min, y_min, x_max, y_max in its pixels.
        class_index: of the box.
        score: of what was found, 0 to 1; None for a true box.
    """

    image_path: Path
    box: np.ndarray
    class_index: int
    score: float | None


def worst_mistakes(
    annotations: Sequence[Annotation], detections: Sequence[Detections], class_names: Sequence[str], count: int = 8
) -> tuple[list[Mistake], list[Mistake]]:
    """What a detector gets most wrong: often a label is missing or mistaken there.

    Args:
        annotations, class_names: as in `average_precision`.
        detections: likewise, found with the threshold that is going to be used.
        count: most mistakes of each kind.

    Returns:
        What was found and is wrong (no true box of its class with an IoU of 0.5 that is not taken by a better one),
        highest score first; and the true boxes that were missed, largest area first.
    """
    wrong, missed = [], []
    for annotation, verdict in zip(annotations, verdicts(annotations, detections, class_names), strict=True):
        path = annotation.image_path
        wrong += [Mistake(path, box, int(c), float(score)) for box, score, c in zip(*verdict.wrong, strict=True)]
        boxes = zip(verdict.missed, verdict.missed_classes, strict=True)
        missed += [Mistake(path, box, int(c), None) for box, c in boxes]
    wrong.sort(key=lambda mistake: -mistake.score)
    missed.sort(key=lambda mistake: -box_area(mistake.box))
    return wrong[:count], missed[:count]


def _judge(annotations, detections, class_names, ious=1) -> COCOeval:
    """pycocotools' verdict over all photographs and classes, for all sizes and the first of its IoU thresholds.

    It takes nearly as long for each of them again: at 0.5 and for all sizes together, a fraction of the time for all.
    """
    if len(annotations) != len(detections):
        raise ValueError(f"Expected detections for {len(annotations)} photographs, found {len(detections)}.")
    truth, found = [], []
    for image_id, (annotation, detection) in enumerate(zip(annotations, detections, strict=True)):
        truth += [_coco_box(image_id, *box) for box in zip(annotation.boxes, annotation.classes, strict=True)]
        for box, score, c in zip(*detection, strict=True):
            found.append(_coco_box(image_id, box, c) | {"score": float(score)})

    def coco(boxes):  # what COCO.loadRes would make, but of no boxes too
        index = COCO()
        index.dataset = {
            "images": [{"id": i} for i in range(len(annotations))],
            "annotations": [box | {"id": i} for i, box in enumerate(boxes, start=1)],
            "categories": [{"id": c} for c in range(len(class_names))],
        }
        index.createIndex()
        return index

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        judge = COCOeval(coco(truth), coco(found), "bbox")
        # pycocotools would take the best 100 of a class on a photograph alone, and so find 100 of 300 objects at most.
        judge.params.maxDets = [max([1, *(len(detection.boxes) for detection in detections)])]
        judge.params.iouThrs, judge.params.areaRng = judge.params.iouThrs[:ious], judge.params.areaRng[:1]
        judge.evaluate()
        judge.accumulate()
    return judge


def _coco_box(image_id, box, c):
    x, y, width, height = (float(v) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1]))
    bbox = {"bbox": [x, y, width, height], "area": width * height, "iscrowd": 0}
    return {"image_id": image_id, "category_id": int(c)} | bbox


def _at_iou_50(judge: COCOeval) -> list[dict]:
    """For each photograph and class with boxes of any size, which of them match; row 0 is IoU 0.5."""
    return [image for image in judge.evalImgs if image and image["aRng"] == judge.params.areaRng[0]]


def _matches(judge: COCOeval, detections: Sequence[Detections]) -> list[np.ndarray]:
    """For each photograph, the number of the true box that each detection is on, from 1 on; 0 for none."""
    counts = [len(one.boxes) for one in detections]
    matches = np.zeros(sum(counts), int)
    for image in _at_iou_50(judge):
        matches[np.array(image["dtIds"], int) - 1] = image["dtMatches"][0]
    return [matches[end - count : end] for count, end in zip(counts, np.cumsum(counts), strict=True)]


def _known(values: np.ndarray) -> np.ndarray:
    """pycocotools says -1 where there is no true box."""
    return np.where(values < 0, np.nan, values)


def _figures(judge: COCOeval, class_names: Sequence[str]) -> dict[str, dict[str, float]]:
    precision = _known(judge.eval["precision"][..., 0, -1])  # (IoU, recall, class)
    return {
        "AP50": _named(precision[0].mean(0), class_names),
        "AP": _named(precision.mean((0, 1)), class_names),
    }


def _named(values, class_names):
    values = np.asarray(values, float)
    mean = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
    return {name: float(value) for name, value in zip(class_names, values, strict=True)} | {"mean": mean}


def evaluate(
    detector: keras.Model, annotations: Sequence[Annotation], heads: Heads, class_names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Runs the detector over annotated photographs and returns `average_precision` of what it finds.

    Args:
        detector: the model of `inference_model`.
        annotations: photographs with their true boxes.
        heads: of the detector.
        class_names: names of the classes, in order.
    """
    return average_precision(annotations, _detect_all(detector, annotations, heads), class_names)


def _detect_all(detector: keras.Model, annotations: Sequence[Annotation], heads: Heads) -> list[Detections]:
    """What is found on annotated photographs, weak detections too."""
    paths = [annotation.image_path for annotation in annotations]
    # COCO looks at 100 boxes of a class, which is too few for a photograph that has more.
    most = max([100, *(2 * np.bincount(annotation.classes).max(initial=0) for annotation in annotations)])
    return detect(detector, paths, heads, score_threshold=SCORE_THRESHOLD, max_boxes=most)


class AveragePrecision(keras.callbacks.Callback):
    """Logs the mean AP50 on given photographs as `val_AP50`, after every `every`-th epoch and the last.

    Put it before callbacks that read the logs.

    Args:
        detector: the model of `inference_model` around the body in training; it shares its weights.
        annotations, heads, class_names: as in `evaluate`.
        every: epochs from one evaluation to the next.

    Attributes:
        found: the latest evaluation's detections on each photograph, weak ones too.
    """

    def __init__(
        self,
        detector: keras.Model,
        annotations: Sequence[Annotation],
        heads: Heads,
        class_names: Sequence[str],
        every: int = 1,
    ):
        super().__init__()
        self.detector, self.annotations, self.heads = detector, annotations, heads
        self.class_names, self.every = class_names, every
        self.found: list[Detections] = []

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.params["epochs"]:
            self.found = _detect_all(self.detector, self.annotations, self.heads)
            judge = _judge(self.annotations, self.found, self.class_names)
            logs["val_AP50"] = _figures(judge, self.class_names)["AP50"]["mean"]
