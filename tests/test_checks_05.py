"""The checks of the tasks in `lesson_05`, against right answers and against wrong answers that people really give."""

import keras
import numpy as np
import pytest
from keras import ops

from yolo_helpers import checks
from yolo_helpers.checks.lesson_05 import CHOICES, PEOPLE, SHORT_FORMS
from yolo_helpers.loss import identity_loss

# The short forms

SAID = {"endpoint": 12.5, "compute_loss": 3.0, "train_step": 0.5}


def test_short_forms_right(says):
    says(checks.check_short_forms, SAID, "ok")


@pytest.mark.parametrize("answer", [None, dict.fromkeys(SAID), {**SAID, "train_step": None}])
def test_short_forms_not_done(says, answer):
    says(checks.check_short_forms, answer, "not done yet")


@pytest.mark.parametrize(
    ("name", "words", "wrong"), [(name, *pair) for name, (_, mistakes) in SHORT_FORMS.items() for pair in mistakes]
)
def test_short_forms_mistakes(says, name, words, wrong):
    says(checks.check_short_forms, {**SAID, name: wrong()}, f"hint: for {name} evaluate does not say", words)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({**SAID, "endpoint": 7}, "for endpoint evaluate does not say 7."),
        ({**SAID, "compute_loss": "3"}, "for compute_loss expected a number"),
        ([12.5, 3.0, 0.5], "expected a dictionary"),
        ({"endpoint": 12.5, "compute_loss": 3.0}, "the key 'train_step' is missing"),
    ],
)
def test_short_forms_wrong(says, answer, words):
    says(checks.check_short_forms, answer, "hint: ", words)


def test_short_forms_are_what_keras_reports():
    """The numbers of the task, from models that Keras evaluates."""

    class Endpoint(keras.layers.Layer):
        def call(self, losses):
            self.add_loss(losses)
            return losses

    class ShortComputeLoss(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return ops.mean(y_pred)

    class ShortTrainStep(keras.Model):
        def train_step(self, data):
            raise AssertionError("evaluate does not use it")

    def evaluated(model, end=lambda losses: losses):
        inputs = keras.Input((1,))
        penalty = keras.regularizers.L2(0.5)
        layer = keras.layers.Dense(1, kernel_initializer="ones", kernel_regularizer=penalty)
        model = model(inputs, end(layer(inputs)))
        model.compile(run_eagerly=True)
        losses = np.array([[1.0], [2.0], [3.0], [6.0]])
        return model.evaluate(losses, np.zeros((4, 1)), verbose=0, return_dict=True)["loss"]

    found = evaluated(keras.Model, Endpoint()), evaluated(ShortComputeLoss), evaluated(ShortTrainStep)
    assert found == pytest.approx(tuple(SAID.values()))


# Choose a way

CHOICE = {
    "Ada": "Lambda",
    "Ben": "compute_loss",
    "Cho": "loss per head",
    "Dan": "train_step",
    "Eva": "loss layer",
}


def test_choice_right(says):
    says(checks.check_choice, CHOICE, "ok")


@pytest.mark.parametrize("answer", [None, dict.fromkeys(CHOICE), {**CHOICE, "Dan": None}])
def test_choice_not_done(says, answer):
    says(checks.check_choice, answer, "not done yet")


@pytest.mark.parametrize(("name", "way"), [(name, way) for name in CHOICE for way in CHOICES if way != CHOICE[name]])
def test_choice_says_why_not(says, name, way):
    says(checks.check_choice, {**CHOICE, name: way}, f"hint: for {name} ", repr(way), PEOPLE[name][1][way])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({**CHOICE, "Ada": "lambda"}, "for Ada the answer is 'lambda'; expected one of ['Lambda', 'loss layer'"),
        ({**CHOICE, "Ben": "endpoint layer"}, "for Ben the answer is 'endpoint layer'; expected one of"),
        ({**CHOICE, "Cho": ["loss per head"]}, "for Cho the answer is"),
        ({**CHOICE, "Eve": "Lambda"}, "the key 'Eve'"),
        (list(CHOICE.values()), "expected a dictionary"),
    ],
)
def test_choice_wrong(says, answer, words):
    says(checks.check_choice, answer, "hint: ", words)


# A loss of two outputs


def losses_of(y_true, y_pred):
    distance = sum(ops.abs(true - predicted) for true, predicted in zip(y_true, y_pred))
    return distance + 2 * ops.relu(y_pred[0] - y_pred[1])


# with_compute_loss


def compute_loss(body, loss=identity_loss, compiled=True):
    """Make an answer `with_compute_loss` from the body of its compute_loss(model, y, y_pred, sample_weight, base)."""

    def answer(inputs, outputs, optimizer):
        class Interval(keras.Model):
            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
                base = super().compute_loss
                return body(self, y, y_pred, sample_weight, lambda *given: base(x, *given, training))

        model = Interval(inputs, outputs)
        if compiled:
            model.compile(optimizer, loss=loss)
        return model

    return answer


def through_the_identity(model, y, y_pred, weights, base):
    losses = losses_of(y, y_pred)
    return base(losses, losses, None if weights is None else weights[0])


def by_hand(model, y, y_pred, weights, base):
    losses = losses_of(y, y_pred)[:, 0]
    if weights is not None:
        losses = losses * ops.cast(weights[0], losses.dtype)
    return ops.mean(losses) + sum(model.losses)


def only_the_mean(model, y, y_pred, weights, base):
    return ops.mean(losses_of(y, y_pred))


def without_weights(model, y, y_pred, weights, base):
    losses = losses_of(y, y_pred)
    return base(losses, losses, None)


def summed(model, y, y_pred, weights, base):
    return ops.sum(losses_of(y, y_pred)) + sum(model.losses)


def without_the_overlap(model, y, y_pred, weights, base):
    losses = sum(ops.abs(true - predicted) for true, predicted in zip(y, y_pred))
    return base(losses, losses, None if weights is None else weights[0])


@pytest.mark.parametrize(
    "answer, words",
    [
        (compute_loss(through_the_identity), ["ok"]),
        (compute_loss(by_hand, loss=None), ["ok"]),
        (compute_loss(only_the_mean), ["eight samples evaluate gave", "The penalty is missing"]),
        (compute_loss(without_weights), ["sample weights", "expected"]),
        (compute_loss(summed), ["eight samples evaluate gave"]),
        (compute_loss(without_the_overlap), ["eight samples evaluate gave"]),
        (compute_loss(through_the_identity, compiled=False), ["not compiled"]),
        (lambda inputs, outputs, optimizer: None, ["not done yet"]),
        (lambda inputs, outputs, optimizer: "model", ["expected a keras.Model", "str"]),
        (lambda inputs: None, ["your function raised TypeError"]),
        (compute_loss(lambda *given: 1 / 0), ["evaluate raised ZeroDivisionError"]),
    ],
)
def test_compute_loss(says, answer, words):
    says(checks.check_compute_loss, answer, *words, traced=False)
