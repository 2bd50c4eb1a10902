"""The YOLOv3 loss, as a function for a Lambda layer and as a layer of its own.

For every slot (one anchor at one grid square), with `is_object` = 1 where a true box was written and 0 elsewhere:

    xy          is_object * s * BCE(t_xy, raw_xy)                   s = 2 - w h, w and h as fractions of the input
    wh          is_object * s * 0.5 * (t_wh - raw_wh)^2             t_wh = log(size / anchor)
    confidence  is_object * BCE(1, raw_c) + (1 - is_object) * not_ignored * BCE(0, raw_c)
    class       is_object * BCE(one-hot class, raw_class)

BCE is the cross-entropy of a sigmoid. (As an option, `ciou` takes the place of the first two.) A slot is ignored where
the box that it predicts overlaps some true box of the same head by `ignore_thresh` or more: it is neither right nor
wrong. (Darknet looks at the true boxes of all heads: `ignore_across_heads`.) Source: keras-yolo3 (commit e6598d1),
whose batch loss is the mean of the numbers here; the formula's origin is darknet's `yolo_layer.c` and arXiv:1804.02767.

An image has thousands of slots and few objects, and three of the four terms belong to objects alone. So the slots with
an object are found first, in the targets or from the boxes themselves, and only the confidence is computed for all.
Letters in the shapes: B images, S slots, G objects with padding, T boxes, C classes, A anchors.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from yolo_helpers.anchors import STRIDES, default_anchor_mask, objects_gathered
from yolo_helpers.model import Tensor, decode_boxes

TERMS = ("xy", "wh", "confidence", "class")
TERMS_OF = {"xy_wh": TERMS, "ciou": ("ciou", "confidence", "class")}  # by `box_loss`
CIOU_WEIGHT = 3.0  # with it blood cells were found a little better than with xy and wh (benchmarks/README.md)
TRUE_BOXES_AT_ONCE = 4  # of the ignore mask: each turn of its loop compares all slots with this many boxes


def terms_of(box_loss: str) -> tuple[str, ...]:
    """The names of the terms.

    Args:
        box_loss: how boxes are compared, see `yolo_loss`.

    Raises:
        ValueError: for another word.
    """
    if box_loss not in TERMS_OF:
        raise ValueError(f"box_loss: expected {' or '.join(map(repr, TERMS_OF))}, found {box_loss!r}.")
    return TERMS_OF[box_loss]


@keras.saving.register_keras_serializable(package="yolo_helpers")
def identity_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The loss function of the pattern: the output is the loss already, so it is handed on.

    Args:
        y_true: anything with one row an image; not looked at.
        y_pred: (B, 1), what the loss layer returned.

    Returns:
        y_pred, unchanged.
    """
    return y_pred


def yolo_loss(
    args: Sequence[Tensor],
    anchors: np.ndarray,
    num_classes: int,
    ignore_thresh: float = 0.5,
    anchor_mask: list[list[int]] | None = None,
    ignore_across_heads: bool = False,
    input_shape: tuple[int, int] | None = None,
    box_loss: str = "xy_wh",
) -> Tensor:
    """The loss of each image, the sum of the terms over all heads and slots.

    Args:
        args: `[*outputs, *y_true]`, coarsest head first: the raw outputs (B, h, w, 3 (5 + C)) and the targets
            (B, h, w, 3, 5 + C) of `preprocess_true_boxes`; h and w must be known. Or `[*outputs, true_boxes]`, with the
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
        box_loss: "ciou" puts one term in place of xy and wh: see `ciou`.

    Returns:
        (B, 1). Its mean over the batch is what keras-yolo3 returns. From y_true, NaN for an image with more objects in
        a head than `objects_gathered` allows, which `preprocess_true_boxes` refuses; from boxes, any number will do.

    Example:
        An untrained network on two images of 32 x 32 pixels. The first has an object of class 1, the second has none:
        ln 2 for each of its 3 (1 + 4 + 16) slots.

        >>> from yolo_helpers.anchors import default_anchors
        >>> outputs = [np.zeros((2, side, side, 3 * (5 + 2)), np.float32) for side in (1, 2, 4)]
        >>> true_boxes = np.array([[[4, 6, 20, 22, 1]], [[0, 0, 0, 0, 0]]])
        >>> loss = yolo_loss([*outputs, true_boxes], default_anchors(3), num_classes=2)
        >>> [round(float(number), 2) for number in loss[:, 0]]
        [47.13, 43.67]
    """
    settings = ignore_thresh, anchor_mask, ignore_across_heads, input_shape, box_loss
    terms = yolo_loss_terms(args, anchors, num_classes, *settings)
    return ops.expand_dims(sum(terms.values()), -1)


