"""The YOLOv3 loss, as a function for a Lambda layer and as a layer of its own.

For every slot (one anchor at one cell), with `object` = 1 where a true box was written and 0 elsewhere:

    xy          object * s * BCE(t_xy, raw_xy)                      s = 2 - w h, w and h as fractions of the input
    wh          object * s * 0.5 * (t_wh - raw_wh)^2                t_wh = log(size / anchor)
    confidence  object * BCE(1, raw_c) + (1 - object) * spared * BCE(0, raw_c)
    class       object * BCE(one-hot class, raw_class)

BCE is the cross-entropy of a sigmoid. `spared` is 0 where the predicted box overlaps some true box of the same head
by `ignore_thresh` or more: such a slot is neither right nor wrong. Source: keras-yolo3 (commit e6598d1), whose batch
loss is the mean of the numbers here; the formula's origin is darknet's `yolo_layer.c` and arXiv:1804.02767.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from yolo_helpers.anchors import STRIDES, default_anchor_mask
from yolo_helpers.model import yolo_head

TRUE_BOXES_AT_ONCE = 32  # bounds the memory of the ignore mask: slots x this many overlaps at a time


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
):
    """The loss of each image, the sum of the four terms over all heads and slots.

    Args:
        args: [*outputs, *y_true], coarsest head first: the raw outputs (B, h, w, 3 (5 + C)) and the targets
            (B, h, w, 3, 5 + C) of `preprocess_true_boxes`.
        anchors: (A, 2), width and height in pixels of the input.
        num_classes: C.
        ignore_thresh: IoU from which an empty slot's confidence is not punished, 0 to 1.
        anchor_mask: the anchors of each head, coarsest first; darknet's when None.

    Returns:
        (B, 1). Its mean over the batch is what keras-yolo3 returns.
    """
    return ops.expand_dims(sum(yolo_loss_terms(args, anchors, num_classes, ignore_thresh, anchor_mask).values()), -1)


def yolo_loss_terms(
    args: Sequence,
    anchors: np.ndarray,
    num_classes: int,
    ignore_thresh: float = 0.5,
    anchor_mask: list[list[int]] | None = None,
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
    input_shape = [STRIDES[0] * side for side in ops.shape(outputs[0])[1:3]]
    of_head = [
        _head_terms(output, target, anchors[mask], num_classes, input_shape, ignore_thresh)
        for output, target, mask in zip(outputs, y_true, anchor_mask, strict=True)
    ]
    return {name: sum(terms[name] for terms in of_head) for name in of_head[0]}


def _head_terms(output, y_true, anchors, num_classes, input_shape, ignore_thresh):
    grid, raw, pred_xy, pred_wh = yolo_head(output, anchors, num_classes, input_shape, calc_loss=True)
    cells = ops.cast([ops.shape(raw)[2], ops.shape(raw)[1]], raw.dtype)  # (2,): columns, rows
    pixels = ops.cast([input_shape[1], input_shape[0]], raw.dtype)  # (2,): width, height

    has_object = y_true[..., 4:5]  # (B, h, w, 3, 1)
    true_xy = y_true[..., 0:2] * cells - grid
    true_wh = y_true[..., 2:4] * pixels / ops.cast(anchors, raw.dtype)
    true_wh = ops.log(ops.where(has_object > 0, true_wh, 1.0))  # an empty slot has no size: log(1) = 0
    scale = 2 - y_true[..., 2:3] * y_true[..., 3:4]

    overlap = _best_overlap(ops.concatenate([pred_xy, pred_wh], -1), y_true[..., 0:4])  # (B, h, w, 3)
    spared = ops.cast(overlap < ignore_thresh, raw.dtype)[..., None]

    bce = ops.binary_crossentropy(y_true[..., 4:], raw[..., 4:], from_logits=True)
    return {
        "xy": _per_image(has_object * scale * ops.binary_crossentropy(true_xy, raw[..., 0:2], from_logits=True)),
        "wh": _per_image(has_object * scale * 0.5 * ops.square(true_wh - raw[..., 2:4])),
        "confidence": _per_image((has_object + (1 - has_object) * spared) * bce[..., :1]),
        "class": _per_image(has_object * bce[..., 1:]),
    }


def _per_image(term):
    return ops.sum(term, axis=(1, 2, 3, 4))


def _best_overlap(pred_boxes, true_boxes):
    """IoU of each predicted box with the true box of the same head and image that it overlaps most.

    Args:
        pred_boxes: (B, h, w, 3, 4), centre and size as fractions of the input.
        true_boxes: (B, h, w, 3, 4), likewise; zeros in the empty slots.

    Returns:
        (B, h, w, 3), without a gradient. Boxes are taken a few at a time, as many times as the fullest image needs:
        any number of boxes, shapes that XLA can compile, and never all slots against all slots.
    """
    batch, *slots = ops.shape(pred_boxes)[:4]
    pred_boxes = ops.stop_gradient(ops.reshape(pred_boxes, (batch, -1, 1, 4)))
    true_boxes = ops.reshape(true_boxes, (batch, -1, 4))
    filled = true_boxes[..., 2] > 0
    order = ops.argsort(ops.cast(ops.logical_not(filled), "int32"), axis=1)  # filled slots first
    most = ops.max(ops.sum(ops.cast(filled, "int32"), axis=1))
    last = ops.shape(true_boxes)[1] - 1

    def compare(done, best):
        next_few = ops.take(order, ops.minimum(done + ops.arange(TRUE_BOXES_AT_ONCE), last), axis=1)
        few_boxes = ops.take_along_axis(true_boxes, next_few[..., None], axis=1)[:, None]  # (B, 1, few, 4)
        return done + TRUE_BOXES_AT_ONCE, ops.maximum(best, ops.max(box_iou(pred_boxes, few_boxes), axis=2))

    nothing = ops.zeros_like(pred_boxes[:, :, 0, 0])
    _, best = ops.while_loop(lambda done, best: done < most, compare, (0, nothing))
    return ops.stop_gradient(ops.reshape(best, (batch, *slots)))


def box_iou(b1, b2):
    """IoU of boxes given by centre and size; the leading axes broadcast against each other.

    Args:
        b1: (..., 4), centre x, centre y, width, height.
        b2: (..., 4), likewise and in the same unit.

    Returns:
        (...), 0 to 1; 0 for a box without area.
    """
    least = ops.maximum(b1[..., :2] - b1[..., 2:] / 2, b2[..., :2] - b2[..., 2:] / 2)
    most = ops.minimum(b1[..., :2] + b1[..., 2:] / 2, b2[..., :2] + b2[..., 2:] / 2)
    intersection = ops.prod(ops.maximum(most - least, 0.0), axis=-1)
    union = ops.prod(b1[..., 2:], axis=-1) + ops.prod(b2[..., 2:], axis=-1) - intersection
    return ops.divide_no_nan(intersection, union)


@keras.saving.register_keras_serializable(package="yolo_helpers")
class YoloLoss(keras.layers.Layer):
    """`yolo_loss` as a layer: it can be saved and loaded, and it computes in float32 whatever the policy.

    Args:
        anchors, num_classes, ignore_thresh, anchor_mask: as in `yolo_loss`.
    """

    def __init__(self, anchors, num_classes, ignore_thresh=0.5, anchor_mask=None, **kwargs):
        super().__init__(**{"name": "yolo_loss", "dtype": "float32", **kwargs})
        self.settings = {
            "anchors": np.asarray(anchors, np.float32).reshape(-1, 2).tolist(),
            "num_classes": int(num_classes),
            "ignore_thresh": float(ignore_thresh),
            "anchor_mask": None if anchor_mask is None else np.asarray(anchor_mask).tolist(),
        }

    def call(self, inputs):
        """[*outputs, *y_true] in, one number an image out: (B, 1)."""
        return yolo_loss(inputs, **self.settings)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 1)

    def get_config(self):
        return {**super().get_config(), **self.settings}
