"""The checks of the tasks of lessons 02 and 02b, tried with right answers and wrong ones that people really give."""

import keras
import numpy as np
import pytest
from keras import layers, ops

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


# The keys of a model's outputs


def output_keys(model):
    return sorted(model.output) if isinstance(model.output, dict) else list(model.output_names)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda model: list(model.output_names), "returns a dictionary"),  # the layers' names, not the keys
        (lambda model: [tensor.name for tensor in model.outputs], "keras_tensor"),
        (lambda model: [layer.name for layer in model.layers[-2:]], "one output"),
        (lambda model: [model.layers[-1].name], "list of two outputs"),
        (lambda model: list(model.output), "raised"),  # the tensor itself, where there is one output
        (lambda model: model.output_names[0], "type str"),
        (lambda model: list(model.layers), "holds a InputLayer"),
        ("yolo_loss", "expected a function"),
    ],
)
def test_output_keys_wrong(says, answer, words):
    says(checks.check_output_keys, answer, "hint: ", words)


def test_output_keys_right(says):
    says(checks.check_output_keys, output_keys, "ok")
    says(checks.check_output_keys, lambda model: set(output_keys(model)), "ok")


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


# What compile does not check


def key_problems(names, loss, loss_weights):
    if loss_weights is not None and isinstance(loss, dict) != isinstance(loss_weights, dict):
        return ["form"]
    given = [keys for keys in (loss, loss_weights) if isinstance(keys, dict)]
    return sorted({key for keys in given for key in set(keys) ^ set(names)})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda names, loss, weights: [], "mian_output"),
        (lambda names, loss, weights: sorted(set(loss) - set(names)), "mian_output"),  # unknown keys only
        (lambda names, loss, weights: sorted(set(names) - set(loss)), "mian_output"),  # missing keys only
        (lambda names, loss, weights: sorted(set(names) ^ set(loss)), "aux_ouput"),  # forgets loss_weights
        (lambda names, loss, weights: sorted((set(names) ^ set(loss)) | (set(names) ^ set(weights))), "None"),
        (
            lambda names, loss, weights: sorted(
                (set(names) ^ {k for k in loss if loss[k]}) | (set(names) ^ set(weights or names))
            ),
            "None as the loss",
        ),
        (
            lambda names, loss, weights: sorted((set(names) ^ set(loss)) | (set(names) ^ set(weights or names))),
            "two lists",
        ),
        (lambda names, loss, weights: sorted(set(key_problems(names, loss, weights)) - {"form"}), "a list of"),
        (lambda names, loss, weights: not key_problems(names, loss, weights), "type bool"),
    ],
)
def test_key_problems_wrong(says, answer, words):
    says(checks.check_key_problems, answer, "hint: ", words)


def test_key_problems_right(says):
    says(checks.check_key_problems, key_problems, "ok")


def test_key_problems_are_what_keras_stumbles_over():
    """The cases of the check, held against Keras itself: what the answer calls wrong in `loss` must raise there."""
    numbers = keras.Input((3,))
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 1), "float32")
    for loss, wrong in [({"a": "mse", "b": "mse"}, False), ({"a": "mse"}, True), ({"a": "mse", "c": "mse"}, True)]:
        model = keras.Model(numbers, [layers.Dense(1, name="a")(numbers), layers.Dense(1, name="b")(numbers)])
        model.compile(optimizer="sgd", loss=loss, run_eagerly=True)
        assert bool(key_problems(["a", "b"], loss, None)) == wrong
        if wrong:
            with pytest.raises(ValueError, match="Expected keys"):
                model.fit(x, [y, y], verbose=0)
        else:
            model.fit(x, [y, y], verbose=0)


# Two named losses from one body


def training_model(
    body,
    reduce=lambda error: ops.sum(error, axis=(1, 2, 3))[:, None],
    names=("coarse", "fine"),
    order=(0, 1),
    call=False,
):
    labels = [keras.Input(body.outputs[i].shape[1:]) for i in order]
    image = keras.Input(body.inputs[0].shape[1:]) if call else body.inputs[0]
    heads = [(body(image) if call else body.outputs)[i] for i in order]
    outputs = [
        layers.Lambda(lambda pair: reduce(ops.square(pair[0] - pair[1])), output_shape=(1,), name=name)([head, label])
        for name, head, label in zip(names, heads, labels)
    ]
    return keras.Model([image, *labels], outputs)


def as_dictionary(body):
    model = training_model(body, names=("layer_1", "layer_2"))
    return keras.Model(model.inputs, dict(zip(("coarse", "fine"), model.outputs)))


def a_body_of_its_own(body):
    copy = keras.models.clone_model(body)
    copy.set_weights(body.get_weights())
    return training_model(copy)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda body: training_model(body, reduce=ops.sum), "has shape ()"),
        (lambda body: training_model(body, reduce=lambda e: ops.sum(e, axis=(1, 2, 3))), "has shape (5,)"),
        (lambda body: training_model(body, reduce=lambda e: ops.mean(e, axis=(1, 2, 3))[:, None]), "coarse is ["),
        (lambda body: training_model(body, names=("coarse_loss", "fine_loss")), "called coarse and fine"),
        (lambda body: training_model(body, order=(1, 0)), "their shapes are"),
        (lambda body: training_model(body, names=("fine", "coarse")), "coarse is ["),
        (lambda body: body, "their shapes are"),
        (lambda body: training_model(body).outputs, "expected a keras.Model"),
        (a_body_of_its_own, "weights of the body are unchanged"),
    ],
)
def test_training_model_wrong(says, answer, words):
    says(checks.check_training_model, answer, "hint: ", words, traced=False)


@pytest.mark.parametrize(
    "answer", [training_model, lambda body: training_model(body, call=True), as_dictionary], ids=["on", "call", "dict"]
)
def test_training_model_right(says, answer):
    says(checks.check_training_model, answer, "ok")


@pytest.mark.parametrize(
    "name",
    ["check_named_total", "check_output_keys", "check_add_up", "check_key_problems", "check_training_model"],
)
def test_a_stub_is_not_done_yet(says, name):
    says(getattr(checks, name), None, "not done yet")
    says(getattr(checks, name), lambda *arguments: None, "not done yet: the function returns None")