def yolo_loss_terms(
    args: Sequence[Tensor],
    anchors: np.ndarray,
    num_classes: int,
    ignore_thresh: float = 0.5,
    anchor_mask: list[list[int]] | None = None,
    ignore_across_heads: bool = False,
    input_shape: tuple[int, int] | None = None,
    box_loss: str = "xy_wh",
) -> dict[str, Tensor]:
    """The terms of `yolo_loss`, which has the same arguments.

    Returns:
        {'xy', 'wh', 'confidence', 'class'}, each (B,); 'ciou' in place of 'xy' and 'wh' where that is the `box_loss`.

    Raises:
        ValueError: if `args` holds neither one output and one target for each head, nor the outputs and boxes; for an
            unknown `box_loss`; if TensorFlow traces it for photographs of more than one size.
    """
    names = terms_of(box_loss)
    anchors = np.asarray(anchors, np.float32).reshape(-1, 2)  # (A, 2)
    anchor_mask = default_anchor_mask(len(anchors)) if anchor_mask is None else anchor_mask
    heads = len(anchor_mask)
    outputs, targets = _outputs_and_targets(args, heads)
    grids = [ops.shape(output)[1:3] for output in outputs]
    if any(None in output.shape[1:3] for output in outputs):  # TensorFlow traces anew for any size
        raise ValueError(
            "The loss is computed for photographs of one size, and these have another, or none that is known: build "
            "body and training model anew for each input_shape."
        )
    if input_shape is None:
        input_shape = [STRIDES[0] * side for side in grids[0]]
    if len(targets[0].shape) == 3:  # boxes, not grids
        objects = _objects_of_boxes(targets[0], grids, anchors, num_classes, anchor_mask, input_shape)
    else:
        objects = [_objects_of_grid(target) for target in targets]

    # The heads are joined: S slots and G objects an image, those of one head after those of the one before.
    sizes = [rows * columns * len(mask) for (rows, columns), mask in zip(grids, anchor_mask, strict=True)]
    starts = [sum(sizes[:head]) for head in range(heads)]
    parts = []
    for output, (is_object, slot, true), size, start in zip(outputs, objects, sizes, starts, strict=True):
        # All is read from one table, whose gradients are added: XLA is several times faster when they have one shape.
        table = ops.reshape(output, (-1, 5 + num_classes))  # (B slots of the head, 5 + C)
        boxes, confidence = ops.reshape(table[:, :4], (-1, size, 4)), ops.reshape(table[:, 4], (-1, size))
        parts.append([is_object, slot + start, true, _take(table, slot, size), boxes, confidence])
    joined = [ops.concatenate(part, 1) for part in zip(*parts, strict=True)]
    is_object, slot, true, raw = joined[:4]  # (B, G), (B, G), (B, G, 5 + C), (B, G, 5 + C)
    raw_boxes, raw_confidence = ops.stop_gradient(joined[4]), joined[5]  # (B, S, 4), (B, S)
    slots = ops.convert_to_tensor(_slots(grids, anchors, anchor_mask, input_shape), raw.dtype)  # (3, S, 2)

    # Which slots are ignored: the boxes that they predict say so, and learn nothing from it.
    pred_boxes = ops.concatenate(decode_boxes(raw_boxes, *ops.unstack(slots, 3)), -1)  # (B, S, 4)
    true_boxes = [one[..., None] * x[..., :4] for one, _, x in objects]  # (B, G of the head, 4) each
    if ignore_across_heads:
        best = best_iou(pred_boxes, _padding_last(ops.concatenate(true_boxes, 1)))  # (B, S)
    else:
        of_heads = [pred_boxes[:, start : start + size] for start, size in zip(starts, sizes, strict=True)]
        best = ops.concatenate([best_iou(*boxes) for boxes in zip(of_heads, true_boxes, strict=True)], 1)  # (B, S)
    not_ignored = ops.cast(best < ignore_thresh, raw.dtype)  # (B, S)

    # Where an object is: what its slot should say. Padding has no size to take the logarithm of.
    cell, cells, anchor = ops.unstack(ops.take(slots, slot, axis=1), 3)  # (B, G, 2) each
    confidence = _confidence(raw_confidence, raw[..., 4], is_object, not_ignored, slot)  # (B,)
    is_object = is_object[..., None]  # (B, G, 1)
    true_xy = true[..., 0:2] * cells - cell  # (B, G, 2), 0 to 1 within the grid square
    true_wh = ops.where(is_object > 0, true[..., 2:4], 1.0)  # (B, G, 2)
    scale = 2 - true[..., 2:3] * true[..., 3:4]  # (B, G, 1)
    if box_loss == "ciou":
        pixels = ops.convert_to_tensor([input_shape[::-1]], raw.dtype)  # (1, 2): of shapes, pixels tell
        pred = ops.concatenate([part * pixels for part in decode_boxes(raw, cell, cells, anchor)], -1)  # (B, G, 4)
        box = ops.concatenate([true[..., 0:2] * pixels, true_wh * pixels], -1)  # (B, G, 4)
        of_box = [CIOU_WEIGHT * ops.sum(is_object * scale * (1 - ciou(pred, box))[..., None], (1, 2))]  # (B,)
    else:
        xy = ops.sum(is_object * scale * _bce(true_xy, raw[..., 0:2]), (1, 2))  # (B,)
        wh = ops.sum(is_object * scale * 0.5 * ops.square(ops.log(true_wh / anchor) - raw[..., 2:4]), (1, 2))  # (B,)
        of_box = [xy, wh]
    of_class = ops.sum(is_object * _bce(true[..., 5:], raw[..., 5:]), (1, 2))  # (B,)
    return dict(zip(names, (*of_box, confidence, of_class), strict=True))


