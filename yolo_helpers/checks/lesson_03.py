"""Checks around targets, terms and the yolo_loss layer; that of another box loss is in `box_loss`."""

import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yolo_helpers.anchors import STRIDES, default_anchors
from yolo_helpers.checks.compare import gradients, likely, one_number_a_picture, show
from yolo_helpers.checks.verdict import Hint, call, in_words, task
from yolo_helpers.loss import identity_loss, yolo_loss, yolo_loss_terms
from yolo_helpers.targets import preprocess_true_boxes

# wh_term

LARGE, SMALL, FLAT, NO_BOX = [10, 8, 60, 58, 1], [30, 20, 58, 80, 0], [4, 30, 61, 62, 1], [0] * 5
WH_CASES = [  # words, boxes of each picture, input_shape
    ("one picture with one box, input_shape=(64, 64)", [[[10, 8, 60, 60, 1]]], (64, 64)),
    ("one picture with one box, input_shape=(64, 96)", [[LARGE]], (64, 96)),
    ("one picture with two boxes, input_shape=(96, 64)", [[SMALL, FLAT]], (96, 64)),
    ("two pictures, with one box and with two", [[LARGE, NO_BOX], [SMALL, FLAT]], (96, 64)),
    ("two pictures, one of them without any box", [[SMALL], [NO_BOX]], (96, 64)),
]


def wh_term(
    factor: float = 0.5,
    scaled: bool = True,
    swapped: bool = False,
    in_pixels: bool = True,
    logarithm: Callable = ops.log,
    reduce: Callable = lambda terms: ops.sum(terms, axis=(1, 2, 3, 4)),
) -> Callable:
    """Make an answer `wh_term`; the defaults are right, each argument is a common mistake.

    Args:
        factor: of the squares.
        scaled: whether the scale 2 - w h is there.
        swapped: width and height of the input are exchanged.
        in_pixels: sizes are compared with the anchors in pixels.
        logarithm: of size / anchor.
        reduce: takes the terms (B, h, w, 3, 2).
    """

    def answer(raw, y_true, anchors, input_shape):
        has_object = y_true[..., 4:5] > 0
        size = ops.where(has_object, y_true[..., 2:4], 1.0)
        pixels = np.array(input_shape if swapped else input_shape[::-1], "float32") if in_pixels else 1.0
        squares = factor * ops.square(logarithm(size * pixels / anchors) - raw[..., 2:4])
        scale = 2 - size[..., 0:1] * size[..., 1:2] if scaled else 1.0
        return reduce(ops.where(has_object, scale * squares, 0.0))

    return answer


WH_MISTAKES = [
    ("Is the factor 0.5 there?", wh_term(factor=1.0)),
    ("Is the scale 2 - w h there?", wh_term(scaled=False)),
    ("input_shape is (height, width); sizes and anchors are (width, height).", wh_term(swapped=True)),
    ("Sizes in y_true are fractions of the input, anchors are in pixels.", wh_term(in_pixels=False)),
    ("The target is a logarithm.", wh_term(logarithm=lambda ratio: ratio)),
    (
        "Add up over the slots and over w and h, without a mean.",
        wh_term(reduce=lambda terms: ops.mean(terms, axis=(1, 2, 3, 4))),
    ),
    (
        "Add up over w and h, without a mean.",
        wh_term(reduce=lambda terms: ops.sum(ops.mean(terms, axis=-1), axis=(1, 2, 3))),
    ),
]


@task
def check_wh_term(function: Callable) -> None:
    """Check `wh_term(raw, y_true, anchors, input_shape)`: value, shape and gradient.

    Args:
        function: the reader's answer; takes (B, h, w, 3, 5 + C) twice, (3, 2) and (height, width), returns (B,).
    """
    all_anchors, random = default_anchors(3), np.random.default_rng(6)
    anchors = all_anchors[3:6]
    why_nan = (
        "A slot without an object has the size 0, its logarithm is minus infinity, and 0 times that is not 0 but NaN: "
        "replace the size before you take the logarithm."
    )
    for number, (given, boxes, input_shape) in enumerate(WH_CASES):
        y_true = preprocess_true_boxes(np.array(boxes), input_shape, all_anchors, 2)[1]
        raw = random.normal(size=y_true.shape).astype("float32")
        arguments = (ops.convert_to_tensor(raw), ops.convert_to_tensor(y_true), anchors, input_shape)
        result = call(function, *arguments, given=given)
        found = one_number_a_picture(result, len(boxes), given, column=False, why_nan=why_nan)
        expected = ops.convert_to_numpy(wh_term()(*arguments))
        if not np.allclose(found, expected, rtol=1e-4, atol=1e-5):
            why = likely(found, WH_MISTAKES, *arguments, atol=1e-5)
            if not why and len(boxes) > 1 and np.allclose(found, found[0], rtol=1e-4, atol=1e-5):
                why = " One number is repeated for all pictures."
            raise Hint(f"for {given} you return {show(found)}; expected {show(expected)}.{why}")

        def of_lists(raw, y_true, input_shape=input_shape):
            return function(raw[0], y_true[0], anchors, input_shape)

        gradient = gradients(of_lists, [raw], [y_true], given, traced=number == 0)[0]
        if not np.isfinite(gradient).all():
            raise Hint(
                f"for {given} the values are right, but a training step makes the weights NaN: the gradient runs "
                "through both sides of ops.where. Replace the size before you take the logarithm, not after."
            )


