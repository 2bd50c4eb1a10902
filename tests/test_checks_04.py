"""The checks of the tasks in `lesson_04`, against right answers and against wrong answers that people really give."""

import keras
import numpy as np
import pytest
from verdicts import answers

from yolo_helpers import checks
from yolo_helpers.checks.lesson_04 import (
    FREEZE_MISTAKES,
    SHARES,
    SIZE_MISTAKES,
    freeze_all_but,
    precision,
    precision_recall,
    recall,
    small_share,
)

SHARE_MISTAKES = [
    (words, precision_recall(**{name: wrong})) for name, (_, mistakes) in SHARES.items() for words, wrong in mistakes
]


@pytest.mark.parametrize(
    ("check", "words", "wrong"),
    [
        (check, *pair)
        for check, mistakes in (
            (checks.check_small_share, SIZE_MISTAKES),
            (checks.check_freeze, FREEZE_MISTAKES),
            (checks.check_precision_recall, SHARE_MISTAKES),
        )
        for pair in mistakes
    ],
)
def test_each_mistake_gets_its_words(says, check, words, wrong):
    says(check, wrong, "hint: for ", words)


# small_share


def by_a_loop(sizes, side):
    count = 0
    for width, height in sizes:
        if width < side or height < side:
            count += 1
    return count / len(sizes)


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (by_a_loop, "ok"),
        (small_share(), "ok"),
        (lambda sizes, side: (sizes.min(axis=1) < side).mean(), "ok"),
        (lambda sizes, side: np.mean((sizes[:, 0] < side) | (sizes[:, 1] < side)), "ok"),
        (None, "not done yet"),
        (lambda sizes, side: None, "not done yet: the function returns None"),
        (
            lambda sizes, side: np.mean((sizes[:, 0] < side) & (sizes[:, 1] < side)),
            "for boxes that are wide and flat, or tall and narrow, and side 16, your function gave 0.1; expected 0.8. "
            "It is enough that one of the two is below",
        ),
        (lambda sizes, side: (sizes.max(axis=1) < side).mean(), "It is enough that one of the two is below"),
        (lambda sizes, side: np.sqrt(sizes.prod(axis=1)) < side, "expected one number, but the answer has the shape"),
        (lambda sizes, side: (np.sqrt(sizes.prod(axis=1)) < side).mean(), "not the area"),
        (lambda sizes, side: (sizes < 16).any(axis=1).mean(), "for boxes with fractions of a pixel, and side 32"),
        (lambda sizes, side: (sizes <= side).any(axis=1).mean(), "for boxes with a side of exactly 16", "<, not <="),
        (lambda sizes, side: (sizes // 1 < side).any(axis=1).mean() + 0.01, "your function gave 0.21; expected 0.2."),
        (lambda sizes, side: (sizes < side).any(axis=1), "one number, but the answer has the shape (5,)"),
        (lambda sizes, side: (sizes < side).mean(axis=0), "one number, but the answer has the shape (2,)"),
        (
            lambda sizes, side: np.mean(sizes[:, 0] < side or sizes[:, 1] < side),
            "for five boxes, one of them small in both directions, and side 16, your function raised ValueError",
        ),
        (lambda sizes, side: f"{by_a_loop(sizes, side):.0%}", "expected a number, but the answer is of type str"),
        (lambda sizes: 0.5, "your function raised TypeError"),
        (0.5, "expected a function, but the answer is of type float"),
    ),
)
def test_small_share(says, answer, expected):
    says(checks.check_small_share, answer, *expected)


# freeze_all_but


def first_all_then_new(body, new_layers):
    for layer in body.layers:
        layer.trainable = False
    for layer in new_layers:
        layer.trainable = True


def by_name(body, new_layers):
    names = [layer.name for layer in new_layers]
    for layer in body.layers:
        layer.trainable = layer.name in names


def body_with_weights_only(body, new_layers):
    for layer in body.layers:
        if layer.weights:
            layer.trainable = any(layer is new for new in new_layers)
    return body


def with_names_as_layers(body, new_layers):
    names = [layer.name for layer in new_layers]
    for layer in body.layers:
        layer.trainable = layer in names


def whole_body(before=None, after=None, inner=first_all_then_new):
    """An answer that also sets the body's own `trainable`."""

    def answer(body, new_layers):
        if before is not None:
            body.trainable = before
        inner(body, new_layers)
        if after is not None:
            body.trainable = after

    return answer


def only_new(body, new_layers):
    for layer in new_layers:
        layer.trainable = True


def only_old(body, new_layers):
    for layer in body.layers:
        if layer not in new_layers:
            layer.trainable = False


def thawed_in_between(body, new_layers):
    first_all_then_new(body, new_layers)
    body.trainable = False
    body.trainable = True


def in_a_copy(body, new_layers):
    copy = keras.models.clone_model(body)
    by_name(copy, new_layers)
    return copy


