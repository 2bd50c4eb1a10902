"""The exercises' checks: each prints "ok", "not done yet", or a hint that names the input that fails.

A check never shows the reader a traceback: an exception in the reader's own function becomes a hint with its class
and message. Every check is a function of the reader's answer, decorated with `_exercise`; inside, `_call` runs the
answer, and `_Hint` ends the check with a sentence for the reader.
"""

import functools
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import ops

from yolo_helpers.anchors import DATA, STRIDES, anchor_iou, default_anchor_mask, default_anchors
from yolo_helpers.annotations import Annotation
from yolo_helpers.detection import Detections
from yolo_helpers.evaluation import average_precision
from yolo_helpers.loss import identity_loss, yolo_loss, yolo_loss_terms
from yolo_helpers.targets import preprocess_true_boxes


class _NotDone(Exception):
    """The answer is still the stub."""


class _Hint(Exception):
    """The answer is wrong; the message says for which input, and how."""


def _exercise(check: Callable[..., None]) -> Callable[..., None]:
    """Turn a function that raises `_NotDone` or `_Hint` into one that prints the verdict."""

    @functools.wraps(check)
    def verdict(answer) -> None:
        try:
            if answer is None:
                raise _NotDone
            check(answer)
        except _NotDone as reason:
            print("not done yet", reason, sep=": " if str(reason) else "")
        except _Hint as hint:
            print(f"hint: {hint}")
        except Exception as error:
            print(f"hint: your answer could not be checked: {_words(error)}")
        else:
            print("ok")

    return verdict


def _words(error: Exception) -> str:
    """Write the class and the beginning of the message of an error on one line."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words if len(words) <= 200 else words[:200] + ' …'}"


def _call(function: Callable, *arguments, given: str):
    """Run the reader's function.

    Args:
        function: the reader's answer.
        arguments: what to call it with.
        given: the arguments in words, for the hint.

    Returns:
        What the function returned.

    Raises:
        _NotDone: it returned None.
        _Hint: it is not a function, or raised an exception.
    """
    if not callable(function):
        raise _Hint(f"expected a function, but the answer is of type {type(function).__name__}.")
    try:
        result = function(*arguments)
    except Exception as error:  # whatever the reader's code raises becomes a hint
        raise _Hint(f"for {given} your function raised {_words(error)}") from None
    if result is None:
        raise _NotDone("the function returns None")
    return result


def _show(values) -> str:
    """Write an array as a short list, such as [0.5, 2.0]."""
    return np.array2string(np.asarray(values), separator=", ", precision=4, suppress_small=True, threshold=20).replace(
        "\n", ""
    )


# Lesson 01: loss signatures


def _compare(result, expected: np.ndarray, given: str) -> None:
    """End the check with a hint when a loss returns another shape or other values than expected."""
    try:
        found = ops.convert_to_numpy(result)
    except Exception:
        found = np.array("not a tensor")
    if found.dtype.kind not in "fiu":
        raise _Hint(f"for {given} your function returned a {type(result).__name__}; expected a tensor of numbers.")
    if found.shape == () and expected.shape != ():
        raise _Hint(
            f"for {given} your function gave one number, {found:.4g}; expected one value per sample, "
            f"{_show(expected)}. Take the mean over the last axis only."
        )
    if found.shape != expected.shape:
        raise _Hint(f"for {given} your function gave the shape {found.shape}; expected {expected.shape}.")
    if not np.allclose(found, expected, rtol=1e-4, atol=1e-6):
        raise _Hint(f"for {given} your function gave {_show(found)}; expected {_show(expected)}.")


def _float32(*rows) -> list[np.ndarray]:
    """Turn lists into float32 arrays, the type in which Keras calls a loss."""
    return [np.array(row, dtype="float32") for row in rows]


def _in_training(loss: Callable, y_true: np.ndarray, y_pred: np.ndarray, given: str) -> None:
    """End the check with a hint when a loss fails inside `fit`, or gives a gradient that is not a number."""
    layer = keras.layers.Dense(y_pred.shape[-1], kernel_initializer="identity")
    model = keras.Sequential([keras.Input(y_pred.shape[1:]), layer])
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=loss)
    try:
        model.fit(y_pred, y_true, verbose=0)
    except Exception as error:
        raise _Hint(f"by hand it works, but in fit your function raised {_words(error)}") from None
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise _Hint(
            f"for {given} the values are right, but a training step makes the weights NaN: the gradient is NaN."
        )


@_exercise
def check_msle(function: Callable) -> None:
    """Check `mean_squared_logarithmic_error(y_true, y_pred)` of exercise 1.1 against `keras.losses`.

    Args:
        function: the reader's answer; takes arrays (B, …, D), returns (B, …).
    """
    cases = [
        ([[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]], [[0.0, 1.0, 1.0], [2.0, 0.0, 2.0]]),
        ([[0.0, 2.0]], [[-5.0, 2.0]]),
        ([[[1.0, 2.0], [3.0, 4.0]]], [[[1.0, 1.0], [0.0, 9.0]]]),
    ]
    for case in cases:
        y_true, y_pred = _float32(*case)
        given = f"y_true={_show(y_true)}, y_pred={_show(y_pred)}"
        expected = ops.convert_to_numpy(keras.losses.mean_squared_logarithmic_error(y_true, y_pred))
        _compare(_call(function, y_true, y_pred, given=given), expected, given)
        _in_training(function, y_true, y_pred, given)


@_exercise
def check_labelled_mae(function: Callable) -> None:
    """Check `labelled_mae(y_true, y_pred)` of exercise 1.2: entries with target -1 have no label and do not count.

    Args:
        function: the reader's answer; takes arrays (B, D), returns (B,).
    """
    cases = [
        ([[1.0, 2.0], [3.0, 4.0]], [[2.0, 2.0], [3.0, 1.0]]),
        ([[1.0, -1.0, 3.0], [0.0, -1.0, -1.0]], [[2.0, 9.0, 3.0], [4.0, 9.0, 9.0]]),
        ([[-1.0, -1.0], [5.0, -1.0]], [[7.0, 7.0], [6.0, 7.0]]),
        ([[1.0, -1.0]], [[-1.0, 5.0]]),
    ]
    for case in cases:
        y_true, y_pred = _float32(*case)
        given = f"y_true={_show(y_true)}, y_pred={_show(y_pred)}"
        labelled = y_true != -1
        errors = np.abs(y_pred - y_true) * labelled
        expected = errors.sum(axis=-1) / np.maximum(labelled.sum(axis=-1), 1)
        _compare(_call(function, y_true, y_pred, given=given), expected, given)
        _in_training(function, y_true, y_pred, given)


def _lopsided(y_true, y_pred):
    """A loss in which the order of the arguments matters: an error above the target costs double."""
    error = y_pred - y_true
    return ops.mean(ops.where(error > 0, 2.0, 1.0) * ops.square(error), axis=-1)


def _small_body() -> keras.Model:
    """A network with two outputs, always with the same start weights."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation="tanh")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(hidden))


@_exercise
def check_loss_inside(function: Callable) -> None:
    """Check `loss_inside(body, loss)` of exercise 1.3 by training both ways.

    Args:
        function: the reader's answer; takes a model and a loss, returns a model with inputs [x, y] and output (B, 1).
    """
    random = np.random.default_rng(3)
    x, y = _float32(random.normal(size=(12, 3)), random.normal(size=(12, 2)))
    body, given = _small_body(), "a body with 3 inputs and 2 outputs"
    model = _call(function, body, _lopsided, given=given)
    if not isinstance(model, keras.Model):
        raise _Hint(f"expected a keras.Model, but your function returned a {type(model).__name__}.")
    if len(model.inputs) != 2:
        raise _Hint(f"expected a model with two inputs, x and y; yours has {len(model.inputs)}.")
    given = "x of shape (12, 3) and y of shape (12, 2)"
    found = _call(lambda: model.predict([x, y], batch_size=12, verbose=0), given=given)
    expected = ops.convert_to_numpy(_lopsided(y, body.predict(x, verbose=0)))
    if np.shape(found) != (12, 1):
        raise _Hint(f"for {given} the output of your model has the shape {np.shape(found)}; expected (12, 1).")
    if not np.allclose(found[:, 0], expected, rtol=1e-4, atol=1e-6):
        swapped = ops.convert_to_numpy(_lopsided(body.predict(x, verbose=0), y))
        why = " Are target and prediction swapped?" if np.allclose(found[:, 0], swapped, rtol=1e-4) else ""
        raise _Hint(f"the loss of the first sample is {expected[0]:.4f}, your model gives {found[0, 0]:.4f}.{why}")

    plain = _small_body()
    weights = random.uniform(size=12)
    plain.compile(optimizer=keras.optimizers.SGD(0.1), loss=_lopsided, run_eagerly=True)
    plain.fit(x, y, sample_weight=weights, batch_size=4, epochs=3, shuffle=False, verbose=0)
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=lambda y_true, y_pred: y_pred, run_eagerly=True)
    model.fit([x, y], np.zeros(12), sample_weight=weights, batch_size=4, epochs=3, shuffle=False, verbose=0)
    for ours, theirs in zip(body.get_weights(), plain.get_weights(), strict=True):
        if not np.allclose(ours, theirs, atol=1e-5):
            raise _Hint(
                "the losses are right, but after training your model the body's weights are not those of a body "
                "trained with compile(loss=…). Does your model use the layers of the body that it was given?"
            )