# repaired_targets

PADDING = [0.0] * 5
RED, PLATELET, WHITE = [10, 12, 50, 42, 1], [68, 20, 78, 32, 0], [20, 5, 90, 91, 2]
TARGET_CASES = [  # words, boxes, input_shape
    ("one box with its centre on a whole pixel", [RED], (96, 128)),
    ("one box with its centre on half a pixel", [[10, 12, 51, 41, 1]], (96, 128)),
    ("two boxes and padding after them", [RED, PLATELET, PADDING], (96, 128)),
    ("a padding row between two boxes", [RED, PADDING, PLATELET], (96, 128)),
    ("a padding row before three boxes", [PADDING, WHITE, RED, PLATELET], (128, 96)),
    ("two boxes of two classes that want the same slot", [PLATELET, [69, 20, 79, 32, 2]], (96, 128)),
    (
        "padding between two boxes of two classes that want the same slot",
        [PLATELET, PADDING, [*PLATELET[:4], 2]],
        (96, 128),
    ),
    ("a centre on the right border", [[118, 10, 138, 26, 1]], (96, 128)),
    ("a centre in the lower right corner", [[110, 80, 146, 112, 1]], (96, 128)),
    ("a picture with padding only", [PADDING, PADDING], (96, 128)),
    ("a picture without any row", np.zeros((0, 5)), (96, 128)),
]


def _differing_slot(found: np.ndarray, expected: np.ndarray) -> str:
    """Name the first slot, (row, column, anchor), in which two grids of one head differ, and say how."""
    place = tuple(int(i) for i in np.argwhere(~np.isclose(found, expected, atol=1e-5).all(-1))[0])
    row, column, anchor = place
    ours, theirs = found[place], expected[place]
    where = f"row {row}, column {column}, anchor {anchor} of its head"
    if ours[4] != theirs[4]:
        return f"{where} should hold {'an object' if theirs[4] else 'no object'}; yours is {show(ours)}"
    for part, axes in (("centre", slice(0, 2)), ("size", slice(2, 4)), ("class", slice(5, None))):
        if not np.allclose(ours[axes], theirs[axes], atol=1e-5):
            return f"{where} holds the {part} {show(ours[axes])}; expected {show(theirs[axes])}"
    return f"{where} holds {ours[4]:g} in the place of the object's 1"


@task
def check_targets(function: Callable) -> None:
    """Check the repaired `targets_for(boxes, input_shape, anchors, num_classes)`.

    Args:
        function: the reader's answer; returns a list of three arrays (h, w, 3, 5 + C) for one picture.
    """
    anchors = default_anchors(3)
    for given, boxes, input_shape in TARGET_CASES:
        boxes = np.array(boxes, "float32")
        result = call(function, boxes.copy(), input_shape, anchors.copy(), 3, given=given)
        expected = [grid[0] for grid in preprocess_true_boxes(boxes[None], input_shape, anchors, 3)]
        shapes = [np.shape(grid) for grid in result] if isinstance(result, (list, tuple)) else np.shape(result)
        if shapes != [grid.shape for grid in expected]:
            raise Hint(f"for {given} expected arrays of {[grid.shape for grid in expected]}; yours are {shapes}.")
        for head, (found, grid) in enumerate(zip(result, expected)):
            if not np.allclose(found, grid, atol=1e-5):
                raise Hint(f"for {given}, in head {head}: {_differing_slot(np.asarray(found), grid)}.")


# The layer that logs the confidence term


def _since_the_start(confidence: np.ndarray, loss: np.ndarray) -> np.ndarray:
    return confidence.sum(1).cumsum() / [10, 20]


# The words, and what the two epochs log when confidence and loss are (2, 10) and batches are of 4, 4 and 2 pictures.
LOG_MISTAKES = [
    (
        "That is the mean of the batches' means; the last batch is short, so its pictures count too much. Give the "
        "metric one number a picture.",
        lambda confidence, loss: np.mean([confidence[:, i : i + 4].mean(1) for i in (0, 4, 8)], 0),
    ),
    ("That is the last batch alone.", lambda confidence, loss: confidence[:, 8:].mean(1)),
    ("That is a sum; expected a mean.", lambda confidence, loss: confidence.sum(1)),
    (
        "That is the mean of the batches' sums. Give the metric one number a picture.",
        lambda confidence, loss: confidence.sum(1) / 3,
    ),
    ("That is the mean of the whole loss.", lambda confidence, loss: loss.mean(1)),
    ("That is the mean since the start; it must begin afresh in every epoch.", _since_the_start),
]


