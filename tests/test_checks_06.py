"""The checks of the tasks in `lesson_06`, against right answers and against wrong answers that people really give."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from yolo_helpers import checks
from yolo_helpers.checks.lesson_06 import CENTER_MISTAKES, HARD_MISTAKES

CENTER_WORDS = [words for words, _ in CENTER_MISTAKES]

# ctc_loss


def ctc(jump_equal=False, first=2, last=2, log=True, infinite=np.inf, sign=-1):
    """Make an answer `ctc_loss`; the defaults are right, each argument is a common mistake."""

    def ctc_loss(chances, codes):
        row = [0, *itertools.chain(*((code, 0) for code in codes))]
        now = np.array([chances[0, code] if place < first else 0.0 for place, code in enumerate(row)])
        for step in chances[1:]:
            before, now = now, np.zeros(len(row))
            for place, code in enumerate(row):
                now[place] = before[place] + (before[place - 1] if place else 0)
                if place > 1 and code and (jump_equal or code != row[place - 2]):
                    now[place] += before[place - 2]
                now[place] *= step[code]
        total = now[-last:].sum()
        if not log:
            return total
        return sign * np.log(total) if total > 0 else infinite

    return ctc_loss


def ctc_with_logarithms(chances, codes):
    """Another right answer, with logarithms and from the end of the word."""
    row = [0, *itertools.chain(*((code, 0) for code in codes))]
    with np.errstate(divide="ignore"):
        logs = np.log(chances)
    now = np.full(len(row), -np.inf)
    now[-2:] = 0
    for step in logs[:0:-1]:
        moved, now = now + step[row], np.full(len(row), -np.inf)
        for place, code in enumerate(row):
            reach = [place, place + 1]
            if place + 2 < len(row) and row[place + 2] != 0 and row[place + 2] != code:
                reach.append(place + 2)
            now[place] = np.logaddexp.reduce([moved[k] for k in reach if k < len(row)])
    return -np.logaddexp(now[0] + logs[0, 0], now[1] + logs[0, row[1]])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ctc(), "ok"),
        (ctc_with_logarithms, "ok"),
        (None, "not done yet"),
        (lambda chances, codes: None, "not done yet: the function returns None"),
        (ctc(jump_equal=True), "3 steps, codes [1, 1] you return"),
        (ctc(jump_equal=True), "need a blank between them"),
        (ctc(first=1), "3 steps, codes [1, 2] you return"),
        (ctc(last=1), "3 steps, codes [1, 2] you return"),
        (ctc(log=False), "That is the probability"),
        (ctc(sign=1), "you return -"),
        (ctc(infinite=1e9), "codes [1, 1], a word without a path, you return 1000000000.0000; expected np.inf"),
        (lambda chances, codes: chances, "expected one number, but the answer has the shape (3, 3)"),
        (lambda chances, codes: chances[9], "your function raised IndexError"),
        (3, "expected a function"),
    ],
)
def test_ctc_loss(says, answer, words):
    says(checks.check_ctc_loss, answer, words, traced=False)


# batch_hard


def hard(positive=ops.max, inf=1e9, fixed_margin=None, column=True, mean=False, reshape=True, hinge=True):
    """Make an answer `batch_hard`; the defaults are right, each argument is a common mistake."""

    def batch_hard(labels, points, margin=1.0):
        labels = ops.reshape(labels, (-1, 1)) if reshape else labels[:, None]
        same = ops.cast(ops.equal(labels, ops.transpose(labels)), "float32")
        distances = ops.sum(ops.square(points[:, None] - points[None]), axis=-1)
        farthest = positive(distances * same, axis=1)
        nearest = ops.min(distances + inf * same, axis=1)
        loss = farthest - nearest + (margin if fixed_margin is None else fixed_margin)
        loss = ops.maximum(loss, 0.0) if hinge else loss
        loss = loss[:, None] if column else loss
        return ops.mean(loss) if mean else loss

    return batch_hard


RIGHT_TRIPLETS = hard()


def hard_by_row(labels, points, margin=1.0):
    """Another right answer: anchor by anchor."""
    labels, losses = ops.convert_to_numpy(labels).ravel(), []
    for k in range(len(labels)):
        distances = ops.sum(ops.square(points - points[k]), axis=-1)
        far = ops.max(ops.take(distances, np.flatnonzero(labels == labels[k])))
        near = ops.min(ops.take(distances, np.flatnonzero(labels != labels[k])))
        losses.append(ops.relu(far - near + margin))
    return ops.stack(losses)[:, None]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (RIGHT_TRIPLETS, "ok"),
        (hard_by_row, "ok"),
        (None, "not done yet"),
        (lambda labels, points, margin=1.0: None, "not done yet: the function returns None"),
        (hard(mean=True), "you return one number; expected one per anchor, (3, 1)"),
        (hard(column=False), "gave the shape (3,); expected (3, 1)"),
        (hard(inf=0.0), "the points 0, 1, 3"),
        (hard(positive=ops.min), "the points 0, 1, 3"),
        *[(wrong, words) for words, wrong in HARD_MISTAKES],
        (hard(fixed_margin=1.0), "the same with the margin 0.2"),
        (hard(hinge=False), "a class with one picture"),
        (hard(reshape=False), "labels of shape (3, 1)"),
        (lambda labels, points: points, "TypeError"),
    ],
)
def test_batch_hard(says, answer, words):
    says(checks.check_batch_hard, answer, words, traced=answer is RIGHT_TRIPLETS)


# CenterLoss


def layer(
    reduce=ops.mean,
    weighted=True,
    over=ops.sum,
    owns=True,
    start="zeros",
    returns=None,
    add=True,
    size=4,
    detached=False,
):
    """Make an answer `CenterLoss`; the defaults are right, each argument is a common mistake."""

    class CenterLoss(keras.layers.Layer):
        def __init__(self, num_classes, weight, **options):
            super().__init__(**options)
            self.num_classes, self.weight = num_classes if size == 4 else size, weight

        def build(self, points_shape, labels_shape=None):
            shape = (self.num_classes, points_shape[-1])
            self.centres = self.add_weight(shape=shape, initializer=start, name="centres", trainable=owns)

        def call(self, points, labels=None):
            if labels is not None or not add:
                own = ops.take(self.centres, labels if labels is not None else [0], axis=0)
                own = ops.stop_gradient(own) if detached else own
                squares = over(ops.square(points - own), axis=-1)
                self.add_loss((self.weight if weighted else 1.0) * reduce(squares))
            return points if returns is None else returns(points)

    return CenterLoss


class WithEmbedding(keras.layers.Layer):
    """Another right answer, with a layer for the centres."""

    def __init__(self, num_classes, weight):
        super().__init__()
        self.num_classes, self.weight = num_classes, weight

    def build(self, points_shape, labels_shape=None):
        self.table = keras.layers.Embedding(self.num_classes, points_shape[-1], embeddings_initializer="zeros")
        self.table.build()

    def call(self, points, labels=None):
        if labels is not None:
            self.add_loss(self.weight * ops.mean(ops.sum((points - self.table(labels)) ** 2, axis=-1)))
        return points


class Stub(keras.layers.Layer):
    def __init__(self, num_classes, weight):
        super().__init__()

    def call(self, points, labels=None):
        return None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (layer(), "ok"),
        (WithEmbedding, "ok"),
        (None, "not done yet"),
        (Stub, "not done yet"),
        (layer(reduce=lambda squares: squares), CENTER_WORDS[0]),
        (layer(reduce=ops.sum), CENTER_WORDS[0]),
        (layer(weighted=False), CENTER_WORDS[1]),
        (layer(over=ops.mean), CENTER_WORDS[2]),
        (layer(owns=False), "expected one trainable weight of shape (4, 2), made in build; found []"),
        (layer(size=3), "4 classes, weight 0.5, your function raised"),
        (layer(start="ones"), "the centres must begin at zero"),
        (layer(returns=lambda points: 2 * points), "must return the points unchanged"),
        (layer(detached=True), "for a step of training your function raised ValueError"),
        (layer(add=False), "a call without labels the layer must return the points and add no loss"),
        (3, "expected a function"),
    ],
)
def test_center_layer(says, answer, words):
    says(checks.check_center_layer, answer, words, traced=False)
