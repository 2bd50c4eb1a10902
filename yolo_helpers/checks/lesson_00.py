"""Lesson 00, start here: the checks of its tasks."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yolo_helpers.checks.compare import compare_models, expect_model, likely, show, with_random_weights
from yolo_helpers.checks.verdict import Hint, NotDone, call, task

SAMPLES = 512  # intervals in the miniature
SHAPE_CASES = [(8, 96, 128, 3), (1, 416, 416, 80), (32, 320, 608, 20)]  # batch, height, width, classes
TENSORS = ["image", "y_true_0", "y_true_1", "y_true_2", "output"]


@task
def check_own_target(target) -> None:
    """Check the task "a target of your own" of lesson 00: one number for each interval, whatever it is.

    Args:
        target: the reader's answer; an array (512,) or (512, 1).
    """
    if isinstance(target, (list, tuple, range)):
        raise Hint(f"your target is a {type(target).__name__}; Keras wants an array, as np.array(…) makes it.")
    found = np.asarray(target)
    if found.dtype.kind not in "fiub":
        what = f"holds {found.dtype}" if isinstance(target, np.ndarray) else f"is of type {type(target).__name__}"
        raise Hint(f"expected an array of numbers; your target {what}.")
    if found.shape not in ((SAMPLES,), (SAMPLES, 1)):
        raise Hint(f"expected {SAMPLES} numbers, one for each interval; your target has the shape {found.shape}.")
    if not np.any(found):
        raise NotDone("the target is still all zeros")


def _interval_loss(tensors):
    found, label = tensors
    return ops.sum(ops.abs(found - label), axis=-1, keepdims=True)


def _miniature() -> keras.Model:
    """Build the training model of lesson 00's miniature, with start weights of its own."""
    picture, label = keras.Input((8,)), keras.Input((2,))
    hidden = keras.layers.Dense(16, activation="relu", kernel_initializer="zeros")(picture)
    found = keras.layers.Dense(2, kernel_initializer="zeros", name="found")(hidden)
    layer = keras.layers.Lambda(_interval_loss, output_shape=(1,), name="interval_loss")
    return with_random_weights(keras.Model([picture, label], layer([found, label])), seed=7)


@task
def check_without_labels(function: Callable) -> None:
    """Check the task "cut off the loss" of lesson 00: `without_labels(model)`.

    Args:
        function: the reader's answer; takes the training model, returns a model from the picture to `found`.
    """
    training = _miniature()
    (picture, label), loss = training.inputs, training.outputs[0]
    expected = keras.Model(picture, training.get_layer("found").output)
    given = "a training model as in the miniature"
    model = expect_model(call(function, training, given=given), given)
    if model is training:
        raise Hint(f"for {given} your function returned that same model, which still asks for the label.")
    if len(model.inputs) != 1:
        raise Hint(f"for {given} expected a model with one input, the picture; yours has {len(model.inputs)}.")
    if model.inputs[0] is label:
        raise Hint(f"for {given} the input of your model is the label, inputs[1]; expected the picture.")
    if model.inputs[0].shape != picture.shape:
        raise Hint(f"for {given} your model's input has the shape {model.inputs[0].shape}; expected {picture.shape}.")
    if model.outputs[0] is loss:
        raise Hint(f"for {given} the output of your model is that of interval_loss; expected that of found.")
    pictures = np.random.default_rng(2).uniform(size=(3, 8)).astype("float32")
    compare_models(model, expected, pictures, given)


RETURNS_INSTEAD = [  # what the loss returns in place of the prediction; its mean over the batch
    ("Does your lambda return y_true, its first argument?", lambda outputs, targets: np.mean(targets)),
    ("That is the squared error.", lambda outputs, targets: np.mean((outputs - targets) ** 2)),
    ("That is the absolute error.", lambda outputs, targets: np.mean(np.abs(outputs - targets))),
]


