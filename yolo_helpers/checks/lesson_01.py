"""Lesson 01, the loss function: the checks of its tasks."""

import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yolo_helpers.checks.compare import (
    compare_loss,
    expect_batches,
    expect_done,
    expect_model,
    float32,
    likely,
    numbers,
    show,
    train_with,
)
from yolo_helpers.checks.verdict import Hint, call, task

MAE_CASES = [  # y_true, y_pred
    ([[1.0, 2.0, 4.0], [5.0, 5.0, 1.0]], [[2.0, 2.0, 0.0], [5.0, 5.0, 4.0]]),
    ([[[1.0, 2.0], [3.0, 4.0]]], [[[1.0, 1.0], [0.0, 9.0]]]),
]
MAPE_CASES = [
    ([[1.0, 2.0, 4.0], [5.0, 5.0, 1.0]], [[2.0, 2.5, 1.0], [4.0, 5.0, 4.0]]),
    ([[-1.0, -2.0]], [[-2.0, 2.0]]),
    ([[2.0, 0.0]], [[1.0, 0.5]]),
    ([[[1.0, 2.0], [4.0, 4.0]]], [[[1.0, 1.0], [2.0, 9.0]]]),
]


def _check_loss(function: Callable, reference: Callable, cases: list[tuple], mistakes: list[tuple] = ()) -> None:
    """End the check with a hint when a loss has other values than the reference, or cannot be trained with.

    Args:
        function: the reader's answer.
        reference: takes y_true and y_pred (B, …, D), returns (B, …).
        cases: pairs of y_true and y_pred.
        mistakes: the words of the hint and a loss with that mistake, as `likely` takes them.
    """
    for number, case in enumerate(cases):
        y_true, y_pred = float32(*case)
        given = f"y_true={show(y_true)}, y_pred={show(y_pred)}"
        result = call(function, y_true, y_pred, given=given)
        compare_loss(result, reference(y_true, y_pred), given, mistakes, (y_true, y_pred))
        train_with(function, y_true, y_pred, given, traced=number == 0)


def _by_keras(loss: Callable) -> Callable:
    """Make a loss of `keras.losses` return an array."""
    return lambda y_true, y_pred: ops.convert_to_numpy(loss(y_true, y_pred))


def _absolute_error(of_error: Callable = np.abs, reduce: Callable = np.mean) -> Callable:
    """Make the mean absolute error; the defaults are right, each argument is a common mistake."""
    return lambda y_true, y_pred: reduce(of_error(np.subtract(y_pred, y_true)), axis=-1)


MAE_MISTAKES = [
    ("Is the distance without its sign?", _absolute_error(of_error=np.asarray)),
    ("That is the squared error.", _absolute_error(of_error=np.square)),
    ("That is the sum over the last axis; expected the mean.", _absolute_error(reduce=np.sum)),
]


@task
def check_mae(function: Callable) -> None:
    """Check the task "the mean absolute error" of lesson 01 against `keras.losses`.

    Args:
        function: the reader's answer; takes arrays (B, …, D), returns (B, …).
    """
    _check_loss(function, _by_keras(keras.losses.mean_absolute_error), MAE_CASES, MAE_MISTAKES)


def _percentage_error(
    factor: float = 100.0,
    of_ratio: Callable = np.abs,
    divisor: Callable = lambda y_true, y_pred: np.maximum(np.abs(y_true), 1e-7),
    reduce: Callable = np.mean,
) -> Callable:
    """Make the mean absolute percentage error; the defaults are right, each argument is a common mistake."""

    def loss(y_true, y_pred):
        with np.errstate(all="ignore"):
            ratio = np.subtract(y_true, y_pred) / divisor(np.asarray(y_true), np.asarray(y_pred))
        return factor * reduce(of_ratio(ratio), axis=-1)

    return loss