def _noisy_body() -> keras.Model:
    """A network with a penalty and BatchNormalization, always with the same start weights."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.1))(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.BatchNormalization()(hidden)))


@_exercise
def check_fit_by_hand(function: Callable) -> None:
    """Check `fit_by_hand(model, x, y, loss, learning_rate, batch_size, epochs)` of exercise 1.4 against `fit`.

    Args:
        function: the reader's answer; trains the model and returns the loss of each epoch as `fit` reports it.
    """
    random = np.random.default_rng(4)
    for body, size, name in [
        (_small_body, 8, "8 samples"),
        (_small_body, 10, "10 samples, so that the last batch is short"),
        (_noisy_body, 10, "10 samples and a model with a penalty and BatchNormalization"),
    ]:
        x, y = _float32(random.normal(size=(size, 3)), random.normal(size=(size, 2)) * 3)
        given = f"{name}, batch_size=4, epochs=3"
        plain, model = body(), body()
        plain.compile(optimizer=keras.optimizers.SGD(0.1), loss=_lopsided, run_eagerly=True)
        expected = plain.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0).history["loss"]
        losses = _call(function, model, x, y, _lopsided, 0.1, 4, 3, given=given)
        losses = np.asarray(losses)
        if losses.shape != (3,) or losses.dtype.kind not in "fiu":
            raise _Hint(
                f"for {given} expected a list of 3 losses; you return the shape {losses.shape}, {losses.dtype}."
            )
        names = [weight.path for weight in plain.weights]
        for path, ours, theirs in zip(names, model.get_weights(), plain.get_weights(), strict=True):
            if not np.allclose(ours, theirs, atol=1e-4):
                raise _Hint(
                    f"for {given} the weight {path.split('/', 1)[-1]} ends elsewhere than with fit: "
                    f"{_show(ours.ravel()[:3])} against {_show(theirs.ravel()[:3])}."
                )
        if not np.allclose(losses, expected, atol=1e-4):
            raise _Hint(f"for {given} the weights are right, but you report {_show(losses)} and fit {_show(expected)}.")


# Lesson 02: named outputs


def _named_models() -> dict[str, tuple[keras.Model, set[str]]]:
    """Build models with the keys that each one wants; the names of the layers differ from the keys on purpose."""
    numbers = keras.Input((3,))

    def dense(name):
        return keras.layers.Dense(1, name=name)(numbers)

    inner = keras.Model(numbers, dense("head"), name="inner")
    total = ops.sum(dense("parts"), axis=-1, keepdims=True)
    identity = keras.layers.Identity(name="total")(total)
    return {
        "a model with one output, made by the layer yolo_loss": (
            keras.Model(numbers, dense("yolo_loss")),
            {"yolo_loss"},
        ),
        "a model with a list of two outputs": (keras.Model(numbers, [dense("size"), dense("kind")]), {"size", "kind"}),
        "a model that ends in Identity(name='total')": (keras.Model(numbers, identity), {"total"}),
        "a model that calls the model inner": (keras.Model(numbers, inner(numbers)), {"inner"}),
        "a model that returns a dictionary": (
            keras.Model(numbers, {"size": dense("layer_b"), "kind": dense("layer_a")}),
            {"size", "kind"},
        ),
    }


@_exercise
def check_output_keys(answer) -> None:
    """Check `output_keys(model)`: the keys that a loss dictionary for this model must have."""
    for given, (model, expected) in _named_models().items():
        keys = _call(answer, model, given=given)
        if isinstance(keys, str) or not isinstance(keys, (list, tuple, set)):
            raise _Hint(f"for {given} expected a list of names, but the answer is of type {type(keys).__name__}.")
        strangers = [key for key in keys if not isinstance(key, str)]
        if strangers:
            raise _Hint(f"for {given} expected names, but the list holds a {type(strangers[0]).__name__}.")
        if set(keys) != expected or len(keys) != len(expected):
            raise _Hint(f"for {given} expected {sorted(expected)}, but the answer is {sorted(keys)}.")


@_exercise
def check_add_up(answer) -> None:
    """Check `add_up(log, weights, penalties)`: the total loss from its parts."""
    parts = {"main_output_loss": 0.5, "aux_output_loss": 2.0}
    weights = {"main_output": 1.0, "aux_output": 0.25}
    cases = {
        "two parts with the weights 1 and 0.25": (parts, weights, [], 1.0),
        "the same parts with the penalties 0.1 and 0.2": (parts, weights, [0.1, 0.2], 1.3),
        "a weight of 0": (parts, {"main_output": 1.0, "aux_output": 0.0}, [], 0.5),
        "a log that also holds the metric main_output_mae": ({**parts, "main_output_mae": 7.0}, weights, [], 1.0),
        "outputs called xy_loss and wh_loss": (
            {"xy_loss_loss": 3.0, "wh_loss_loss": 4.0},
            {"xy_loss": 2.0, "wh_loss": 0.5},
            [],
            8.0,
        ),
    }
    for given, (log, of_output, penalties, expected) in cases.items():
        total = _call(answer, dict(log), dict(of_output), list(penalties), given=given)
        if np.shape(total) != ():
            raise _Hint(f"for {given} expected one number, but the answer has shape {np.shape(total)}.")
        if not np.isclose(float(total), expected, atol=1e-6):
            raise _Hint(f"for {given} expected {expected:.4f}, but the answer is {float(total):.4f}.")


@_exercise
def check_key_problems(answer) -> None:
    """Check `key_problems(names, loss, loss_weights)`: what `compile` should have complained about."""
    names = ["main_output", "aux_output"]
    both = {"main_output": "mse", "aux_output": "mae"}
    cases = {
        "right keys everywhere": (both, {"main_output": 1.0, "aux_output": 0.2}, set()),
        "no loss_weights (None)": (both, None, set()),
        "the key mian_output in loss": (
            {"mian_output": "mse", "aux_output": "mae"},
            None,
            {"mian_output", "main_output"},
        ),
        "a key missing in loss": ({"main_output": "mse"}, None, {"aux_output"}),
        "None as the loss of an output": ({"main_output": "mse", "aux_output": None}, None, set()),
        "the key aux_ouput in loss_weights": (
            both,
            {"main_output": 1.0, "aux_ouput": 0.2},
            {"aux_ouput", "aux_output"},
        ),
        "one key too many in loss_weights": (both, {"main_output": 1.0, "aux_output": 0.2, "third": 1.0}, {"third"}),
        "two lists": (["mse", "mae"], [1.0, 0.2], set()),
        "a list of losses and a dictionary of weights": (
            ["mse", "mae"],
            {"main_output": 1.0, "aux_output": 0.2},
            {"form"},
        ),
        "a dictionary of losses and a list of weights": (both, [1.0, 0.2], {"form"}),
    }
    for given, (loss, weights, expected) in cases.items():
        problems = _call(answer, list(names), loss, weights, given=given)
        if isinstance(problems, str) or not isinstance(problems, (list, tuple, set)):
            raise _Hint(f"for {given} expected a list, but the answer is of type {type(problems).__name__}.")
        if set(problems) != expected:
            raise _Hint(f"for {given} expected {sorted(expected)}, but the answer is {sorted(problems, key=str)}.")


def _names_of(model: keras.Model) -> list[str]:
    """Return the names under which a model's outputs are known: its dictionary's keys, or its output names."""
    return sorted(model.output) if isinstance(model.output, dict) else list(model.output_names)


@_exercise
def check_training_model(answer) -> None:
    """Check `training_model(body)`: two named loss outputs, one number per image each."""
    image = keras.Input((8, 8, 3), name="image")
    features = keras.layers.Conv2D(4, 3, strides=2, padding="same")(image)
    heads = [keras.layers.Conv2D(2, 1, strides=2)(features), keras.layers.Conv2D(2, 1)(features)]
    body = keras.Model(image, heads, name="body")
    given = "a body with the heads 2x2x2 and 4x4x2"
    model = _call(answer, body, given=given)
    if not isinstance(model, keras.Model):
        raise _Hint(f"for {given} expected a model, but the answer is of type {type(model).__name__}.")
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if shapes != [(8, 8, 3), (2, 2, 2), (4, 4, 2)]:
        raise _Hint(f"for {given} expected the inputs image, coarse label, fine label; their shapes are {shapes}.")
    if sorted(_names_of(model)) != ["coarse", "fine"]:
        raise _Hint(f"for {given} expected outputs called coarse and fine, but they are {_names_of(model)}.")

    rng = np.random.default_rng(0)
    data = [rng.normal(size=(5, *shape)).astype("float32") for shape in shapes]
    raw = body.predict(data[0], verbose=0)
    expected = {
        name: np.sum((head - label) ** 2, axis=(1, 2, 3))
        for name, head, label in zip(("coarse", "fine"), raw, data[1:])
    }
    result = model(data)
    result = result if isinstance(result, dict) else dict(zip(model.output_names, result))
    for name, values in expected.items():
        found = ops.convert_to_numpy(result[name])
        if found.shape != (5, 1):
            raise _Hint(f"for 5 images the output {name} has shape {found.shape}; expected (5, 1), a number per image.")
        if not np.allclose(found[:, 0], values, rtol=1e-4):
            raise _Hint(f"for 5 images the output {name} is {_show(found[:, 0])}; expected {_show(values)}.")

    def identity(y_true, y_pred):
        return y_pred

    before = [ops.convert_to_numpy(weight) for weight in body.weights]
    model.compile(optimizer="sgd", loss={"coarse": identity, "fine": identity})
    zeros = np.zeros((5, 1), "float32")
    model.fit(data, {"coarse": zeros, "fine": zeros}, verbose=0)
    if all(np.array_equal(old, ops.convert_to_numpy(new)) for old, new in zip(before, body.weights)):
        raise _Hint("after one training step the weights of the body are unchanged; build on the body that was given.")


# Lesson 00: start here


@_exercise
def check_training_shapes(answer) -> None:
    """Check `training_shapes(batch, height, width, num_classes)` of exercise 0.1.

    Args:
        answer: the reader's function; returns the shapes of image, y_true_0, y_true_1, y_true_2 and output.
    """
    names = ["image", "y_true_0", "y_true_1", "y_true_2", "output"]
    for batch, height, width, classes in [(8, 96, 128, 3), (1, 416, 416, 80), (32, 320, 608, 20)]:
        given = f"batch={batch}, height={height}, width={width}, num_classes={classes}"
        shapes = _call(answer, batch, height, width, classes, given=given)
        if not isinstance(shapes, (list, tuple)) or len(shapes) != len(names):
            raise _Hint(f"for {given} expected a list of five shapes, but the answer is {str(shapes)[:80]}.")
        y_true = [(batch, height // s, width // s, 3, 5 + classes) for s in (32, 16, 8)]
        for name, shape, expected in zip(names, shapes, [(batch, height, width, 3), *y_true, (batch, 1)]):
            if not isinstance(shape, (list, tuple)) or tuple(shape) != expected:
                raise _Hint(f"for {given} the shape of {name} is not {shape}{_about(shape, expected)}.")


def _about(shape, expected) -> str:
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


@_exercise
def check_modern(answer) -> None:
    """Check `modern(generator)` of exercise 0.2: batches of keras-yolo3 become batches for today's training model.

    Args:
        answer: the reader's generator function.
    """
    taken = []

    def old_batches():
        random = np.random.default_rng(5)
        for size in (4, 1, 3, 4, 4, 4):
            # Values a hair below a whole number, which a change of type alone would cut off.
            pixels = random.integers(1, 256, (size, 32, 32, 3))
            y_true = [random.random((size, *grid, 3, 6)).astype("float32") for grid in ((1, 1), (2, 2), (4, 4))]
            taken.append((pixels, y_true))
            yield [(pixels - 1e-4) / 255, *y_true], np.zeros(size)

    given = "batches of 4, 1, 3 and more pictures"
    batches = _call(answer, old_batches(), given=given)
    if not hasattr(batches, "__next__"):
        raise _Hint(f"for {given} expected a generator: use yield. Yours returned a {type(batches).__name__}.")
    for number, size in enumerate((4, 1, 3)):
        batch = _call(lambda: next(batches, "the end"), given=given)
        where = f"for a batch of {size}"
        if isinstance(batch, str):
            if not taken:
                raise _NotDone("the generator yields nothing")
            raise _Hint(f"{where} your generator had ended; it should go on as long as the old one.")
        if len(taken) > number + 2:
            raise _Hint("your function collects batches before it yields the first. The old generator never ends.")
        if not isinstance(batch, tuple) or len(batch) != 2:
            raise _Hint(f"{where} expected a tuple of two, inputs and target; yours is a {type(batch).__name__}.")
        inputs, target = batch
        if not isinstance(inputs, tuple) or len(inputs) != 4:
            raise _Hint(f"{where} expected the inputs as a tuple of four arrays; yours are a {type(inputs).__name__}.")
        pixels, y_true = taken[number]
        image = np.asarray(inputs[0])
        if image.dtype != np.uint8:
            raise _Hint(f"{where} expected an image of type uint8; yours is {image.dtype}.")
        if image.shape != pixels.shape or not np.array_equal(image, pixels):
            cut_off = image.shape == pixels.shape and np.array_equal(image + 1, pixels)
            why = " They are one too small: round before you change the type." if cut_off else ""
            raise _Hint(f"{where} the image has other values than expected.{why}")
        if not all(np.array_equal(ours, theirs) for ours, theirs in zip(inputs[1:], y_true)):
            raise _Hint(f"{where} the labels are not those of the old batch, in the same order.")
        if np.shape(target) != (size, 1) or np.any(target):
            raise _Hint(f"{where} expected a target of zeros of shape ({size}, 1); yours has shape {np.shape(target)}.")


# Lesson 03: the yolo_loss layer


def _one_number_a_picture(result, batch: int, given: str, column: bool, why_nan: str = "") -> np.ndarray:
    """Return a result as an array (B,), or end the check with a hint when it has another shape or is not finite.

    Args:
        result: what the reader's function returned.
        batch: B.
        given: the input in words.
        column: whether the shape is to be (B, 1) instead of (B,).
        why_nan: the likely cause, in a sentence, where a value is not finite.
    """
    try:
        found = ops.convert_to_numpy(result)
    except Exception:
        found = np.array("not a tensor")
    expected = (batch, 1) if column else (batch,)
    if found.dtype.kind not in "fiu":
        raise _Hint(f"for {given} you return a {type(result).__name__}; expected a tensor of numbers.")
    if found.shape == ():
        raise _Hint(
            f"for {given} you return one number for the whole batch; expected one for each picture, shape {expected}: "
            "sum over all axes but the first."
        )
    if found.shape != expected:
        raise _Hint(f"for {given} you return the shape {found.shape}; expected {expected}.")
    if not np.isfinite(found).all():
        raise _Hint(f"for {given} you return {_show(found.ravel())}. {why_nan}".strip())
    return found.reshape(batch)


class _RawHeads(keras.layers.Layer):
    """Raw outputs that are the weights of a layer, so that one training step shows a loss's gradient for them."""

    def __init__(self, raw, function):
        super().__init__()
        self.function = function
        self.raw = [self.add_weight(shape=x.shape, initializer="zeros") for x in raw]
        self.set_weights(raw)

    def call(self, y_true):
        return ops.reshape(self.function(list(self.raw), list(y_true)), (-1, 1))


