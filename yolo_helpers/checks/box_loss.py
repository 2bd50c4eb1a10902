"""The check of another box loss in the yolo_loss layer."""

import functools
from collections.abc import Callable

import numpy as np
from keras import ops

from yolo_helpers.anchors import STRIDES, default_anchor_mask, default_anchors
from yolo_helpers.checks.compare import gradients, likely, one_number_a_picture, show
from yolo_helpers.checks.verdict import Hint, call, task
from yolo_helpers.loss import yolo_loss_terms
from yolo_helpers.targets import preprocess_true_boxes

# Each picture has one box, smaller than its grid square of 8 pixels; the last has none. The first five predictions come
# nearer until they match, the next four shrink until they match, two lie too far to the left and to the right.
STEPS, SIZES = [0.9, 0.75, 0.3, 0.15, 0.1], [3, 1.5, 1.2, 1]
CENTRES = [(0.1, 0.1)] * 9 + [(0.5, 0.5)] * 3  # of the boxes, in their grid squares
PREDICTED = [(step, step) for step in STEPS] + [(0.1, 0.1)] * 4 + [(0.3, 0.5), (0.7, 0.5), (0.5, 0.5)]
STRETCH = [1] * 5 + SIZES + [2, 2, 1]  # how many times too wide and too high the predicted box is

# The words, and the box loss of a prediction that matches its box, from its terms in `yolo_loss`.
MATCH_MISTAKES = [
    ("The terms confidence and class stay as they were.", lambda terms: -terms["class"]),
    ("The old term xy is still in it.", lambda terms: terms["xy"]),
]


def _planted_heads(y_true: list[np.ndarray], anchors: np.ndarray) -> list[np.ndarray]:
    """Make raw heads that predict the object of each picture as `PREDICTED` and `STRETCH` say.

    Args:
        y_true: three arrays (B, h, w, 3, 5 + C).
        anchors: (9, 2), width and height in pixels.

    Returns:
        Three arrays (B, h, w, 3 (5 + C)).
    """
    heads, random = [], np.random.default_rng(8)
    for target, mask, stride in zip(y_true, default_anchor_mask(len(anchors)), STRIDES):
        raw = random.normal(size=target.shape) * 0.1
        raw[..., 4:] -= 4
        rows, columns = target.shape[1:3]
        for b, row, column, k in np.argwhere(target[..., 4] == 1):
            pixels = target[b, row, column, k, 2:4] * [stride * columns, stride * rows]
            raw[b, row, column, k, 0:2] = np.log(PREDICTED[b]) - np.log1p(-np.array(PREDICTED[b]))
            raw[b, row, column, k, 2:4] = np.log(STRETCH[b] * pixels / anchors[mask[k]])
        heads.append(raw.reshape(*target.shape[:3], -1).astype("float32"))
    return heads


@functools.cache
def _planted() -> tuple[list[np.ndarray], list[np.ndarray], dict[str, np.ndarray]]:
    """Make raw heads and y_true of 12 pictures, three arrays each, and the terms (12,) of `yolo_loss` for them."""
    anchors, true = default_anchors(3), 8 * (np.array([5, 4]) + CENTRES)
    boxes = np.array([[[x - 2, y - 2.5, x + 2, y + 2.5, 1]] for x, y in true])
    boxes[-1] = 0
    y_true = preprocess_true_boxes(boxes, (96, 128), anchors, 2)
    raw = _planted_heads(y_true, anchors)
    terms = yolo_loss_terms([ops.convert_to_tensor(x) for x in [*raw, *y_true]], anchors, 2)
    return raw, y_true, {name: ops.convert_to_numpy(term) for name, term in terms.items()}


@task
def check_box_loss(function: Callable) -> None:
    """Check what must hold for `ciou_loss(args, anchors, num_classes)`, whatever its exact formula.

    Args:
        function: the reader's answer; takes `[*outputs, *y_true]` as `yolo_loss` does, returns (B, 1).
    """
    anchors, given, (raw, y_true, terms) = default_anchors(3), "12 pictures", _planted()
    why_nan = (
        "A slot without an object holds a true box of size 0, and 0 divided by 0 is NaN, also times 0: replace the box "
        "before you compute with it."
    )
    args = [ops.convert_to_tensor(x) for x in [*raw, *y_true]]
    result = call(function, args, anchors, 2, given=given)
    total = one_number_a_picture(result, 12, given, column=True, why_nan=why_nan)
    _judge_losses(total - terms["confidence"] - terms["class"], terms, total[-1])

    pulls = gradients(lambda raw, y_true: function([*raw, *y_true], anchors, 2), raw, y_true, given, traced=True)
    for b in range(12):
        if not all(np.isfinite(pull[b]).all() for pull in pulls):
            what = "a picture without boxes" if b == 11 else f"a prediction at {PREDICTED[b]} of its grid square"
            raise Hint(
                f"for {what} the value is right, but the gradient is not finite: training would end in NaN. Slots "
                "without an object, whose true box has the size 0, must not bring NaN in by ops.where either."
            )
    pull = pulls[2].reshape(y_true[2].shape)[0][y_true[2][0, ..., 4] == 1][0, :2]
    if not (pull > 1e-6).all():
        raise Hint(
            f"for two boxes that lie apart the gradient for x and y is {show(pull)}: a step would not bring the boxes "
            "nearer."
        )


def _judge_losses(losses: np.ndarray, terms: dict[str, np.ndarray], last: float) -> None:
    """End the check with a hint when the box losses do not fall as the predictions come nearer.

    Args:
        losses: (12,), what the reader's loss gives beside the terms confidence and class.
        terms: (12,) each, the terms of `yolo_loss`.
        last: the reader's loss for the picture without boxes.
    """
    nearer, smaller, (left, right, empty) = losses[:5], losses[5:9], losses[9:]
    if abs(empty) > 0.01:
        kept = "the terms confidence and class stay as they were"
        why = "slots without an object must not count in the box loss" if empty > 0 else kept
        raise Hint(
            f"for a picture without boxes you return {last:.4f}; expected its confidence term, "
            f"{terms['confidence'][-1]:.4f}: {why}."
        )
    if abs(nearer[-1]) > 0.01:
        of_match = {name: term[4] for name, term in terms.items()}
        why = likely(nearer[-1], MATCH_MISTAKES, of_match, rtol=0.01)
        why = why or " It is 1 - CIoU, and both boxes must be in the format that you name."
        raise Hint(f"for a prediction that matches its box the box loss is {nearer[-1]:.4f}; expected 0.{why}")
    for step, next_step, before, after in zip(STEPS, STEPS[1:], nearer, nearer[1:]):
        if not after < before - 1e-4:
            flat = abs(after - before) < 1e-4 and step == STEPS[0]
            why = " Boxes apart have the IoU 0, however far: the distance of the centres must count." if flat else ""
            raise Hint(
                "for a box of 4 x 5 pixels with its centre at 0.1 of a grid square's width and height, and predictions "
                f"at {step} and {next_step}, the box loss is {before:.4f} and {after:.4f}; it should fall.{why}"
            )
    if not (np.diff(smaller) < -1e-4).all():
        raise Hint(f"for a box predicted {SIZES} times too large the box loss is {show(smaller)}; it should fall.")
    if not np.isclose(left, right, rtol=0.01):
        raise Hint(
            f"for a box twice too large, too far to the left, the box loss is {left:.4f}; as far to the right it is "
            f"{right:.4f}; expected the same. Boxes from yolo_head and in y_true are centre and size."
        )