def _outputs_and_targets(args, heads):
    """The outputs of all heads; and their targets, or the boxes (B, T, 5) alone."""
    boxes_given = len(args) == heads + 1 and len(ops.shape(args[-1])) == 3
    if not boxes_given and len(args) != 2 * heads:
        raise ValueError(
            f"Expected {heads} outputs and {heads} targets in args, or {heads} outputs and boxes (B, T, 5), "
            f"found {len(args)} tensors."
        )
    return [[ops.convert_to_tensor(x) for x in part] for part in (args[:heads], args[heads:])]


def _confidence(raw, raw_here, is_object, not_ignored, slot):
    """The third term (B,): first as if no slot (B, S) held an object, then put right where one does (B, G)."""
    not_ignored_here = _take(ops.reshape(not_ignored, (-1,)), slot, raw.shape[1])  # (B, G)
    empty = not_ignored * _bce(0, raw)  # (B, S)
    correction = is_object * (_bce(1, raw_here) - not_ignored_here * _bce(0, raw_here))  # (B, G)
    return ops.sum(empty, -1) + ops.sum(correction, -1)


def _bce(target, raw):
    """Cross-entropy of sigmoid(raw): -t log(sigmoid) - (1 - t) log(1 - sigmoid), in a form that cannot overflow."""
    return ops.softplus(raw) - target * raw