def all_but_the_last(body, new_layers):
    for layer in body.layers[:-1]:
        layer.trainable = False


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (first_all_then_new, "ok"),
        (freeze_all_but(), "ok"),
        (by_name, "ok"),
        (body_with_weights_only, "ok"),
        (None, "not done yet"),
        (lambda body, new_layers: None, "not done yet: trainable of no layer changes"),
        (lambda body, new_layers: body, "not done yet: trainable of no layer changes"),
        (in_a_copy, "for a fresh body with the new layer conv_10, you return another model"),
        (
            only_old,
            "for a body of an earlier call, which left conv_10 alone trainable, now with the new layers conv_2 and "
            "norm_2, conv_2 is frozen; expected trainable. Set True as well",
        ),
        (whole_body(before=True, inner=only_old), "With TensorFlow, body.trainable = True changes nothing"),
        (only_new, "conv_1 is trainable; expected frozen. Nothing is frozen"),
        (thawed_in_between, "Nothing is frozen", "leave body.trainable, which Keras hands down to every layer"),
        (
            whole_body(after=False),
            "for a fresh body with the new layer conv_10, conv_10 is frozen; expected trainable. "
            "body.trainable is False, and Keras hands that down to every layer.",
        ),
        (lambda body, new_layers: setattr(body, "trainable", False), "Keras hands that down to every layer"),
        (
            whole_body(before=False, inner=only_new),
            "for a fresh body with the new layer conv_10, each layer is as it should be, but body.trainable is False",
        ),
        (all_but_the_last, "the new layers conv_2 and norm_2", "need not be the last"),
        (with_names_as_layers, "conv_10 is frozen; expected trainable. All are frozen. Do you compare layers with"),
        (lambda body, new_layers: body.layer, "for a fresh body with the new layer conv_10, your function raised"),
        (lambda body: None, "your function raised TypeError"),
        ({"conv_10": True}, "expected a function, but the answer is of type dict"),
    ),
)
def test_freeze(says, answer, expected):
    says(checks.check_freeze, answer, *expected)


def test_what_keras_hands_down():
    """What the hints say of `trainable`, on TensorFlow, as the lessons run."""
    body = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    body.trainable = False
    assert [layer.trainable for layer in body.layers] == [False, False]
    body.layers[1].trainable = True
    assert body.trainable_weights == []
    body.trainable = True
    assert len(body.trainable_weights) == 4
    body.layers[0].trainable = False
    body.trainable = True
    assert len(body.trainable_weights) == 2


# precision_recall


def of_sums(right, wrong, missed):
    found, there = right + wrong, right + missed
    return np.array([right / found, right / there])


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (of_sums, "ok"),
        (precision_recall(), "ok"),
        (lambda *counts: [1 - counts[1] / (counts[0] + counts[1]), recall(*counts)], "ok"),
        (None, "not done yet"),
        (lambda *counts: None, "not done yet: the function returns None"),
        (lambda *counts: (None, None), "not done yet"),
        (lambda *counts: (precision(*counts), None), "not done yet: recall still None"),
        (
            lambda *counts: of_sums(*counts)[::-1],
            "for a detector that misses more than it invents: right 8, wrong 2, missed 4, precision and recall are "
            "exchanged: precision is 0.8.",
        ),
        (
            lambda right, wrong, missed: (right / (right + missed),) * 2,
            "precision is 0.6667; expected 0.8. That is the recall",
        ),
        (
            lambda right, wrong, missed: (right / (right + wrong),) * 2,
            "recall is 0.8; expected 0.6667. That is the precision",
        ),
        (lambda r, w, m: (r / (r + w + m),) * 2, "Right over all three together is neither"),
        (lambda *counts: 100 * of_sums(*counts), "precision is 80; expected 0.8. That is a percentage"),
        (lambda r, w, m: (r // (r + w), r // (r + m)), "// cuts it off"),
        (lambda *counts: np.round(of_sums(*counts), 2), "recall is 0.67; expected 0.6667. Do not round."),
        (lambda r, w, m: (r / r + w, r / r + m), "precision is 3; expected 0.8. Mind the brackets"),
        (
            lambda r, w, m: (r / (r + w) if r else 1.0, r / (r + m)),
            "for a detector that finds nothing but wrong ones: right 0, wrong 5, missed 3, precision is 1; expected 0.",
        ),
        (lambda *counts: of_sums(*counts).mean(), "expected two numbers, precision and recall; you return a float64"),
        (lambda *counts: (*of_sums(*counts), 0.7), "expected two numbers, precision and recall; you return 3 parts"),
        (lambda *counts: dict(zip(SHARES, of_sums(*counts))), "you return a dict"),
        (lambda *counts: ("80%", "67%"), "expected a number, but the answer is of type str"),
        (lambda right, wrong: right / (right + wrong), "your function raised TypeError"),
        (0.8, "expected a function"),
    ),
)
def test_precision_recall(says, answer, expected):
    says(checks.check_precision_recall, answer, *expected)
