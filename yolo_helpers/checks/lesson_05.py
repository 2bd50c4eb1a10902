"""Checks around the places where a loss may be computed."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yolo_helpers.checks.compare import expect_entries, expect_model, likely, one_number
from yolo_helpers.checks.verdict import Hint, call, in_words, task

# The short forms

LOSSES, PENALTY = np.array([1.0, 2.0, 3.0, 6.0]), 0.5
RIGHT_LOSS = ("That is the right loss; the short form reports another number.", lambda: LOSSES.mean() + PENALTY)
ONLY_PENALTY = ("That is the penalty alone.", lambda: PENALTY)
SHORT_FORMS = {  # what `evaluate` reports, and mistakes
    "endpoint": (
        LOSSES.sum() + PENALTY,
        [
            RIGHT_LOSS,
            ("Keras still adds the penalty.", lambda: LOSSES.sum()),
            ("add_loss takes no mean.", lambda: LOSSES.mean()),
            ONLY_PENALTY,
        ],
    ),
    "compute_loss": (
        LOSSES.mean(),
        [
            RIGHT_LOSS,
            ("The short form takes the mean itself.", lambda: LOSSES.sum()),
            ("The short form takes the mean itself, and knows no penalty.", lambda: LOSSES.sum() + PENALTY),
            ONLY_PENALTY,
            ("The loss is computed, whether compile has one or not.", lambda: 0.0),
        ],
    ),
    "train_step": (
        PENALTY,
        [
            RIGHT_LOSS,
            ("That is what fit reports; evaluate does not call train_step.", lambda: LOSSES.mean()),
            ("One thing is left for test_step to add: the model's penalty.", lambda: 0.0),
            ("evaluate does not call train_step, and add_loss is not there.", lambda: LOSSES.sum() + PENALTY),
        ],
    ),
}


@task
def check_short_forms(said: dict) -> None:
    """Check the task "what will evaluate say?" of lesson 05.

    Args:
        said: the reader's numbers for endpoint, compute_loss and train_step.
    """
    for name, answer in expect_entries(said, SHORT_FORMS):
        expected, mistakes = SHORT_FORMS[name]
        found = one_number(answer, name)
        if not np.isclose(found, expected, rtol=0, atol=0.005):
            raise Hint(f"for {name} evaluate does not say {found:g}.{likely(found, mistakes)}")


# Choose a way

CHOICES = ["Lambda", "loss layer", "loss per head", "compute_loss", "train_step"]
SEES_ONE_OUTPUT = "the only output of that training model is the loss, so metrics do not see the heads"
WORKS_WITH_MORE = "that works, but there is a way that needs no code beside compile"
ONE_OPTIMIZER = "a compiled model has one optimizer, and takes one step for each batch"
REWRITE = "that means to rewrite what trains already, before Friday"
LABELS_AS_TARGETS = "there the labels are targets, and she keeps them as inputs"
PEOPLE = {  # the way that fits, and why each of the others does not
    "Ada": (
        "Lambda",
        {
            "loss layer": "that works, but she must change what trains already, before Friday",
            "loss per head": REWRITE,
            "compute_loss": REWRITE,
            "train_step": REWRITE,
        },
    ),
    "Ben": (
        "compute_loss",
        {
            "Lambda": SEES_ONE_OUTPUT,
            "loss layer": SEES_ONE_OUTPUT,
            "loss per head": "the loss of one head does not see the boxes of the others, which darknet's mask needs",
            "train_step": "that works, but then means, sample weights, penalties and replicas are his to care for",
        },
    ),
    "Cho": (
        "loss per head",
        {
            "Lambda": WORKS_WITH_MORE,
            "loss layer": WORKS_WITH_MORE,
            "compute_loss": WORKS_WITH_MORE,
            "train_step": WORKS_WITH_MORE,
        },
    ),
    "Dan": (
        "train_step",
        {
            "Lambda": ONE_OPTIMIZER,
            "loss layer": ONE_OPTIMIZER,
            "loss per head": ONE_OPTIMIZER,
            "compute_loss": ONE_OPTIMIZER,
        },
    ),
    "Eva": (
        "loss layer",
        {
            "Lambda": "a lambda from a file is refused, and a Lambda logs no terms",
            "loss per head": LABELS_AS_TARGETS,
            "compute_loss": LABELS_AS_TARGETS,
            "train_step": LABELS_AS_TARGETS,
        },
    ),
}


@task
def check_choice(choice: dict) -> None:
    """Check the task "five people ask" of lesson 05.

    Args:
        choice: the reader's way for each of Ada, Ben, Cho, Dan and Eva.
    """
    for name, way in expect_entries(choice, PEOPLE):
        if way not in CHOICES:
            raise Hint(f"for {name} the answer is {str(way)[:40]!r}; expected one of {CHOICES}.")
        fits, why_not = PEOPLE[name]
        if way != fits:
            raise Hint(f"for {name} there is something better than {way!r}: {why_not[way]}.")


# A loss of two outputs


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


def _compiled(function: Callable, *arguments) -> keras.Model:
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


def _check_interval(model: keras.Model, data: _Interval, fed: dict, weights: bool) -> None:
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


def _check_step(model: keras.Model, data: _Interval, fed: dict, given: str) -> float:
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


@task
def check_compute_loss(function: Callable) -> None:
    """Check `with_compute_loss(inputs, outputs, optimizer)`.

    Args:
        function: the reader's answer; returns a compiled model of the two outputs, fed with x and (low, high).
    """
    data = _Interval()
    fed = {"x": data.x, "y": (data.low, data.high)}
    model = _compiled(function, *data.tensors(), keras.optimizers.SGD(0.1))
    _check_interval(model, data, fed, weights=True)
    _check_step(model, data, fed, "a step of SGD(0.1)")


@task
def check_endpoint(function: Callable) -> None:
    """Check `endpoint_model(inputs, targets, outputs, optimizer)`.

    Args:
        function: the reader's answer; returns a compiled model with inputs [inputs, *targets] and the two outputs.
    """
    data = _Interval()
    inputs, outputs = data.tensors()
    targets = [keras.Input((1,)) for _ in outputs]
    plain = [ops.convert_to_numpy(output) for output in keras.Model(inputs, outputs)(data.x)]
    model = _compiled(function, inputs, targets, outputs, keras.optimizers.SGD(0.1))
    fed = {"x": [data.x, data.low, data.high]}
    try:
        found = model.predict(fed["x"], verbose=0)
    except Exception as error:
        raise Hint(f"for the inputs [x, low, high] predict raised {in_words(error)}") from None
    if not (isinstance(found, list | tuple) and len(found) == 2 and all(map(np.allclose, found, plain))):
        raise Hint("the model must return the two outputs, low and high, unchanged.")
    _check_interval(model, data, fed, weights=False)
    _check_step(model, data, fed, "a step of SGD(0.1)")


@task
def check_train_step(function: Callable) -> None:
    """Check `repaired_train_step(inputs, outputs, optimizer)`.

    Args:
        function: the reader's answer; returns a compiled model of the two outputs with a `train_step` and a
            `test_step`.
    """
    data = _Interval()
    fed = {"x": data.x, "y": (data.low, data.high)}
    model = _compiled(function, *data.tensors(), keras.optimizers.SGD(0.1))
    logged = _check_step(model, data, fed, "a step of SGD(0.1)")
    if not np.isclose(logged, data.loss(), rtol=1e-4):
        raise Hint(f"the log of fit says loss {logged:.4g}; expected {data.loss():.4g}, with the penalty.")
    scaling = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=64)
    scaled = _compiled(function, *data.tensors(), scaling)
    _check_step(scaled, data, fed, "a LossScaleOptimizer around SGD(0.1)")
    fresh = _compiled(function, *data.tensors(), keras.optimizers.SGD(0.1))
    _check_interval(fresh, data, fed, weights=False)
