"""Lesson 02, names and dictionaries: the checks of its tasks."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yolo_helpers.checks.compare import (
    compare_models,
    expect_done,
    expect_model,
    numbers,
    one_number,
    with_random_weights,
)
from yolo_helpers.checks.verdict import Hint, call, task


@task
def check_named_total(function: Callable) -> None:
    """Check the task "give an output its name" of lesson 02: `named_total(model)`.

    Args:
        function: the reader's answer; takes a model, returns one with the same inputs, whose output is called total.
    """
    inputs = keras.Input((3,))
    parts = keras.layers.Dense(4, kernel_initializer="zeros")(inputs)
    unnamed = with_random_weights(keras.Model(inputs, ops.sum(parts, axis=-1, keepdims=True)), seed=3)
    expected = keras.Model(inputs, unnamed.outputs[0])
    given = "a model that ends in ops.sum"
    model = expect_model(call(function, unnamed, given=given), given)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        counts = f"{len(model.inputs)} and {len(model.outputs)}"
        raise Hint(f"for {given} expected a model with one input and one output; yours has {counts}.")
    if model.inputs[0].shape != inputs.shape:
        raise Hint(f"for {given} your model's input has the shape {model.inputs[0].shape}; expected {inputs.shape}.")
    x = np.random.default_rng(4).normal(size=(5, 3)).astype("float32")
    compare_models(model, expected, x, given)
    # What made the output tells its name; the list of the model's names and a dictionary's keys can say anything.
    names = list(keras.Model(model.inputs, model.outputs[0]).output_names)
    if names != ["total"]:
        why = ""
        if isinstance(model.output, dict):
            why = f" {list(model.output)} is a key of your dictionary. It trains by that key, too; here name the layer."
        elif list(model.output_names) == ["total"]:
            why = " Only the list output_names says total."
        elif model.name == "total":
            why = " It is the model itself that is called total."
        raise Hint(f"for {given} the numbers are right, but the output is called {names[0]!r}.{why}")


INPUTS, OUTPUTS = ("main_input", "aux_input"), ("main_output", "aux_output")
WIRED = {"inputs": INPUTS, "targets": OUTPUTS, "losses": OUTPUTS, "loss_weights": OUTPUTS}  # part: its keys


@task
def check_wired(wired: list, arrays: list[np.ndarray]) -> None:
    """Check the task "wire it by name" of lesson 02.

    Args:
        wired: the reader's dictionaries inputs, targets, losses and loss_weights.
        arrays: words (N, 8), extra (N, 3), answer (N, 1) and urgent (N, 1).
    """
    expect_done(dict(zip(WIRED, wired)))
    for (part, names), found in zip(WIRED.items(), wired):
        _judge_keys(part, names, found)
    inputs, targets, losses, loss_weights = wired
    words, extra, answer, urgent = arrays
    _judge_arrays("inputs", inputs, {"main_input": ("words", words), "aux_input": ("extra", extra)})
    _judge_arrays("targets", targets, {"main_output": ("answer", answer), "aux_output": ("urgent", urgent)})
    for name in OUTPUTS:
        _judge_loss(name, losses[name])
    _judge_weights(loss_weights)


def _judge_keys(part: str, names: tuple[str, ...], found) -> None:
    """End the check with a hint when a part is not a dictionary with these names as keys."""
    if not isinstance(found, dict):
        raise Hint(f"{part} is a {type(found).__name__}; by name means a dictionary.")
    other = OUTPUTS if names is INPUTS else INPUTS
    for key in found:
        if key in other:
            raise Hint(f"in {part}, {key} is an {'output' if names is INPUTS else 'input'}; the keys are {names}.")
        if key not in names:
            raise Hint(f"in {part} the key {key!r} is not one of {names}.")
    for name in names:
        if name not in found:
            raise Hint(f"in {part} the key {name} is missing.")


def _judge_arrays(part: str, found: dict, expected: dict[str, tuple[str, np.ndarray]]) -> None:
    """End the check with a hint when a dictionary holds other arrays, or the right ones at the wrong keys."""
    wrong = [name for name, (_, array) in expected.items() if not np.array_equal(found[name], array)]
    if not wrong:
        return
    first, second = expected.items()
    if np.array_equal(found[first[0]], second[1][1]) and np.array_equal(found[second[0]], first[1][1]):
        raise Hint(f"in {part}, {first[1][0]} and {second[1][0]} are swapped.")
    raise Hint(f"in {part} the array at {wrong[0]} is not {expected[wrong[0]][0]}.")


def _judge_loss(name: str, loss) -> None:
    """End the check with a hint when a loss, by name, as a function or as a class, is not binary cross-entropy."""
    y_true, y_pred = np.array([[1.0], [0.0], [1.0]]), np.array([[0.9], [0.4], [0.3]])
    try:
        found = ops.mean(keras.losses.get(loss)(y_true, y_pred))
    except Exception:
        raise Hint(f"in losses, Keras knows no loss {str(loss)[:40]!r}, that of {name}.") from None
    if not np.isclose(found, ops.mean(keras.losses.binary_crossentropy(y_true, y_pred)), rtol=1e-4):
        shown = loss if isinstance(loss, str) else "that function"
        raise Hint(f"in losses the loss of {name}, {shown}, gives other numbers than binary_crossentropy.")


def _judge_weights(found: dict) -> None:
    """End the check with a hint when the weights of the losses are not 1 and a fifth."""
    weights = [numbers(found[name]) for name in OUTPUTS]
    for name, weight in zip(OUTPUTS, weights):
        if weight is None or weight.shape != ():
            raise Hint(f"in loss_weights the weight of {name} is {str(found[name])[:40]}; expected a number.")
    for name, weight, expected in zip(OUTPUTS, weights, (1.0, 0.2)):
        if not np.isclose(weight, expected):
            swapped = " The two are swapped." if np.allclose(weights, (0.2, 1.0)) else ""
            raise Hint(f"in loss_weights the weight of {name} is not {weight:g}.{swapped}")


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


@task
def check_add_up(function: Callable) -> None:
    """Check the task "which sum is it?" of lesson 02, `add_up(log, weights, penalties)`: the total from its parts.

    Args:
        function: the reader's answer; takes two dictionaries and a list of numbers, returns a number.
    """
    for given, log, weights, penalties, expected in TOTAL_CASES:
        total = call(function, dict(log), dict(weights), list(penalties), given=given)
        found = one_number(total, given)
        if not np.isclose(found, expected, atol=1e-6):
            raise Hint(f"for {given} expected {expected:.4f}, but the answer is {found:.4f}.")
