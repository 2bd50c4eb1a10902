"""Checks around the pattern elsewhere: the hardest triplets of a batch."""

from collections.abc import Callable

import numpy as np
from keras import ops

from yolo_helpers.checks.compare import compare_loss, likely, train_with
from yolo_helpers.checks.verdict import Hint, call, task


def batch_hard(squared: bool = True) -> Callable:
    """Make an answer `batch_hard` by a loop over all pairs; `squared=False` is a common mistake."""

    def answer(labels, points, margin=1.0):
        labels, points = (ops.convert_to_numpy(x) for x in (labels, points))
        distances = np.square(points[:, None] - points).sum(axis=-1)
        distances = distances if squared else np.sqrt(distances)
        same = labels.reshape(-1, 1) == labels.ravel()
        hardest = [(of_one[s].max(), of_one[~s].min()) for of_one, s in zip(distances, same)]
        return np.array([[max(far - near + margin, 0)] for far, near in hardest], "float32")

    return answer


HARD_MISTAKES = [("you compare distances; expected squared distances.", batch_hard(squared=False))]


def triplet_cases() -> list[tuple[str, np.ndarray, np.ndarray, float]]:
    """Return words, labels (B,), points (B, D) and the margin on which `batch_hard` is tried."""
    random = np.random.default_rng(6)
    cases = [
        ("the points 0, 1, 3 of the classes 0, 1, 0", [0, 1, 0], [[0.0], [1.0], [3.0]], 1.0),
        ("eight points of three classes", [0, 1, 2, 0, 1, 2, 0, 1], random.normal(size=(8, 2)), 1.0),
        ("the same with the margin 0.2", [0, 1, 2, 0, 1, 2, 0, 1], random.normal(size=(8, 2)), 0.2),
        ("a class with one picture", [0, 0, 5, 0], random.normal(size=(4, 3)) * 3, 1.0),
        ("two pictures at the same point", [1, 1, 2], [[1.0, 1.0], [1.0, 1.0], [1.0, 1.5]], 1.0),
    ]
    return [(words, np.array(labels, "int32"), np.array(points, "float32"), m) for words, labels, points, m in cases]


@task
def check_batch_hard(function: Callable) -> None:
    """Check `batch_hard(labels, points, margin=1.0)` against a loop over all pairs.

    Args:
        function: the reader's answer; takes labels (B,) or (B, 1) and points (B, D), returns (B, 1).
    """
    for number, (words, labels, points, margin) in enumerate(triplet_cases()):
        expected = batch_hard()(labels, points, margin)
        for shaped in (labels, labels[:, None]):
            given = f"{words}, labels of shape {shaped.shape},"
            result = call(function, shaped, points.copy(), margin, given=given)
            if np.shape(result) == ():
                raise Hint(f"for {given} you return one number; expected one per anchor, {expected.shape}.")
            if np.shape(result) == expected.shape and not np.allclose(result, expected, rtol=1e-4, atol=1e-5):
                why = likely(result, HARD_MISTAKES, labels, points, margin, atol=1e-5)
                if why:
                    raise Hint(f"for {given}{why}")
            compare_loss(result, expected, given)
        train_with(function, labels[:, None], points, words, traced=number == 0)
