"""The checks of the tasks in `lesson_03`, against right answers and against wrong answers that people really give."""

import keras
import pytest
from keras import ops
from verdicts import answers

from yolo_helpers import checks
from yolo_helpers.checks.lesson_03 import LOG_MISTAKES
from yolo_helpers.loss import YoloLoss, yolo_loss, yolo_loss_terms

# The layer that logs the confidence term


class Logged(keras.layers.Layer):
    """The right answer; the others below change one thing."""

    name_of_mean = "confidence"

    def __init__(self, anchors, num_classes):
        super().__init__()
        self.anchors, self.num_classes = anchors, num_classes
        self.confidence = keras.metrics.Mean(self.name_of_mean)

    def terms(self, args):
        return yolo_loss_terms(args, self.anchors, self.num_classes)

    def log(self, terms):
        self.confidence.update_state(terms["confidence"])

    def call(self, args):
        terms = self.terms(args)
        self.log(terms)
        return ops.expand_dims(sum(terms.values()), -1)


class Stub(Logged):
    def call(self, args):
        return None


class MeanOfBatches(Logged):
    def log(self, terms):
        self.confidence.update_state(ops.mean(terms["confidence"]))


class SumOfBatches(Logged):
    def log(self, terms):
        self.confidence.update_state(ops.sum(terms["confidence"]))


class LastBatch(Logged):
    def log(self, terms):
        self.confidence.reset_state()
        self.confidence.update_state(terms["confidence"])


class LogsTheLoss(Logged):
    def log(self, terms):
        self.confidence.update_state(sum(terms.values()))


class Unnamed(Logged):
    name_of_mean = None


class WithoutMetric(Logged):
    def log(self, terms):
        pass

    def __init__(self, anchors, num_classes):
        keras.layers.Layer.__init__(self)
        self.anchors, self.num_classes = anchors, num_classes


class MetricInCall(WithoutMetric):
    def log(self, terms):
        keras.metrics.Mean("confidence").update_state(terms["confidence"])


class AddMetric(WithoutMetric):
    def log(self, terms):
        self.add_metric(terms["confidence"], name="confidence")


class SumMetric(Logged):
    def __init__(self, anchors, num_classes):
        WithoutMetric.__init__(self, anchors, num_classes)
        self.confidence = keras.metrics.Sum("confidence")


class NeverReset(Logged):
    class Mean(keras.metrics.Mean):
        def reset_state(self):
            pass

    def __init__(self, anchors, num_classes):
        WithoutMetric.__init__(self, anchors, num_classes)
        self.confidence = self.Mean("confidence")


class OwnWeights(Logged):
    def __init__(self, anchors, num_classes):
        super().__init__(anchors, num_classes)
        self.total = self.add_weight(name="confidence", initializer="zeros", trainable=False)


class Flat(Logged):
    def call(self, args):
        return super().call(args)[:, 0]


class Scalar(Logged):
    def call(self, args):
        return ops.mean(super().call(args))


class WithoutClass(Logged):
    def call(self, args):
        return super().call(args) - self.terms(args)["class"][:, None]


class AllFour(YoloLoss):
    def __init__(self, anchors, num_classes):
        super().__init__(anchors, num_classes)


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (Logged, "ok"),
        (None, "not done yet"),
        (Stub, "not done yet: the function returns None"),
        (Unnamed, "expected confidence beside loss. Give the metric that name."),
        (WithoutMetric, "the history holds ['loss']; expected confidence beside loss. Keras finds a metric"),
        (MetricInCall, "in fit your layer raised ValueError", "A metric must be made in __init__, not in call."),
        (AddMetric, "your function raised NotImplementedError"),
        (OwnWeights, "your layer owns 1 weight(s); expected none"),
        (Flat, "for 20 pictures, some with one box and some with two you return the shape (20,); expected (20, 1)"),
        (Scalar, "you return one number for the whole batch"),
        (WithoutClass, "the value of yolo_loss"),
        (YoloLoss, "expected the loss and the confidence term alone"),
        (AllFour, "the history holds ['class', 'confidence', 'loss', 'wh', 'xy']"),
        (lambda anchors, num_classes: yolo_loss, "expected a keras layer; your answer makes a function"),
        (YoloLoss([[10, 13]] * 9, 2), "raised"),
        ("confidence", "expected a function"),
    ),
)
def test_logged_confidence(says, answer, expected):
    says(checks.check_logged_confidence, answer, *expected, traced=answer in (Logged, MetricInCall))


WRONGLY_LOGGED = [  # the first epoch that shows it, and the layer, in the order of LOG_MISTAKES
    (1, MeanOfBatches),
    (1, LastBatch),
    (1, SumMetric),
    (1, SumOfBatches),
    (1, LogsTheLoss),
    (2, NeverReset),
]


@pytest.mark.parametrize(("mistake", "wrong"), list(zip(LOG_MISTAKES, WRONGLY_LOGGED, strict=True)))
def test_log_mistakes(says, mistake, wrong):
    (words, _), (epoch, layer) = mistake, wrong
    given = f"in epoch {epoch}, with batches of 4, 4 and 2 pictures, you log"
    says(checks.check_logged_confidence, layer, given, words, traced=False)