def _gradients(function: Callable, raw: list[np.ndarray], y_true: list[np.ndarray], given: str) -> list[np.ndarray]:
    """Return the gradient of each picture's loss for its raw outputs, as one step of `fit` with a rate of 1 shows it.

    Args:
        function: takes lists of raw outputs and targets, returns (B,) or (B, 1).
        raw: arrays (B, …).
        y_true: arrays (B, …).
        given: the input in words.
    """
    batch = len(raw[0])
    try:
        layer = _RawHeads(raw, function)
        inputs = [keras.Input(batch_shape=x.shape) for x in y_true]
        model = keras.Model(inputs, layer(inputs))
        model.compile(optimizer=keras.optimizers.SGD(1.0), loss=identity_loss)
        model.fit(y_true, np.zeros((batch, 1)), batch_size=batch, verbose=0)
    except Exception as error:
        raise _Hint(
            f"by hand it works, but inside a model, for {given}, your function raised {_words(error)}"
        ) from None
    return [batch * (before - ops.convert_to_numpy(after)) for before, after in zip(raw, layer.raw)]


def _wh_by_hand(raw, y_true, anchors, input_shape, scaled=True, pixels=True, logarithm=True) -> np.ndarray:
    """The wh term of exercise 3.1, (B,); what a common mistake gives instead when an argument is changed."""
    has_object = y_true[..., 4] == 1
    size = np.where(has_object[..., None], y_true[..., 2:4], 1.0)
    ratio = size * (input_shape[::-1] if pixels else 1) / anchors
    scale = 2 - size.prod(-1) if scaled else 1
    squares = np.square((np.log(ratio) if logarithm else ratio) - raw[..., 2:4]).sum(-1)
    return np.sum(has_object * scale * 0.5 * squares, axis=(1, 2, 3))


@_exercise
def check_wh_term(function: Callable) -> None:
    """Check `wh_term(raw, y_true, anchors, input_shape)` of exercise 3.1: value, shape and gradient.

    Args:
        function: the reader's answer; takes (B, h, w, 3, 5 + C) twice, (3, 2) and (height, width), returns (B,).
    """
    anchors = default_anchors(3)
    large, small, flat = [10, 8, 60, 58, 1], [30, 20, 58, 80, 0], [4, 30, 61, 62, 1]
    cases = [
        ("one picture with one box, input_shape=(64, 64)", [[large[:3] + [60, 1]]], (64, 64)),
        ("one picture with one box, input_shape=(64, 96)", [[large]], (64, 96)),
        ("one picture with two boxes, input_shape=(96, 64)", [[small, flat]], (96, 64)),
        ("two pictures, with one box and with two", [[large, [0] * 5], [small, flat]], (96, 64)),
        ("two pictures, one of them without any box", [[small], [[0] * 5]], (96, 64)),
    ]
    random = np.random.default_rng(6)
    why_nan = (
        "A slot without an object has the size 0, its logarithm is minus infinity, and 0 times that is not 0 but NaN: "
        "replace the size before you take the logarithm."
    )
    for given, boxes, input_shape in cases:
        y_true = preprocess_true_boxes(np.array(boxes), input_shape, anchors, 2)[1]
        raw = random.normal(size=y_true.shape).astype("float32")
        arguments = (anchors[3:6], input_shape)
        result = _call(function, ops.convert_to_tensor(raw), ops.convert_to_tensor(y_true), *arguments, given=given)
        found = _one_number_a_picture(result, len(boxes), given, column=False, why_nan=why_nan)
        expected = _wh_by_hand(raw, y_true, *arguments)
        if not np.allclose(found, expected, rtol=1e-4, atol=1e-5):
            like = {
                "Is the factor 0.5 there?": 2 * expected,
                "Is the scale 2 - w h there?": _wh_by_hand(raw, y_true, *arguments, scaled=False),
                "input_shape is (height, width); sizes and anchors are (width, height).": _wh_by_hand(
                    raw, y_true, anchors[3:6], input_shape[::-1]
                ),
                "Sizes in y_true are fractions of the input, anchors are in pixels.": _wh_by_hand(
                    raw, y_true, *arguments, pixels=False
                ),
                "The target is a logarithm.": _wh_by_hand(raw, y_true, *arguments, logarithm=False),
                "Add up over the slots and over w and h, without a mean.": expected / y_true[0, ..., :2].size,
                "Add up over w and h, without a mean.": expected / 2,
                "One number is repeated for all pictures.": np.full(len(boxes), found[0]),
            }
            why = [words for words, values in like.items() if np.allclose(found, values, rtol=1e-4, atol=1e-5)]
            raise _Hint(
                f"for {given} you return {_show(found)}; expected {_show(expected)}. {' '.join(why[:1])}".strip()
            )

        def of_lists(raw, y_true, arguments=arguments):
            return function(raw[0], y_true[0], *arguments)

        gradient = _gradients(of_lists, [raw], [y_true], given)[0]
        if not np.isfinite(gradient).all():
            raise _Hint(
                f"for {given} the values are right, but a training step makes the weights NaN: the gradient runs "
                "through both sides of ops.where. Replace the size before you take the logarithm, not after."
            )


def _differing_slot(found: np.ndarray, expected: np.ndarray) -> str:
    """Name the first slot, (row, column, anchor), in which two grids of one head differ, and say how."""
    place = tuple(int(i) for i in np.argwhere(~np.isclose(found, expected, atol=1e-5).all(-1))[0])
    row, column, anchor = place
    ours, theirs = found[place], expected[place]
    where = f"row {row}, column {column}, anchor {anchor} of its head"
    if ours[4] != theirs[4]:
        return f"{where} should hold {'an object' if theirs[4] else 'no object'}; yours is {_show(ours)}"
    parts = {"centre": slice(0, 2), "size": slice(2, 4), "class": slice(5, None)}
    part = next(
        (name for name, axes in parts.items() if not np.allclose(ours[axes], theirs[axes], atol=1e-5)), "object"
    )
    if part == "object":
        return f"{where} holds {ours[4]:g} in the place of the object's 1"
    return f"{where} holds the {part} {_show(ours[parts[part]])}; expected {_show(theirs[parts[part]])}"


@_exercise
def check_targets(function: Callable) -> None:
    """Check the repaired `targets_for(boxes, input_shape, anchors, num_classes)` of exercise 3.2.

    Args:
        function: the reader's answer; returns a list of three arrays (h, w, 3, 5 + C) for one picture.
    """
    anchors, padding = default_anchors(3), [0.0] * 5
    red, platelet, white = [10, 12, 50, 42, 1], [68, 20, 78, 32, 0], [20, 5, 90, 91, 2]
    cases = [
        ("one box with its centre on a whole pixel", [red], (96, 128)),
        ("one box with its centre on half a pixel", [[10, 12, 51, 41, 1]], (96, 128)),
        ("two boxes and padding after them", [red, platelet, padding], (96, 128)),
        ("a padding row between two boxes", [red, padding, platelet], (96, 128)),
        ("a padding row before three boxes", [padding, white, red, platelet], (128, 96)),
        ("two boxes of two classes that want the same slot", [platelet, [69, 20, 79, 32, 2]], (96, 128)),
        (
            "padding between two boxes of two classes that want the same slot",
            [platelet, padding, platelet[:4] + [2]],
            (96, 128),
        ),
        ("a centre on the right border", [[118, 10, 138, 26, 1]], (96, 128)),
        ("a centre in the lower right corner", [[110, 80, 146, 112, 1]], (96, 128)),
        ("a picture with padding only", [padding, padding], (96, 128)),
        ("a picture without any row", np.zeros((0, 5)), (96, 128)),
    ]
    for given, boxes, input_shape in cases:
        boxes = np.array(boxes, "float32")
        result = _call(function, boxes.copy(), input_shape, anchors.copy(), 3, given=given)
        expected = [grid[0] for grid in preprocess_true_boxes(boxes[None], input_shape, anchors, 3)]
        shapes = [np.shape(grid) for grid in result] if isinstance(result, (list, tuple)) else np.shape(result)
        if shapes != [grid.shape for grid in expected]:
            raise _Hint(f"for {given} expected arrays of {[grid.shape for grid in expected]}; yours are {shapes}.")
        for head, (found, grid) in enumerate(zip(result, expected)):
            if not np.allclose(found, grid, atol=1e-5):
                raise _Hint(f"for {given}, in head {head}: {_differing_slot(np.asarray(found), grid)}.")


def _two_convolutions(input_shape: tuple[int, int], num_classes: int) -> keras.Model:
    """Build the smallest network with two heads, always with the same start weights."""
    keras.utils.set_random_seed(3)
    image = keras.Input((*input_shape, 3))
    return keras.Model(image, [keras.layers.Conv2D(3 * (5 + num_classes), 1, strides=s)(image) for s in STRIDES[:2]])


def _training_model(body: keras.Model, layer: Callable, y_true: list[np.ndarray]) -> keras.Model:
    """Put a loss layer of the reader's behind a network, as the lesson does."""
    labels = [keras.Input(grid.shape[1:]) for grid in y_true]
    return keras.Model([body.input, *labels], layer([*body.outputs, *labels]))


@_exercise
def check_logged_confidence(answer: Callable) -> None:
    """Check the layer of exercise 3.3: it returns `yolo_loss` and logs the confidence term, and nothing else.

    Args:
        answer: the reader's class; made as `answer(anchors, num_classes)`, its layer takes [*outputs, *y_true].
    """
    anchors, size = default_anchors(2), (32, 64)
    random = np.random.default_rng(7)
    images = random.normal(size=(20, *size, 3)).astype("float32")
    images[8:10] *= 4  # the short last batch of the first epoch counts in a mean over batches as much as a full one
    boxes = np.array([[[4, 5, 30, 28, 0], [40, 6, 52, 20, 1]]] * 20, "float32")
    boxes[::3, 1] = 0
    y_true = preprocess_true_boxes(boxes, size, anchors, 2)

    given = "anchors and num_classes=2"
    layer = _call(answer, anchors, 2, given=given)
    if not isinstance(layer, keras.layers.Layer):
        raise _Hint(f"for {given} expected a keras layer; your answer makes a {type(layer).__name__}.")
    body = _two_convolutions(size, 2)
    args = [*(ops.convert_to_tensor(x) for x in body.predict(images, verbose=0)), *map(ops.convert_to_tensor, y_true)]
    confidence = ops.convert_to_numpy(yolo_loss_terms(args, anchors, 2)["confidence"])
    loss = ops.convert_to_numpy(yolo_loss(args, anchors, 2))[:, 0]
    given = "20 pictures, some with one box and some with two"
    found = _one_number_a_picture(_call(layer, args, given=given), 20, given, column=True)
    if not np.allclose(found, loss, rtol=1e-4):
        raise _Hint(f"for {given} the first loss is {found[0]:.4g}; expected {loss[0]:.4g}, the value of yolo_loss.")

    layer = answer(anchors, 2)
    if layer.weights:
        raise _Hint(
            f"your layer owns {len(layer.weights)} weight(s); expected none: they would be saved with the network. A "
            "keras.metrics.Mean keeps its own sums, which are not weights of the layer."
        )
    logs = []
    try:
        model = _training_model(body, layer, y_true)
        model.compile(optimizer=keras.optimizers.SGD(0.0), loss=identity_loss)
        for epoch in (slice(0, 10), slice(10, 20)):
            data = [images[epoch], *(grid[epoch] for grid in y_true)]
            history = model.fit(data, np.zeros((10, 1)), batch_size=4, shuffle=False, verbose=0).history
            logs.append({name: values[0] for name, values in history.items()})
    except Exception as error:
        why = " A metric must be made in __init__, not in call." if "variable" in str(error).lower() else ""
        raise _Hint(f"by hand it works, but in fit your layer raised {_words(error)}{why}") from None
    _judge_logs(logs, confidence.reshape(2, 10), loss.reshape(2, 10))


