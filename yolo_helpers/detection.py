"""Detection: raw heads become boxes on the photograph, with one box for each object (non-maximum suppression).

From a shell, with a trained network: `python -m yolo_helpers detect --help`.
"""

import math
import runpy
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops
from PIL import Image

from yolo_helpers.anchors import STRIDES, Heads, default_anchor_mask
from yolo_helpers.boxes import box_iou, clip_boxes, letterbox
from yolo_helpers.images import letterbox_image, open_image, place

BLOCK = 128  # boxes that non-maximum suppression compares with each other at a time


class Detections(NamedTuple):
    """What was found on one photograph: boxes (N, 4) in its pixels, scores (N,) from 0 to 1, classes (N,)."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def yolo_eval(
    yolo_outputs: Sequence,
    anchors: np.ndarray,
    num_classes: int,
    image_shape: tuple[int, int],
    max_boxes: int = 20,
    score_threshold: float = 0.6,
    iou_threshold: float = 0.5,
    anchor_mask: list[list[int]] | None = None,
) -> Detections:
    """Boxes from the raw heads of one letterboxed photograph.

    Args:
        yolo_outputs: the heads (1, h, w, 3 (5 + C)), coarsest first.
        anchors: (A, 2), width and height in pixels of the input.
        num_classes: C.
        image_shape: (height, width) of the photograph in pixels.
        max_boxes: most boxes of a class.
        score_threshold: a box scores confidence times class probability; lower ones are dropped.
        iou_threshold: a box that overlaps a better one of its class by more is dropped.
        anchor_mask: the anchors of each head, coarsest first; darknet's when None.

    Returns:
        Detections, class by class, best first; boxes may reach beyond the photograph.

    Raises:
        ValueError: if the heads hold more or fewer than one photograph, or their number does not fit the anchors.
    """
    anchors = np.asarray(anchors, np.float32).reshape(-1, 2)
    anchor_mask = default_anchor_mask(len(anchors)) if anchor_mask is None else anchor_mask
    if len(yolo_outputs) != len(anchor_mask) or any(len(head) != 1 for head in yolo_outputs):
        shapes = [tuple(ops.shape(head)) for head in yolo_outputs]
        raise ValueError(f"Expected {len(anchor_mask)} heads of one photograph, found heads of shape {shapes}.")
    input_shape = tuple(STRIDES[0] * side for side in ops.shape(yolo_outputs[0])[1:3])
    decoded = [
        _decode(head, anchors[mask], num_classes, input_shape[0] / head.shape[1], score_threshold)
        for head, mask in zip(yolo_outputs, anchor_mask, strict=True)
    ]
    boxes, scores = (np.concatenate(part) for part in zip(*decoded, strict=True))
    boxes = letterbox(tuple(image_shape), input_shape).to_photo(boxes)
    scores[~np.isfinite(boxes).all(1)] = np.nan  # of a training that diverged: no box, and never above a threshold

    slots, classes = np.nonzero(scores >= score_threshold)
    kept = [np.zeros(0, int)]
    for c in np.unique(classes):
        candidates = np.flatnonzero(classes == c)
        best = suppress(boxes[slots[candidates]], scores[slots[candidates], c], max_boxes, iou_threshold)
        kept.append(candidates[best])
    slots, classes = (part[np.concatenate(kept)] for part in (slots, classes))
    return Detections(boxes[slots], scores[slots, classes], classes)


def _decode(head, anchors, num_classes, stride, score_threshold):
    """The formulas of `yolo_head` for the few slots that count, since no box scores more than its confidence.

    In NumPy: how many they are differs from photograph to photograph, and JAX would compile for each number anew.

    Returns:
        Corners (N, 4) in pixels of the input, and scores (N, C), slot by slot.
    """
    raw = np.asarray(ops.convert_to_numpy(head), np.float32)
    raw = raw.reshape(*raw.shape[1:3], len(anchors), 5 + num_classes)
    with np.errstate(over="ignore"):  # of exp: what is infinite makes a score of 0, and is cut off in a size
        rows, columns, numbers = np.nonzero(_sigmoid(raw[..., 4]) >= score_threshold)
        raw = raw[rows, columns, numbers]
        centre = (_sigmoid(raw[:, :2]) + np.stack([columns, rows], 1, dtype=np.float32)) * np.float32(stride)
        half = np.exp(raw[:, 2:4]) * anchors[numbers] / 2
        scores = _sigmoid(raw[:, 4:5]) * _sigmoid(raw[:, 5:])
    # A raw size of 89 is infinite after exp; a billion pixels are as good, and have an area.
    return np.concatenate([centre - half, centre + half], 1).clip(-1e9, 1e9), scores


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def suppress(boxes: np.ndarray, scores: np.ndarray, max_boxes: int, iou_threshold: float) -> np.ndarray:
    """Non-maximum suppression: the best box, then the best that does not overlap one already kept, and so on.

    Args:
        boxes: (N, 4), x_min, y_min, x_max, y_max.
        scores: (N,).
        max_boxes: most boxes to keep.
        iou_threshold: a box with a larger IoU with a kept one is dropped.

    Returns:
        Indices of the kept boxes, best first.

    >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]])
    >>> suppress(boxes, np.array([0.8, 0.9, 0.7]), max_boxes=20, iou_threshold=0.5).tolist()
    [1, 2]
    """
    order = np.argsort(-scores, kind="stable")
    kept = order[:0]
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        block = block[(box_iou(boxes[block], boxes[kept]) <= iou_threshold).all(1)]
        apart = box_iou(boxes[block], boxes[block]) <= iou_threshold
        best = np.ones(len(block), bool)
        for i in range(len(block)):
            if best[i]:
                best[i + 1 :] &= apart[i, i + 1 :]
        kept = np.concatenate([kept, block[best]])
        if len(kept) >= max_boxes:
            break
    return kept[:max_boxes]


def detect(
    detector: keras.Model,
    images: Sequence[Image.Image | str | Path],
    heads: Heads,
    score_threshold: float = 0.3,
    iou_threshold: float = 0.45,
    max_boxes: int = 100,
    batch_size: int = 8,
    darknet: bool = False,
) -> list[Detections]:
    """Detections on photographs of any size.

    Args:
        detector: the model of `inference_model`: uint8 image in, raw heads out.
        images: photographs, or paths of them.
        heads: of the detector.
        score_threshold, iou_threshold, max_boxes: as in `yolo_eval`.
        batch_size: most photographs that the network looks at together; as many more are read meanwhile.
        darknet: for a network that darknet trained: the detector is the body itself, image 0..1 in, and photographs
            are drawn on its input by `letterbox_image`, the way it knows them.

    Returns:
        For each photograph its detections, best first, cut off at its border.

    >>> from yolo_helpers.anchors import DATA
    >>> from yolo_helpers.darknet import build_body, load_weights, read_cfg
    >>> from yolo_helpers.model import inference_model
    >>> heads, body = read_cfg(DATA / "smears.cfg"), build_body(DATA / "smears.cfg")
    >>> convolutions, header = load_weights(body, DATA / "smears.weights")
    >>> photograph = DATA / "smears" / "images" / "smear_0000.png"
    >>> (found,) = detect(inference_model(body, heads.input_shape), [photograph], heads)
    >>> found.boxes.shape, bool(found.scores.min() >= 0.3), sorted(set(found.classes.tolist()))
    ((23, 4), True, [0, 1, 2])
    """
    input_shape = detector.input_shape[1:3]

    def look(image):
        photo = image if isinstance(image, Image.Image) else open_image(image)
        shape = photo.height, photo.width
        if darknet:
            return letterbox_image(np.asarray(photo), input_shape), shape
        return np.asarray(place(photo, letterbox(shape, input_shape), input_shape)), shape

    # Batches of one size, for each of which the network would be compiled: the last is filled up, by little.
    size = math.ceil(len(images) / max(1, math.ceil(len(images) / batch_size)))
    found = []
    with ThreadPoolExecutor() as pool:
        ahead = pool.map(look, images[:size])
        for start in range(0, len(images), max(1, size)):
            seen, shapes = zip(*ahead, strict=True)
            # Read while the network looks at these; no more, for a folder may have any number.
            ahead = pool.map(look, images[start + size : start + 2 * size])
            batch = np.stack([*seen, *seen[:1] * (size - len(seen))])
            outputs = [ops.convert_to_numpy(head) for head in keras.tree.flatten(detector.predict_on_batch(batch))]
            for b, shape in enumerate(shapes):
                boxes, scores, classes = yolo_eval(
                    [output[b : b + 1] for output in outputs],
                    heads.anchors,
                    heads.num_classes,
                    shape,
                    max_boxes,
                    score_threshold,
                    iou_threshold,
                    heads.anchor_mask,
                )
                order = np.argsort(-scores, kind="stable")
                found.append(Detections(clip_boxes(boxes[order], shape), scores[order], classes[order]))
    return found


if __name__ == "__main__":  # the command's earlier name
    sys.argv[1:1] = ["detect"]
    runpy.run_module("yolo_helpers", run_name="__main__", alter_sys=True)
