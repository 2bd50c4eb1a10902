"""Checks of the lessons on porting: an old generator for today's fit, and code in a file of a model."""

import copy
from collections.abc import Callable

import numpy as np

from yolo_helpers.checks.compare import expect_batches
from yolo_helpers.checks.verdict import Hint, call, task

# modern


@task
def check_modern(function: Callable) -> None:
    """Check `modern(generator)`: batches of keras-yolo3 become batches for today's training model.

    Args:
        function: the reader's generator function.
    """

    def old_batch(random, size):
        # Values a hair below a whole number, which a change of type alone would cut off.
        pixels = random.integers(1, 256, (size, 32, 32, 3))
        y_true = [random.random((size, *grid, 3, 6)).astype("float32") for grid in ((1, 1), (2, 2), (4, 4))]
        return ([(pixels - 1e-4) / 255, *y_true], np.zeros(size)), (pixels, y_true)

    for (pixels, y_true), batch, where in expect_batches(function, old_batch):
        _judge_batch(batch, pixels, y_true, where)


def _judge_batch(batch, pixels: np.ndarray, y_true: list[np.ndarray], where: str) -> None:
    """End the check with a hint when a batch is not the old one in the new form.

    Args:
        batch: what the reader's generator yielded.
        pixels: (B, h, w, 3) as the new batch must hold them.
        y_true: three arrays (B, h, w, 3, 5 + C), likewise.
        where: the batch in words.
    """
    if not isinstance(batch, tuple) or len(batch) != 2:
        raise Hint(f"{where} expected a tuple of two, inputs and target; yours is a {type(batch).__name__}.")
    inputs, target = batch
    if not isinstance(inputs, tuple) or len(inputs) != 4:
        raise Hint(f"{where} expected the inputs as a tuple of four arrays; yours are a {type(inputs).__name__}.")
    image = np.asarray(inputs[0])
    if image.dtype != np.uint8:
        raise Hint(f"{where} expected an image of type uint8; yours is {image.dtype}.")
    if image.shape != pixels.shape or not np.array_equal(image, pixels):
        cut_off = image.shape == pixels.shape and np.array_equal(image + 1, pixels)
        why = " They are one too small: round before you change the type." if cut_off else ""
        raise Hint(f"{where} the image has other values than expected.{why}")
    if not all(np.array_equal(ours, theirs) for ours, theirs in zip(inputs[1:], y_true)):
        raise Hint(f"{where} the labels are not those of the old batch, in the same order.")
    size = len(pixels)
    if np.shape(target) != (size, 1) or np.any(target):
        raise Hint(f"{where} expected a target of zeros of shape ({size}, 1); yours has shape {np.shape(target)}.")


# holds_code

CODE = {"class_name": "__lambda__", "config": {"code": "4wIA", "defaults": None, "closure": None}}
NAMED = {"class_name": "function", "config": "yolo_loss", "registered_name": "function"}


def _layer(kind: str, **config) -> dict:
    """Describe a layer as Keras 3 does."""
    return {"class_name": kind, "config": {"name": "yolo_loss", **config}}


def _old_lambda(**types) -> dict:
    """Describe a Lambda as Keras 2 does."""
    kinds = {"function_type": "function", "output_shape_type": "raw", **types}
    return _layer("Lambda", function=["4wIA", None, None], **kinds)


def _model(*layers, **more) -> dict:
    """Describe a model of an input and these layers."""
    config = {"name": "model", "layers": [_layer("InputLayer"), *layers]}
    return {"class_name": "Functional", "config": config, **more}


def _compiled(loss) -> dict:
    """Describe a model that was compiled with this loss."""
    return _model(_layer("Dense", units=1), compile_config={"optimizer": "adam", "loss": loss})


DESCRIPTIONS = [  # words, the description as Keras writes it, and whether it holds code
    ("a model of Keras' own layers", _model(_layer("Dense", units=1)), False),
    ("a Lambda of Keras 3 with a lambda", _model(_layer("Lambda", function=CODE)), True),
    ("a Lambda of Keras 3 with a named function", _model(_layer("Lambda", function=NAMED)), False),
    (
        "a Lambda of Keras 3 with code for its output_shape",
        _model(_layer("Lambda", function=NAMED, output_shape=CODE)),
        True,
    ),
    ("a lambda in a model inside the model", _model(_model(_layer("Lambda", function=CODE))), True),
    ("a lambda as loss in compile", _compiled({"yolo_loss": CODE}), True),
    ("a lambda in a list of losses", _compiled(["mse", CODE]), True),
    ("the name of a lambda as loss, without code", _compiled({"yolo_loss": "<lambda>"}), False),
    ("a Lambda of Keras 2 with code", _model(_old_lambda(function_type="lambda")), True),
    ("a Lambda of Keras 2 with a named function", _model(_old_lambda()), False),
    ("a Lambda of Keras 2 with code for its output_shape", _model(_old_lambda(output_shape_type="lambda")), True),
    (
        "a Dense layer that is named __lambda__",
        _model({"class_name": "Dense", "config": {"name": "__lambda__"}}),
        False,
    ),
    ("a Dense layer that is named lambda", _model({"class_name": "Dense", "config": {"name": "lambda"}}), False),
]


@task
def check_holds_code(function: Callable) -> None:
    """Check `holds_code(description)`.

    Args:
        function: the reader's answer; takes the description of a model, dicts and lists, returns True or False.
    """
    for words, description, expected in DESCRIPTIONS:
        found = call(function, copy.deepcopy(description), given=words)
        if not isinstance(found, bool | np.bool_):
            raise Hint(f"for {words} you return {found!r}; expected True or False.")
        if found != expected:
            why = "it holds code that would run" if expected else "nothing in it is code"
            raise Hint(f"for {words} you return {found}; expected {expected}: {why}.")
