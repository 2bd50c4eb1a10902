"""The checks of the Lambda and of the repaired scalar, tried with right answers and with wrong ones."""

import keras
import numpy as np
import pytest
from keras import ops

from yolo_helpers import checks
from yolo_helpers.anchors import default_anchors
from yolo_helpers.checks.loss_layer import COST_MISTAKES, COST_SHAPES, LAYER_MISTAKES
from yolo_helpers.loss import YoloLoss, yolo_loss

# The Lambda


def loss_layer(function=yolo_loss, layer=keras.layers.Lambda, arguments=None, **changed):
    """Make an answer `loss_layer`; the defaults are right, each argument is a common mistake.

    Args:
        function: what the layer computes; a function of tensors, anchors and num_classes.
        layer: its class.
        arguments: a function of anchors and num_classes; returns what goes into `arguments`.
        changed: other settings; None for one that is left out.
    """

    def answer(anchors, num_classes):
        constants = {"anchors": anchors, "num_classes": num_classes}
        settings = {"output_shape": (1,), "name": "yolo_loss", **changed}
        settings["arguments"] = arguments(anchors, num_classes) if arguments else constants
        return layer(function, **{name: value for name, value in settings.items() if value is not None})

    return answer


def in_a_closure(anchors, num_classes):
    return keras.layers.Lambda(
        lambda tensors: yolo_loss(tensors, anchors, num_classes, 0.5), output_shape=(1,), name="yolo_loss"
    )


def as_keywords(anchors, num_classes):
    return keras.layers.Lambda(
        yolo_loss, output_shape=(1,), name="yolo_loss", anchors=anchors, num_classes=num_classes, ignore_thresh=0.5
    )


def in_the_call(anchors, num_classes):
    tensors = [keras.Input((2, 3, 24)), keras.Input((2, 3, 3, 8))]
    return keras.layers.Lambda(yolo_loss, output_shape=(1,), name="yolo_loss")(
        tensors, anchors=anchors, num_classes=num_classes
    )


def already_called(anchors, num_classes):
    return loss_layer()(anchors, num_classes)([keras.Input((2, 3, 24)), keras.Input((2, 3, 3, 8))])


RIGHT_LAYERS = [
    loss_layer(),
    loss_layer(arguments=lambda anchors, c: {"anchors": anchors, "num_classes": c, "ignore_thresh": 0.5}),
    loss_layer(output_shape=lambda shapes: (shapes[0][0], 1), dtype="float32"),
    in_a_closure,
]


@pytest.mark.parametrize("answer", RIGHT_LAYERS)
def test_loss_layer_right(says, answer):
    says(checks.check_loss_layer, answer, "ok")


@pytest.mark.parametrize("answer", [None, lambda anchors, num_classes: None])
def test_loss_layer_not_done(says, answer):
    says(checks.check_loss_layer, answer, "not done yet")


@pytest.mark.parametrize(("words", "wrong"), LAYER_MISTAKES)
def test_loss_layer_mistakes(says, words, wrong):
    says(checks.check_loss_layer, loss_layer(wrong_loss(wrong)), "hint: for nine anchors", words)


def wrong_loss(wrong):
    return lambda tensors, anchors, num_classes: wrong(tensors, anchors, num_classes)


