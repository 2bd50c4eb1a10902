"""Checks around targets, terms and the yolo_loss layer; that of another box loss is in `box_loss`."""

import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yolo_helpers.anchors import STRIDES, default_anchors
from yolo_helpers.checks.compare import likely, one_number_a_picture
from yolo_helpers.checks.verdict import Hint, call, in_words, task
from yolo_helpers.loss import identity_loss, yolo_loss, yolo_loss_terms
from yolo_helpers.targets import preprocess_true_boxes

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
        function: the reader's class; made as `function(anchors, num_classes)`, its layer takes `[*outputs, *y_true]`.
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
