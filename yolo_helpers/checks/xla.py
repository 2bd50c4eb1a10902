"""The check of the further lesson losses_xla_precision_replicas: an ignore mask that XLA can compile."""

from collections.abc import Callable

import numpy as np
from keras import ops

from yolo_helpers.checks.compare import likely, tensor_numbers
from yolo_helpers.checks.verdict import Hint, call, in_words, task
from yolo_helpers.loss import box_iou


def mask_arguments() -> tuple[np.ndarray, np.ndarray]:
    """Make predicted boxes (4, 3, 4, 3, 4) and targets (4, 3, 4, 3, 8) of four images with 2, 1, 0 and 3 objects.

    Slots without an object hold a box all the same, which does not count.
    """
    random = np.random.default_rng(4)
    predicted = random.uniform(0.2, 0.6, (4, 3, 4, 3, 4)).astype("float32")
    y_true = np.zeros((4, 3, 4, 3, 8), "float32")
    y_true[..., :4] = random.uniform(0.2, 0.6, y_true[..., :4].shape)
    for image, objects in enumerate((2, 1, 0, 3)):
        y_true[image].reshape(-1, 8)[random.choice(36, objects, replace=False), 4] = 1
    return predicted, y_true


def mask(predicted, y_true, ignore_thresh, counts=lambda y_true: y_true[..., 4:5], image=None, keep=np.less):
    """The mask by NumPy; the last three arguments make common mistakes."""
    boxes = (y_true[..., :4] * counts(y_true)).reshape(len(y_true), -1, 4)  # (B, S, 4)
    boxes = boxes if image is None else np.repeat(boxes[image][None], len(boxes), axis=0)
    iou = ops.convert_to_numpy(box_iou(predicted[..., None, :], boxes[:, None, None, None]))
    return keep(iou.max(-1), ignore_thresh).astype("float32")


MASK_MISTAKES = [
    ("Boxes of slots without an object count, too.", lambda *given: mask(*given, counts=lambda y_true: 1)),
    ("That is 1 where it should be 0.", lambda *given: mask(*given, keep=np.greater_equal)),
    ("Every image has the mask of the last one.", lambda *given: mask(*given, image=-1)),
]


@task
def check_mask(function: Callable) -> None:
    """Check `mask_at_once(predicted, y_true, ignore_thresh)`, as it is and compiled by XLA.

    Args:
        function: the reader's answer; returns the ignore mask (B, h, w, 3).
    """
    import tensorflow as tf

    predicted, y_true = mask_arguments()
    for ignore_thresh in (0.5, 0.3):
        given = predicted, y_true, ignore_thresh
        words = f"four images and ignore_thresh={ignore_thresh}"
        expected = mask(*given)
        result = call(function, *map(tf.constant, given[:2]), ignore_thresh, given=words)
        _compare(result, expected, given, words)
        compiled = tf.function(lambda *boxes: function(*boxes, ignore_thresh), jit_compile=True)  # noqa: B023
        try:
            result = compiled(*map(tf.constant, given[:2]))
        except Exception as error:
            raise Hint(f"for {words} XLA cannot compile your function: {in_words(error)}") from None
        _compare(result, expected, given, f"{words}, compiled by XLA,")


def _compare(result, expected, given, words):
    found = tensor_numbers(result)
    if found is None or found.shape != expected.shape:
        shape = type(result).__name__ if found is None else found.shape
        raise Hint(f"for {words} expected the shape {expected.shape}, and your function returned {shape}.")
    wrong = int((found != expected).sum())
    if wrong:
        why = likely(found, MASK_MISTAKES, *given)
        raise Hint(f"for {words} {wrong} of {expected.size} slots differ.{why}")
