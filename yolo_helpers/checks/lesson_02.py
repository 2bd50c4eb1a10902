"""Checks around named outputs and dictionaries."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yolo_helpers.checks.compare import show
from yolo_helpers.checks.verdict import Hint, call, exercise


def _named_models() -> dict[str, tuple[keras.Model, set[str]]]:
    """Build models with the keys that each one wants; the names of the layers differ from the keys on purpose."""
    inputs = keras.Input((3,))

    def dense(name):
        return keras.layers.Dense(1, name=name)(inputs)

    one = keras.Model(inputs, dense("yolo_loss"))
    inner = keras.Model(inputs, dense("head"), name="inner")
    total = keras.layers.Identity(name="total")(ops.sum(dense("parts"), axis=-1, keepdims=True))
    named = {"size": dense("layer_b"), "kind": dense("layer_a")}
    return {
        "a model with one output, made by the layer yolo_loss": (one, {"yolo_loss"}),
        "a model with a list of two outputs": (keras.Model(inputs, [dense("size"), dense("kind")]), {"size", "kind"}),
        "a model that ends in Identity(name='total')": (keras.Model(inputs, total), {"total"}),
        "a model that calls the model inner": (keras.Model(inputs, inner(inputs)), {"inner"}),
        "a model that returns a dictionary": (keras.Model(inputs, named), {"size", "kind"}),
    }


@exercise
def check_output_keys(function: Callable) -> None:
    """Check `output_keys(model)`: the keys that a loss dictionary for this model must have.

    Args:
        function: the reader's answer; takes a model, returns a list of names.
    """
    for given, (model, expected) in _named_models().items():
        keys = call(function, model, given=given)
        if isinstance(keys, str) or not isinstance(keys, (list, tuple, set)):
            raise Hint(f"for {given} expected a list of names, but the answer is of type {type(keys).__name__}.")
        strangers = [key for key in keys if not isinstance(key, str)]
        if strangers:
            raise Hint(f"for {given} expected names, but the list holds a {type(strangers[0]).__name__}.")
        if set(keys) != expected or len(keys) != len(expected):
            raise Hint(f"for {given} expected {sorted(expected)}, but the answer is {sorted(keys)}.")


PARTS = {"main_output_loss": 0.5, "aux_output_loss": 2.0}
WEIGHTS = {"main_output": 1.0, "aux_output": 0.25}
TOTAL_CASES = [  # words, log, loss_weights, penalties, total
    ("two parts with the weights 1 and 0.25", PARTS, WEIGHTS, [], 1.0),
    ("the same parts with the penalties 0.1 and 0.2", PARTS, WEIGHTS, [0.1, 0.2], 1.3),
    ("a weight of 0", PARTS, {"main_output": 1.0, "aux_output": 0.0}, [], 0.5),
    ("a log that also holds the metric main_output_mae", {**PARTS, "main_output_mae": 7.0}, WEIGHTS, [], 1.0),
    (
        "outputs called xy_loss and wh_loss",
        {"xy_loss_loss": 3.0, "wh_loss_loss": 4.0},
        {"xy_loss": 2.0, "wh_loss": 0.5},
        [],
        8.0,
    ),
]


@exercise
def check_add_up(function: Callable) -> None:
    """Check `add_up(log, weights, penalties)`: the total loss from its parts.

    Args:
        function: the reader's answer; takes two dictionaries and a list of numbers, returns a number.
    """
    for given, log, weights, penalties, expected in TOTAL_CASES:
        total = call(function, dict(log), dict(weights), list(penalties), given=given)
        if np.shape(total) != ():
            raise Hint(f"for {given} expected one number, but the answer has shape {np.shape(total)}.")
        if not np.isclose(float(total), expected, atol=1e-6):
            raise Hint(f"for {given} expected {expected:.4f}, but the answer is {float(total):.4f}.")


BOTH = {"main_output": "mse", "aux_output": "mae"}
BOTH_WEIGHTS = {"main_output": 1.0, "aux_output": 0.2}
MISSPELT = {"main_output": 1.0, "aux_ouput": 0.2}
KEY_CASES = [  # words, loss, loss_weights, what is wrong
    ("right keys everywhere", BOTH, BOTH_WEIGHTS, set()),
    ("no loss_weights (None)", BOTH, None, set()),
    (
        "the key mian_output in loss",
        {"mian_output": "mse", "aux_output": "mae"},
        None,
        {"mian_output", "main_output"},
    ),
    ("a key missing in loss", {"main_output": "mse"}, None, {"aux_output"}),
    ("None as the loss of an output", {"main_output": "mse", "aux_output": None}, None, set()),
    ("the key aux_ouput in loss_weights", BOTH, MISSPELT, {"aux_ouput", "aux_output"}),
    ("one key too many in loss_weights", BOTH, {**BOTH_WEIGHTS, "third": 1.0}, {"third"}),
    ("two lists", ["mse", "mae"], [1.0, 0.2], set()),
    ("a list of losses and a dictionary of weights", ["mse", "mae"], BOTH_WEIGHTS, {"form"}),
    ("a dictionary of losses and a list of weights", BOTH, [1.0, 0.2], {"form"}),
]


@exercise
def check_key_problems(function: Callable) -> None:
    """Check `key_problems(names, loss, loss_weights)`: what `compile` should have complained about.

    Args:
        function: the reader's answer; takes the outputs' names and what `compile` gets, returns a list of names.
    """
    for given, loss, weights, expected in KEY_CASES:
        problems = call(function, ["main_output", "aux_output"], loss, weights, given=given)
        if isinstance(problems, str) or not isinstance(problems, (list, tuple, set)):
            raise Hint(f"for {given} expected a list, but the answer is of type {type(problems).__name__}.")
        if set(problems) != expected:
            raise Hint(f"for {given} expected {sorted(expected)}, but the answer is {sorted(problems, key=str)}.")


def _names_of(model: keras.Model) -> list[str]:
    """Return the names under which a model's outputs are known: its dictionary's keys, or its output names."""
    return sorted(model.output) if isinstance(model.output, dict) else list(model.output_names)


@exercise
def check_training_model(function: Callable) -> None:
    """Check `training_model(body)`: two named loss outputs, one number per image each.

    Args:
        function: the reader's answer; takes a network with two heads, returns a model with the inputs
            [image, coarse label, fine label].
    """
    image = keras.Input((8, 8, 3), name="image")
    features = keras.layers.Conv2D(4, 3, strides=2, padding="same")(image)
    heads = [keras.layers.Conv2D(2, 1, strides=2)(features), keras.layers.Conv2D(2, 1)(features)]
    body = keras.Model(image, heads, name="body")
    given = "a body with the heads 2x2x2 and 4x4x2"
    model = call(function, body, given=given)
    if not isinstance(model, keras.Model):
        raise Hint(f"for {given} expected a model, but the answer is of type {type(model).__name__}.")
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if shapes != [(8, 8, 3), (2, 2, 2), (4, 4, 2)]:
        raise Hint(f"for {given} expected the inputs image, coarse label, fine label; their shapes are {shapes}.")
    if sorted(_names_of(model)) != ["coarse", "fine"]:
        raise Hint(f"for {given} expected outputs called coarse and fine, but they are {_names_of(model)}.")

    random = np.random.default_rng(0)
    data = [random.normal(size=(5, *shape)).astype("float32") for shape in shapes]
    result = model(data)
    result = result if isinstance(result, dict) else dict(zip(model.output_names, result))
    for name, head, label in zip(("coarse", "fine"), body(data[0]), data[1:]):
        found = ops.convert_to_numpy(result[name])
        expected = np.sum((ops.convert_to_numpy(head) - label) ** 2, axis=(1, 2, 3))
        if found.shape != (5, 1):
            raise Hint(f"for 5 images the output {name} has shape {found.shape}; expected (5, 1), a number per image.")
        if not np.allclose(found[:, 0], expected, rtol=1e-4):
            raise Hint(f"for 5 images the output {name} is {show(found[:, 0])}; expected {show(expected)}.")

    before = [ops.convert_to_numpy(weight) for weight in body.weights]
    model.compile(optimizer="sgd", loss=dict.fromkeys(("coarse", "fine"), lambda y_true, y_pred: y_pred))
    model.fit(data, dict.fromkeys(("coarse", "fine"), np.zeros((5, 1), "float32")), verbose=0)
    if all(np.array_equal(old, ops.convert_to_numpy(new)) for old, new in zip(before, body.weights)):
        raise Hint("after one training step the weights of the body are unchanged; build on the body that was given.")