MAPE_MISTAKES = [
    ("Is the factor 100 missing?", _percentage_error(factor=1.0)),
    (
        "Do you divide by the prediction?",
        _percentage_error(divisor=lambda y_true, y_pred: np.maximum(np.abs(y_pred), 1e-7)),
    ),
    (
        "Is the larger one taken of the target itself? A negative target is smaller than any epsilon.",
        _percentage_error(divisor=lambda y_true, y_pred: np.maximum(y_true, 1e-7)),
    ),
    ("The target 0 is the divisor.", _percentage_error(divisor=lambda y_true, y_pred: y_true)),
    ("Is the ratio without its sign?", _percentage_error(of_ratio=np.asarray)),
    ("That is the sum over the last axis; expected the mean.", _percentage_error(reduce=np.sum)),
]


@task
def check_mape(function: Callable) -> None:
    """Check the task "the mean absolute percentage error" of lesson 01 against `keras.losses`.

    Args:
        function: the reader's answer; takes arrays (B, …, D), returns (B, …).
    """
    _check_loss(function, _by_keras(keras.losses.mean_absolute_percentage_error), MAPE_CASES, MAPE_MISTAKES)


PREDICTIONS = np.array([1.0, 2.0, 3.0, 10.0])  # of task "two gradients on paper"; the targets are 0
SLOPES = {  # words, gradient, mistakes
    "the squared error": (
        PREDICTIONS / 2,
        [
            ("Is the 2 of the derivative missing?", lambda: PREDICTIONS / 4),
            ("Is the division by 4, the number of predictions, missing?", lambda: PREDICTIONS * 2),
            ("Are both missing, the 2 of the derivative and the division by 4?", lambda: PREDICTIONS),
            ("The sign is turned.", lambda: -PREDICTIONS / 2),
            ("These are the parts of L itself, not their slopes.", lambda: PREDICTIONS**2 / 4),
        ],
    ),
    "the identity": (
        np.full(4, 0.25),
        [
            ("Is the division by 4, the number of predictions, missing?", lambda: np.ones(4)),
            ("The sign is turned.", lambda: np.full(4, -0.25)),
            ("These are the parts of L itself, not their slopes.", lambda: PREDICTIONS / 4),
            ("These are the predictions, not the slopes of L.", lambda: PREDICTIONS),
            ("With no slope nothing would be learnt.", lambda: np.zeros(4)),
        ],
    ),
}


@task
def check_slopes(answer: list) -> None:
    """Check the task "two gradients on paper" of lesson 01.

    Args:
        answer: the reader's four slopes by the squared error, and four by the identity.
    """
    expect_done(dict(zip(SLOPES, answer)))
    for slopes, (given, (expected, mistakes)) in zip(answer, SLOPES.items()):
        found = numbers(slopes)
        if found is None:
            raise Hint(f"for {given} expected four numbers; your answer is {str(slopes)[:80]}.")
        if found.size != 4:
            raise Hint(f"for {given} expected four numbers, one for each prediction; your answer has {found.size}.")
        found = found.ravel()
        if not np.allclose(found, expected, atol=1e-3):
            wrong = np.flatnonzero(~np.isclose(found, expected, atol=1e-3))[0]
            raise Hint(
                f"for {given} the slope at the prediction {PREDICTIONS[wrong]:g} is not {found[wrong]:g}."
                f"{likely(found, mistakes)}"
            )


@task
def check_with_zeros(function: Callable) -> None:
    """Check the task "a generator without targets" of lesson 01: `with_zeros(batches)`.

    Args:
        function: the reader's generator function; takes a generator of arrays (B, 3).
    """

    def rows(random, size):
        x = random.normal(size=(size, 3)).astype("float32")
        return x, x

    for x, pair, where in expect_batches(function, rows):
        _judge_pair(pair, x, where)


