"""The exercises' checks: each prints "ok", "not done yet", or a hint that names the input that fails.

A check never shows the reader a traceback: an exception in the reader's own function becomes a hint with its class
and message. Every check is a function of the reader's answer, decorated with `_exercise`; inside, `_call` runs the
answer, and `_Hint` ends the check with a sentence for the reader.
"""

import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops


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
