"""Lesson 03, the layer: the checks of the Lambda, and of the scalar that becomes one number for each image."""

import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yolo_helpers.anchors import default_anchors, grid_shapes
from yolo_helpers.checks.compare import likely, one_number_a_picture, show
from yolo_helpers.checks.verdict import Hint, call, in_words, task
from yolo_helpers.loss import yolo_loss
from yolo_helpers.targets import preprocess_true_boxes

# The Lambda

NO_BOX = [0] * 5
BOXES = np.array([[[4, 5, 34, 37, 0], [50, 10, 68, 44, 1]], [[8, 10, 58, 52, 1], NO_BOX], [NO_BOX, NO_BOX]], "float32")
LAYER_CASES = [  # words, anchors, num_classes
    ("nine anchors other than the notebook's and num_classes=3", default_anchors(3) * 0.75, 3),
    ("six anchors and num_classes=2", default_anchors(2), 2),
]
LAYER_MISTAKES = [
    ("Are the anchors those of the notebook? Take the argument.", lambda t, _, c: yolo_loss(t, default_anchors(3), c)),
    ("Is ignore_thresh 0.5?", lambda t, anchors, c: yolo_loss(t, anchors, c, ignore_thresh=0.7)),
    ("Is ignore_thresh 0.5?", lambda t, anchors, c: yolo_loss(t, anchors, c, ignore_thresh=0.3)),
]