def _judge_pair(pair, x: np.ndarray, where: str) -> None:
    """End the check with a hint when what the reader's generator yielded is not the tuple (x, zeros)."""
    if not isinstance(pair, tuple):
        what = "x alone" if isinstance(pair, np.ndarray) else f"a {type(pair).__name__}"
        raise Hint(f"{where} expected a tuple of two, x and the target; you yield {what}.")
    if len(pair) != 2:
        nested = " It holds a tuple: there is a pair of brackets too many." if isinstance(pair[0], tuple) else ""
        raise Hint(f"{where} expected a tuple of two, x and the target; yours has length {len(pair)}.{nested}")
    images, target = pair
    if target is x:
        raise Hint(f"{where} the target is x. Are the two swapped?")
    if isinstance(images, (list, tuple, dict)) or not np.array_equal(images, x):
        raise Hint(f"{where} expected the array x itself first; you yield another {type(images).__name__}.")
    if target is None:
        raise Hint(f"{where} the target is None; Keras turns it into a tensor, so it must be an array.")
    if isinstance(target, (list, tuple)) or numbers(target) is None:
        raise Hint(f"{where} expected an array of zeros as target; yours is a {type(target).__name__}.")
    shape = np.shape(target)
    if shape not in ((len(x),), (len(x), 1)):
        raise Hint(f"{where} expected a zero for each row, {len(x)}; your target has the shape {shape}.")
    if np.any(target):
        raise Hint(f"{where} the target is not zero everywhere.")


def _lopsided(y_true, y_pred):
    """Return a loss in which the order of the arguments matters: an error above the target costs double."""
    error = y_pred - y_true
    return ops.mean(ops.where(error > 0, 2.0, 1.0) * ops.square(error), axis=-1)


def _small_body() -> keras.Model:
    """Build a network with two outputs, always with the same start weights."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation="tanh")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(hidden))


def _trained(model: keras.Model, loss: Callable, x, y, **options) -> list[float]:
    """Train three epochs in batches of four; return the losses that `fit` reports."""
    # Eagerly, since a small model takes far longer to trace than to train.
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss, run_eagerly=True)
    return model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0, **options).history["loss"]


@functools.cache
def _trained_outside() -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Train the network of `loss_inside` with `compile(loss=…)`; return x, y, the sample weights and its weights."""
    random = np.random.default_rng(3)
    x, y = float32(random.normal(size=(12, 3)), random.normal(size=(12, 2)))
    plain, weights = _small_body(), random.uniform(size=12)
    _trained(plain, _lopsided, x, y, sample_weight=weights)
    return x, y, weights, plain.get_weights()


@task
def check_loss_inside(function: Callable) -> None:
    """Check the task "put any loss inside the model" of lesson 01 by training both ways.

    Args:
        function: the reader's answer; takes a model and a loss, returns a model with inputs [x, y] and output (B, 1).
    """
    x, y, weights, expected_weights = _trained_outside()
    body, given = _small_body(), "a body with 3 inputs and 2 outputs"
    model = expect_model(call(function, body, _lopsided, given=given), given)
    if len(model.inputs) != 2:
        raise Hint(f"expected a model with two inputs, x and y; yours has {len(model.inputs)}.")
    given = "x of shape (12, 3) and y of shape (12, 2)"
    found = call(lambda: model.predict([x, y], batch_size=12, verbose=0), given=given)
    raw = ops.convert_to_numpy(body(x))
    expected = ops.convert_to_numpy(_lopsided(y, raw))
    if np.shape(found) != (12, 1):
        raise Hint(f"for {given} the output of your model has the shape {np.shape(found)}; expected (12, 1).")
    if not np.allclose(found[:, 0], expected, rtol=1e-4, atol=1e-6):
        swapped = ops.convert_to_numpy(_lopsided(raw, y))
        why = " Are target and prediction swapped?" if np.allclose(found[:, 0], swapped, rtol=1e-4) else ""
        raise Hint(f"the loss of the first sample is {expected[0]:.4f}, your model gives {found[0, 0]:.4f}.{why}")

    _trained(model, lambda y_true, y_pred: y_pred, [x, y], np.zeros(12), sample_weight=weights)
    for ours, theirs in zip(body.get_weights(), expected_weights, strict=True):
        if not np.allclose(ours, theirs, atol=1e-5):
            raise Hint(
                "the losses are right, but after training your model the body's weights are not those of a body "
                "trained with compile(loss=…). Does your model use the layers of the body that it was given?"
            )
