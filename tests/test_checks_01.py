"""The checks of the tasks of lessons 01 and 01b, against right answers and wrong ones that people really give."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yolo_helpers import checks
from yolo_helpers.checks.lesson_01 import MAE_MISTAKES, MAPE_MISTAKES, SLOPES


def as_tensor(loss):
    """A loss in NumPy as a reader would have it return: a tensor in the predictions' type."""
    return lambda y_true, y_pred: ops.convert_to_tensor(loss(y_true, y_pred), dtype="float32")


# The mean absolute error


def mean_absolute_error(y_true, y_pred):
    return ops.mean(ops.abs(y_pred - y_true), axis=-1)


def mae_by_maximum(y_true, y_pred):
    """The same, written otherwise."""
    return ops.sum(ops.maximum(y_pred - y_true, y_true - y_pred), -1) / y_true.shape[-1]


def mae_in_numpy(y_true, y_pred):
    return np.mean(np.abs(np.subtract(y_pred, y_true)), axis=-1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (mean_absolute_error, "ok"),
        (mae_by_maximum, "ok"),
        (None, "not done yet"),
        (lambda y_true, y_pred: None, "not done yet"),
        (lambda y_true, y_pred: ops.mean(ops.abs(y_pred - y_true)), "Take the mean over the last axis only"),
        (lambda y_true, y_pred: ops.mean(ops.abs(y_pred - y_true), axis=0), "gave the shape (3,); expected (2,)"),
        (lambda y_true, y_pred: ops.mean(ops.abs(y_pred - y_true), axis=1), "hint: for y_true=[[[1., 2.]"),
        (lambda y_true, y_pred: ops.abs(y_pred - y_true), "gave the shape (2, 3); expected (2,)"),
        (lambda y_true, y_pred: ops.abs(ops.mean(y_pred - y_true, axis=-1)), "hint: for y_true=[[1., 2., 4.]"),
        (mae_in_numpy, "in fit your function raised"),
        (lambda y_pred: y_pred, "raised TypeError"),
        ("mae", "expected a function"),
    ],
)
def test_mae(says, answer, expected):
    says(checks.check_mae, answer, expected)


@pytest.mark.parametrize(("words", "wrong"), MAE_MISTAKES)
def test_mae_names_the_mistake(says, words, wrong):
    says(checks.check_mae, as_tensor(wrong), "hint: for y_true=[[1., 2., 4.]", words)


# The mean absolute percentage error


def percentage(divisor=lambda y_true: ops.maximum(ops.abs(y_true), 1e-7)):
    """Make an answer; the default is right, the argument is a common mistake."""
    return lambda y_true, y_pred: 100 * ops.mean(ops.abs((y_true - y_pred) / divisor(y_true)), axis=-1)


def percentage_where(y_true, y_pred):
    """The right values; but the branch that is not taken divides by 0."""
    ratio = ops.where(y_true == 0, ops.abs(y_pred) / 1e-7, ops.abs((y_true - y_pred) / y_true))
    return 100 * ops.mean(ratio, axis=-1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (percentage(), "ok"),
        (percentage(lambda y_true: ops.where(y_true == 0, 1e-7, y_true)), "ok"),
        (percentage(lambda y_true: ops.abs(y_true) + keras.config.epsilon()), "ok"),
        (None, "not done yet"),
        (lambda y_true, y_pred: None, "not done yet"),
        (lambda *pair: ops.mean(percentage()(*pair)), "Take the mean over the last axis only"),
        (percentage(lambda y_true: ops.maximum(ops.abs(y_true), 1e-3)), "hint: for y_true=[[2., 0.]]"),
        (percentage(lambda y_true: ops.maximum(y_true, 1e-7)), "hint: for y_true=[[-1., -2.]]"),
        (
            percentage(lambda y_true: y_true),
            "hint: for y_true=[[2., 0.]], y_pred=[[1. , 0.5]] your function gave [inf]",
        ),
        (percentage_where, "the gradient is NaN"),
        (lambda y_true, y_pred: ops.mean(ops.abs((y_true - y_pred) / y_tru), axis=-1), "raised NameError"),  # noqa: F821
    ],
)
def test_mape(says, answer, expected):
    says(checks.check_mape, answer, expected, traced=expected == "ok")


@pytest.mark.parametrize(("words", "wrong"), MAPE_MISTAKES)
def test_mape_names_the_mistake(says, words, wrong, monkeypatch):
    # In NumPy a wrong loss has no gradient; what is tested is what the check says about its values.
    monkeypatch.setattr("yolo_helpers.checks.lesson_01.train_with", lambda *arguments, **options: None)
    says(checks.check_mape, as_tensor(wrong), "hint: for y_true=", words)


# Two gradients on paper

BY_SQUARES, BY_IDENTITY = (expected.tolist() for expected, _ in SLOPES.values())


