"""The YOLOv3 loss, as a function for a Lambda layer and as a layer of its own.

For every slot (one anchor at one cell), with `object` = 1 where a true box was written and 0 elsewhere:

    xy          object * s * BCE(t_xy, raw_xy)                      s = 2 - w h, w and h as fractions of the input
    wh          object * s * 0.5 * (t_wh - raw_wh)^2                t_wh = log(size / anchor)
    confidence  object * BCE(1, raw_c) + (1 - object) * spared * BCE(0, raw_c)
    class       object * BCE(one-hot class, raw_class)

BCE is the cross-entropy of a sigmoid. `spared` is 0 where the predicted box overlaps some true box of the same head
by `ignore_thresh` or more: such a slot is neither right nor wrong. (Darknet looks at the true boxes of all heads:
`ignore_across_heads`.) Source: keras-yolo3 (commit e6598d1), whose batch
loss is the mean of the numbers here; the formula's origin is darknet's `yolo_layer.c` and arXiv:1804.02767.

An image has thousands of slots and few objects, and three of the four terms belong to objects alone. So the slots with
an object are gathered first, and only the confidence is computed for all.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from yolo_helpers.anchors import STRIDES, default_anchor_mask, objects_gathered
from yolo_helpers.model import yolo_head

TERMS = ("xy", "wh", "confidence", "class")
TRUE_BOXES_AT_ONCE = 8  # bounds the memory of the ignore mask: slots x this many overlaps at a time


@keras.saving.register_keras_serializable(package="yolo_helpers")
def identity_loss(y_true, y_pred):
    """The loss function of the pattern: the output is the loss already, so it is handed on.

    Args:
        y_true: anything with one row an image; not looked at.
        y_pred: (B, 1), what the loss layer returned.

    Returns:
        y_pred, unchanged.
    """
    return y_pred


def yolo_loss(
    args: Sequence,
    anchors: np.ndarray,
    num_classes: int,
    ignore_thresh: float = 0.5,
    anchor_mask: list[list[int]] | None = None,
    ignore_across_heads: bool = False,
    input_shape: tuple[int, int] | None = None,
):
    """The loss of each image, the sum of the four terms over all heads and slots.

    Args:
        args: [*outputs, *y_true], coarsest head first: the raw outputs (B, h, w, 3 (5 + C)) and the targets
            (B, h, w, 3, 5 + C) of `preprocess_true_boxes`; h and w must be known.
        anchors: (A, 2), width and height in pixels of the input.
        num_classes: C.
        ignore_thresh: IoU from which an empty slot's confidence is not punished, 0 to 1.
        anchor_mask: the anchors of each head, coarsest first; darknet's when None.
        ignore_across_heads: compare a slot with the true boxes of all heads, as darknet does, not with those of its
            own head alone, as keras-yolo3 does.
        input_shape: (height, width) in pixels; when None, 32 times the grid of the first output, which is right when
            that is the coarsest head. A loss for another head alone must be told.

    Returns:
        (B, 1). Its mean over the batch is what keras-yolo3 returns. NaN for an image with more objects in a head than
        `objects_gathered` allows, which `preprocess_true_boxes` refuses.
    """
    terms = yolo_loss_terms(args, anchors, num_classes, ignore_thresh, anchor_mask, ignore_across_heads, input_shape)
    return ops.expand_dims(sum(terms.values()), -1)


def yolo_loss_terms(
    args: Sequence,
    anchors: np.ndarray,
    num_classes: int,
    ignore_thresh: float = 0.5,
    anchor_mask: list[list[int]] | None = None,
    ignore_across_heads: bool = False,
    input_shape: tuple[int, int] | None = None,
) -> dict:
    """The four terms of `yolo_loss`, which has the same arguments.

    Returns:
        {'xy', 'wh', 'confidence', 'class'}, each (B,).

    Raises:
        ValueError: if `args` does not hold one output and one target for each head.
    """
    anchors = np.asarray(anchors, np.float32).reshape(-1, 2)
    anchor_mask = default_anchor_mask(len(anchors)) if anchor_mask is None else anchor_mask
    heads = len(anchor_mask)
    if len(args) != 2 * heads:
        raise ValueError(f"Expected {heads} outputs and {heads} targets in args, found {len(args)} tensors.")
    outputs, y_true = [[ops.convert_to_tensor(x) for x in part] for part in (args[:heads], args[heads:])]
    if input_shape is None:
        input_shape = [STRIDES[0] * side for side in ops.shape(outputs[0])[1:3]]
    objects = [_gather_objects(target) for target in y_true]
    boxes = [weight[..., None] * true[..., :4] for weight, _, true in objects]
    if ignore_across_heads:
        weights, together = ops.concatenate([weight for weight, _, _ in objects], 1), ops.concatenate(boxes, 1)
        _, order = ops.top_k(weights, weights.shape[1])  # padding to the end
        boxes = [ops.take_along_axis(together, order[..., None], axis=1)] * heads
    of_head = [
        _head_terms(output, target, *found, true_boxes, anchors[mask], num_classes, input_shape, ignore_thresh)
        for output, target, found, true_boxes, mask in zip(outputs, y_true, objects, boxes, anchor_mask, strict=True)
    ]
    return {name: sum(terms[name] for terms in of_head) for name in of_head[0]}


def _gather_objects(y_true):
    """The slots with an object, a fixed number G an image: weight (B, G), 1 or for padding at the end 0; slot (B, G);
    and their targets (B, G, 5 + C)."""
    batch, slots = ops.shape(y_true)[0], math.prod(y_true.shape[1:4])
    y_true = ops.reshape(ops.stop_gradient(y_true), (batch, slots, y_true.shape[-1]))
    weight, slot = ops.top_k(y_true[..., 4], objects_gathered(slots))
    return weight, slot, _take(y_true, slot)


def _take(values, slot):
    """(B, slots, …) and (B, G) -> (B, G, …)."""
    batch, slots = ops.shape(values)[0], values.shape[1]
    row = slot + slots * ops.arange(batch, dtype=slot.dtype)[:, None]
    return ops.take(ops.reshape(values, (batch * slots, *values.shape[2:])), row, axis=0)


def _head_terms(output, y_true, weight, slot, true, true_boxes, anchors, num_classes, input_shape, ignore_thresh):
    batch, rows, columns = ops.shape(output)[:3]
    slots = rows * columns * len(anchors)
    # The boxes that the head predicts say which slots are spared, and learn nothing from it.
    grid, _, pred_xy, pred_wh = yolo_head(ops.stop_gradient(output), anchors, num_classes, input_shape, calc_loss=True)
    pred_boxes = ops.reshape(ops.concatenate([pred_xy, pred_wh], -1), (batch, slots, 4))
    grid = ops.reshape(ops.broadcast_to(grid, (rows, columns, len(anchors), 2)), (slots, 2))
    anchors = ops.convert_to_tensor(np.tile(anchors / input_shape[::-1], (rows * columns, 1)), grid.dtype)  # (slots, 2)
    has_object = ops.reshape(ops.stop_gradient(y_true)[..., 4], (batch, slots))

    all_raw = ops.reshape(output, (batch, slots, 5 + num_classes))
    raw = _take(all_raw, slot)  # (B, G, 5 + C), as `true`
    true_xy = true[..., 0:2] * ops.cast([columns, rows], true.dtype) - ops.take(grid, slot, axis=0)
    true_wh = ops.where(weight[..., None] > 0, true[..., 2:4], 1.0)  # an empty slot has no size to take the log of
    true_wh = ops.log(true_wh / ops.take(anchors, slot, axis=0))
    scale = weight * (2 - true[..., 2] * true[..., 3])
    xy = ops.sum(scale * ops.sum(_bce(true_xy, raw[..., 0:2]), -1), -1)
    wh = ops.sum(scale * ops.sum(0.5 * ops.square(true_wh - raw[..., 2:4]), -1), -1)
    of_class = ops.sum(weight * ops.sum(_bce(true[..., 5:], raw[..., 5:]), -1), -1)

    spared = ops.cast(best_iou(pred_boxes, true_boxes) < ignore_thresh, raw.dtype)
    confidence = (has_object + (1 - has_object) * spared) * _bce(has_object, all_raw[..., 4])
    # An image with more objects than were gathered has no loss, rather than the loss of a part of it.
    left_out = ops.sum(ops.cast(has_object > 0, "int32"), -1) > weight.shape[-1]
    confidence = ops.where(left_out, np.nan, ops.sum(confidence, -1))
    return dict(zip(TERMS, (xy, wh, confidence, of_class), strict=True))


def _bce(target, raw):
    """Cross-entropy of sigmoid(raw): -t log(sigmoid) - (1 - t) log(1 - sigmoid), in a form that cannot overflow."""
    return ops.softplus(raw) - target * raw


def best_iou(pred_boxes, true_boxes):
    """IoU of each predicted box with the true box of its image that it overlaps most.

    Args:
        pred_boxes: (B, N, 4), centre and size.
        true_boxes: (B, T, 4), likewise and in the same unit; rows of zeros are padding, and stand at the end.

    Returns:
        (B, N), without a gradient. Boxes are taken a few at a time, as many times as the fullest image needs:
        any number of boxes, shapes that XLA can compile, and never all predictions against all boxes.
    """
    batch, count = ops.shape(true_boxes)[:2]
    turns = -(-count // TRUE_BOXES_AT_ONCE)
    most = ops.max(ops.sum(ops.cast(true_boxes[..., 2] > 0, "int32"), axis=1))
    true_boxes = ops.pad(true_boxes, ((0, 0), (0, turns * TRUE_BOXES_AT_ONCE - count), (0, 0)))
    true_boxes = ops.reshape(true_boxes, (batch, turns, TRUE_BOXES_AT_ONCE, 1, 4))

    def compare(turn, best):
        few = ops.take(true_boxes, turn, axis=1)  # (B, few, 1, 4)
        return turn + 1, ops.maximum(best, ops.max(box_iou(pred_boxes[:, None], few), axis=1))

    nothing = ops.zeros_like(pred_boxes[..., 0])
    _, best = ops.while_loop(lambda turn, best: turn * TRUE_BOXES_AT_ONCE < most, compare, (0, nothing))
    return ops.stop_gradient(best)


def box_iou(b1, b2):
    """IoU of boxes given by centre and size; the leading axes broadcast against each other.

    Args:
        b1: (..., 4), centre x, centre y, width, height.
        b2: (..., 4), likewise and in the same unit.

    Returns:
        (...), 0 to 1; 0 for a box without area.
    """
    x1, y1, w1, h1 = (b1[..., axis] for axis in range(4))
    x2, y2, w2, h2 = (b2[..., axis] for axis in range(4))
    width = ops.minimum(x1 + w1 / 2, x2 + w2 / 2) - ops.maximum(x1 - w1 / 2, x2 - w2 / 2)
    height = ops.minimum(y1 + h1 / 2, y2 + h2 / 2) - ops.maximum(y1 - h1 / 2, y2 - h2 / 2)
    intersection = ops.relu(width) * ops.relu(height)
    return intersection / ops.maximum(w1 * h1 + w2 * h2 - intersection, 1e-12)


@keras.saving.register_keras_serializable(package="yolo_helpers")
class YoloLoss(keras.layers.Layer):
    """`yolo_loss` as a layer: it can be saved and loaded, logs its terms, and computes in float32 whatever the policy.

    The means of the four terms stand beside the loss in the progress bar, in the history and in TensorBoard, as `xy`,
    `wh`, `confidence` and `class`; not on JAX.

    Args:
        anchors, num_classes, ignore_thresh, anchor_mask, ignore_across_heads: as in `yolo_loss`.
    """

    def __init__(self, anchors, num_classes, ignore_thresh=0.5, anchor_mask=None, ignore_across_heads=False, **kwargs):
        super().__init__(**{"name": "yolo_loss", "dtype": "float32", **kwargs})
        self.settings = {
            "anchors": np.asarray(anchors, np.float32).reshape(-1, 2).tolist(),
            "num_classes": int(num_classes),
            "ignore_thresh": float(ignore_thresh),
            "anchor_mask": None if anchor_mask is None else np.asarray(anchor_mask).tolist(),
            "ignore_across_heads": bool(ignore_across_heads),
        }
        # On JAX Keras cannot update a layer's metrics in training (keras issue 21639), so nothing is logged there.
        self.means = [keras.metrics.Mean(name) for name in TERMS if keras.backend.backend() != "jax"]

    def call(self, inputs):
        """[*outputs, *y_true] in, one number an image out: (B, 1)."""
        terms = yolo_loss_terms(inputs, **self.settings)
        for mean in self.means:
            mean.update_state(terms[mean.name])
        return ops.expand_dims(sum(terms.values()), -1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 1)

    def get_config(self):
        return {**super().get_config(), **self.settings}