def _slots(grids, anchors, anchor_mask, input_shape):
    """Of every slot: its square (column, row), its grid (columns, rows), its anchor in parts of the input.

    Returns:
        (3, S, 2), in NumPy: these are constants.
    """
    slots = []
    for (rows, columns), mask in zip(grids, anchor_mask, strict=True):
        row, column, k = np.indices((rows, columns, len(mask))).reshape(3, -1)  # (h w 3,) each
        anchor = anchors[mask][k] / input_shape[::-1]  # (h w 3, 2)
        slots.append([np.stack([column, row], -1), np.full(anchor.shape, (columns, rows)), anchor])
    return np.concatenate(slots, 1)


# Both kinds of targets are brought into one form, the objects of each head: is_object (B, G), which is 1, or 0 for
# padding; slot (B, G), counted within the head; and true (B, G, 5 + C), as in the grid.


def _objects_of_grid(y_true):
    """The objects of a head from its grid (B, h, w, 3, 5 + C)."""
    slots = math.prod(y_true.shape[1:4])
    table = ops.reshape(ops.stop_gradient(y_true), (-1, y_true.shape[-1]))  # (B h w 3, 5 + C)
    is_object = ops.reshape(table[:, 4], (-1, slots))  # (B, h w 3)
    too_many = ops.sum(is_object > 0, -1) > objects_gathered(slots)  # (B,)
    is_object, slot = ops.top_k(is_object, objects_gathered(slots))  # (B, G)
    # An image with more objects than are gathered has no loss, rather than the loss of a part of it.
    return ops.where(too_many[:, None], np.nan, is_object), slot, _take(table, slot, slots)


def _objects_of_boxes(true_boxes, grids, anchors, num_classes, anchor_mask, input_shape):
    """The objects of each head from boxes (B, T, 5), as `preprocess_true_boxes` would write them into its grid."""
    true_boxes = ops.cast(ops.stop_gradient(true_boxes), "float32")
    low, high, label = true_boxes[..., 0:2], true_boxes[..., 2:4], ops.cast(true_boxes[..., 4], "int32")
    centre, extent = (low + high) / 2, high - low  # (B, T, 2)
    size = ops.convert_to_tensor(input_shape[::-1], "float32")  # (2,)
    is_one = ops.ones_like(centre[..., :1])  # (B, T, 1)
    true = ops.concatenate([centre / size, extent / size, is_one, ops.one_hot(label, num_classes)], -1)  # (B, T, 5 + C)

    # The anchor of the same shape, by the IoU of two boxes on one centre, as in `anchor_iou`.
    intersection = ops.prod(ops.minimum(extent[..., None, :], anchors), -1)  # (B, T, A)
    union = ops.prod(extent, -1, keepdims=True) + ops.prod(anchors, -1) - intersection  # (B, T, A)
    anchor = ops.argmax(intersection / union, -1)  # (B, T)

    # The slot, in all heads at once: `k` is the anchor's place in the mask of each head, or -1.
    cells = ops.convert_to_tensor([[[[columns, rows]]] for rows, columns in grids], "int32")  # (heads, 1, 1, 2)
    fits = [np.asarray(mask)[:, None] == np.arange(len(anchors)) for mask in anchor_mask]  # (3, A) each
    k = np.where(np.any(fits, 1), np.argmax(fits, 1), -1).astype(np.int32)  # (heads, A)
    k = ops.take(k, anchor, axis=1)  # (heads, B, T)
    stride = size / ops.cast(cells, "float32")  # (heads, 1, 1, 2)
    cell = ops.clip(ops.cast(centre / stride, "int32"), 0, cells - 1)  # (heads, B, T, 2)
    slot = (cell[..., 1] * cells[..., 0] + cell[..., 0]) * len(fits[0]) + k  # (heads, B, T)
    in_head = ops.logical_and(ops.all(extent > 0, -1), k >= 0)  # (heads, B, T)

    # Where two boxes claim one slot, the later one has it. Sorted downwards, it comes first, and padding last.
    count = ops.shape(slot)[-1]
    claim = ops.where(in_head, slot * count + ops.arange(count, dtype=slot.dtype), -1)  # (heads, B, T)
    claim, _ = ops.top_k(claim, count)
    slot, box = claim // count, claim % count  # (heads, B, T) each
    is_first = ops.concatenate([ops.ones_like(in_head[..., :1]), slot[..., 1:] != slot[..., :-1]], -1)
    is_object = ops.cast(ops.logical_and(claim >= 0, is_first), "float32")  # (heads, B, T)
    true = _take(ops.reshape(true, (-1, 5 + num_classes)), box, count)  # (heads, B, T, 5 + C)
    objects = is_object, ops.maximum(slot, 0), true
    return list(zip(*(ops.unstack(x, len(fits)) for x in objects), strict=True))


