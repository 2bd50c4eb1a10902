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
an object are found first, in the targets or from the boxes themselves, and only the confidence is computed for all.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from yolo_helpers.anchors import STRIDES, default_anchor_mask, objects_gathered
from yolo_helpers.model import yolo_head

TERMS = ("xy", "wh", "confidence", "class")
TRUE_BOXES_AT_ONCE = 4  # of the ignore mask: each turn of its loop compares all slots with this many boxes


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
            (B, h, w, 3, 5 + C) of `preprocess_true_boxes`; h and w must be known. Or [*outputs, true_boxes], with the
            boxes (B, T, 5) that `preprocess_true_boxes` takes, checked before by `check_true_boxes`; rows without area
            are padding. The loss is the same.
        anchors: (A, 2), width and height in pixels of the input.
        num_classes: C.
        ignore_thresh: IoU from which an empty slot's confidence is not punished, 0 to 1.
        anchor_mask: the anchors of each head, coarsest first; darknet's when None.
        ignore_across_heads: compare a slot with the true boxes of all heads, as darknet does, not with those of its
            own head alone, as keras-yolo3 does.
        input_shape: (height, width) in pixels; when None, 32 times the grid of the first output, which is right when
            that is the coarsest head. A loss for another head alone must be told.

    Returns:
        (B, 1). Its mean over the batch is what keras-yolo3 returns. From y_true, NaN for an image with more objects in
        a head than `objects_gathered` allows, which `preprocess_true_boxes` refuses; from boxes, any number will do.
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
        ValueError: if `args` holds neither one output and one target for each head, nor the outputs and boxes.
    """
    anchors = np.asarray(anchors, np.float32).reshape(-1, 2)
    anchor_mask = default_anchor_mask(len(anchors)) if anchor_mask is None else anchor_mask
    heads = len(anchor_mask)
    boxes_given = len(args) == heads + 1 and len(ops.shape(args[-1])) == 3
    if not boxes_given and len(args) != 2 * heads:
        raise ValueError(
            f"Expected {heads} outputs and {heads} targets in args, or {heads} outputs and boxes (B, T, 5), "
            f"found {len(args)} tensors."
        )
    outputs, targets = [[ops.convert_to_tensor(x) for x in part] for part in (args[:heads], args[heads:])]
    if input_shape is None:
        input_shape = [STRIDES[0] * side for side in ops.shape(outputs[0])[1:3]]
    if boxes_given:
        grids = [ops.shape(output)[1:3] for output in outputs]
        objects = _objects_of_boxes(targets[0], grids, anchors, num_classes, anchor_mask, input_shape)
    else:
        objects = [_objects_of_slots(target) for target in targets]
    boxes = [weight[..., None] * true[..., :4] for weight, _, true in objects]
    if ignore_across_heads:
        weights = ops.concatenate([weight for weight, _, _ in objects], 1)
        boxes = [_filled_first(weights, ops.concatenate(boxes, 1))] * heads
    of_head = [
        _head_terms(output, found, true_boxes, anchors[mask], num_classes, input_shape, ignore_thresh)
        for output, found, true_boxes, mask in zip(outputs, objects, boxes, anchor_mask, strict=True)
    ]
    return {name: sum(terms[name] for terms in of_head) for name in of_head[0]}


# Both kinds of targets are brought into one form, the objects of a head, G an image: their weight (B, G), which is 1,
# or 0 for padding, and padding stands at the end; their slot (B, G); and their targets (B, G, 5 + C).


def _objects_of_slots(y_true):
    """The objects of a head from its grid (B, h, w, 3, 5 + C)."""
    batch, slots = ops.shape(y_true)[0], math.prod(y_true.shape[1:4])
    y_true = ops.reshape(ops.stop_gradient(y_true), (batch, slots, y_true.shape[-1]))
    weight, slot = ops.top_k(y_true[..., 4], objects_gathered(slots))
    # An image with more objects than are gathered has no loss, rather than the loss of a part of it.
    left_out = ops.sum(ops.cast(y_true[..., 4] > 0, "int32"), -1) > weight.shape[-1]
    return ops.where(left_out[:, None], np.nan, weight), slot, _take(y_true, slot)


def _objects_of_boxes(true_boxes, grids, anchors, num_classes, anchor_mask, input_shape):
    """The objects of each head from boxes (B, T, 5), as `preprocess_true_boxes` would write them into its grid."""
    true_boxes = ops.cast(ops.stop_gradient(true_boxes), "float32")
    count = ops.shape(true_boxes)[1]
    centre, extent = (true_boxes[..., 0:2] + true_boxes[..., 2:4]) / 2, true_boxes[..., 2:4] - true_boxes[..., 0:2]
    size = ops.cast([input_shape[1], input_shape[0]], "float32")
    one_hot = ops.one_hot(ops.cast(true_boxes[..., 4], "int32"), num_classes)
    true = ops.concatenate([centre / size, extent / size, ops.ones_like(centre[..., :1]), one_hot], -1)
    is_box = ops.all(extent > 0, -1)
    # The IoU of two boxes on one centre, as in `anchor_iou`.
    anchors = ops.convert_to_tensor(anchors)
    intersection = ops.prod(ops.minimum(extent[..., None, :], anchors), -1)
    union = ops.prod(extent, -1)[..., None] + ops.prod(anchors, -1) - intersection
    anchor = ops.argmax(intersection / union, -1)

    objects = []
    for stride, (rows, columns), mask in zip(STRIDES, grids, anchor_mask, strict=False):
        fits = anchor[..., None] == ops.convert_to_tensor(mask, anchor.dtype)  # (B, T, 3)
        cell = ops.cast(centre / stride, "int32")
        i, j = ops.clip(cell[..., 0], 0, columns - 1), ops.clip(cell[..., 1], 0, rows - 1)
        slot = (j * columns + i) * len(mask) + ops.cast(ops.argmax(fits, -1), "int32")
        here = ops.logical_and(is_box, ops.any(fits, -1))
        slot = ops.where(here, slot, 0)
        # Where two boxes claim one slot, the later one has it.
        order = ops.arange(count)
        same = ops.logical_and(slot[:, :, None] == slot[:, None, :], here[:, None, :])
        taken = ops.any(ops.logical_and(same, order[:, None] < order), -1)
        weight = ops.cast(ops.logical_and(here, ops.logical_not(taken)), "float32")
        objects.append([_filled_first(weight, values) for values in (weight, slot, true)])
    return objects


def _filled_first(weight, values):
    """Values (B, T, ...) in the order in which those of weight 0 stand at the end."""
    count = ops.shape(weight)[1]
    order = ops.argsort(ops.arange(count) + ops.where(weight > 0, 0, count), axis=1)
    return _take(values, order)


def _take(values, slot):
    """(B, slots, …) and (B, G) -> (B, G, …)."""
    batch, slots = ops.shape(values)[:2]
    table = ops.reshape(values, (batch * slots, *values.shape[2:]))
    return ops.take(table, _rows(slot, batch, slots), axis=0)


def _rows(slot, batch, slots):
    """The place of each slot (B, G) when the slots of all images stand in one table."""
    return slot + slots * ops.arange(batch, dtype=slot.dtype)[:, None]


def _head_terms(output, objects, true_boxes, anchors, num_classes, input_shape, ignore_thresh):
    weight, slot, true = objects
    batch, rows, columns = ops.shape(output)[:3]
    slots = rows * columns * len(anchors)
    # The boxes that the head predicts say which slots are spared, and learn nothing from it.
    grid, _, pred_xy, pred_wh = yolo_head(ops.stop_gradient(output), anchors, num_classes, input_shape, calc_loss=True)
    pred_boxes = ops.reshape(ops.concatenate([pred_xy, pred_wh], -1), (batch, slots, 4))
    grid = ops.reshape(ops.broadcast_to(grid, (rows, columns, len(anchors), 2)), (slots, 2))
    anchors = ops.convert_to_tensor(np.tile(anchors / input_shape[::-1], (rows * columns, 1)), grid.dtype)  # (slots, 2)

    # Both taken from one table: their gradients are added, and XLA does that several times faster in one shape.
    table = ops.reshape(output, (batch * slots, 5 + num_classes))
    raw = ops.take(table, _rows(slot, batch, slots), axis=0)  # (B, G, 5 + C), as `true`
    raw_confidence = ops.reshape(table[:, 4], (batch, slots))
    true_xy = true[..., 0:2] * ops.cast([columns, rows], true.dtype) - ops.take(grid, slot, axis=0)
    true_wh = ops.where(weight[..., None] > 0, true[..., 2:4], 1.0)  # an empty slot has no size to take the log of
    true_wh = ops.log(true_wh / ops.take(anchors, slot, axis=0))
    scale = weight * (2 - true[..., 2] * true[..., 3])
    xy = ops.sum(scale * ops.sum(_bce(true_xy, raw[..., 0:2]), -1), -1)
    wh = ops.sum(scale * ops.sum(0.5 * ops.square(true_wh - raw[..., 2:4]), -1), -1)
    of_class = ops.sum(weight * ops.sum(_bce(true[..., 5:], raw[..., 5:]), -1), -1)

    # As if no slot held an object; then the slots that hold one are put right.
    spared = ops.cast(best_iou(pred_boxes, true_boxes) < ignore_thresh, raw.dtype)
    empty = ops.sum(spared * _bce(0, raw_confidence), -1)
    spared_here = _take(spared, slot)
    right = (weight + (1 - weight) * spared_here) * _bce(weight, raw[..., 4]) - spared_here * _bce(0, raw[..., 4])
    confidence = empty + ops.sum(right, -1)
    return dict(zip(TERMS, (xy, wh, confidence, of_class), strict=True))


def _bce(target, raw):
    """Cross-entropy of sigmoid(raw): -t log(sigmoid) - (1 - t) log(1 - sigmoid), in a form that cannot overflow."""
    return ops.softplus(raw) - target * raw


def best_iou(pred_boxes, true_boxes):
    """IoU of each predicted box with the true box of its image that it overlaps most.

    Args:
        pred_boxes: (B, N, 4), centre and size.
        true_boxes: (B, T, 4), likewise and in the same unit; rows of zeros are padding, which costs least at the end.

    Returns:
        (B, N), without a gradient. Boxes are taken a few at a time, as many times as the fullest image needs:
        any number of boxes, shapes that XLA can compile, and never all predictions against all boxes.
    """
    count = ops.shape(true_boxes)[1]
    most = ops.max(ops.where(true_boxes[..., 2] > 0, ops.arange(1, count + 1), 0), initial=0)
    pred, true = _corners_and_area(pred_boxes), [ops.expand_dims(x, -1) for x in _corners_and_area(true_boxes)]

    def compare(turn, best):
        # One after another and not side by side: without XLA each operation then stays within the processor's cache.
        for k in range(TRUE_BOXES_AT_ONCE):
            t = ops.minimum(turn * TRUE_BOXES_AT_ONCE + k, count - 1)
            best = ops.maximum(best, _overlap(pred, [ops.take(x, t, axis=1) for x in true]))
        return turn + 1, best

    nothing = ops.zeros_like(pred_boxes[..., 0])
    _, best = ops.while_loop(lambda turn, best: turn * TRUE_BOXES_AT_ONCE < most, compare, (0, nothing))
    return ops.stop_gradient(best / (1 - best))


def box_iou(b1, b2):
    """IoU of boxes given by centre and size; the leading axes broadcast against each other.

    Args:
        b1: (..., 4), centre x, centre y, width, height.
        b2: (..., 4), likewise and in the same unit.

    Returns:
        (...), 0 to 1; 0 for a box without area.
    """
    shared = ops.relu(_overlap(_corners_and_area(b1), _corners_and_area(b2)))
    return shared / (1 - shared)


def _corners_and_area(boxes):
    x, y, w, h = (boxes[..., axis] for axis in range(4))
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2, w * h + 1e-20  # no division by 0 where neither has an area


def _overlap(one, other):
    """The intersection as a part r of both areas together, from which the IoU is r / (1 - r); below 0 for some that do
    not touch. It grows with the IoU, so the greatest can be looked for among fewer operations."""
    left, top, right, bottom, area = one
    other_left, other_top, other_right, other_bottom, other_area = other
    width = ops.minimum(right, other_right) - ops.maximum(left, other_left)
    height = ops.minimum(bottom, other_bottom) - ops.maximum(top, other_top)
    return ops.relu(width) * height / (area + other_area)


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
        """[*outputs, *y_true] or [*outputs, true_boxes] in, one number an image out: (B, 1)."""
        terms = yolo_loss_terms(inputs, **self.settings)
        for mean in self.means:
            mean.update_state(terms[mean.name])
        return ops.expand_dims(sum(terms.values()), -1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 1)

    def get_config(self):
        return {**super().get_config(), **self.settings}
