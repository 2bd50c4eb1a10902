"""The further lesson losses_weights_and_masks: the checks of its tasks, missing labels and the loop that fit runs."""

import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yolo_helpers.checks.compare import compare_loss, float32, show, train_with
from yolo_helpers.checks.verdict import Hint, call, task

LABELLED_CASES = [  # y_true, y_pred
    ([[1.0, 2.0], [3.0, 4.0]], [[2.0, 2.0], [3.0, 1.0]]),
    ([[1.0, -1.0, 3.0], [0.0, -1.0, -1.0]], [[2.0, 9.0, 3.0], [4.0, 9.0, 9.0]]),
    ([[-1.0, -1.0], [5.0, -1.0]], [[7.0, 7.0], [6.0, 7.0]]),
    ([[1.0, -1.0]], [[-1.0, 5.0]]),
]


@task
def check_labelled_mae(function: Callable) -> None:
    """Check `labelled_mae(y_true, y_pred)`: entries with target -1 have no label and do not count.

    Args:
        function: the reader's answer; takes arrays (B, D), returns (B,).
    """
    for number, case in enumerate(LABELLED_CASES):
        y_true, y_pred = float32(*case)
        labelled = y_true != -1
        expected = (np.abs(y_pred - y_true) * labelled).sum(axis=-1) / np.maximum(labelled.sum(axis=-1), 1)
        given = f"y_true={show(y_true)}, y_pred={show(y_pred)}"
        compare_loss(call(function, y_true, y_pred, given=given), expected, given, (), (y_true, y_pred))
        train_with(function, y_true, y_pred, given, traced=number == 0)


def _lopsided(y_true, y_pred):
    """Return a loss in which the order of the arguments matters: an error above the target costs double."""
    error = y_pred - y_true
    return ops.mean(ops.where(error > 0, 2.0, 1.0) * ops.square(error), axis=-1)


def _network(noisy: bool) -> keras.Model:
    """Build a network with two outputs, always with the same start weights.

    Args:
        noisy: with a penalty and BatchNormalization.
    """
    keras.utils.set_random_seed(2)
    inputs = keras.Input((3,))
    penalty = keras.regularizers.L2(0.1) if noisy else None
    hidden = keras.layers.Dense(4, activation="tanh", kernel_regularizer=penalty)(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.BatchNormalization()(hidden) if noisy else hidden))


LOOP_CASES = [  # words, with a penalty and BatchNormalization, samples
    ("8 samples", False, 8),
    ("10 samples, so that the last batch is short", False, 10),
    ("10 samples and a model with a penalty and BatchNormalization", True, 10),
]


@functools.cache
def _by_fit() -> list[tuple[np.ndarray, np.ndarray, list[tuple[str, np.ndarray]], list[float]]]:
    """Train the model of each case of `fit_by_hand` with `fit`; return x, y, the weights and the losses."""
    random, trained = np.random.default_rng(4), []
    for _, noisy, size in LOOP_CASES:
        x, y = float32(random.normal(size=(size, 3)), random.normal(size=(size, 2)) * 3)
        plain = _network(noisy)
        # Eagerly, since a small model takes far longer to trace than to train.
        plain.compile(optimizer=keras.optimizers.SGD(0.1), loss=_lopsided, run_eagerly=True)
        losses = plain.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0).history["loss"]
        names = [weight.path.split("/", 1)[-1] for weight in plain.weights]
        trained.append((x, y, list(zip(names, plain.get_weights())), losses))
    return trained


@task
def check_fit_by_hand(function: Callable) -> None:
    """Check `fit_by_hand(model, x, y, loss, learning_rate, batch_size, epochs)` against `fit`.

    Args:
        function: the reader's answer; trains the model and returns the loss of each epoch as `fit` reports it.
    """
    for (words, noisy, _), (x, y, weights, expected) in zip(LOOP_CASES, _by_fit()):
        given = f"{words}, batch_size=4, epochs=3"
        model = _network(noisy)
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