def _judge_logs(logs: list[dict[str, float]], confidence: np.ndarray, loss: np.ndarray) -> None:
    """End the check with a hint when two epochs' logs are not what exercise 3.3 asks for.

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
        raise _Hint(f"the history holds {names}; expected confidence beside loss.{why}")
    if len(names) > 2:
        raise _Hint(f"the history holds {names}; expected the loss and the confidence term alone.")
    batches = [confidence[:, :4], confidence[:, 4:8], confidence[:, 8:]]
    of_batches = np.stack([batch.mean(1) for batch in batches], 1)
    like = {
        "That is the mean of the batches' means; the last batch is short, so its pictures count too much. Give the "
        "metric one number a picture.": of_batches.mean(1),
        "That is the last batch alone.": of_batches[:, -1],
        "That is a sum; expected a mean.": confidence.sum(1),
        "That is the mean of the batches' sums. Give the metric one number a picture.": confidence.sum(1) / 3,
        "That is the mean of the whole loss.": loss.mean(1),
        "That is the mean since the start; it must begin afresh in every epoch.": confidence.cumsum(1)[:, -1].cumsum()
        / [10, 20],
    }
    for epoch, log in enumerate(logs):
        expected = confidence[epoch].mean()
        given = f"in epoch {epoch + 1}, with batches of 4, 4 and 2 pictures,"
        if not np.isclose(log["loss"], loss[epoch].mean(), rtol=1e-4):
            raise _Hint(f"{given} the loss is {log['loss']:.4g}; expected {loss[epoch].mean():.4g}.")
        if not np.isclose(log["confidence"], expected, rtol=1e-4):
            why = [words for words, values in like.items() if np.isclose(log["confidence"], values[epoch], rtol=1e-4)]
            raise _Hint(
                f"{given} you log {log['confidence']:.4g}; expected {expected:.4g}. {' '.join(why[:1])}".strip()
            )


def _planted_heads(y_true, anchors, inside, stretch) -> list[np.ndarray]:
    """Make raw heads that predict the object of each picture a little wrong.

    Args:
        y_true: three arrays (B, h, w, 3, 5 + C).
        anchors: (9, 2), width and height in pixels.
        inside: (B, 2), x and y of the predicted centre within its cell, 0 to 1.
        stretch: (B,), how many times too wide and too high the predicted box is.

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
            raw[b, row, column, k, 0:2] = np.log(inside[b]) - np.log1p(-np.array(inside[b]))
            raw[b, row, column, k, 2:4] = np.log(stretch[b] * pixels / anchors[mask[k]])
        heads.append(raw.reshape(*target.shape[:3], -1).astype("float32"))
    return heads


@_exercise
def check_box_loss(function: Callable) -> None:
    """Check what must hold for `ciou_loss(args, anchors, num_classes)` of exercise 3.4, whatever its exact formula.

    Args:
        function: the reader's answer; takes [*outputs, *y_true] as `yolo_loss` does, returns (B, 1).
    """
    # Each picture has one box, smaller than its cell of 8 pixels; the last has none. The first five predictions come
    # nearer until they match, the next four shrink until they match, two lie too far to the left and to the right.
    anchors, steps, sizes = default_anchors(3), [0.9, 0.75, 0.3, 0.15, 0.1], [3, 1.5, 1.2, 1]
    true = 8 * (np.array([5, 4]) + ([(0.1, 0.1)] * 9 + [(0.5, 0.5)] * 3))
    predicted = [(step, step) for step in steps] + [(0.1, 0.1)] * 4 + [(0.3, 0.5), (0.7, 0.5), (0.5, 0.5)]
    stretch = [1] * 5 + sizes + [2, 2, 1]
    boxes = np.array([[[x - 2, y - 2.5, x + 2, y + 2.5, 1]] for x, y in true])
    boxes[-1] = 0
    y_true = preprocess_true_boxes(boxes, (96, 128), anchors, 2)
    raw = _planted_heads(y_true, anchors, predicted, stretch)

    args, given = [ops.convert_to_tensor(x) for x in [*raw, *y_true]], "12 pictures"
    why_nan = (
        "A slot without an object holds a true box of size 0, and 0 divided by 0 is NaN, also times 0: replace the box "
        "before you compute with it."
    )
    result = _call(function, args, anchors, 2, given=given)
    total = _one_number_a_picture(result, 12, given, column=True, why_nan=why_nan)
    terms = {name: ops.convert_to_numpy(term) for name, term in yolo_loss_terms(args, anchors, 2).items()}
    losses = total - terms["confidence"] - terms["class"]
    nearer, smaller, (left, right, empty) = losses[:5], losses[5:9], losses[9:]
    if abs(empty) > 0.01:
        kept = "the terms confidence and class stay as they were"
        why = "slots without an object must not count in the box loss" if empty > 0 else kept
        raise _Hint(
            f"for a picture without boxes you return {total[-1]:.4f}; expected its confidence term, "
            f"{terms['confidence'][-1]:.4f}: {why}."
        )
    if abs(nearer[-1]) > 0.01:
        like = {
            "The terms confidence and class stay as they were.": -terms["class"][4],
            "The old term xy is still in it.": terms["xy"][4],
        }
        why = [words for words, value in like.items() if np.isclose(nearer[-1], value, rtol=0.01)]
        why = why or ["It is 1 - CIoU, and both boxes must be in the format that you name."]
        raise _Hint(f"for a prediction that matches its box the box loss is {nearer[-1]:.4f}; expected 0. {why[0]}")
    for step, next_step, before, after in zip(steps, steps[1:], nearer, nearer[1:]):
        if not after < before - 1e-4:
            flat = abs(after - before) < 1e-4 and step == steps[0]
            why = " Boxes apart have the IoU 0, however far: the distance of the centres must count." if flat else ""
            raise _Hint(
                "for a box of 4 x 5 pixels with its centre at 0.1 of a cell's width and height, and predictions at "
                f"{step} and {next_step}, the box loss is {before:.4f} and {after:.4f}; it should fall.{why}"
            )
    if not (np.diff(smaller) < -1e-4).all():
        raise _Hint(f"for a box predicted {sizes} times too large the box loss is {_show(smaller)}; it should fall.")
    if not np.isclose(left, right, rtol=0.01):
        raise _Hint(
            f"for a box twice too large, too far to the left, the box loss is {left:.4f}; as far to the right it is "
            f"{right:.4f}; expected the same. Boxes from yolo_head and in y_true are centre and size."
        )

    gradients = _gradients(lambda raw, y_true: function([*raw, *y_true], anchors, 2), raw, y_true, given)
    for b in range(12):
        if not all(np.isfinite(gradient[b]).all() for gradient in gradients):
            what = "a picture without boxes" if b == 11 else f"a prediction at {predicted[b]} of its cell"
            raise _Hint(
                f"for {what} the value is right, but the gradient is not finite: training would end in NaN. Slots "
                "without an object, whose true box has the size 0, must not bring NaN in by ops.where either."
            )
    pull = gradients[2].reshape(y_true[2].shape)[0][y_true[2][0, ..., 4] == 1][0, :2]
    if not (pull > 1e-6).all():
        raise _Hint(
            f"for two boxes that lie apart the gradient for x and y is {_show(pull)}: a step would not bring the boxes "
            "nearer."
        )


# Lesson 04: training on one's own photographs


class TooManyRounds(Exception):
    """The reader's function goes round and round; the class's name stands in the hint."""


def _bounded(function: Callable, why: str, steps: int = 100_000) -> Callable:
    """Return the reader's function with a limit: a loop without an end raises `TooManyRounds`.

    Args:
        function: the reader's answer.
        why: the likely cause, in a sentence.
        steps: lines of the function itself and calls from it, together.
    """
    if not callable(function):
        return function

    def bounded(*arguments):
        left, own, before = steps, getattr(function, "__code__", None), sys.gettrace()

        def count(frame, event, value):
            nonlocal left
            left -= 1
            if left < 0:
                raise TooManyRounds(why)
            return count if frame.f_code is own else None

        sys.settrace(count)
        try:
            return function(*arguments)
        finally:
            sys.settrace(before)

    return bounded


def _one_number(result, given: str) -> float:
    """Return a result as a float, or end the check with a hint when it is not one finite number."""
    found = _numbers(result)
    if found is None:
        raise _Hint(f"for {given} expected a number, but the answer is of type {type(result).__name__}.")
    if found.shape != ():
        raise _Hint(f"for {given} expected one number, but the answer has the shape {found.shape}.")
    if np.isnan(found):
        raise _Hint(f"for {given} the answer is NaN: 0 was divided by 0, or computed with NaN.")
    return float(found)


def _numbers(values) -> np.ndarray | None:
    """Return values as an array of floats, or None when they are not numbers or rows of different lengths."""
    try:
        found = np.asarray(values)
        return found.astype(float) if found.dtype.kind in "fiub" else None
    except Exception:
        return None


def _first_like(found, like: dict[str, object]) -> str:
    """Return, after a space, the words of the first wrong answer that looks like the reader's, or nothing."""
    for words, values in like.items():
        values = np.asarray(values, float)
        if np.shape(found) == values.shape and np.allclose(found, values, rtol=1e-4, atol=1e-6):
            return f" {words}"
    return ""


def _iou_by_hand(box, other, edge: float = 0.0, clamp: bool = True, over: str = "union") -> float:
    """IoU of two boxes (x_min, y_min, x_max, y_max); what a common mistake gives when an argument is changed."""
    box, other = np.asarray(box, float), np.asarray(other, float)
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]) + edge
    shared = (np.maximum(sides, 0) if clamp else sides).prod()
    one, two = ((b[2:] - b[:2] + edge).prod() for b in (box, other))
    whole = {"union": one + two - shared, "sum": one + two, "first": one, "second": two, "smaller": min(one, two)}
    return shared / (whole | {"none": 1.0})[over]


@_exercise
def check_iou(function: Callable) -> None:
    """Check `iou(box, other)` of exercise 4.1.

    Args:
        function: the reader's answer; takes two boxes (x_min, y_min, x_max, y_max), returns a number from 0 to 1.
    """
    cases = [
        ("two boxes that overlap in a corner", [10, 20, 50, 40], [30, 25, 60, 50]),
        ("the same box twice", [10, 20, 50, 40], [10, 20, 50, 40]),
        ("a small box inside a large one", [0, 0, 40, 20], [10, 5, 20, 15]),
        ("a large box around a small one", [10, 5, 20, 15], [0, 0, 40, 20]),
        ("two boxes that touch", [0, 0, 10, 10], [10, 0, 20, 10]),
        ("two boxes side by side, with a gap between them", [0, 0, 10, 20], [30, 5, 50, 25]),
        ("two boxes one above the other, with a gap between them", [0, 0, 20, 10], [5, 30, 25, 50]),
        ("two boxes apart in both directions", [0, 0, 10, 10], [30, 40, 50, 60]),
        ("corners with fractions", [0.5, 1.25, 3.5, 3.25], [1.5, 0.25, 4.0, 2.75]),
    ]
    for words, box, other in cases:
        given = f"{words}, {tuple(box)} and {tuple(other)},"
        result = _call(function, np.array(box, float), np.array(other, float), given=given)
        found, expected = _one_number(result, given), _iou_by_hand(box, other)
        if np.isclose(found, expected, atol=1e-6):
            continue
        apart = "Boxes that do not meet share nothing: a side of the overlap must not be negative, max(0, …)."
        of_one = "Divide by the area that the two cover together, not by that of one box."
        as_sizes = [np.concatenate([b[:2], np.add(b[:2], b[2:])]) for b in (box, other)]
        like = {
            apart: _iou_by_hand(box, other, clamp=False),
            "What both share counts once: the union is the sum of the two areas minus the overlap.": _iou_by_hand(
                box, other, over="sum"
            ),
            of_one: _iou_by_hand(box, other, over="smaller"),
            of_one + " ": _iou_by_hand(box, other, over="first"),
            of_one + "  ": _iou_by_hand(box, other, over="second"),
            "Corners are edges: a width is x_max - x_min, without + 1.": _iou_by_hand(box, other, edge=1),
            "That is the area of the overlap; divide it by that of the union.": _iou_by_hand(box, other, over="none"),
            "That is 1 - IoU.": 1 - expected,
            "That is a percentage; expected a number from 0 to 1.": 100 * expected,
            "The last two numbers are corners too, not width and height.": _iou_by_hand(*as_sizes),
            "Divide by the union with /, which keeps the fraction; // cuts it off.": np.floor(expected),
        }
        why = _first_like(found, like).rstrip() or (" " + apart if expected == 0 or found < 0 else "")
        raise _Hint(f"for {given} your function gave {found:.4g}; expected {expected:.4g}.{why}")


