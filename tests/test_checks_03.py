"""The checks of the tasks in `lesson_03`, against right answers and against wrong answers that people really give."""

import keras
import numpy as np
import pytest
from keras import ops
from verdicts import answers

from yolo_helpers import checks
from yolo_helpers.anchors import STRIDES, anchor_iou
from yolo_helpers.checks.lesson_03 import LOG_MISTAKES, WH_MISTAKES, wh_term
from yolo_helpers.loss import YoloLoss, yolo_loss, yolo_loss_terms
from yolo_helpers.targets import preprocess_true_boxes

# wh_term


def wh(safe="before", masked=True, learn=True):
    """Make an answer `wh_term`; the defaults are right, each argument is a common mistake."""

    def answer(raw, y_true, anchors, input_shape):
        has_object, size = y_true[..., 4:5], y_true[..., 2:4]
        some_size = {"before": ops.where(has_object > 0, size, 1.0), "small number": size + 1e-7}.get(safe, size)
        target = ops.log(some_size * list(input_shape[::-1]) / anchors)
        squares = ops.square(target - (raw[..., 2:4] if learn else ops.stop_gradient(raw[..., 2:4])))
        squares = squares * 0.5 * (2 - size[..., 0:1] * size[..., 1:2])
        if safe == "after":
            squares = ops.where(has_object > 0, squares, 0.0)
        elif masked:
            squares = squares * has_object
        return ops.sum(squares, axis=(1, 2, 3, 4))

    return answer


RIGHT_TERM = wh()


def wh_numpy(raw, y_true, anchors, input_shape):
    return np.asarray(wh()(np.asarray(raw), np.asarray(y_true), anchors, input_shape))


def wh_repeated(*arguments):
    values = wh()(*arguments)
    return ops.mean(values) + 0 * values


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (RIGHT_TERM, "ok"),
        (wh_term(), "ok"),
        (wh(safe="small number"), "ok"),
        (None, "not done yet"),
        (lambda raw, y_true, anchors, input_shape: None, "not done yet: the function returns None"),
        (
            wh_term(factor=1),
            "input_shape=(64, 64) you return [3.4536]; expected [1.7268]. Is the factor 0.5 there?",
        ),
        (wh_term(swapped=True), "for one picture with one box, input_shape=(64, 96) you return"),
        (
            wh(safe="no"),
            "for one picture with one box, input_shape=(64, 64) you return [nan]",
            "0 times that is not 0 but NaN",
        ),
        (wh(safe="after"), "the gradient runs through both sides of ops.where"),
        (wh(masked=False), "hint: for one picture with one box, input_shape=(64, 64) you return"),
        (wh_term(reduce=ops.sum), "you return one number for the whole batch; expected one for each picture"),
        (wh_term(reduce=lambda terms: ops.sum(terms, -1)), "you return the shape (1, 4, 4, 3); expected (1,)"),
        (wh(learn=False), "your function raised ValueError: No gradients provided"),
        (lambda *arguments: wh()(*arguments)[:, None], "you return the shape (1, 1); expected (1,)"),
        (
            wh_repeated,
            "for two pictures, with one box and with two you return",
            "One number is repeated for all pictures.",
        ),
        (wh_numpy, "by hand it works, but inside a model, for one picture"),
        (lambda raw, y_true: raw, "raised TypeError"),
        (0.5, "expected a function, but the answer is of type float"),
        (lambda raw, y_true, anchors, input_shape: "0.5", "you return a str; expected a tensor of numbers"),
    ),
)
def test_wh_term(says, answer, expected):
    says(checks.check_wh_term, answer, *expected, traced=answer in (RIGHT_TERM, wh_numpy))


@pytest.mark.parametrize(("words", "wrong"), WH_MISTAKES)
def test_wh_mistakes(says, words, wrong):
    says(checks.check_wh_term, wrong, words, traced=False)


# repaired_targets


def targets(half=True, rows="filter", clear=True, clamp=True, order=(0, 1)):
    """Make an answer `repaired_targets`; the defaults are right, each argument is a common mistake."""

    def targets_for(boxes, input_shape, anchors, num_classes):
        height, width = input_shape
        y_true = [np.zeros((height // s, width // s, 3, 5 + num_classes), "float32") for s in STRIDES]
        if rows == "filter":
            boxes = boxes[boxes[:, 2] > 0]
        elif rows == "stop":
            boxes = boxes[: np.argmin(np.append(boxes[:, 2] > 0, False))]
        elif rows == "class":
            boxes = boxes[boxes.all(axis=1)]
        centres = (boxes[:, 0:2] + boxes[:, 2:4]) / 2 if half else (boxes[:, 0:2] + boxes[:, 2:4]) // 2
        sizes = boxes[:, 2:4] - boxes[:, 0:2]
        of_best = sizes[sizes[:, 0] > 0] if rows == "count" else sizes
        for t, anchor in enumerate(anchor_iou(of_best, anchors).argmax(axis=1)):
            head = 2 - anchor // 3
            last = [width // STRIDES[head] - 1, height // STRIDES[head] - 1] if clamp else np.inf
            column, row = np.minimum(centres[t] // STRIDES[head], last).astype(int)
            slot = y_true[head][row, column, anchor % 3]
            if clear == "first wins" and slot[4]:
                continue
            if clear:
                slot[:] = 0
            slot[0:2] = centres[t] / np.array([width, height])[list(order)]
            slot[2:4], slot[4], slot[5 + int(boxes[t, 4])] = sizes[t] / [width, height], 1, 1
        return y_true

    return targets_for


def targets_in_a_batch(boxes, input_shape, anchors, num_classes):
    return preprocess_true_boxes(boxes[None], input_shape, anchors, num_classes)


def targets_by_the_package(boxes, input_shape, anchors, num_classes):
    return [grid[0] for grid in targets_in_a_batch(boxes, input_shape, anchors, num_classes)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (targets(), "ok"),
        (targets_by_the_package, "ok"),
        (None, "not done yet"),
        (lambda *arguments: None, "not done yet: the function returns None"),
        (
            targets(half=False),
            "for one box with its centre on half a pixel, in head 2: row 3, column 3, anchor 2",
            "holds the centre [0.2344, 0.2708]; expected [0.2383, 0.276 ]",
        ),
        (targets(half=False, rows="count", clear=False), "for one box with its centre on half a pixel"),
        (
            targets(rows="count"),
            "for a padding row between two boxes, in head 2: row 0, column 0, anchor 0",
            "should hold no object; yours is [0., 0., 0., 0., 1.",
        ),
        (
            targets(rows="stop"),
            "for a padding row between two boxes, in head 2: row 3, column 9, anchor 0",
            "should hold an object; yours is [0., 0.",
        ),
        (targets(rows="class"), "for two boxes and padding after them, in head 2"),
        (targets(rows="all"), "for two boxes and padding after them, in head 2: row 0, column 0, anchor 0"),
        (
            targets(clear=False),
            "for two boxes of two classes that want the same slot, in head 2: row 3, column 9",
            "holds the class [1., 0., 1.]; expected [0., 0., 1.]",
        ),
        (targets(clear="first wins"), "for two boxes of two classes that want the same slot"),
        (targets(clamp=False), "for a centre on the right border your function raised IndexError"),
        (targets(order=(1, 0)), "for one box with its centre on a whole pixel, in head 2"),
        (targets_in_a_batch, "for one box with its centre on a whole pixel expected arrays of [(3, 4, 3, 8)"),
        (lambda *arguments: 0, "yours are ()"),
    ),
)
def test_targets(says, answer, expected):
    says(checks.check_targets, answer, *expected)


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
