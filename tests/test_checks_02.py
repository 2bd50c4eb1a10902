"""The checks of the tasks of lesson 02, tried with right answers and wrong ones that people really give."""

import keras
import numpy as np
import pytest
from keras import layers

from yolo_helpers import checks

# Give an output its name


def named_total(model):
    return keras.Model(model.inputs, layers.Identity(name="total")(model.output))


def named_total_called(model):
    """The model called as a layer on a new input, in a dictionary; another layer that changes nothing."""
    numbers = keras.Input((3,), name="x")
    return keras.Model({"x": numbers}, layers.Activation("linear", name="total")(model(numbers)))


def copied(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return named_total(copy)


def renamed_in_place(model):
    model.output_names = ["total"]
    return model


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda model: model, "the numbers are right, but the output is called 'sum"),
        (lambda model: keras.Model(model.inputs, model.output, name="total"), "the model itself that is called total"),
        (
            lambda model: keras.Model(model.inputs, {"total": model.output}),
            "a key of your dictionary. It trains by that",
        ),
        (renamed_in_place, "Only the list output_names"),
        (
            lambda model: keras.Model(model.inputs, layers.Identity(name="Total")(model.output)),
            "the output is called 'Total'",
        ),
        (
            lambda model: keras.Model(model.inputs, layers.Dense(1, name="total")(model.output)),
            "weights of its own; use the layers that are there",
        ),
        (lambda model: keras.Model(model.inputs, layers.Identity(name="total")(model.input)), "the shape (5, 3)"),
        (
            lambda model: keras.Model(model.inputs, layers.Identity(name="total")(2 * model.output)),
            "your model gives [",
        ),
        (lambda model: keras.Model(model.inputs, [model.output, named_total(model).output]), "yours has 1 and 2"),
        (
            lambda model: named_total(keras.Model(model.layers[-1].output, model.output)),
            "input has the shape (None, 4)",
        ),
        (copied, "it has copies of them"),
        (lambda model: layers.Identity(name="total")(model.output), "returned a KerasTensor"),
        (lambda model: layers.Identity(name="total")(model), "raised"),
        (lambda model: model.get_layer("total"), "raised ValueError"),
        ("total", "expected a function"),
    ],
)
def test_named_total_wrong(says, answer, words):
    says(checks.check_named_total, answer, "hint: ", words)


@pytest.mark.parametrize("answer", [named_total, named_total_called])
def test_named_total_right(says, answer, recwarn):
    says(checks.check_named_total, answer, "ok")
    assert not recwarn.list  # Keras would warn of an input in another structure


# Wire it by name

RANDOM = np.random.default_rng(2)
WORDS, EXTRA = RANDOM.integers(1, 50, (6, 8)), RANDOM.normal(size=(6, 3))
ANSWER, URGENT = np.array([[1.0, 0, 0, 1, 0, 0]]).T, np.array([[1.0, 1, 0, 1, 0, 1]]).T


def wired(**changed):
    """The right dictionaries with some of the parts changed."""
    parts = {
        "inputs": {"main_input": WORDS, "aux_input": EXTRA},
        "targets": {"main_output": ANSWER, "aux_output": URGENT},
        "losses": dict.fromkeys(("main_output", "aux_output"), "binary_crossentropy"),
        "loss_weights": {"main_output": 1.0, "aux_output": 0.2},
    }
    return list((parts | changed).values())


def check_wired(answer):
    checks.check_wired(answer, [WORDS, EXTRA, ANSWER, URGENT])