def _matched(boxes, scores, true_boxes, once=True, lowest=0.5, including=True, untaken_only=True) -> np.ndarray:
    """Say for each detection whether it is right, as exercise 4.1 asks, or as a common mistake does.

    Args:
        boxes: (N, 4), x_min, y_min, x_max, y_max in pixels.
        scores: (N,).
        true_boxes: (T, 4), likewise.
        once: each true box is taken once.
        lowest: IoU from which a detection is right.
        including: this IoU itself is enough.
        untaken_only: look for the best true box among those not taken yet, instead of among all.

    Returns:
        (N,) bool, from the highest score to the lowest.
    """
    taken, right = set(), []
    for d in np.argsort(-scores, kind="stable"):
        overlaps = [
            -1 if once and untaken_only and t in taken else _iou_by_hand(boxes[d], true)
            for t, true in enumerate(true_boxes)
        ]
        best = int(np.argmax(overlaps))
        enough = overlaps[best] >= lowest - 1e-9 if including else overlaps[best] > lowest + 1e-9
        right.append(enough and not (once and best in taken))
        if right[-1]:
            taken.add(best)
    return np.array(right)


def _detection_cases() -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Name, boxes (N, 4), scores (N,) and true boxes (T, 4) on which exercise 4.1 is tried."""
    a, b, c, d = [10, 10, 30, 40], [50, 10, 80, 30], [10, 60, 50, 80], [70, 50, 90, 90]

    def moved(box, dx, dy=0):
        return [box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy]

    half = [10, 10, 30, 25]  # of a: IoU 0.5 exactly
    cases = [
        ("three detections, the second of which meets nothing", [a, moved(d, -15), b], [0.9, 0.8, 0.7], [a, b, c, d]),
        ("a detection with an IoU of 0.48", [b, moved(a, 7)], [0.9, 0.8], [a, b]),
        ("a detection with an IoU of exactly 0.5", [half, b], [0.9, 0.8], [a, b]),
        ("two detections of one true box", [moved(a, 2), a, b], [0.9, 0.8, 0.7], [a, b, c, d]),
        ("detections that are not in the order of their scores", [b, moved(c, 30), d, a], [0.3, 0.9, 0.5, 0.7], [a, d]),
        ("a detection whose best true box is taken, while another fits too", [a, a], [0.9, 0.8], [a, moved(a, 5), c]),
        ("detections none of which is right", [moved(a, 15), moved(b, 20)], [0.9, 0.8], [a, b, c]),
        (
            "five detections of four true boxes",
            [moved(c, 4), moved(a, 1, 2), moved(a, -3), moved(b, 0, 8), moved(b, 2, 1)],
            [0.35, 0.95, 0.9, 0.65, 0.5],
            [d, c, b, a],
        ),
    ]
    return [(name, *(np.array(values, float) for values in rest)) for name, *rest in cases]


def _area_under(precision: np.ndarray, recall: np.ndarray, points: int = 101, envelope: bool = True) -> float:
    """The mean of the precision at `points` recalls from 0 to 1: the best from there on, or the first."""
    reached = [precision[recall >= r - 1e-9] for r in np.linspace(0, 1, points)]
    return float(np.mean([(p.max() if envelope else p[0]) if len(p) else 0.0 for p in reached]))


@_exercise
def check_judge(function: Callable) -> None:
    """Check `judge(boxes, scores, true_boxes)` of exercise 4.1; its AP is compared with pycocotools.

    Args:
        function: the reader's answer; takes (N, 4), (N,) and (T, 4), returns right, precision and recall, each (N,)
            from the highest score to the lowest, and AP, a number.
    """
    for words, boxes, scores, true_boxes in _detection_cases():
        given = f"{words}, scores {_show(scores)},"
        result = _call(function, boxes.copy(), scores.copy(), true_boxes.copy(), given=given)
        if not isinstance(result, (tuple, list)) or len(result) != 4:
            is_sequence = isinstance(result, (tuple, list))
            what = f"{len(result)} of them" if is_sequence else f"a {type(result).__name__}"
            raise _Hint(f"for {given} expected the four right, precision, recall and AP; you return {what}.")
        if any(part is None for part in result):
            name = ("right", "precision", "recall", "AP")[[part is None for part in result].index(True)]
            raise _NotDone(f"{name} is None")
        count = len(scores)
        parts = {}
        for name, part in zip(("right", "precision", "recall"), result):
            parts[name] = _numbers(part)
            if parts[name] is None:
                raise _Hint(f"for {given} {name} is of type {type(part).__name__}; expected {count} numbers.")
            if parts[name].shape != (count,):
                raise _Hint(f"for {given} {name} has the shape {parts[name].shape}; expected ({count},).")
            if np.isnan(parts[name]).any():
                raise _Hint(f"for {given} {name} is {_show(parts[name])}: NaN comes of 0 divided by 0.")
        right = _matched(boxes, scores, true_boxes)
        _judge_matches(parts["right"], (boxes, scores, true_boxes), right, given)
        hits, places, truth = right.cumsum(), np.arange(1, count + 1), len(true_boxes)
        precision, recall = hits / places, hits / truth
        like = {
            "precision": {
                "Precision and recall are exchanged.": recall,
                "Divide by the detections so far, not by all of them.": hits / count,
                "That is the share of wrong ones.": 1 - precision,
                "That counts the right ones; divide by the detections so far.": hits,
                "Count the right ones so far, not all of them.": np.full(count, hits[-1] / count),
            },
            "recall": {
                "Divide by the number of true boxes, not of detections.": hits / count,
                "Divide by the number of true boxes, also of those never found.": hits / max(hits[-1], 1),
                "That counts the right ones; divide by the number of true boxes.": hits,
                "Divide by the number of true boxes, not by the detections so far.": precision,
            },
        }
        for name, expected in (("precision", precision), ("recall", recall)):
            if not np.allclose(parts[name], expected, rtol=1e-4):
                why = _first_like(parts[name], like[name])
                raise _Hint(f"for {given} {name} is {_show(parts[name])}; expected {_show(expected)}.{why}")
        _judge_area(_one_number(result[3], given), (boxes, scores, true_boxes), precision, recall, given)


def _judge_matches(found: np.ndarray, case: tuple, right: np.ndarray, given: str) -> None:
    """End the check with a hint when other detections count as right than should.

    Args:
        found: (N,), the reader's.
        case: boxes (N, 4), scores (N,) and true boxes (T, 4).
        right: (N,) bool, as expected.
        given: the input in words.
    """
    if np.array_equal(found, right):
        return
    scores = case[1]
    where = np.argsort(-scores, kind="stable")
    in_place = np.empty_like(right)
    in_place[where] = right
    like = {
        "They come in the order of the input: sort by score, and give the highest first.": in_place,
        "Begin with the highest score; yours begin with the lowest.": right[::-1],
        "Each true box can be taken once; a second detection of it is wrong.": _matched(*case, once=False),
        "An IoU of 0.5 itself is enough: >=.": _matched(*case, including=False),
        "An IoU below 0.5 is not enough.": _matched(*case, lowest=0.4),
        "Any overlap is not enough: the IoU must be at least 0.5.": _matched(*case, lowest=0.01),
        "Look for the best true box among those that are not taken yet.": _matched(*case, untaken_only=False),
        "Those are the wrong ones.": ~right,
    }
    place = int(np.flatnonzero(found != right)[0])
    score = scores[where[place]]
    raise _Hint(
        f"for {given} the detection with score {score:g} is {'right' if right[place] else 'wrong'}; yours says "
        f"{found[place]:g}.{_first_like(found, like)}"
    )


def _judge_area(found: float, case: tuple, precision: np.ndarray, recall: np.ndarray, given: str) -> None:
    """End the check with a hint when AP is not that of pycocotools.

    Args:
        found: the reader's.
        case: boxes (N, 4), scores (N,) and true boxes (T, 4).
        precision, recall: (N,), highest score first.
        given: the input in words.
    """
    boxes, scores, true_boxes = case
    truth = [Annotation(Path("photograph.png"), true_boxes, np.zeros(len(true_boxes), int))]
    detections = [Detections(boxes, scores, np.zeros(len(boxes), int))]
    expected = average_precision(truth, detections, ["cell"])["AP50"]["mean"]
    if np.isclose(found, expected, atol=1e-5):
        return
    best = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(recall, prepend=0)
    reached = np.linspace(0, 1, 101) <= recall[-1] + 1e-9
    like = {
        "Take the best precision at this recall or at a higher one, not the precision at this recall.": _area_under(
            precision, recall, envelope=False
        ),
        "That is the mean over the detections; take it over the 101 recalls.": precision.mean(),
        "That is the mean over the right detections; take it over the 101 recalls.": precision[steps > 0].mean()
        if steps.any()
        else 0.0,
        "Recalls that are never reached count too, with the precision 0.": 101 * expected / reached.sum(),
        "That is the exact area under the stairs; take the mean over the 101 recalls 0, 0.01 … 1.": (
            best * steps
        ).sum(),
        "Take 101 recalls, not 11.": _area_under(precision, recall, points=11),
        "Take 101 recalls, 0 and 1 included, not 100.": 101 * expected / 100,
        "The sum over the recalls must be divided by 101.": 101 * expected,
        "That is a percentage; expected a number from 0 to 1.": 100 * expected,
        "That is the area by trapezia (np.trapezoid); take the mean over the 101 recalls.": np.trapezoid(
            precision, recall
        ),
        "That is the last precision.": precision[-1],
    }
    raise _Hint(
        f"for {given} right, precision and recall are good, but AP is {found:.4f}; expected {expected:.4f}."
        f"{_first_like(found, like)}"
    )


def _fitted(
    sizes, start, nearness: str = "iou", middle: Callable = np.median, rounds: int = 100, empty: str = "stays"
) -> np.ndarray:
    """Anchors as exercise 4.2 fits them; what a common mistake gives when an argument is changed.

    Args:
        sizes: (N, 2), width and height in pixels.
        start: (A, 2), likewise.
        nearness: 'iou', 'euclid', 'worst' (the least IoU) or 'swapped' (height and width of the anchors exchanged).
        middle: of the boxes of an anchor, over axis 0.
        rounds: most rounds.
        empty: what happens to an anchor without boxes: 'stays' or 'zero'.

    Returns:
        (A, 2).
    """
    anchors = np.array(start, float)
    for _ in range(rounds):
        compared = anchors[:, ::-1] if nearness == "swapped" else anchors
        apart = sizes[:, None] - compared
        shared = np.where(apart < 0, sizes[:, None], compared).prod(-1)
        overlap = shared / np.maximum(sizes.prod(-1)[:, None] + compared.prod(-1) - shared, 1e-12)
        nearest = {"euclid": -np.square(apart).sum(-1), "worst": -overlap}.get(nearness, overlap).argmax(1)
        alone = {"stays": anchors, "zero": np.zeros_like(anchors)}[empty]
        groups = [sizes[nearest == k] for k in range(len(anchors))]
        moved = np.array([middle(group, axis=0) if len(group) else alone[k] for k, group in enumerate(groups)])
        if np.array_equal(moved, anchors):
            break
        anchors = moved
    return anchors


def _anchor_cases() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, sizes (N, 2) and anchors to start from (A, 2) on which exercise 4.2 is tried."""
    random = np.random.default_rng(9)

    def cluster(width, height, count, spread=0.1):
        return np.round([width, height] * (1 + spread * random.uniform(-1, 1, (count, 2))), 1)

    clear = np.concatenate([cluster(10, 30, 21), cluster(45, 15, 15), cluster(60, 70, 9)])
    outliers = np.concatenate([clear, [[11, 60], [13, 64], [90, 18], [120, 110], [30, 160]]])
    start = [[12, 24], [36, 18], [50, 50]]
    # For a box of 30 x 30, 12 x 12 is nearer in pixels, but 50 x 50 is nearer in shape.
    between = np.concatenate([cluster(12, 12, 9, 0.05), cluster(50, 50, 7, 0.05), cluster(30, 30, 4, 0.02)])
    chain = np.repeat(np.arange(10.0, 81.0, 2)[:, None], 2, axis=1) * [1, 1.2]
    return [
        ("45 boxes in three clear groups", clear, start),
        ("three groups with outliers", outliers, start),
        ("boxes between two anchors", between, [[12, 12], [50, 50]]),
        ("boxes that need several rounds", chain, [[10, 12], [14, 16], [18, 22]]),
        ("an anchor that no box is nearest to", clear, [*start, [300, 300]]),
        ("anchors that start with the largest", clear, start[::-1]),
    ]


