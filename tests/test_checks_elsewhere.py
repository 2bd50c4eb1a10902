"""The checks of the tasks in `elsewhere`, against right answers and against wrong answers that people really give."""

import numpy as np
import pytest
from keras import ops

from yolo_helpers import checks
from yolo_helpers.checks.elsewhere import HARD_MISTAKES


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
