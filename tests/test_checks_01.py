"""The checks of the tasks in `lesson_01`, against right answers and against wrong answers that people really give."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yolo_helpers import checks

# mean_squared_logarithmic_error


def msle(one=1.0, lowest=1e-7, of_difference=ops.square, reduce=lambda values: ops.mean(values, axis=-1)):
    """Make an answer `mean_squared_logarithmic_error`; the defaults are right, each argument is a common mistake."""

    def mean_squared_logarithmic_error(y_true, y_pred):
        logs = [ops.log(ops.maximum(values, lowest) + one) for values in (y_true, y_pred)]
        return reduce(of_difference(logs[0] - logs[1]))

    return mean_squared_logarithmic_error


RIGHT_MSLE = msle()


def msle_numpy(y_true, y_pred):
    logs = [np.log(np.maximum(values, 1e-7) + 1.0) for values in (y_true, y_pred)]
    return np.mean(np.square(logs[0] - logs[1]), axis=-1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (RIGHT_MSLE, "ok"),
        (keras.losses.mean_squared_logarithmic_error, "ok"),
        (None, "not done yet"),
        (lambda y_true, y_pred: None, "not done yet: the function returns None"),
        (msle(reduce=ops.mean), "gave one number"),
        (msle(reduce=lambda values: ops.sum(values, axis=-1)), "hint: for y_true=[[0., 1., 3.]"),
        (msle(one=0.0), "expected [0.1602, 0.4023]"),
        (msle(lowest=-np.inf), "hint: for y_true=[[0., 2.]], y_pred=[[-5.,  2.]] your function gave [nan]"),
        (msle(of_difference=ops.abs), "expected [0.1602, 0.4023]"),
        (msle(reduce=lambda values: ops.mean(values, axis=0)), "gave the shape (3,); expected (2,)"),
        (msle(reduce=lambda values: ops.mean(values, axis=1)), "hint: for y_true=[[[1., 2.]"),
        (msle_numpy, "in fit your function raised NotImplementedError"),
        (lambda y_pred: y_pred, "raised TypeError"),
        ("mse", "expected a function, but the answer is of type str"),
        (lambda y_true, y_pred: "0.16", "returned a str; expected a tensor of numbers"),
    ],
)
def test_msle(says, answer, expected):
    says(checks.check_msle, answer, expected, traced=answer in (RIGHT_MSLE, msle_numpy))


# labelled_mae


def labelled(
    counts=lambda y_true, y_pred: y_true != -1,
    number=lambda mask: ops.maximum(ops.sum(mask, axis=-1), 1.0),
):
    """Make an answer `labelled_mae`; the defaults are right, each argument is a common mistake."""

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


# loss_inside


def inside(finish=lambda values: ops.expand_dims(values, axis=-1), swapped=False):
    """Make an answer `loss_inside`; the defaults are right, each argument is a common mistake."""

    def loss_inside(body, loss):
        label, raw = keras.Input(body.output_shape[1:]), body.outputs[0]
        return keras.Model([body.inputs[0], label], finish(loss(raw, label) if swapped else loss(label, raw)))

    return loss_inside


def inside_by_lambda_layer(body, loss):
    label = keras.Input(body.output_shape[1:])
    layer = keras.layers.Lambda(lambda args: ops.expand_dims(loss(*args), axis=-1), output_shape=(1,))
    return keras.Model([body.inputs[0], label], layer([label, body.outputs[0]]))


def inside_copy(body, loss):
    copy = keras.models.clone_model(body)
    copy.set_weights(body.get_weights())
    return inside()(copy, loss)


def inside_other_way_round(body, loss):
    model = inside()(body, loss)
    return keras.Model(model.inputs[::-1], model.outputs[0])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (inside(), "ok"),
        (inside_by_lambda_layer, "ok"),
        (None, "not done yet"),
        (lambda body, loss: None, "not done yet"),
        (inside(finish=lambda values: values), "has the shape (12,); expected (12, 1)"),
        (inside(finish=ops.mean), "expected (12, 1)"),
        (inside(finish=lambda values: (ops.mean(values) + 0.0 * values)[:, None]), "the loss of the first sample is"),
        (inside(swapped=True), "Are target and prediction swapped?"),
        (inside_copy, "Does your model use the layers of the body"),
        (inside_other_way_round, "for x of shape (12, 3) and y of shape (12, 2) your function raised ValueError"),
        (lambda body, loss: body, "expected a model with two inputs"),
        (lambda body, loss: loss, "expected a keras.Model"),
        (lambda body, loss: loss(body.outputs[0]), "raised TypeError"),
    ],
)
def test_loss_inside(says, answer, expected):
    says(checks.check_loss_inside, answer, expected, traced=expected == "ok")


# fit_by_hand


def loop(training=True, penalty=True, drop_last=False, report="before", by_size=True, mean=True):
    """Make an answer `fit_by_hand`; the defaults are right, each argument is a common mistake."""

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
