"""The further lesson losses_dictionaries: the checks of its tasks, a model's keys and wrong ones in a dictionary."""

from collections.abc import Callable

import keras
from keras import ops

from yolo_helpers.checks.verdict import Hint, call, task


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


@task
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


@task
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