def test_slopes_right(says):
    says(checks.check_slopes, [[0.5, 1.0, 1.5, 5.0], [0.25, 0.25, 0.25, 0.25]], "ok")
    says(checks.check_slopes, (np.array([[1], [2], [3], [10]]) / 2, ops.ones(4) / 4), "ok")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, ""),
        ([None, None], ""),
        ([BY_SQUARES, None], ": the identity still None"),
        ([None, BY_IDENTITY], ": the squared error still None"),
    ],
)
def test_slopes_not_done(says, answer, words):
    says(checks.check_slopes, answer, f"not done yet{words}")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        *[
            ([wrong(), BY_IDENTITY], f"for the squared error // {words}")
            for words, wrong in SLOPES["the squared error"][1]
        ],
        *[([BY_SQUARES, wrong()], f"for the identity // {words}") for words, wrong in SLOPES["the identity"][1]],
        ([[0.5, 1.0, 1.5, 4.0], BY_IDENTITY], "the slope at the prediction 10 is not 4."),
        ([5.0, BY_IDENTITY], "for the squared error expected four numbers, one for each prediction; your answer has 1"),
        ([BY_SQUARES, 0.25], "for the identity expected four numbers"),
        ([BY_SQUARES, ["1/4"] * 4], "for the identity expected four numbers; your answer is ['1/4'"),
        ([[0.5, None, None, None], BY_IDENTITY], "for the squared error expected four numbers"),
        ([BY_IDENTITY, BY_SQUARES], "for the squared error the slope at the prediction 1 is not 0.25"),
    ],
)
def test_slopes_wrong(says, answer, words):
    says(checks.check_slopes, answer, "hint: ", *words.split(" // "))


# A generator without targets


def with_zeros(batches):
    for x in batches:
        yield x, np.zeros(len(x))


def each(change):
    """A generator that yields something else for each batch."""

    def answer(batches):
        for x in batches:
            yield change(x)

    return answer


def fixed_number(batches):
    for x in batches:
        yield x, np.zeros(4)


def collected(batches):
    yield from [(x, np.zeros(len(x))) for x in list(batches)]


def first_only(batches):
    yield next(with_zeros(batches))


def empty(batches):
    yield from ()


def returned(batches):
    for x in batches:
        return x, np.zeros(len(x))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            each(lambda x: [x, np.zeros(len(x))]),
            "for a batch of 4 expected a tuple of two, x and the target; you yield a list",
        ),
        (fixed_number, "for a batch of 1 expected a zero for each row, 1; your target has the shape (4,)"),
        (each(lambda x: (x, np.zeros_like(x))), "your target has the shape (4, 3)"),
        (each(lambda x: (x, np.zeros(3))), "your target has the shape (3,)"),
        (each(lambda x: (x, 0)), "your target has the shape ()"),
        (each(lambda x: (x, [0.0] * len(x))), "expected an array of zeros as target; yours is a list"),
        (each(lambda x: (x, np.ones(len(x)))), "not zero everywhere"),
        (each(lambda x: (x, None)), "the target is None"),
        (each(lambda x: (np.zeros(len(x)), x)), "Are the two swapped?"),
        (each(lambda x: x), "you yield x alone"),
        (each(lambda x: (x,)), "yours has length 1"),
        (each(lambda x: ((x, np.zeros(len(x))),)), "a pair of brackets too many"),
        (each(lambda x: ((x,), np.zeros(len(x)))), "the array x itself first; you yield another tuple"),
        (each(lambda x: (x[:1], np.zeros(len(x)))), "the array x itself first; you yield another ndarray"),
        (lambda batches: [(x, np.zeros(len(x))) for x in batches], "use yield. Yours returned a list"),
        (lambda batches: (batches, np.zeros(4)), "use yield. Yours returned a tuple"),
        (returned, "use yield. Yours returned a tuple"),
        (lambda batches: np.zeros(len(batches)), "raised TypeError"),  # a generator has no length
        (each(lambda x: (x, np.zeros(len(x.rows)))), "raised AttributeError"),
        (collected, "collects batches"),
        (first_only, "had ended"),
    ],
)
def test_with_zeros_wrong(says, answer, words):
    says(checks.check_with_zeros, answer, "hint: ", words)


@pytest.mark.parametrize(
    "answer",
    [
        with_zeros,
        each(lambda x: (x, ops.zeros((x.shape[0], 1)))),
        lambda batches: ((x, np.zeros((len(x), 1), int)) for x in batches),
    ],
)
def test_with_zeros_right(says, answer):
    says(checks.check_with_zeros, answer, "ok")


@pytest.mark.parametrize("answer", [None, lambda batches: None, empty])
def test_with_zeros_not_done(says, answer):
    says(checks.check_with_zeros, answer, "not done yet")


# Mean squared logarithmic error


def msle(one=1.0, lowest=1e-7, of_difference=ops.square, reduce=lambda values: ops.mean(values, axis=-1)):
    """Make the mean squared logarithmic error; the defaults are right, each argument is a common mistake."""

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


# A loss inside the model


def inside(finish=lambda values: ops.expand_dims(values, axis=-1), swapped=False):
    """Make `loss_inside`; the defaults are right, each argument is a common mistake."""

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
