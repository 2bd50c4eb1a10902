"""A small model with two outputs, an interval's ends, and what its loss and step must be: for lesson 05 and `ways`."""

from collections.abc import Callable

import keras
import numpy as np

from yolo_helpers.checks.compare import expect_model, likely
from yolo_helpers.checks.verdict import Hint, call, in_words


class Interval:
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
        """Make a Keras input and the two outputs, with the same weights each time."""
        inputs = keras.Input((2,))
        regularizer = keras.regularizers.L2(self.penalty)
        layers = {name: keras.layers.Dense(1, name=name, kernel_regularizer=regularizer) for name in self.start}
        outputs = [layer(inputs) for layer in layers.values()]
        for name, (kernel, bias) in self.start.items():
            layers[name].set_weights([kernel[:, None], np.array([bias])])
        return inputs, outputs

    def penalties(self, kernel=None):
        """Return the penalty of both kernels; `kernel` in place of that of `low`."""
        low, high = (values for values, _ in self.start.values())
        return self.penalty * sum((values**2).sum() for values in (low if kernel is None else kernel, high))

    def loss(self, kernel=None, weighted=False):
        """Return the total by NumPy; `kernel` in place of that of `low`."""
        kernels = {name: values for name, (values, _) in self.start.items()}
        kernels["low"] = kernels["low"] if kernel is None else kernel
        low, high = (self.x @ kernels[name] + self.start[name][1] for name in self.start)
        losses = abs(low - self.low[:, 0]) + abs(high - self.high[:, 0]) + 2 * np.maximum(low - high, 0)
        return (losses * (self.weights if weighted else 1)).mean() + self.penalties(kernel)

    def slope(self):
        """Return the derivative of the total with respect to the first weight of `low`, by a small difference."""
        step, kernel = np.array([1e-5, 0]), self.start["low"][0]
        return (self.loss(kernel + step) - self.loss(kernel - step)) / 2e-5


def compiled_model(function: Callable, *arguments) -> keras.Model:
    """Return what the reader's function makes of the arguments, if it is a compiled model."""
    given = "the interval model"
    model = expect_model(call(function, *arguments, given=given), given)
    if not model.compiled:
        raise Hint("the model is not compiled: call its compile before you return it.")
    model.run_eagerly = True
    return model


PENALTY_MISTAKES = [  # and what `evaluate` gives then
    ("The penalty is missing.", lambda total, penalty: total - penalty),
    ("That is the penalty alone.", lambda total, penalty: penalty),
]


def expect_loss(model: keras.Model, data: Interval, fed: dict, weights: bool) -> None:
    """End the check with a hint when `evaluate` gives another loss than NumPy.

    Args:
        model: the reader's.
        data: what it is made from.
        fed: the arguments x and y of `evaluate`.
        weights: whether sample weights are tried too.
    """
    cases = [
        ("eight samples", False, {"batch_size": 8}),
        ("eight samples in batches of three", False, {"batch_size": 3}),
        ("sample weights between 0 and 3", True, {"batch_size": 8, "sample_weight": data.weights}),
    ]
    for given, weighted, options in cases[: 3 if weights else 2]:
        expected, penalty = data.loss(weighted=weighted), data.penalties()
        try:
            found = float(model.evaluate(**fed, **options, verbose=0, return_dict=True)["loss"])
        except Exception as error:
            raise Hint(f"for {given} evaluate raised {in_words(error)}") from None
        if not np.isclose(found, expected, rtol=1e-4):
            why = likely(found, PENALTY_MISTAKES, expected, penalty)
            raise Hint(f"for {given} evaluate gave {found:.4g}; expected {expected:.4g}.{why}")


def expect_step(model: keras.Model, data: Interval, fed: dict, given: str) -> float:
    """End the check with a hint when a step of SGD(0.1) is not that of the loss with its penalty.

    Args:
        model: the reader's.
        data: what it is made from.
        fed: the arguments x and y of `fit`.
        given: the optimizer in words.

    Returns:
        The loss that `fit` logs.
    """
    before = float(model.get_layer("low").kernel[0, 0])
    try:
        history = model.fit(**fed, batch_size=8, shuffle=False, verbose=0).history
    except Exception as error:
        raise Hint(f"for {given} fit raised {in_words(error)}") from None
    if "loss" not in history:
        raise Hint("the log of fit has no entry 'loss'.")
    moved = float(model.get_layer("low").kernel[0, 0]) - before
    expected, of_penalty = -0.1 * data.slope(), -0.1 * 2 * data.penalty * data.start["low"][0][0]
    if not np.isclose(moved, expected, rtol=1e-2):
        why = " The penalty is missing in it." if np.isclose(moved, expected - of_penalty, rtol=1e-2) else ""
        raise Hint(f"for {given} a weight moved by {moved:.4f}; expected {expected:.4f}.{why}")
    return float(history["loss"][0])