def _two_convolutions(input_shape: tuple[int, int], num_classes: int) -> keras.Model:
    """Build the smallest network with two heads, always with the same start weights."""
    keras.utils.set_random_seed(3)
    image = keras.Input((*input_shape, 3))
    return keras.Model(image, [keras.layers.Conv2D(3 * (5 + num_classes), 1, strides=s)(image) for s in STRIDES[:2]])


@functools.cache
def _pictures() -> tuple[np.ndarray, list[np.ndarray], list, np.ndarray, np.ndarray]:
    """Make what the layer is tried on.

    Returns:
        images (20, h, w, 3), y_true of two heads, what the layer is called with, and each picture's confidence term
        and loss, (20,).
    """
    anchors, size, random = default_anchors(2), (32, 64), np.random.default_rng(7)
    images = random.normal(size=(20, *size, 3)).astype("float32")
    images[8:10] *= 4  # the short last batch of the first epoch counts in a mean over batches as much as a full one
    boxes = np.array([[[4, 5, 30, 28, 0], [40, 6, 52, 20, 1]]] * 20, "float32")
    boxes[::3, 1] = 0
    y_true = preprocess_true_boxes(boxes, size, anchors, 2)
    args = [*_two_convolutions(size, 2)(images), *map(ops.convert_to_tensor, y_true)]
    confidence = ops.convert_to_numpy(yolo_loss_terms(args, anchors, 2)["confidence"])
    return images, y_true, args, confidence, ops.convert_to_numpy(yolo_loss(args, anchors, 2))[:, 0]


@task
def check_logged_confidence(function: Callable) -> None:
    """Check the layer: it returns `yolo_loss` and logs the confidence term, and nothing else.

    Args:
        function: the reader's class; made as `function(anchors, num_classes)`, its layer takes [*outputs, *y_true].
    """
    anchors, given = default_anchors(2), "anchors and num_classes=2"
    layer = call(function, anchors, 2, given=given)
    if not isinstance(layer, keras.layers.Layer):
        raise Hint(f"for {given} expected a keras layer; your answer makes a {type(layer).__name__}.")
    images, y_true, args, confidence, loss = _pictures()
    given = "20 pictures, some with one box and some with two"
    found = one_number_a_picture(call(layer, list(args), given=given), 20, given, column=True)
    if not np.allclose(found, loss, rtol=1e-4):
        raise Hint(f"for {given} the first loss is {found[0]:.4g}; expected {loss[0]:.4g}, the value of yolo_loss.")

    layer = function(anchors, 2)
    if layer.weights:
        raise Hint(
            f"your layer owns {len(layer.weights)} weight(s); expected none: they would be saved with the network. A "
            "keras.metrics.Mean keeps its own sums, which are not weights of the layer."
        )
    logs = []
    try:
        body, labels = _two_convolutions(images.shape[1:3], 2), [keras.Input(grid.shape[1:]) for grid in y_true]
        model = keras.Model([body.input, *labels], layer([*body.outputs, *labels]))
        model.compile(optimizer=keras.optimizers.SGD(0.0), loss=identity_loss)
        for epoch in (slice(0, 10), slice(10, 20)):
            data = [images[epoch], *(grid[epoch] for grid in y_true)]
            history = model.fit(data, np.zeros((10, 1)), batch_size=4, shuffle=False, verbose=0).history
            logs.append({name: values[0] for name, values in history.items()})
    except Exception as error:
        why = " A metric must be made in __init__, not in call." if "variable" in str(error).lower() else ""
        raise Hint(f"by hand it works, but in fit your layer raised {in_words(error)}{why}") from None
    _judge_logs(logs, confidence.reshape(2, 10), loss.reshape(2, 10))


def _judge_logs(logs: list[dict[str, float]], confidence: np.ndarray, loss: np.ndarray) -> None:
    """End the check with a hint when two epochs' logs are not what the layer is to log.

    Args:
        logs: the two epochs' history.
        confidence, loss: (2, 10), the values of each picture; batches were of 4, 4 and 2.
    """
    names = sorted(logs[0])
    if "confidence" not in names:
        why = (
            " Give the metric that name."
            if len(names) > 1
            else " Keras finds a metric that the layer's __init__ keeps as an attribute, self.something."
        )
        raise Hint(f"the history holds {names}; expected confidence beside loss.{why}")
    if len(names) > 2:
        raise Hint(f"the history holds {names}; expected the loss and the confidence term alone.")
    for epoch, log in enumerate(logs):
        expected, expected_loss = confidence[epoch].mean(), loss[epoch].mean()
        given = f"in epoch {epoch + 1}, with batches of 4, 4 and 2 pictures,"
        if not np.isclose(log["loss"], expected_loss, rtol=1e-4):
            raise Hint(f"{given} the loss is {log['loss']:.4g}; expected {expected_loss:.4g}.")
        if not np.isclose(log["confidence"], expected, rtol=1e-4):
            why = likely(log["confidence"], LOG_MISTAKES, confidence, loss, part=epoch)
            raise Hint(f"{given} you log {log['confidence']:.4g}; expected {expected:.4g}.{why}")
