"""Checks around the pattern elsewhere: CTC, triplets, centres."""

import functools
import itertools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yolo_helpers.checks.compare import compare_loss, likely, one_number, train_with
from yolo_helpers.checks.verdict import Hint, call, task

# ctc_loss


def _listed_ctc(chances: np.ndarray, codes: list[int]) -> float:
    """Return minus the logarithm of a word's probability, by listing all paths; for a few steps only."""
    total = 0.0
    for path in itertools.product(range(chances.shape[1]), repeat=len(chances)):
        if [code for code, _ in itertools.groupby(path) if code] == codes:
            total += float(np.prod(chances[np.arange(len(path)), path]))
    return -np.log(total) if total else np.inf


@functools.cache
def _ctc_cases() -> list[tuple[str, np.ndarray, list[int], float]]:
    """Make the cases: words, chances (steps, classes), codes and the loss."""
    random, cases = np.random.default_rng(6), []
    for steps, word in [(3, [1, 2]), (1, [1]), (4, [1]), (3, [1, 1]), (4, [1, 1]), (5, [2, 2, 1]), (5, [1, 2, 1])]:
        chances = random.dirichlet(np.ones(3), steps)
        cases.append((f"{steps} steps, codes {word}", chances, word, _listed_ctc(chances, word)))
    raw, word = random.normal(size=(18, 9)).astype("float32"), [3, 1, 4, 4, 5]
    by_keras = ops.ctc_loss([word], raw[None], [len(word)], [18])
    chances = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    return [*cases, (f"18 steps, codes {word}", chances, word, float(ops.convert_to_numpy(by_keras)[0]))]


@task
def check_ctc_loss(function: Callable) -> None:
    """Check `ctc_loss(chances, codes)` against a list of all paths, and on 18 steps against Keras.

    Args:
        function: the reader's answer; takes probabilities (steps, classes) and a list of codes, returns one number.
    """
    for given, chances, word, expected in _ctc_cases():
        found = one_number(call(function, chances.copy(), list(word), given=given), given)
        if not np.isclose(found, expected, rtol=1e-4):
            why = ""
            if np.isclose(found, np.exp(-expected), rtol=1e-4):
                why = " That is the probability; expected minus its logarithm."
            elif any(a == b for a, b in itertools.pairwise(word)):
                why = " Two equal letters need a blank between them: no jump there."
            raise Hint(f"for {given} you return {found:.4f}; expected {expected:.4f}.{why}")
    given = "2 steps, codes [1, 1], a word without a path"
    found = one_number(call(function, np.full((2, 3), 1 / 3), [1, 1], given=given), given)
    if found != np.inf:
        raise Hint(f"for {given}, you return {found:.4f}; expected np.inf.")


# batch_hard


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


# CenterLoss


def center_loss(weighted: bool = True, reduce: Callable = np.mean, over: Callable = np.sum) -> Callable:
    """Make the layer's loss; the defaults are right, each argument is a common mistake.

    Args:
        weighted: whether the weight counts.
        reduce: of the batch's squared distances (B,).
        over: of the squares of the coordinates (B, D), over axis 1.
    """

    def added(points, own, weight):
        return (weight if weighted else 1) * reduce(over(np.square(points - own), axis=1))

    return added


CENTER_MISTAKES = [
    ("That is the sum over the batch: add_loss sums a vector, so take the mean first.", center_loss(reduce=np.sum)),
    ("Was the weight forgotten?", center_loss(weighted=False)),
    ("A squared distance is the sum over the coordinates, not their mean.", center_loss(over=np.mean)),
]


@task
def check_center_layer(function: Callable) -> None:
    """Check the layer `CenterLoss(num_classes, weight)` by its losses and by a step of training.

    Args:
        function: the reader's class.
    """
    random = np.random.default_rng(6)
    points, labels = random.normal(size=(6, 2)).astype("float32"), np.array([0, 1, 1, 3, 0, 0], "int32")
    given = "6 points (6, 2) of 4 classes, weight 0.5,"
    layer = call(function, 4, 0.5, given=given)
    result = call(layer, points, labels, given=given)
    if np.shape(result) != points.shape or not np.allclose(result, points):
        raise Hint(f"for {given} the layer must return the points unchanged.")
    trained = [tuple(variable.shape) for variable in layer.trainable_variables]
    if trained != [(4, 2)]:
        raise Hint(f"expected one trainable weight of shape (4, 2), made in build; found {trained}.")
    if np.any(layer.get_weights()[0]):
        raise Hint("the centres must begin at zero.")
    centres = random.normal(size=(4, 2)).astype("float32")
    layer.set_weights([centres])
    layer(points, labels)
    added = float(sum(np.sum(ops.convert_to_numpy(loss)) for loss in layer.losses))
    arguments = points, centres[labels], 0.5
    expected = center_loss()(*arguments)
    if not np.isclose(added, expected, rtol=1e-4):
        why = likely(added, CENTER_MISTAKES, *arguments)
        raise Hint(f"for {given} the layer adds {added:.4f}; expected {expected:.4f}.{why}")

    inputs, label = keras.Input((2,)), keras.Input((), dtype="int32")
    model = keras.Model([inputs, label], call(layer, inputs, label, given="the layer in a model"))
    model.compile(keras.optimizers.SGD(0.1), loss="mse", run_eagerly=True)
    call(lambda: model.fit([points, labels], points, batch_size=6, verbose=0), given="a step of training")
    own = np.zeros_like(centres)
    np.add.at(own, labels, centres[labels] - points)
    if not np.allclose(layer.get_weights()[0], centres - 0.1 * own / 6, atol=1e-5):
        raise Hint("the loss is right, but a training step of the model does not move the centres as it should.")

    given = "a call without labels"
    alone = call(function, 4, 0.5, given=given)
    if not np.allclose(call(alone, points, given=given), points) or alone.losses:
        raise Hint(f"for {given} the layer must return the points and add no loss.")