def constants(**fixed):
    """Make arguments in which some are wired in."""
    return lambda anchors, num_classes: {"anchors": anchors, "num_classes": num_classes, **fixed}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (loss_layer(name=None), "your layer is called 'lambda"),
        (loss_layer(name="loss"), "your layer is called 'loss'; expected the name 'yolo_loss'"),
        (loss_layer(output_shape=None), "your layer has no output_shape, so Keras traces the function"),
        (loss_layer(output_shape=(None, 1)), "promises the shape (None, None, 1)"),
        (loss_layer(output_shape=()), "promises the shape (None,)"),
        (loss_layer(output_shape=1), "asked for its output shape, your layer raised TypeError"),
        (loss_layer(arguments=constants(anchors=default_anchors(3))), "Are the anchors those of the notebook?"),
        (
            loss_layer(arguments=constants(num_classes=3)),
            "hint: for six anchors and num_classes=2 your layer was made, but called, it raised",
        ),
        (loss_layer(arguments=constants(ignore_thresh=0.6)), "Is ignore_thresh 0.5?"),
        (loss_layer(arguments=lambda anchors, c: {"num_classes": c}), "Constants go into arguments"),
        # Keras writes its message in bold; the hint is plain text.
        (loss_layer(arguments=lambda anchors, c: {}), "Lambda.call(). yolo_loss() missing 2 required"),
        (as_keywords, "Constants go into arguments"),
        (in_the_call, "your function raised"),
        (already_called, "expected a keras.layers.Lambda, not yet called; your function returned a KerasTensor"),
        (lambda anchors, num_classes: yolo_loss(anchors, num_classes), "your function raised TypeError"),
        (lambda anchors, num_classes: yolo_loss, "your function returned a function"),
        (lambda anchors, num_classes: keras.layers.Lambda, "your function returned a type"),
        (
            lambda anchors, num_classes: YoloLoss(anchors, num_classes),
            "your function returned a YoloLoss, which may do the same; the task asks for a keras.layers.Lambda",
        ),
        (
            loss_layer(lambda tensors, anchors, num_classes: ops.mean(yolo_loss(tensors, anchors, num_classes))),
            "one number for the whole batch",
        ),
        # A layer in place of a function is called with the anchors.
        (
            keras.layers.Lambda(yolo_loss, name="yolo_loss"),
            "for nine anchors other than the notebook's and num_classes=3 your function raised",
        ),
        (lambda: keras.layers.Lambda(yolo_loss), "your function raised TypeError"),
    ],
)
def test_loss_layer_wrong(says, answer, words):
    says(checks.check_loss_layer, answer, "hint: ", words)


# The repaired scalar


@pytest.mark.parametrize(
    "answer",
    [
        lambda cost: ops.expand_dims(ops.sum(cost, axis=(1, 2, 3)), axis=-1),
        lambda cost: ops.sum(cost, axis=(1, 2, 3))[:, None],
        lambda cost: ops.reshape(ops.sum(cost, axis=(1, 2, 3)), (-1, 1)),
        lambda cost: ops.sum(ops.sum(cost, axis=(2, 3)), axis=1, keepdims=True),
        lambda cost: ops.sum(ops.reshape(cost, (ops.shape(cost)[0], -1)), axis=1, keepdims=True),
    ],
)
def test_per_image_right(says, answer):
    says(checks.check_per_image, answer, "ok")


@pytest.mark.parametrize("answer", [None, lambda cost: None])
def test_per_image_not_done(says, answer):
    says(checks.check_per_image, answer, "not done yet")


@pytest.mark.parametrize(("words", "wrong"), COST_MISTAKES)
def test_per_image_mistakes(says, words, wrong):
    says(checks.check_per_image, lambda cost: wrong(np.array(cost)), "hint: for a cost of shape (4, 2, 5, 3)", words)


@pytest.mark.parametrize(("shape", "words"), COST_SHAPES.items())
def test_per_image_shapes(says, shape, words):
    says(
        checks.check_per_image, lambda cost: ops.zeros(shape), f"you return the shape {shape}; expected (4, 1).", words
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ops.sum, "you return one number for the whole batch"),
        (lambda cost: ops.sum(cost) / cost.shape[0], "you return one number for the whole batch"),
        (lambda cost: ops.sum(cost, axis=(1, 2, 3)), "you return the shape (4,); expected (4, 1)"),
        (lambda cost: ops.sum(cost, axis=(1, 2, 3), keepdims=True), "the shape (4, 1, 1, 1)"),
        (lambda cost: ops.sum(cost, axis=0), "the shape (2, 5, 3); expected (4, 1). The images are added up"),
        (lambda cost: ops.reshape(ops.sum(cost, axis=(1, 2, 3)), (4, 1)), "for a cost of shape (1, 6, 2, 3)"),
        (lambda cost: np.sum(cost, axis=(1, 2, 3))[:, None], "inside a model"),
        (lambda cost: ops.reshape(ops.sum(cost, axis=(1, 2, 3)), (int(cost.shape[0]), 1)), "inside a model"),
        (lambda cost: [float(ops.sum(image)) for image in cost], "you return"),
        (lambda cost: K.sum(cost), "raised NameError"),  # noqa: F821
    ],
)
def test_per_image_wrong(says, answer, words):
    says(checks.check_per_image, answer, "hint: ", words)