def _take(table, slot, slots):
    """Rows of a table (B slots, ...), image under image, at the slots (..., B, G) of each image: (..., B, G, ...)."""
    first = slots * ops.arange(ops.shape(slot)[-2], dtype=slot.dtype)  # (B,)
    return ops.take(table, slot + first[:, None], axis=0)


def _padding_last(boxes):
    """Boxes (B, G, 4) in an order in which rows of zeros stand at the end."""
    count = ops.shape(boxes)[1]
    _, order = ops.top_k(boxes[..., 2], count)  # (B, G)
    return _take(ops.reshape(boxes, (-1, 4)), order, count)


def best_iou(pred_boxes: Tensor, true_boxes: Tensor) -> Tensor:
    """IoU of each predicted box with the true box of its image that it overlaps most.

    Args:
        pred_boxes: (B, N, 4), centre and size.
        true_boxes: (B, T, 4), likewise and in the same unit; rows of zeros are padding, which costs least at the end.

    Returns:
        (B, N), without a gradient. Boxes are taken a few at a time, as many times as the fullest image needs:
        any number of boxes, shapes that XLA can compile, and never all predictions against all boxes.

    Example:
        One prediction equals the second true box, the other touches none. The last row is padding.

        >>> pred_boxes = np.array([[[6, 6, 2, 2], [9, 1, 2, 2]]], np.float32)
        >>> true_boxes = np.array([[[2, 2, 4, 4], [6, 6, 2, 2], [0, 0, 0, 0]]], np.float32)
        >>> ops.convert_to_numpy(best_iou(pred_boxes, true_boxes)).tolist()
        [[1.0, 0.0]]
    """
    pred_boxes, true_boxes = ops.convert_to_tensor(pred_boxes), ops.convert_to_tensor(true_boxes)
    count = ops.shape(true_boxes)[1]
    most = ops.max(ops.where(true_boxes[..., 2] > 0, ops.arange(1, count + 1), 0), initial=0)
    pred = _corners_and_area(pred_boxes)  # five of (B, N)
    true = ops.stack(_corners_and_area(true_boxes))  # (5, B, T)
    true = ops.transpose(true, (2, 0, 1))[..., None]  # (T, 5, B, 1)

    def compare(turn, best):
        at_once = ops.minimum(turn * TRUE_BOXES_AT_ONCE + ops.arange(TRUE_BOXES_AT_ONCE), count - 1)
        # One after another and not side by side: without XLA each operation then stays within the processor's cache.
        for box in ops.unstack(ops.take(true, at_once, axis=0), TRUE_BOXES_AT_ONCE):  # (5, B, 1)
            best = ops.maximum(best, _overlap(pred, ops.unstack(box, 5)))  # (B, N)
        return turn + 1, best

    nothing = ops.zeros_like(pred_boxes[..., 0])  # (B, N)
    _, best = ops.while_loop(lambda turn, best: turn * TRUE_BOXES_AT_ONCE < most, compare, (0, nothing))
    return ops.stop_gradient(best / (1 - best))


def box_iou(b1: Tensor, b2: Tensor) -> Tensor:
    """IoU of boxes given by centre and size; the leading axes broadcast against each other.

    Args:
        b1: (..., 4), centre x, centre y, width, height.
        b2: (..., 4), likewise and in the same unit.

    Returns:
        (...), 0 to 1; 0 for a box without area.

    Example:
        Two boxes of 2 x 2, one unit apart: 2 of the 6 units of area that they cover are in both.

        >>> round(float(box_iou([1.0, 1.0, 2.0, 2.0], [2.0, 1.0, 2.0, 2.0])), 3)
        0.333
    """
    one, other = (_corners_and_area(ops.convert_to_tensor(boxes)) for boxes in (b1, b2))
    shared = ops.relu(_overlap(one, other))
    return shared / (1 - shared)


