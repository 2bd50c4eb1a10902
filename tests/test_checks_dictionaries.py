"""The checks of the tasks of losses_dictionaries, tried with right answers and wrong ones that people really give."""

import keras
import numpy as np
import pytest
from keras import layers

from yolo_helpers import checks

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


@pytest.mark.parametrize(
    "name",
    ["check_output_keys", "check_key_problems"],
)
def test_a_stub_is_not_done_yet(says, name):
    says(getattr(checks, name), None, "not done yet")
    says(getattr(checks, name), lambda *arguments: None, "not done yet: the function returns None")
