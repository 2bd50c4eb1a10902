"""Evaluation: average precision of the detections, computed by pycocotools."""

import contextlib
import io
from collections.abc import Sequence

import keras
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo_helpers.annotations import Annotation
from yolo_helpers.detection import Detections, detect

SCORE_THRESHOLD = 0.01  # average precision looks at the weak detections too


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
    """
    if len(annotations) != len(detections):
        raise ValueError(f"Expected detections for {len(annotations)} photographs, found {len(detections)}.")
    truth, found = [], []
    for image_id, (annotation, detection) in enumerate(zip(annotations, detections, strict=True)):
        for box, c in zip(annotation.boxes, annotation.classes, strict=True):
            truth.append(_coco_box(image_id, box, c) | {"id": len(truth) + 1, "iscrowd": 0})
        for box, score, c in zip(*detection, strict=True):
            found.append(_coco_box(image_id, box, c) | {"score": float(score)})

    if not found:  # pycocotools refuses an empty list
        present = {box["category_id"] for box in truth}
        values = [0.0 if c in present else float("nan") for c in range(len(class_names))]
        return {figure: _named(values, class_names) for figure in ("AP50", "AP")}

    coco = COCO()
    coco.dataset = {
        "images": [{"id": i} for i in range(len(annotations))],
        "annotations": truth,
        "categories": [{"id": c, "name": name} for c, name in enumerate(class_names)],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][..., 0, -1]  # (IoU, recall, class), all sizes, 100 boxes an image; -1: no truth
    precision = np.where(precision < 0, np.nan, precision)
    return {
        "AP50": _named(precision[0].mean(0), class_names),
        "AP": _named(precision.mean((0, 1)), class_names),
    }


def _coco_box(image_id, box, c):
    x, y, width, height = (float(v) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1]))
    return {"image_id": image_id, "category_id": int(c), "bbox": [x, y, width, height], "area": width * height}


def _named(values, class_names):
    values = np.asarray(values, float)
    mean = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
    return {name: float(value) for name, value in zip(class_names, values, strict=True)} | {"mean": mean}


def evaluate(
    detector: keras.Model,
    annotations: Sequence[Annotation],
    anchors: np.ndarray,
    class_names: Sequence[str],
) -> dict[str, dict[str, float]]:
    """Runs the detector over annotated photographs and returns `average_precision` of what it finds.

    Args:
        detector: the model of `inference_model`.
        annotations: photographs with their true boxes.
        anchors: (A, 2), width and height in pixels of the input.
        class_names: names of the classes, in order.
    """
    paths = [annotation.image_path for annotation in annotations]
    found = detect(detector, paths, anchors, len(class_names), score_threshold=SCORE_THRESHOLD)
    return average_precision(annotations, found, class_names)


class AveragePrecision(keras.callbacks.Callback):
    """Logs the mean AP50 on given photographs as `val_AP50`, after every `every`-th epoch and the last.

    Put it before callbacks that read the logs.

    Args:
        detector: the model of `inference_model` around the body in training; it shares its weights.
        annotations, anchors, class_names: as in `evaluate`.
        every: epochs from one evaluation to the next.
    """

    def __init__(self, detector, annotations, anchors, class_names, every=1):
        super().__init__()
        self.detector, self.annotations, self.anchors = detector, annotations, anchors
        self.class_names, self.every = class_names, every

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.params["epochs"]:
            scores = evaluate(self.detector, self.annotations, self.anchors, self.class_names)
            logs["val_AP50"] = scores["AP50"]["mean"]
