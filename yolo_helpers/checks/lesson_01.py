"""Checks around losses and their signatures."""

import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yolo_helpers.checks.compare import compare_loss, float32, show, train_with
from yolo_helpers.checks.verdict import Hint, call, exercise

MSLE_CASES = [  # y_true, y_pred
    ([[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]], [[0.0, 1.0, 1.0], [2.0, 0.0, 2.0]]),
    ([[0.0, 2.0]], [[-5.0, 2.0]]),
    ([[[1.0, 2.0], [3.0, 4.0]]], [[[1.0, 1.0], [0.0, 9.0]]]),
]
LABELLED_CASES = [
    ([[1.0, 2.0], [3.0, 4.0]], [[2.0, 2.0], [3.0, 1.0]]),
    ([[1.0, -1.0, 3.0], [0.0, -1.0, -1.0]], [[2.0, 9.0, 3.0], [4.0, 9.0, 9.0]]),
    ([[-1.0, -1.0], [5.0, -1.0]], [[7.0, 7.0], [6.0, 7.0]]),
    ([[1.0, -1.0]], [[-1.0, 5.0]]),
]


def _check_loss(function: Callable, reference: Callable, cases: list[tuple]) -> None:
    """End the check with a hint when a loss has other values than the reference, or cannot be trained with.

    Args:
        function: the reader's answer.
        reference: takes y_true and y_pred (B, …, D), returns (B, …).
        cases: pairs of y_true and y_pred.
    """
    for number, case in enumerate(cases):
        y_true, y_pred = float32(*case)
        given = f"y_true={show(y_true)}, y_pred={show(y_pred)}"
        compare_loss(call(function, y_true, y_pred, given=given), reference(y_true, y_pred), given)
        train_with(function, y_true, y_pred, given, traced=number == 0)


@exercise
def check_msle(function: Callable) -> None:
    """Check `mean_squared_logarithmic_error(y_true, y_pred)` against `keras.losses`.

    Args:
        function: the reader's answer; takes arrays (B, …, D), returns (B, …).
    """

    def by_keras(y_true, y_pred):
        return ops.convert_to_numpy(keras.losses.mean_squared_logarithmic_error(y_true, y_pred))

    _check_loss(function, by_keras, MSLE_CASES)


@exercise
def check_labelled_mae(function: Callable) -> None:
    """Check `labelled_mae(y_true, y_pred)`: entries with target -1 have no label and do not count.

    Args:
        function: the reader's answer; takes arrays (B, D), returns (B,).
    """

    def by_hand(y_true, y_pred):
        labelled = y_true != -1
        return (np.abs(y_pred - y_true) * labelled).sum(axis=-1) / np.maximum(labelled.sum(axis=-1), 1)

    _check_loss(function, by_hand, LABELLED_CASES)


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


def _noisy_body() -> keras.Model:
    """Build a network with a penalty and BatchNormalization, always with the same start weights."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.1))(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.BatchNormalization()(hidden)))


def _trained(model: keras.Model, loss: Callable, x, y, **options) -> list[float]:
    """Train three epochs in batches of four; return the losses that `fit` reports."""
    # Eagerly, since a small model takes far longer to trace than to train.
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss, run_eagerly=True)
    return model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0, **options).history["loss"]


@functools.cache
def _trained_outside() -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Train the network with `compile(loss=…)`; return x, y, the sample weights and its weights."""
    random = np.random.default_rng(3)
    x, y = float32(random.normal(size=(12, 3)), random.normal(size=(12, 2)))
    plain, weights = _small_body(), random.uniform(size=12)
    _trained(plain, _lopsided, x, y, sample_weight=weights)
    return x, y, weights, plain.get_weights()


@exercise
def check_loss_inside(function: Callable) -> None:
    """Check `loss_inside(body, loss)` by training both ways.

    Args:
        function: the reader's answer; takes a model and a loss, returns a model with inputs [x, y] and output (B, 1).
    """
    x, y, weights, expected_weights = _trained_outside()
    body, given = _small_body(), "a body with 3 inputs and 2 outputs"
    model = call(function, body, _lopsided, given=given)
    if not isinstance(model, keras.Model):
        raise Hint(f"expected a keras.Model, but your function returned a {type(model).__name__}.")
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


LOOP_CASES = [  # words, network, samples
    ("8 samples", _small_body, 8),
    ("10 samples, so that the last batch is short", _small_body, 10),
    ("10 samples and a model with a penalty and BatchNormalization", _noisy_body, 10),
]


@functools.cache
def _by_fit() -> list[tuple[np.ndarray, np.ndarray, list[tuple[str, np.ndarray]], list[float]]]:
    """Train the model of each case with `fit`; return x, y, the weights and the losses."""
    random, trained = np.random.default_rng(4), []
    for _, body, size in LOOP_CASES:
        x, y = float32(random.normal(size=(size, 3)), random.normal(size=(size, 2)) * 3)
        plain = body()
        losses = _trained(plain, _lopsided, x, y)
        names = [weight.path.split("/", 1)[-1] for weight in plain.weights]
        trained.append((x, y, list(zip(names, plain.get_weights())), losses))
    return trained


@exercise
def check_fit_by_hand(function: Callable) -> None:
    """Check `fit_by_hand(model, x, y, loss, learning_rate, batch_size, epochs)` against `fit`.

    Args:
        function: the reader's answer; trains the model and returns the loss of each epoch as `fit` reports it.
    """
    for (words, body, _), (x, y, weights, expected) in zip(LOOP_CASES, _by_fit()):
        given = f"{words}, batch_size=4, epochs=3"
        model = body()
        losses = call(function, model, x.copy(), y.copy(), _lopsided, 0.1, 4, 3, given=given)
        losses = np.asarray(losses)
        if losses.shape != (3,) or losses.dtype.kind not in "fiu":
            raise Hint(f"for {given} expected a list of 3 losses; you return the shape {losses.shape}, {losses.dtype}.")
        for ours, (name, theirs) in zip(model.get_weights(), weights, strict=True):
            if not np.allclose(ours, theirs, atol=1e-4):
                raise Hint(
                    f"for {given} the weight {name} ends elsewhere than with fit: "
                    f"{show(ours.ravel()[:3])} against {show(theirs.ravel()[:3])}."
                )
        if not np.allclose(losses, expected, atol=1e-4):
            raise Hint(f"for {given} the weights are right, but you report {show(losses)} and fit {show(expected)}.")