@_exercise
def check_fit_anchors(function: Callable) -> None:
    """Check `fit_anchors(sizes, start)` of exercise 4.2.

    Args:
        function: the reader's answer; takes (N, 2) and (A, 2), width and height in pixels, returns (A, 2).
    """
    endless = (
        "it had not ended after very many rounds. End it when the moved anchors equal those before; NaN, the median of "
        "no boxes, never equals NaN."
    )
    why_nan = "The median of no boxes is NaN: an anchor that no box is nearest to stays as it is."
    for words, sizes, start in _anchor_cases():
        start = np.array(start, float)
        given = f"{words} and {len(start)} anchors"
        result = _call(_bounded(function, endless), sizes.copy(), start.copy(), given=given)
        found = _numbers(result)
        if found is None:
            raise _Hint(f"for {given} expected an array of numbers; you return a {type(result).__name__}.")
        if found.shape != start.shape:
            is_labels = found.shape == (len(sizes),)
            why = " That is one number a box; return the anchors." if is_labels else ""
            raise _Hint(f"for {given} you return the shape {found.shape}; expected {start.shape}.{why}")
        if not np.isfinite(found).all():
            raise _Hint(f"for {given} you return {_show(found)}. {why_nan}")
        expected = _fitted(sizes, start)
        if np.allclose(found, expected, rtol=1e-4):
            continue
        best = {"yours": found, "expected": expected}
        scores = {name: float(anchor_iou(sizes, anchors).max(1).mean()) for name, anchors in best.items()}
        like = {
            "That is one round: go on until nothing moves. If you compare with the anchors before, keep a copy of "
            "them.": _fitted(sizes, start, rounds=1),
            "These are the anchors that it started from.": start,
            "Take the anchor of best shape IoU, not the one that is nearest in pixels.": _fitted(
                sizes, start, nearness="euclid"
            ),
            "Take the median of an anchor's boxes, not the mean.": _fitted(sizes, start, middle=np.mean),
            "Take the median of an anchor's boxes alone, not of all boxes.": np.tile(
                np.median(sizes, axis=0), (len(start), 1)
            ),
            "Take the median of an anchor's boxes alone, not the mean of all boxes.": np.tile(
                sizes.mean(axis=0), (len(start), 1)
            ),
            "Width and height are exchanged: the width comes first.": expected[:, ::-1],
            "Width and height of the anchors are exchanged where you compare.": _fitted(
                sizes, start, nearness="swapped"
            ),
            "Take the highest IoU (argmax), not the lowest.": _fitted(sizes, start, nearness="worst"),
            "An anchor that no box is nearest to stays as it is; yours became 0.": _fitted(sizes, start, empty="zero"),
            "Take the best shape IoU and the median, not the distance in pixels and the mean.": _fitted(
                sizes, start, nearness="euclid", middle=np.mean
            ),
        }
        why = _first_like(found, like)
        if not why and np.allclose(np.sort(found, axis=0), np.sort(expected, axis=0), rtol=1e-4):
            why = " They are right, but in another order: keep that of the start."
        if not why and np.allclose(found, expected, atol=1):
            why = " Do not round them."
        raise _Hint(
            f"for {given} you return {_show(found)}, with a mean best IoU of {scores['yours']:.3f}; expected "
            f"{_show(expected)}, with {scores['expected']:.3f}.{why}"
        )


# How each cause of exercise 4.3 shows, and the columns that tell it from the others.
_CAUSES = {
    "healthy": ("val_loss and val_AP50", "val_loss falls with loss, and val_AP50 rises to the end"),
    "learning rate too high": ("loss", "loss jumps to a huge number or to nan, instead of falling"),
    "learning rate too low": (
        "wh and class",
        "wh and class fall slowly, a little from row to row, and end not far below where they began",
    ),
    "overfitting": ("loss and val_loss", "loss falls far below val_loss, which soon stops falling and turns"),
    "classes in another order": (
        "class and val_class",
        "class falls in the training photographs, while val_class rises: the boxes are found, their names are not",
    ),
    "body left frozen": (
        "wh, class and confidence",
        "wh is low from the first row on, as the output convolutions learn at once; class and confidence stand still",
    ),
}


def training_logs() -> dict[str, dict[str, list[float]]]:
    """The recorded logs of exercise 4.3, without their causes.

    Returns:
        {'A': {'loss': [one number an epoch], …}, …}; nan and inf are numbers again.
    """
    return {
        letter: {name: [float(value) for value in values] for name, values in log["columns"].items()}
        for letter, log in _training_record()["logs"].items()
    }


def _training_record() -> dict:
    return json.loads((DATA / "recorded" / "training_logs.json").read_text(encoding="utf-8"))


@_exercise
def check_causes(answer: dict[str, str]) -> None:
    """Check the causes of exercise 4.3.

    Args:
        answer: letter of a log -> one of the six causes; '' where there is no answer yet.
    """
    causes = {letter: log["cause"] for letter, log in _training_record()["logs"].items()}
    if not isinstance(answer, dict):
        raise _Hint(f"expected a dictionary from a log's letter to a cause; yours is a {type(answer).__name__}.")
    unknown = [letter for letter in answer if letter not in causes]
    if unknown:
        raise _Hint(f"there is no log {unknown[0]!r}; the logs are {', '.join(causes)}.")
    without = [letter for letter in causes if answer.get(letter) in (None, "")]
    for letter, cause in causes.items():
        if letter in without:
            continue
        named = answer[letter]
        named = " ".join(named.lower().split()) if isinstance(named, str) else None
        if named not in _CAUSES:
            raise _Hint(f"log {letter}: {answer[letter]!r} is not in the list of causes: {', '.join(_CAUSES)}.")
        if named != cause:
            columns, shows = _CAUSES[named]
            own = _CAUSES[cause][0]
            look = f"Look at {own}" + ("" if own == columns else f" in log {letter}, beside {columns}")
            raise _Hint(f"log {letter} is not {named!r}: there {shows}. {look}.")
    if without:
        raise _NotDone(f"no cause yet for {', '.join(without)}")


def _kept(scores: np.ndarray, right: np.ndarray, threshold: float) -> tuple[int, int]:
    """How many detections have at least this score, and how many of them are right."""
    kept = scores >= threshold
    return int(kept.sum()), int(right[kept].sum())


@_exercise
def check_threshold(function: Callable) -> None:
    """Check `threshold_for(scores, right, wanted)` of exercise 4.4 against a loop over all scores.

    Args:
        function: the reader's answer; takes (N,) scores, (N,) bool and a precision, returns a score threshold.
    """
    cases = [
        ("five detections, highest score first", [0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 1, 0, 0], 0.9),
        ("a precision that is reached exactly", [0.9, 0.8, 0.6, 0.6, 0.5], [1, 1, 1, 0, 0], 0.75),
        ("a precision that falls and rises again", [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 1, 1, 0], 0.7),
        ("scores in any order", [0.3, 0.9, 0.5, 0.7, 0.6, 0.2], [0, 1, 1, 1, 0, 0], 0.7),
        ("several detections with the same score", [0.9, 0.8, 0.6, 0.6, 0.6, 0.4], [1, 1, 1, 0, 0, 0], 0.75),
        ("detections all of which are right", [0.9, 0.6, 0.3], [1, 1, 1], 0.9),
        ("a wrong detection with the highest score", [0.95, 0.9, 0.8, 0.7], [0, 1, 1, 1], 0.75),
    ]
    for words, scores, right, wanted in cases:
        scores, right = np.array(scores), np.array(right, bool)
        given = f"{words}, scores {_show(scores)}, right {_show(right.astype(int))}, wanted {wanted},"
        found = _one_number(_call(function, scores.copy(), right.copy(), wanted, given=given), given)
        count, hits = _kept(scores, right, found)
        good = {t: _kept(scores, right, t) for t in scores}
        good = {t: n for t, n in good.items() if n[1] / n[0] >= wanted}
        most = max(n[1] for n in good.values())
        best = max(t for t, n in good.items() if n[1] == most)
        if count and hits / count >= wanted and hits == most:
            continue
        strictly = scores > found
        cut_off = strictly.any() and right[strictly].sum() == most and right[strictly].mean() >= wanted
        if found == 0 and count == len(scores) or not 0 <= found <= 1:
            raise _Hint(f"for {given} you return {found:g}; expected a score, such as {best:g}.")
        if cut_off and (scores == found).sum() < 2:
            why = "A detection whose score equals the threshold is kept: score >= threshold."
            raise _Hint(f"for {given} the threshold {found:g} is just too low. {why}")
        if not count:
            raise _Hint(f"for {given} the threshold {found:g} keeps nothing; {best:g} is good.")
        if hits / count < wanted:
            same = (scores == found).sum() > 1
            why = " Equal scores pass together." if same else ""
            raise _Hint(
                f"for {given} the threshold {found:g} keeps {count}, of which {hits} are right: a precision of "
                f"{hits / count:.2f}.{why}"
            )
        above = [t for t in good if good[t][1] / good[t][0] > wanted]
        if above and found == min(above) and best not in above:
            raise _Hint(f"for {given} you return {found:g}; {best:g} has a precision of {wanted} too: >= is enough.")
        dip = any(best < t < found and t not in good for t in scores)
        why = " Do not stop where the precision first falls below: it may rise again." if dip else ""
        raise _Hint(
            f"for {given} the threshold {found:g} finds {hits} true boxes; {best:g} finds {most} and is precise enough."
            f"{why}"
        )

    given = "detections of which none is right"
    try:
        result = _call(function, np.array([0.9, 0.6]), np.array([False, False]), 0.5, given=given)
    except _NotDone:
        raise _Hint(f"for {given} you return None; expected np.inf, which no score reaches.") from None
    if _kept(np.array([0.9, 0.6]), np.zeros(2), _one_number(result, given))[0]:
        raise _Hint(f"for {given} no threshold is precise enough; expected np.inf, which no score reaches.")


# Lesson 05: six ways


