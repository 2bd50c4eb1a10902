"""The checks of lesson 01's exercises, against right answers and against wrong answers that people really give."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yolo_helpers import checks

EPSILON = 1e-7


# 1.1


def msle(y_true, y_pred):
    logs = [ops.log(ops.maximum(values, EPSILON) + 1.0) for values in (y_true, y_pred)]
    return ops.mean(ops.square(logs[0] - logs[1]), axis=-1)


def msle_over_everything(y_true, y_pred):
    return ops.mean(msle(y_true, y_pred))


def msle_summed(y_true, y_pred):
    return msle(y_true, y_pred) * y_true.shape[-1]


def msle_without_one(y_true, y_pred):
    logs = [ops.log(ops.maximum(values, EPSILON)) for values in (y_true, y_pred)]
    return ops.mean(ops.square(logs[0] - logs[1]), axis=-1)


def msle_without_limit(y_true, y_pred):
    return ops.mean(ops.square(ops.log(y_true + 1.0) - ops.log(y_pred + 1.0)), axis=-1)


def msle_absolute(y_true, y_pred):
    logs = [ops.log(ops.maximum(values, EPSILON) + 1.0) for values in (y_true, y_pred)]
    return ops.mean(ops.abs(logs[0] - logs[1]), axis=-1)


def msle_first_axis(y_true, y_pred):
    logs = [ops.log(ops.maximum(values, EPSILON) + 1.0) for values in (y_true, y_pred)]
    return ops.mean(ops.square(logs[0] - logs[1]), axis=0)


def msle_second_axis(y_true, y_pred):
    logs = [ops.log(ops.maximum(values, EPSILON) + 1.0) for values in (y_true, y_pred)]
    return ops.mean(ops.square(logs[0] - logs[1]), axis=1)


def msle_numpy(y_true, y_pred):
    logs = [np.log(np.maximum(values, EPSILON) + 1.0) for values in (y_true, y_pred)]
    return np.mean(np.square(logs[0] - logs[1]), axis=-1)


def msle_one_argument(y_pred):
    return y_pred


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (msle, "ok"),
        (keras.losses.mean_squared_logarithmic_error, "ok"),
        (None, "not done yet"),
        (lambda y_true, y_pred: None, "not done yet: the function returns None"),
        (msle_over_everything, "gave one number"),
        (msle_summed, "hint: for y_true=[[0., 1., 3.]"),
        (msle_without_one, "expected [0.1602, 0.4023]"),
        (msle_without_limit, "hint: for y_true=[[0., 2.]], y_pred=[[-5.,  2.]] your function gave [nan]"),
        (msle_absolute, "expected [0.1602, 0.4023]"),
        (msle_first_axis, "gave the shape (3,); expected (2,)"),
        (msle_second_axis, "hint: for y_true=[[[1., 2.]"),
        (msle_numpy, "in fit your function raised NotImplementedError"),
        (msle_one_argument, "raised TypeError"),
        ("mse", "expected a function, but the answer is of type str"),
        (lambda y_true, y_pred: "0.16", "returned a str; expected a tensor of numbers"),
    ],
)
def test_msle(verdict, answer, expected):
    assert expected in verdict(checks.check_msle, answer)


# 1.2


def labelled(y_true, y_pred):
    mask = ops.cast(ops.not_equal(y_true, -1.0), y_pred.dtype)
    return ops.sum(ops.abs(y_pred - y_true) * mask, axis=-1) / ops.maximum(ops.sum(mask, axis=-1), 1.0)


def labelled_ignored(y_true, y_pred):
    return ops.mean(ops.abs(y_pred - y_true), axis=-1)


def labelled_mean_with_zeros(y_true, y_pred):
    mask = ops.cast(ops.not_equal(y_true, -1.0), y_pred.dtype)
    return ops.mean(ops.abs(y_pred - y_true) * mask, axis=-1)


def labelled_divided_by_zero(y_true, y_pred):
    mask = ops.cast(ops.not_equal(y_true, -1.0), y_pred.dtype)
    return ops.sum(ops.abs(y_pred - y_true) * mask, axis=-1) / ops.sum(mask, axis=-1)


def labelled_where(y_true, y_pred):
    mask = ops.cast(ops.not_equal(y_true, -1.0), y_pred.dtype)
    count = ops.sum(mask, axis=-1)
    return ops.where(count > 0, ops.sum(ops.abs(y_pred - y_true) * mask, axis=-1) / count, 0.0)


def labelled_picked(y_true, y_pred):
    return tf.reduce_mean(tf.abs(y_pred - y_true)[y_true != -1])


def labelled_mask_of_prediction(y_true, y_pred):
    mask = ops.cast(ops.not_equal(y_pred, -1.0), y_pred.dtype)
    mask = mask * ops.cast(ops.not_equal(y_true, -1.0), y_pred.dtype)
    return ops.sum(ops.abs(y_pred - y_true) * mask, axis=-1) / ops.maximum(ops.sum(mask, axis=-1), 1.0)


def labelled_over_the_batch(y_true, y_pred):
    mask = ops.cast(ops.not_equal(y_true, -1.0), y_pred.dtype)
    return ops.sum(ops.abs(y_pred - y_true) * mask, axis=-1) / ops.sum(mask)


def labelled_python_if(y_true, y_pred):
    mask = ops.cast(ops.not_equal(y_true, -1.0), y_pred.dtype)
    if ops.sum(mask) == 0:
        return ops.zeros(len(y_true))
    return labelled(y_true, y_pred)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (labelled, "ok"),
        (None, "not done yet"),
        (labelled_ignored, "hint: for y_true=[[ 1., -1.,  3.]"),
        (labelled_mean_with_zeros, "hint: for y_true=[[ 1., -1.,  3.]"),
        (labelled_divided_by_zero, "hint: for y_true=[[-1., -1.], [ 5., -1.]]"),
        (labelled_where, "the gradient is NaN"),
        (labelled_picked, "gave one number"),
        (labelled_mask_of_prediction, "hint: for y_true=[[ 1., -1.]], y_pred=[[-1.,  5.]]"),
        (labelled_over_the_batch, "hint: for y_true=[[1., 2.], [3., 4.]]"),
        (labelled_python_if, "in fit your function raised"),
    ],
)
def test_labelled_mae(verdict, answer, expected):
    assert expected in verdict(checks.check_labelled_mae, answer)


# 1.3


def inside(body, loss):
    label = keras.Input(body.output_shape[1:])
    return keras.Model([body.inputs[0], label], ops.expand_dims(loss(label, body.outputs[0]), axis=-1))


def inside_by_lambda_layer(body, loss):
    label = keras.Input(body.output_shape[1:])
    layer = keras.layers.Lambda(lambda args: ops.expand_dims(loss(*args), axis=-1), output_shape=(1,))
    return keras.Model([body.inputs[0], label], layer([label, body.outputs[0]]))


def inside_flat(body, loss):
    label = keras.Input(body.output_shape[1:])
    return keras.Model([body.inputs[0], label], loss(label, body.outputs[0]))


def inside_scalar(body, loss):
    label = keras.Input(body.output_shape[1:])
    return keras.Model([body.inputs[0], label], ops.mean(loss(label, body.outputs[0])))


def inside_mean_for_all(body, loss):
    label = keras.Input(body.output_shape[1:])
    values = loss(label, body.outputs[0])
    return keras.Model([body.inputs[0], label], ops.expand_dims(ops.mean(values) + 0.0 * values, axis=-1))


def inside_swapped(body, loss):
    label = keras.Input(body.output_shape[1:])
    return keras.Model([body.inputs[0], label], ops.expand_dims(loss(body.outputs[0], label), axis=-1))


def inside_copy(body, loss):
    copy = keras.models.clone_model(body)
    copy.set_weights(body.get_weights())
    return inside(copy, loss)


def inside_other_way_round(body, loss):
    model = inside(body, loss)
    return keras.Model(model.inputs[::-1], model.outputs[0])


def inside_without_label(body, loss):
    return body


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (inside, "ok"),
        (inside_by_lambda_layer, "ok"),
        (None, "not done yet"),
        (lambda body, loss: None, "not done yet"),
        (inside_flat, "has the shape (12,); expected (12, 1)"),
        (inside_scalar, "expected (12, 1)"),
        (inside_mean_for_all, "the loss of the first sample is"),
        (inside_swapped, "Are target and prediction swapped?"),
        (inside_copy, "Does your model use the layers of the body"),
        (inside_other_way_round, "for x of shape (12, 3) and y of shape (12, 2) your function raised ValueError"),
        (inside_without_label, "expected a model with two inputs"),
        (lambda body, loss: loss, "expected a keras.Model"),
        (lambda body, loss: loss(body.outputs[0]), "raised TypeError"),
    ],
)
def test_loss_inside(verdict, answer, expected):
    assert expected in verdict(checks.check_loss_inside, answer)


# 1.4


def loop(training=True, penalty=True, drop_last=False, report="before", by_size=True, mean=True):
    """Make an answer to exercise 1.4; the defaults are right, each argument is a common mistake."""

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
def test_fit_by_hand(verdict, answer, expected):
    assert expected in verdict(checks.check_fit_by_hand, answer)