def two(main, aux, end="output"):
    return {f"main_{end}": main, f"aux_{end}": aux}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (wired(inputs=[WORDS, EXTRA]), "inputs is a list; by name means a dictionary"),
        (wired(targets=(ANSWER, URGENT)), "targets is a tuple"),
        (wired(losses="binary_crossentropy"), "losses is a str"),
        (wired(loss_weights=[1.0, 0.2]), "loss_weights is a list"),
        (wired(inputs=two(EXTRA, WORDS, "input")), "in inputs, words and extra are swapped"),
        (wired(inputs=two(WORDS, WORDS, "input")), "in inputs the array at aux_input is not extra"),
        (wired(inputs=two("words", "extra", "input")), "in inputs the array at main_input is not words"),
        (wired(inputs=two(WORDS, EXTRA)), "in inputs, main_output is an output"),
        (wired(targets=two(URGENT, ANSWER)), "in targets, answer and urgent are swapped"),
        (wired(targets=two(ANSWER, ANSWER)), "in targets the array at aux_output is not urgent"),
        (wired(targets=two(ANSWER, URGENT, "input")), "in targets, main_input is an input"),
        (wired(targets={"main_output": ANSWER}), "in targets the key aux_output is missing"),
        (wired(targets={"main_output": ANSWER, "aux_ouput": URGENT}), "in targets the key 'aux_ouput' is not one of"),
        (wired(losses=two("mse", "mse")), "in losses the loss of main_output, mse, gives other"),
        (wired(losses=two("binary_crossentropy", "categorical_crossentropy")), "in losses the loss of aux_output"),
        (
            wired(losses=two("binary_crosentropy", "bce")),
            "Keras knows no loss 'binary_crosentropy', that of main_output",
        ),
        (wired(losses=two(None, "bce")), "Keras knows no loss 'None'"),
        (wired(losses=two("bce", keras.losses.BinaryCrossentropy(from_logits=True))), "the loss of aux_output"),
        (wired(losses=two("bce", "bce", "input")), "in losses, main_input is an input"),
        (wired(loss_weights=two(0.2, 1.0)), "the weight of main_output is not 0.2. The two are swapped"),
        (wired(loss_weights=two(1, 5)), "the weight of aux_output is not 5."),
        (wired(loss_weights=two(0.8, 0.2)), "the weight of main_output is not 0.8."),
        (wired(loss_weights=two(0.8, "0.2")), "the weight of aux_output is 0.2; expected a number"),
        (wired(loss_weights=two([1.0], 0.2)), "the weight of main_output is [1.0]; expected a number"),
        (wired(loss_weights={"aux_output": 0.2}), "in loss_weights the key main_output is missing"),
    ],
)
def test_wired_wrong(says, answer, words):
    says(check_wired, answer, "hint: ", words)


@pytest.mark.parametrize(
    "answer",
    [
        wired(),
        wired(
            inputs={"aux_input": EXTRA.copy(), "main_input": WORDS.copy()},
            losses=two(keras.losses.BinaryCrossentropy(), keras.losses.binary_crossentropy),
            loss_weights=two(1, 1 / 5),
        ),
        wired(losses=two(keras.losses.BinaryCrossentropy, "bce")),
    ],
)
def test_wired_right(says, answer):
    says(check_wired, answer, "ok")


@pytest.mark.parametrize("part", ["inputs", "targets", "losses", "loss_weights"])
def test_wired_not_done(says, part):
    says(check_wired, wired(**{part: None}), f"not done yet: {part} still None")
    says(check_wired, [None] * 4, "not done yet")


# The total


def add_up(log, weights, penalties):
    return sum(weight * log[f"{name}_loss"] for name, weight in weights.items()) + sum(penalties)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda log, weights, penalties: sum(log.values()) + sum(penalties), "expected 1.0000"),  # no weights
        (lambda log, weights, penalties: add_up(log, weights, []), "penalties"),
        (lambda log, weights, penalties: add_up(log, weights, penalties) / len(weights), "expected 1.0000"),
        (
            lambda log, weights, penalties: (
                sum(weights[k.removesuffix("_loss")] * v for k, v in log.items()) + sum(penalties)
            ),
            "metric main_output_mae",
        ),
        (
            lambda log, weights, penalties: (
                sum(weights[k.replace("_loss", "")] * v for k, v in log.items() if k.endswith("_loss")) + sum(penalties)
            ),
            "xy_loss",
        ),
        (
            lambda log, weights, penalties: (
                sum((weights[n] or 1.0) * log[f"{n}_loss"] for n in weights) + sum(penalties)
            ),
            "a weight of 0",
        ),
        (lambda log, weights, penalties: log["loss"], "raised KeyError"),
        (lambda log, weights, penalties: [add_up(log, weights, penalties)], "shape (1,)"),
    ],
)
def test_add_up_wrong(says, answer, words):
    says(checks.check_add_up, answer, "hint: ", words)


def test_add_up_right(says):
    says(checks.check_add_up, add_up, "ok")


@pytest.mark.parametrize(
    "name",
    ["check_named_total", "check_add_up"],
)
def test_a_stub_is_not_done_yet(says, name):
    says(getattr(checks, name), None, "not done yet")
    says(getattr(checks, name), lambda *arguments: None, "not done yet: the function returns None")