class _Interval:
    """A small model with two outputs and a penalty, and what its loss and its step must be, by NumPy alone."""

    penalty = 0.5
    start = {"low": (np.array([0.4, -0.3]), 0.1), "high": (np.array([-0.2, 0.5]), 0.3)}

    def __init__(self):
        random = np.random.default_rng(5)
        self.x = random.normal(size=(8, 2)).astype("float32")
        self.low = random.normal(size=(8, 1)).astype("float32")
        self.high = self.low + random.uniform(0.5, 2, size=(8, 1)).astype("float32")
        self.weights = np.array([0, 2, 1, 1, 0.5, 0, 3, 1], "float32")

    def tensors(self):
        """A Keras input and the two outputs, with the same weights each time."""
        inputs = keras.Input((2,))
        regularizer = keras.regularizers.L2(self.penalty)
        layers = {name: keras.layers.Dense(1, name=name, kernel_regularizer=regularizer) for name in self.start}
        outputs = [layer(inputs) for layer in layers.values()]
        for name, (kernel, bias) in self.start.items():
            layers[name].set_weights([kernel[:, None], np.array([bias])])
        return inputs, outputs

    def loss(self, kernel=None, weighted=False):
        """The total by NumPy; `kernel` in place of that of `low`."""
        kernels = {name: values for name, (values, _) in self.start.items()}
        kernels["low"] = kernels["low"] if kernel is None else kernel
        low, high = (self.x @ kernels[name] + self.start[name][1] for name in self.start)
        losses = abs(low - self.low[:, 0]) + abs(high - self.high[:, 0]) + 2 * np.maximum(low - high, 0)
        weights = self.weights if weighted else 1
        return (losses * weights).mean() + self.penalty * sum((values**2).sum() for values in kernels.values())

    def slope(self):
        """The derivative of the total with respect to the first weight of `low`, by a small difference."""
        step = np.array([1e-5, 0])
        kernel = self.start["low"][0]
        return (self.loss(kernel + step) - self.loss(kernel - step)) / 2e-5


def _compiled(function: Callable, *arguments) -> keras.Model:
    """What the reader's function makes of the arguments, if it is a compiled model."""
    model = _call(function, *arguments, given="the interval model")
    if not isinstance(model, keras.Model):
        raise _Hint(f"expected a Keras model, but your function returned a {type(model).__name__}.")
    if not model.compiled:
        raise _Hint("the model is not compiled: call its compile before you return it.")
    model.run_eagerly = True
    return model


def _evaluated(model: keras.Model, expected: float, given: str, without_penalty: float, **arguments) -> None:
    """End the check with a hint when `evaluate` does not give the expected loss."""
    try:
        found = float(model.evaluate(**arguments, verbose=0, return_dict=True)["loss"])
    except Exception as error:
        raise _Hint(f"for {given} evaluate raised {_words(error)}") from None
    if np.isclose(found, expected, rtol=1e-4):
        return
    reason = ""
    if np.isclose(found, without_penalty, rtol=1e-4):
        reason = " The penalty is missing."
    elif np.isclose(found, expected - without_penalty, rtol=1e-4):
        reason = " That is the penalty alone."
    raise _Hint(f"for {given} evaluate gave {found:.4g}; expected {expected:.4g}.{reason}")


def _check_interval(model: keras.Model, data: _Interval, fed: dict, weights: bool) -> None:
    """`evaluate` in one batch, in batches of three, and with weights."""
    penalty = data.penalty * sum((kernel**2).sum() for kernel, _ in data.start.values())
    whole = data.loss()
    _evaluated(model, whole, "eight samples", whole - penalty, **fed, batch_size=8)
    _evaluated(model, whole, "eight samples in batches of three", whole - penalty, **fed, batch_size=3)
    if weights:
        total = data.loss(weighted=True)
        given = "sample weights between 0 and 3"
        _evaluated(model, total, given, total - penalty, **fed, batch_size=8, sample_weight=data.weights)


def _check_step(model: keras.Model, data: _Interval, fed: dict, given: str) -> float:
    """End the check with a hint when a step of SGD(0.1) is not that of the loss with its penalty; the logged loss."""
    before = float(model.get_layer("low").kernel[0, 0])
    try:
        history = model.fit(**fed, batch_size=8, shuffle=False, verbose=0).history
    except Exception as error:
        raise _Hint(f"for {given} fit raised {_words(error)}") from None
    if "loss" not in history:
        raise _Hint("the log of fit has no entry 'loss'.")
    moved = float(model.get_layer("low").kernel[0, 0]) - before
    expected, of_penalty = -0.1 * data.slope(), -0.1 * 2 * data.penalty * data.start["low"][0][0]
    if not np.isclose(moved, expected, rtol=1e-2):
        reason = " The penalty is missing in it." if np.isclose(moved, expected - of_penalty, rtol=1e-2) else ""
        raise _Hint(f"for {given} a weight moved by {moved:.4f}; expected {expected:.4f}.{reason}")
    return float(history["loss"][0])


@_exercise
def check_compute_loss(function: Callable) -> None:
    """Check `with_compute_loss(inputs, outputs, optimizer)` of exercise 5.1.

    Args:
        function: returns a compiled model of the two outputs, fed with x and (low, high).
    """
    data = _Interval()
    fed = {"x": data.x, "y": (data.low, data.high)}
    model = _compiled(function, *data.tensors(), keras.optimizers.SGD(0.1))
    _check_interval(model, data, fed, weights=True)
    _check_step(model, data, fed, "a step of SGD(0.1)")


@_exercise
def check_endpoint(function: Callable) -> None:
    """Check `with_endpoint(inputs, targets, outputs, optimizer)` of exercise 5.2.

    Args:
        function: returns a compiled model with inputs [inputs, *targets] and the two outputs.
    """
    data = _Interval()
    inputs, outputs = data.tensors()
    targets = [keras.Input((1,)) for _ in outputs]
    plain = keras.Model(inputs, outputs).predict(data.x, verbose=0)
    model = _compiled(function, inputs, targets, outputs, keras.optimizers.SGD(0.1))
    fed = {"x": [data.x, data.low, data.high]}
    try:
        found = model.predict(fed["x"], verbose=0)
    except Exception as error:
        raise _Hint(f"for the inputs [x, low, high] predict raised {_words(error)}") from None
    if not (isinstance(found, list | tuple) and len(found) == 2 and all(map(np.allclose, found, plain))):
        raise _Hint("the model must return the two outputs, low and high, unchanged.")
    _check_interval(model, data, fed, weights=False)
    _check_step(model, data, fed, "a step of SGD(0.1)")


@_exercise
def check_train_step(function: Callable) -> None:
    """Check `repaired_train_step(inputs, outputs, optimizer)` of exercise 5.3.

    Args:
        function: returns a compiled model of the two outputs with a `train_step` and a `test_step`.
    """
    data = _Interval()
    fed = {"x": data.x, "y": (data.low, data.high)}
    model = _compiled(function, *data.tensors(), keras.optimizers.SGD(0.1))
    logged = _check_step(model, data, fed, "a step of SGD(0.1)")
    if not np.isclose(logged, data.loss(), rtol=1e-4):
        raise _Hint(f"the log of fit says loss {logged:.4g}; expected {data.loss():.4g}, with the penalty.")
    scaling = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=64)
    scaled = _compiled(function, *data.tensors(), scaling)
    _check_step(scaled, data, fed, "a LossScaleOptimizer around SGD(0.1)")
    fresh = _compiled(function, *data.tensors(), keras.optimizers.SGD(0.1))
    _check_interval(fresh, data, fed, weights=False)


# Lesson 06: the pattern elsewhere


def _listed_ctc(chances: np.ndarray, codes: list[int]) -> float:
    """Minus the logarithm of a word's probability, by listing all paths; for a few steps only."""
    total = 0.0
    for path in itertools.product(range(chances.shape[1]), repeat=len(chances)):
        if [code for code, _ in itertools.groupby(path) if code] == codes:
            total += float(np.prod(chances[np.arange(len(path)), path]))
    return -np.log(total) if total else np.inf


@_exercise
def check_ctc_loss(function: Callable) -> None:
    """Check `ctc_loss(chances, codes)` of exercise 6.1 against a list of all paths, and on 18 steps against Keras.

    Args:
        function: the reader's answer; takes probabilities (steps, classes) and a list of codes, returns one number.
    """
    random, cases = np.random.default_rng(6), []
    for steps, word in [(3, [1, 2]), (1, [1]), (4, [1]), (3, [1, 1]), (4, [1, 1]), (5, [2, 2, 1]), (5, [1, 2, 1])]:
        chances = random.dirichlet(np.ones(3), steps)
        cases.append((f"{steps} steps, codes {word}", chances, word, _listed_ctc(chances, word)))
    raw, word = random.normal(size=(18, 9)).astype("float32"), [3, 1, 4, 4, 5]
    by_keras = ops.ctc_loss([word], raw[None], [len(word)], [18])
    chances = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    cases.append((f"18 steps, codes {word}", chances, word, float(ops.convert_to_numpy(by_keras)[0])))
    for given, chances, word, expected in cases:
        found = _one_number(_call(function, chances.copy(), list(word), given=given), given)
        if np.isclose(found, expected, rtol=1e-4):
            continue
        why = ""
        if np.isclose(found, np.exp(-expected), rtol=1e-4):
            why = " That is the probability; expected minus its logarithm."
        elif any(a == b for a, b in itertools.pairwise(word)):
            why = " Two equal letters need a blank between them: no jump there."
        raise _Hint(f"for {given} you return {found:.4f}; expected {expected:.4f}.{why}")
    given = "2 steps, codes [1, 1], a word without a path"
    found = _one_number(_call(function, np.full((2, 3), 1 / 3), [1, 1], given=given), given)
    if found != np.inf:
        raise _Hint(f"for {given}, you return {found:.4f}; expected np.inf.")


@_exercise
def check_batch_hard(function: Callable) -> None:
    """Check `batch_hard(labels, points, margin=1.0)` of exercise 6.2 against a loop over all pairs.

    Args:
        function: the reader's answer; takes labels (B,) or (B, 1) and points (B, D), returns (B, 1).
    """
    random = np.random.default_rng(6)
    cases = [
        ("the points 0, 1, 3 of the classes 0, 1, 0", [0, 1, 0], [[0.0], [1.0], [3.0]], 1.0),
        ("eight points of three classes", [0, 1, 2, 0, 1, 2, 0, 1], random.normal(size=(8, 2)), 1.0),
        ("the same with the margin 0.2", [0, 1, 2, 0, 1, 2, 0, 1], random.normal(size=(8, 2)), 0.2),
        ("a class with one picture", [0, 0, 5, 0], random.normal(size=(4, 3)) * 3, 1.0),
        ("two pictures at the same point", [1, 1, 2], [[1.0, 1.0], [1.0, 1.0], [1.0, 1.5]], 1.0),
    ]
    for given, labels, points, margin in cases:
        labels, points = np.array(labels, "int32"), np.array(points, "float32")
        distances = np.square(points[:, None] - points).sum(axis=-1)
        same = labels[:, None] == labels
        pairs = [(d[s].max(), d[~s].min()) for d, s in zip(distances, same)]
        expected = np.array([[max(far - near + margin, 0)] for far, near in pairs], "float32")
        rooted = [[max(np.sqrt(far) - np.sqrt(near) + margin, 0)] for far, near in pairs]
        for shape in ((-1,), (-1, 1)):
            with_shape = f"{given}, labels of shape {labels.reshape(shape).shape},"
            result = _call(function, labels.reshape(shape), points.copy(), margin, given=with_shape)
            if np.shape(result) == ():
                raise _Hint(f"for {with_shape} you return one number; expected one per anchor, {expected.shape}.")
            right = np.shape(result) != expected.shape or np.allclose(result, expected, rtol=1e-4, atol=1e-5)
            if not right and np.allclose(result, rooted, rtol=1e-4, atol=1e-5):
                raise _Hint(f"for {with_shape} you compare distances; expected squared distances.")
            _compare(result, expected, with_shape)
        _in_training(function, labels[:, None], points, given)


