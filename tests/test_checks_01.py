"""The checks of the tasks of lesson 01, against right answers and wrong ones that people really give."""

import keras
import numpy as np
import pytest
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