@functools.cache
def layer_batches() -> list[list]:
    """Make the heads and labels, `[*outputs, *y_true]`, for each of `LAYER_CASES`: three pictures of 64 x 96.

    The heads say little, so that each slot predicts about its anchor: some overlap a box by 0.3 to 0.7.
    """
    random, batches = np.random.default_rng(9), []
    for _, anchors, num_classes in LAYER_CASES:
        grids = grid_shapes((64, 96), len(anchors) // 3)
        raw = [random.normal(size=(3, *grid, 3 * (5 + num_classes))) * 0.2 for grid in grids]
        labels = preprocess_true_boxes(BOXES, (64, 96), anchors, num_classes)
        batches.append([ops.convert_to_tensor(x, "float32") for x in [*raw, *labels]])
    return batches


@task
def check_loss_layer(function: Callable) -> None:
    """Check the task "the Lambda, with its arguments" of lesson 03: `loss_layer(anchors, num_classes)`.

    Args:
        function: the reader's answer; returns a Lambda called yolo_loss, which takes `[*outputs, *y_true]`.
    """
    for (given, anchors, num_classes), tensors in zip(LAYER_CASES, layer_batches()):
        given = f"for {given}"
        layer = _expect_lambda(function, anchors, num_classes, given)
        if layer.name != "yolo_loss":
            raise Hint(f"{given} your layer is called {layer.name!r}; expected the name 'yolo_loss'.")
        _judge_promise(layer, [(None, *tensor.shape[1:]) for tensor in tensors], given)
        try:
            result = layer(list(tensors))
        except Exception as error:
            why = " Constants go into arguments={…}." if "missing" in str(error) else ""
            why = why or " Does it use the anchors and the num_classes that loss_layer was given?"
            raise Hint(f"{given} your layer was made, but called, it raised {in_words(error)}{why}") from None
        found = one_number_a_picture(result, 3, given.removeprefix("for "), column=True)
        expected = ops.convert_to_numpy(yolo_loss(tensors, anchors, num_classes))[:, 0]
        if not np.allclose(found, expected, rtol=1e-4):
            why = likely(np.reshape(found, (3, 1)), LAYER_MISTAKES, tensors, anchors, num_classes)
            raise Hint(f"{given} the losses are {show(found)}; expected {show(expected)}.{why}")


def _expect_lambda(function: Callable, anchors: np.ndarray, num_classes: int, given: str) -> keras.layers.Lambda:
    """Return the layer that the reader's function makes, or end the check with a hint when it is no Lambda."""
    try:
        layer = call(function, anchors, num_classes, given=given.removeprefix("for "))
    except Hint as hint:
        why = " Constants go into arguments={…}." if "keyword argument" in str(hint) else ""
        raise Hint(f"{hint}{why}") from None
    if isinstance(layer, keras.layers.Lambda):
        return layer
    what = f"your function returned a {type(layer).__name__}"
    if isinstance(layer, keras.layers.Layer):
        raise Hint(f"{given} {what}, which may do the same; the task asks for a keras.layers.Lambda.")
    raise Hint(f"{given} expected a keras.layers.Lambda, not yet called; {what}.")


def _judge_promise(layer: keras.layers.Lambda, shapes: list[tuple], given: str) -> None:
    """End the check with a hint when a Lambda has no `output_shape`, or another than one number for each image."""
    try:
        # Without the labels: whoever must trace the function for its shape fails; a promise needs no tracing.
        promised = layer.compute_output_shape(shapes[: len(shapes) // 2])
    except NotImplementedError:
        raise Hint(
            f"{given} your layer has no output_shape, so Keras traces the function; the task asks for "
            "output_shape=(1,)."
        ) from None
    except Exception as error:
        raise Hint(f"{given} asked for its output shape, your layer raised {in_words(error)}") from None
    if promised != (None, 1):
        raise Hint(f"{given} your layer promises the shape {promised}, images first; expected (None, 1).")


# The repaired scalar

COST_CASES = [("a cost of shape (4, 2, 5, 3)", (4, 2, 5, 3)), ("a cost of shape (1, 6, 2, 3)", (1, 6, 2, 3))]


def _with_axis(reduce: Callable) -> Callable:
    """Make a wrong answer `per_image` from what takes a cost (B, rows, columns, 3) and returns (B,), or one number."""
    return lambda cost: np.broadcast_to(np.reshape(reduce(np.asarray(cost)), (-1, 1)), (len(cost), 1))


COST_MISTAKES = [  # the sentence, and the answer
    ("That is the mean over the slots; expected the sum.", _with_axis(lambda cost: cost.mean((1, 2, 3)))),
    (
        "They are divided by the number of images. The mean over the images comes later, in Keras.",
        _with_axis(lambda cost: cost.sum((1, 2, 3)) / len(cost)),
    ),
    ("The old number is repeated for each image.", _with_axis(lambda cost: cost.sum() / len(cost))),
    ("The sum over all images is repeated for each one.", _with_axis(lambda cost: cost.sum())),
]
COST_SHAPES = {  # of a wrong answer to the first case; the sentence
    (4,): "The numbers may be right; an axis is missing.",
    (1, 4): "The images belong on the first axis.",
    (4, 1, 1, 1): "The summed axes are kept, all three.",
    (1, 1, 1, 1): "The images are added up, too.",
    (1, 1): "The images are added up, too.",
    (1,): "The images are added up, too.",
    (3,): "The images are added up, the anchors are not.",
    (2, 5, 3): "The images are added up, the slots are not.",
    (4, 2, 5, 3): "Nothing is added up.",
    (4, 2, 5): "Only the last axis is added up.",
    (4, 2, 5, 1): "Only the last axis is added up.",
}


@task
def check_per_image(function: Callable) -> None:
    """Check the task "repair the scalar" of lesson 03: `per_image(cost)`.

    Args:
        function: the reader's answer; takes (B, rows, columns, 3), returns (B, 1).
    """
    random = np.random.default_rng(10)
    for given, shape in COST_CASES:
        cost = random.uniform(0, 2, size=shape).astype("float32")
        result = call(function, ops.convert_to_tensor(cost), given=given)
        try:
            found = one_number_a_picture(result, len(cost), given, column=True)
        except Hint as hint:
            why = COST_SHAPES.get(tuple(np.shape(result)), "") if shape == COST_CASES[0][1] else ""
            raise Hint(f"{hint} {why}".strip()) from None
        expected = cost.sum((1, 2, 3))
        if not np.allclose(found, expected, rtol=1e-4):
            why = likely(found[:, None], COST_MISTAKES, cost)
            raise Hint(f"for {given} you return {show(found)}; expected {show(expected)}.{why}")
    try:
        traced = keras.layers.Lambda(function)(keras.Input((6, 2, 3))).shape
    except Exception:
        raise Hint(
            "by hand it works, but inside a model, where there are no numbers yet, your function fails. Does it use "
            "NumPy, or the number of images, which is not known there?"
        ) from None
    if traced != (None, 1):
        raise Hint(f"by hand it works, but inside a model the shape is {traced}; expected (None, 1).")
