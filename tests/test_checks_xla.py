"""The check of the task in `xla`, against right answers and against wrong answers that people really give."""

import pytest
import tensorflow as tf
from keras import ops

from yolo_helpers import checks
from yolo_helpers.checks.xla import MASK_MISTAKES, mask_arguments
from yolo_helpers.loss import best_iou, box_iou


def at_once(predicted, y_true, ignore_thresh=0.5):
    boxes = ops.reshape(y_true[..., :4] * y_true[..., 4:5], (-1, 1, 1, 1, 36, 4))
    iou = box_iou(predicted[..., None, :], boxes)
    return ops.cast(ops.max(iou, axis=-1) < ignore_thresh, "float32")


def box_after_box(predicted, y_true, ignore_thresh=0.5):
    boxes = ops.reshape(y_true[..., :4] * y_true[..., 4:5], (-1, 36, 4))
    best = best_iou(ops.reshape(predicted, (-1, 36, 4)), boxes)
    return ops.reshape(best < ignore_thresh, y_true.shape[:4])


def by_loop(predicted, y_true, ignore_thresh=0.5):
    """As keras-yolo3 does it."""

    def of_image(b, mask):
        boxes = tf.boolean_mask(y_true[b, ..., :4], y_true[b, ..., 4] > 0)
        best = tf.reduce_max(box_iou(predicted[b][..., None, :], boxes), axis=-1)
        return b + 1, mask.write(b, tf.cast(best < ignore_thresh, tf.float32))

    growing = tf.TensorArray(tf.float32, size=1, dynamic_size=True)
    return tf.while_loop(lambda b, _: b < tf.shape(y_true)[0], of_image, [0, growing])[1].stack()


def python_if(predicted, y_true, ignore_thresh=0.5):
    return at_once(predicted, y_true, ignore_thresh) if float(y_true[0, 0, 0, 0, 0]) > 0 else None


@pytest.mark.parametrize(
    "answer, words",
    [
        (at_once, ["ok"]),
        (by_loop, ["four images and ignore_thresh=0.5, compiled by XLA, expected the shape"]),
        (python_if, ["XLA cannot compile your function"]),
        (lambda *given: at_once(*given[:2]), ["ignore_thresh=0.3 "]),
        (lambda *given: at_once(*given)[0], ["expected the shape (4, 3, 4, 3)"]),
        (lambda *given: "mask", ["returned str"]),
        (lambda predicted: 0, ["your function raised TypeError"]),
        (lambda *given: None, ["not done yet"]),
    ],
)
def test_mask(says, answer, words):
    says(checks.check_mask, answer, *words)


def test_the_loop_over_boxes_is_right_too(says):
    says(checks.check_mask, lambda *given: ops.cast(box_after_box(*given), "float32"), "ok")


@pytest.mark.parametrize("words, mistake", MASK_MISTAKES)
def test_mask_mistakes(says, words, mistake):
    def answer(predicted, y_true, ignore_thresh):
        return tf.constant(mistake(*mask_arguments(), ignore_thresh))

    says(checks.check_mask, answer, "slots differ", words)
