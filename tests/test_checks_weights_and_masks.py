"""The checks of the tasks of losses_weights_and_masks, against right answers and wrong ones that people really give."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yolo_helpers import checks

# The mean absolute error of what has a label


def labelled(
    counts=lambda y_true, y_pred: y_true != -1,
    number=lambda mask: ops.maximum(ops.sum(mask, axis=-1), 1.0),
):
    """Make `labelled_mae`; the defaults are right, each argument is a common mistake."""

    def labelled_mae(y_true, y_pred):
        mask = ops.cast(counts(y_true, y_pred), y_pred.dtype)
        return ops.sum(ops.abs(y_pred - y_true) * mask, axis=-1) / number(mask)

    return labelled_mae


RIGHT_MAE = labelled()


def labelled_where(y_true, y_pred):
    mask = ops.cast(y_true != -1, y_pred.dtype)
    count = ops.sum(mask, axis=-1)
    return ops.where(count > 0, ops.sum(ops.abs(y_pred - y_true) * mask, axis=-1) / count, 0.0)


def labelled_python_if(y_true, y_pred):
    if ops.sum(ops.cast(y_true != -1, y_pred.dtype)) == 0:
        return ops.zeros(len(y_true))
    return labelled()(y_true, y_pred)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (RIGHT_MAE, "ok"),
        (None, "not done yet"),
        (lambda y_true, y_pred: ops.mean(ops.abs(y_pred - y_true), axis=-1), "hint: for y_true=[[ 1., -1.,  3.]"),
        (labelled(number=lambda mask: mask.shape[-1]), "hint: for y_true=[[ 1., -1.,  3.]"),
        (labelled(number=lambda mask: ops.sum(mask, axis=-1)), "hint: for y_true=[[-1., -1.], [ 5., -1.]]"),
        (labelled_where, "the gradient is NaN"),
        (lambda y_true, y_pred: tf.reduce_mean(tf.abs(y_pred - y_true)[y_true != -1]), "gave one number"),
        (
            labelled(counts=lambda y_true, y_pred: ops.logical_and(y_true != -1, y_pred != -1)),
            "hint: for y_true=[[ 1., -1.]], y_pred=[[-1.,  5.]]",
        ),
        (labelled(number=ops.sum), "hint: for y_true=[[1., 2.], [3., 4.]]"),
        (labelled_python_if, "in fit your function raised"),
    ],
)
def test_labelled_mae(says, answer, expected):
    says(checks.check_labelled_mae, answer, expected, traced=answer in (RIGHT_MAE, labelled_python_if))


# fit by hand


def loop(training=True, penalty=True, drop_last=False, report="before", by_size=True, mean=True):
    """Make `fit_by_hand`; the defaults are right, each argument is a common mistake."""

    def fit_by_hand(model, x, y, loss, learning_rate, batch_size, epochs):
        history = []
        for _ in range(epochs):
            losses, sizes = [], []
            stop = len(x) - len(x) % batch_size if drop_last else len(x)
            for start in range(0, stop, batch_size):
                batch_x, batch_y = x[start : start + batch_size], y[start : start + batch_size]
                with tf.GradientTape() as tape:
                    values = loss(batch_y, model(batch_x, training=training))
                    number = ops.mean(values) if mean else ops.sum(values)
                    if penalty:
                        number = number + sum(model.losses)
                weights = model.trainable_weights
                for weight, gradient in zip(weights, tape.gradient(number, weights), strict=True):
                    weight.assign_sub(learning_rate * gradient)
                if report == "after":
                    number = ops.mean(loss(batch_y, model(batch_x, training=False))) + sum(model.losses)
                losses.append(float(number))
                sizes.append(len(batch_x))
            history.append(np.average(losses, weights=sizes if by_size else None))
            if report == "last":
                history[-1] = losses[-1]
        return history

    return fit_by_hand


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (loop(), "ok"),
        (None, "not done yet"),
        (lambda *arguments: None, "not done yet"),
        (loop(training=False), "BatchNormalization, batch_size=4, epochs=3 the weight"),
        (loop(penalty=False), "penalty and BatchNormalization, batch_size=4, epochs=3 the weight"),
        (loop(drop_last=True), "the last batch is short, batch_size=4, epochs=3 the weight"),
        (loop(by_size=False), "the last batch is short, batch_size=4, epochs=3 the weights are right, but you report"),
        (loop(report="after"), "8 samples, batch_size=4, epochs=3 the weights are right, but you report"),
        (loop(report="last"), "8 samples, batch_size=4, epochs=3 the weights are right, but you report"),
        (loop(mean=False), "8 samples, batch_size=4, epochs=3 the weight"),
        (lambda *arguments: 0.5, "expected a list of 3 losses"),
        (lambda *arguments: ["a", "b", "c"], "expected a list of 3 losses"),
        (lambda model, x, y: [0.0] * 3, "raised TypeError"),
    ],
)
def test_fit_by_hand(says, answer, expected):
    says(checks.check_fit_by_hand, answer, expected, traced=False)