def ciou(b1: Tensor, b2: Tensor) -> Tensor:
    """Complete IoU: the IoU, less how far the centres and the shapes are apart (arXiv:1911.08287, equations 8 to 11).

    With v = 4 / pi^2 (atan(w2 / h2) - atan(w1 / h1))^2, it is IoU - (distance of the centres)^2 / (diagonal of the box
    around both)^2 - v^2 / (1 - IoU + v), and 1 for equal boxes. Apart from the IoU it has a gradient for boxes that do
    not touch.

    Args:
        b1: (..., 4), centre x, centre y, width, height above 0, in pixels.
        b2: (..., 4), likewise.

    Returns:
        (...), above -2, at most 1.

    Example:
        Two boxes of 2 x 2 whose IoU is 1/3; the centres are 1 apart, the diagonal of the 3 x 2 around them is root 13.

        >>> round(float(ciou([1.0, 1.0, 2.0, 2.0], [2.0, 1.0, 2.0, 2.0])), 3)
        0.256
    """
    one, other = (_corners_and_area(ops.convert_to_tensor(boxes)) for boxes in (b1, b2))
    (x1, y1, w1, h1), (x2, y2, w2, h2) = (ops.unstack(ops.convert_to_tensor(boxes), 4, axis=-1) for boxes in (b1, b2))
    width, height = (ops.maximum(one[2 + k], other[2 + k]) - ops.minimum(one[k], other[k]) for k in (0, 1))
    distance = (ops.square(x1 - x2) + ops.square(y1 - y2)) / (ops.square(width) + ops.square(height))
    iou = box_iou(b1, b2)
    shape = 4 / math.pi**2 * ops.square(ops.arctan(w2 / h2) - ops.arctan(w1 / h1))
    # The authors hold the weight of the shape fixed.
    weight = ops.stop_gradient(shape / (1 - iou + shape + 1e-7))
    return iou - distance - weight * shape


def _corners_and_area(boxes):
    x, y, w, h = ops.unstack(boxes, 4, axis=-1)
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

    The means of the terms stand beside the loss in the progress bar, in the history and in TensorBoard, as `xy`, `wh`,
    `confidence` and `class`; not on JAX.

    Args:
        anchors, num_classes, ignore_thresh, anchor_mask, ignore_across_heads, box_loss: as in `yolo_loss`.
    """

    def __init__(
        self,
        anchors,
        num_classes,
        ignore_thresh=0.5,
        anchor_mask=None,
        ignore_across_heads=False,
        box_loss="xy_wh",
        **kwargs,
    ):
        super().__init__(**{"name": "yolo_loss", "dtype": "float32", **kwargs})
        self.settings = {
            "anchors": np.asarray(anchors, np.float32).reshape(-1, 2).tolist(),
            "num_classes": int(num_classes),
            "ignore_thresh": float(ignore_thresh),
            "anchor_mask": None if anchor_mask is None else np.asarray(anchor_mask).tolist(),
            "ignore_across_heads": bool(ignore_across_heads),
            "box_loss": box_loss,
        }
        # On JAX Keras cannot update a layer's metrics in training (keras issue 21639), so nothing is logged there.
        self.means = [keras.metrics.Mean(name) for name in terms_of(box_loss) if keras.backend.backend() != "jax"]

    def call(self, inputs):
        """`[*outputs, *y_true]` or `[*outputs, true_boxes]` in, one number an image out: (B, 1)."""
        terms = yolo_loss_terms(inputs, **self.settings)
        for mean in self.means:
            mean.update_state(terms[mean.name])
        return ops.expand_dims(sum(terms.values()), -1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 1)

    def get_config(self):
        return {**super().get_config(), **self.settings}