@_exercise
def check_center_layer(answer: Callable) -> None:
    """Check the layer `CenterLoss(num_classes, weight)` of exercise 6.3 by its losses and by a step of training.

    Args:
        answer: the reader's class.
    """
    random = np.random.default_rng(6)
    points, labels = random.normal(size=(6, 2)).astype("float32"), np.array([0, 1, 1, 3, 0, 0], "int32")
    given = "6 points (6, 2) of 4 classes, weight 0.5,"
    layer = _call(answer, 4, 0.5, given=given)
    result = _call(layer, points, labels, given=given)
    if np.shape(result) != points.shape or not np.allclose(result, points):
        raise _Hint(f"for {given} the layer must return the points unchanged.")
    trained = [tuple(variable.shape) for variable in layer.trainable_variables]
    if trained != [(4, 2)]:
        raise _Hint(f"expected one trainable weight of shape (4, 2), made in build; found {trained}.")
    if np.any(layer.get_weights()[0]):
        raise _Hint("the centres must begin at zero.")
    centres = random.normal(size=(4, 2)).astype("float32")
    layer.set_weights([centres])
    squares = np.square(points - centres[labels]).sum(axis=1)
    layer(points, labels)
    added = float(sum(np.sum(ops.convert_to_numpy(loss)) for loss in layer.losses))
    if not np.isclose(added, 0.5 * squares.mean(), rtol=1e-4):
        words = {
            squares.sum() * 0.5: "That is the sum over the batch: add_loss sums a vector, so take the mean first.",
            squares.mean(): "Was the weight forgotten?",
            squares.mean() * 0.25: "A squared distance is the sum over the coordinates, not their mean.",
        }
        why = next((text for value, text in words.items() if np.isclose(added, value, rtol=1e-4)), "")
        raise _Hint(f"for {given} the layer adds {added:.4f}; expected {0.5 * squares.mean():.4f}. {why}".rstrip())

    numbers, label = keras.Input((2,)), keras.Input((), dtype="int32")
    model = keras.Model([numbers, label], _call(layer, numbers, label, given="the layer in a model"))
    model.compile(keras.optimizers.SGD(0.1), loss="mse", run_eagerly=True)
    _call(lambda: model.fit([points, labels], points, batch_size=6, verbose=0), given="a step of training")
    own = np.zeros_like(centres)
    np.add.at(own, labels, centres[labels] - points)
    if not np.allclose(layer.get_weights()[0], centres - 0.1 * own / 6, atol=1e-5):
        raise _Hint("the loss is right, but a training step of the model does not move the centres as it should.")

    given = "a call without labels"
    alone = _call(answer, 4, 0.5, given=given)
    if not np.allclose(_call(alone, points, given=given), points) or alone.losses:
        raise _Hint(f"for {given} the layer must return the points and add no loss.")


# Lesson 07: from Keras 2 to Keras 3


def _old_box_loss(y_true, y_pred, coordinates=5.0, logits=True, branches="right", reduce=np.sum, masked=True):
    """The loss of exercise 7.1 in NumPy; what a common mistake gives when an argument is changed."""
    y_true, y_pred = y_true.astype(float), y_pred.astype(float)
    has_object = (y_true[:, 4:5] > 0).astype(float)
    error = np.abs(y_true[:, :4] - y_pred[:, :4])
    small, large = 0.5 * error**2, error - 0.5
    smooth = np.where(error < 1, *((small, large) if branches == "right" else (large, small)))
    terms = (has_object if masked else 1) * smooth * [coordinates, coordinates, 1, 1]
    raw = y_pred[:, 4]
    entropy = np.logaddexp(0, raw) - has_object[:, 0] * raw
    if not logits:
        p = np.clip(raw, 1e-7, 1 - 1e-7)
        entropy = -np.where(has_object[:, 0] > 0, np.log(p), np.log(1 - p))
    return reduce(terms, axis=-1) + entropy


@_exercise
def check_ported_loss(function: Callable) -> None:
    """Check `new_loss(y_true, y_pred)` of exercise 7.1 against the old formula in NumPy, on values and in `fit`.

    Args:
        function: the reader's answer; takes two (B, 5), returns (B,).
    """
    cases = [
        ("one row, 0 apart, raw confidence 0", [[1, 1, 1, 1, 1]], [[1, 1, 1, 1, 0]]),
        ("one row, x 0.5 apart", [[1, 1, 1, 1, 1]], [[1.5, 1, 1, 1, 0.5]]),
        ("one row, w 0.5 apart", [[1, 1, 1, 1, 1]], [[1, 1, 0.5, 1, 0.5]]),
        ("one row, h 3 apart", [[1, 1, 1, 1, 1]], [[1, 1, 1, 4, -2]]),
        ("one row without an object", [[0, 0, 0, 0, 0]], [[1, -2, 3, -0.5, 0.25]]),
        ("one row with a raw confidence of -100", [[1, 1, 1, 1, 1]], [[1, 1, 1, 1, -100]]),
        ("two rows", [[1, 2, 3, 4, 1], [0, 0, 0, 0, 0]], [[1.2, 0, 3, 7, 0.5], [1, 1, 1, 1, -0.5]]),
    ]
    like = {
        "The raw confidence is a logit: from_logits=True.": {"logits": False},
        "The first two columns count five times.": {"coordinates": 1},
        "K.switch(condition, then, otherwise): the square is for errors below 1.": {"branches": "swapped"},
        "K.sum adds up, without a mean.": {"reduce": np.mean},
        "A row without an object has no box term.": {"masked": False},
    }
    for words, *rows in cases:
        y_true, y_pred = _float32(*rows)
        expected = _old_box_loss(y_true, y_pred)
        found = _call(function, ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred), given=words)
        try:
            _compare(found, expected, words)
        except _Hint as hint:
            found = _numbers(found)
            same_shape = found is not None and found.shape == expected.shape
            why = [
                why
                for why, how in like.items()
                if same_shape and np.allclose(found, _old_box_loss(y_true, y_pred, **how))
            ]
            if found is not None and found.shape == (2 * len(expected),):
                why = ["ops.concatenate joins along the first axis unless you say axis=-1."]
            raise _Hint(" ".join([str(hint), *why[:1]])) from None
    _in_training(function, y_true, y_pred, words)


@_exercise
def check_pair_up(function: Callable) -> None:
    """Check `pair_up(old_names, new_names)` of exercise 7.2.

    Args:
        function: the reader's answer; takes two lists of layer names, returns a dict, new name -> old name.
    """

    def counted(kind, numbers):
        return [kind if number == 0 else f"{kind}_{number}" for number in numbers]

    def number(name):
        return int(name.rsplit("_", 1)[1]) if name.rsplit("_", 1)[-1].isdigit() else 0

    def in_order(names):
        return sorted(names, key=lambda name: (name[0], number(name)))  # one kind begins with b, the other with c

    norms = "batch_normalization"
    cases = [
        ("two convolutions", counted("conv2d", [1, 2]), counted("conv2d", [0, 1])),
        ("names in another order", counted("conv2d", [2, 3, 1]), counted("conv2d", [1, 0, 2])),
        ("more than nine", counted("conv2d", range(1, 13)), counted("conv2d", range(12))),
        ("a model that is not the first", counted("conv2d", [1, 2, 3]), counted("conv2d", [9, 10, 11])),
        (
            "two kinds, each counted by itself",
            ["conv2d_1", f"{norms}_1", "conv2d_2", "conv2d_3", f"{norms}_2"],
            [norms, "conv2d", f"{norms}_1", "conv2d_1", "conv2d_2"],
        ),
    ]
    for words, old, new in cases:
        expected = dict(zip(in_order(new), in_order(old), strict=True))
        given = f"{words}, {old} and {new},"
        found = _call(function, list(old), list(new), given=given)
        if not isinstance(found, dict):
            raise _Hint(f"for {given} you return a {type(found).__name__}; expected a dict, new name -> old name.")
        if found == {old_name: new_name for new_name, old_name in expected.items()}:
            raise _Hint(f"for {given} your dict goes from old to new; expected new name -> old name.")
        for name, old_name in expected.items():
            if found.get(name) != old_name:
                by_text = words == "more than nine" and found.get(name) in old
                why = " As text, conv2d_10 comes before conv2d_2: sort by the number." if by_text else ""
                raise _Hint(f"for {given} {name} gets {found.get(name)}; expected {old_name}.{why}")
        if found.keys() != expected.keys():
            raise _Hint(f"for {given} expected {len(expected)} pairs, you return {len(found)}.")
    for words, old, new in (
        ("three old layers and two new ones", counted("conv2d", [1, 2, 3]), counted("conv2d", [0, 1])),
        ("as many layers, but of other kinds", ["conv2d_1", "conv2d_2"], ["conv2d", norms]),
    ):
        try:
            result = function(old, new)
        except ValueError:
            continue
        except Exception as error:
            raise _Hint(f"for {words} your function raised {_words(error)}; expected a ValueError.") from None
        raise _Hint(
            f"for {words}, {old} and {new}, you return {result}; expected a ValueError: refuse what does not fit."
        )


def _descriptions() -> list[tuple[str, dict, bool]]:
    """What is described, the description as Keras writes it, and whether it holds code, for exercise 7.3."""
    code = {"class_name": "__lambda__", "config": {"code": "4wIA", "defaults": None, "closure": None}}
    named = {"class_name": "function", "config": "yolo_loss", "registered_name": "function"}
    old = {"class_name": "Lambda", "config": {"name": "yolo_loss", "function": ["4wIA", None, None]}}

    def layer(kind, **config):
        return {"class_name": kind, "config": {"name": "yolo_loss", **config}}

    def old_lambda(**types):
        kinds = {"function_type": "function", "output_shape_type": "raw", **types}
        return {"class_name": "Lambda", "config": {**old["config"], **kinds}}

    def model(*layers, **more):
        return {
            "class_name": "Functional",
            "config": {"name": "model", "layers": [layer("InputLayer"), *layers]},
            **more,
        }

    def compiled(loss):
        return model(layer("Dense", units=1), compile_config={"optimizer": "adam", "loss": loss})

    return [
        ("a model of Keras' own layers", model(layer("Dense", units=1)), False),
        ("a Lambda of Keras 3 with a lambda", model(layer("Lambda", function=code)), True),
        ("a Lambda of Keras 3 with a named function", model(layer("Lambda", function=named)), False),
        (
            "a Lambda of Keras 3 with code for its output_shape",
            model(layer("Lambda", function=named, output_shape=code)),
            True,
        ),
        ("a lambda in a model inside the model", model(model(layer("Lambda", function=code))), True),
        ("a lambda as loss in compile", compiled({"yolo_loss": code}), True),
        ("a lambda in a list of losses", compiled(["mse", code]), True),
        ("the name of a lambda as loss, without code", compiled({"yolo_loss": "<lambda>"}), False),
        ("a Lambda of Keras 2 with code", model(old_lambda(function_type="lambda")), True),
        ("a Lambda of Keras 2 with a named function", model(old_lambda()), False),
        ("a Lambda of Keras 2 with code for its output_shape", model(old_lambda(output_shape_type="lambda")), True),
        (
            "a Dense layer that is named __lambda__",
            model({"class_name": "Dense", "config": {"name": "__lambda__"}}),
            False,
        ),
        ("a Dense layer that is named lambda", model({"class_name": "Dense", "config": {"name": "lambda"}}), False),
    ]


@_exercise
def check_holds_code(function: Callable) -> None:
    """Check `holds_code(description)` of exercise 7.3.

    Args:
        function: the reader's answer; takes the description of a model, dicts and lists, returns True or False.
    """
    for words, description, expected in _descriptions():
        found = _call(function, json.loads(json.dumps(description)), given=words)
        if not isinstance(found, bool | np.bool_):
            raise _Hint(f"for {words} you return {found!r}; expected True or False.")
        if found != expected:
            why = "it holds code that would run" if expected else "nothing in it is code"
            raise _Hint(f"for {words} you return {found}; expected {expected}: {why}.")