@task
def check_compile_today(function: Callable) -> None:
    """Check the task "the line on today's Keras" of lesson 00: `compile_today(model)`.

    Args:
        function: the reader's answer; takes a model whose output is called yolo_loss, compiles and returns it.
    """
    images = keras.Input((1,))
    model = keras.Model(images, keras.layers.Dense(1, kernel_initializer="ones", name="yolo_loss")(images))
    given = "a model whose output is called yolo_loss"
    try:
        answer = call(function, model, given=given)
    except NotDone:
        if model.compiled:
            raise Hint("your function compiles the model, but returns None: the return is missing.") from None
        raise
    except Hint as hint:
        raise Hint(f"{hint} Is lr the old name?" if "'lr'" in str(hint) else str(hint)) from None
    if answer is not model:
        raise Hint(f"for {given} expected that model back; your function returned a {type(answer).__name__}.")
    if not model.compiled:
        raise Hint(f"for {given} your function returned it, but did not compile it.")
    _judge_compiled(model)


def _judge_compiled(model: keras.Model) -> None:
    """End the check with a hint when the optimiser or the loss of a model are not those of the line."""
    if type(model.optimizer) is not keras.optimizers.Adam:
        raise Hint(f"the optimiser is {type(model.optimizer).__name__}; expected Adam.")
    rate = model.optimizer.get_config()["learning_rate"]  # a dictionary where the rate changes
    if not isinstance(rate, float) or not np.isclose(rate, 1e-3):
        raise Hint(f"the learning rate is {rate if isinstance(rate, dict) else f'{rate:.4g}'}; the line has 1e-3.")
    if model.loss is None:
        raise Hint("the model is compiled without a loss.")
    if not isinstance(model.loss, dict):
        same = (
            "" if isinstance(model.loss, str) else " Yours trains the same, as there is one output; here keep the key."
        )
        raise Hint(f"the loss is no dictionary; expected one with the key 'yolo_loss'.{same}")
    if list(model.loss) != ["yolo_loss"]:
        raise Hint(f"the loss dictionary has {list(model.loss)}; expected one key, the output's name 'yolo_loss'.")
    model.run_eagerly = True  # tracing would take longer than all the rest
    outputs = np.array([[1.0], [2.0], [6.0]], "float32")  # the model predicts its input
    for targets in (np.full((3, 1), 7.0), np.array([[-1.0], [0.0], [2.0]])):
        given = f"the outputs {show(outputs[:, 0])} and the targets {show(targets[:, 0])}"
        log = call(lambda y=targets: model.evaluate(outputs, y, verbose=0, return_dict=True), given=given)
        if not np.isclose(log["loss"], outputs.mean()):
            why = likely(log["loss"], RETURNS_INSTEAD, outputs, targets)
            raise Hint(f"for {given} evaluate gives {log['loss']:.4g}; the outputs' mean is {outputs.mean():.4g}.{why}")


@task
def check_training_shapes(function: Callable) -> None:
    """Check the task "the shapes of any training model" of lesson 00: `training_shapes`.

    Args:
        function: the reader's answer; takes batch, height, width and number of classes, returns the shapes of image,
            y_true_0, y_true_1, y_true_2 and output.
    """
    for batch, height, width, classes in SHAPE_CASES:
        given = f"batch={batch}, height={height}, width={width}, num_classes={classes}"
        shapes = call(function, batch, height, width, classes, given=given)
        if not isinstance(shapes, (list, tuple)) or len(shapes) != len(TENSORS):
            raise Hint(f"for {given} expected a list of five shapes, but the answer is {str(shapes)[:80]}.")
        y_true = [(batch, height // s, width // s, 3, 5 + classes) for s in (32, 16, 8)]
        for name, shape, expected in zip(TENSORS, shapes, [(batch, height, width, 3), *y_true, (batch, 1)]):
            if not isinstance(shape, (list, tuple)) or tuple(shape) != expected:
                raise Hint(f"for {given} the shape of {name} is not {shape}{_about(shape, expected)}.")


def _about(shape, expected: tuple[int, ...]) -> str:
    """Say in a few words what is odd about a wrong shape."""
    if not isinstance(shape, (list, tuple)):
        return ": expected a tuple of whole numbers"
    if len(shape) != len(expected):
        return f": it needs {len(expected)} numbers"
    if any(isinstance(side, float) for side in shape):
        return ": sides are whole numbers; // divides without a fraction"
    if sorted(shape) == sorted(expected):
        return ": the numbers are right, their order is not"
    axis = next(axis for axis, (found, wanted) in enumerate(zip(shape, expected)) if found != wanted)
    return f": look at its number {axis + 1} of {len(expected)}"
