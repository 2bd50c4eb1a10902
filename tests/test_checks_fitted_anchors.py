"""The check of fitted anchors, tried with right answers and with wrong ones that people really give."""

import sys

import numpy as np
import pytest
from verdicts import answers

from yolo_helpers import checks
from yolo_helpers.anchors import anchor_iou
from yolo_helpers.checks.fitted_anchors import FIT_MISTAKES, anchor_cases, by_distance, fit_anchors

# fit_anchors


def without_care(sizes, start, rounds=None):
    """Takes the median also of no boxes, which is NaN; without `rounds` it goes on until nothing moves."""
    anchors, left = start, rounds
    while left is None or left > 0:
        nearest = anchor_iou(sizes, anchors).argmax(1)
        moved = np.stack([np.median(sizes[nearest == k], axis=0) for k in range(len(anchors))])
        if np.array_equal(moved, anchors):
            break
        anchors, left = moved, left and left - 1
    return anchors


def by_nan(sizes, start):
    """Another right answer, though NumPy warns: what became NaN is put back."""
    anchors, before = start, None
    while not np.array_equal(anchors, before):
        before = anchors
        moved = without_care(sizes, before, rounds=1)
        anchors = np.where(np.isnan(moved), before, moved)
    return anchors


def in_place(sizes, start):
    """Compares the anchors with themselves, so one round is all."""
    anchors = start
    while True:
        before = anchors
        nearest = anchor_iou(sizes, anchors).argmax(1)
        for k in range(len(anchors)):
            if (nearest == k).any():
                anchors[k] = np.median(sizes[nearest == k], axis=0)
        if np.array_equal(before, anchors):
            return anchors


def without_end(sizes, start):
    while True:
        start = start + 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (by_nan, "ok"),
        (fit_anchors(), "ok"),
        (fit_anchors(finish=lambda anchors: anchors.astype("float32")), "ok"),
        (fit_anchors(finish=lambda anchors: anchors.tolist()), "ok"),
        (None, "not done yet"),
        (lambda sizes, start: None, "not done yet: the function returns None"),
        (
            fit_anchors(middle=np.mean),
            "for 45 boxes in three clear groups and 3 anchors you return",
            "with a mean best IoU of 0.914; expected",
        ),
        (fit_anchors(nearest=by_distance, middle=np.mean), "not the mean"),
        (fit_anchors(rounds=1), "for boxes that need several rounds"),
        (in_place, "That is one round", "keep a copy"),
        (
            fit_anchors(finish=lambda anchors: anchors[anchors.prod(1).argsort()]),
            "for anchors that start with the largest",
            "in another order: keep that of the start",
        ),
        (fit_anchors(finish=np.round), "Do not round them."),
        (
            lambda sizes, start: without_care(sizes, start, rounds=30),
            "for an anchor that no box is nearest to and 4 anchors you return",
            "The median of no boxes is NaN",
        ),
        (without_care, "your function raised TooManyRounds: it had not ended", "NaN, the median of no boxes"),
        (without_end, "your function raised TooManyRounds"),
        (fit_anchors(empty=0.0, rounds=3), "hint: for boxes that need several rounds"),
        (lambda sizes, start: anchor_iou(sizes, start).argmax(1), "That is one number a box; return the anchors."),
        (lambda sizes, start: np.median(sizes, axis=0), "you return the shape (2,); expected (3, 2)"),
        (lambda sizes, start: [[1, 2], [3]], "expected an array of numbers; you return a list"),
        (lambda sizes, start: "anchors", "expected an array of numbers; you return a str"),
        (lambda sizes, start: anchor_iou(sizes, start[:, 0]), "your function raised"),
        (np.ones((3, 2)), "expected a function, but the answer is of type ndarray"),
    ),
)
def test_fit_anchors(says, answer, expected):
    says(checks.check_fit_anchors, answer, *expected)


@pytest.mark.parametrize(("words", "wrong"), FIT_MISTAKES)
def test_fit_mistakes(says, words, wrong):
    says(checks.check_fit_anchors, wrong, "hint: ", words)


def test_no_case_of_the_anchors_hangs_on_a_last_bit():
    """In no round two anchors fit a box equally well, so any way to compute the IoU gives the same anchors."""
    for words, sizes, start in anchor_cases():
        for rounds in range(20):
            overlap = np.sort(anchor_iou(sizes, fit_anchors(rounds=rounds)(sizes, start)), axis=1)
            assert (overlap[:, -1] - overlap[:, -2]).min() > 1e-6, words


def test_a_limit_leaves_the_tracing_of_others_alone(says):
    before = sys.gettrace()
    says(checks.check_fit_anchors, without_end, "TooManyRounds")
    assert sys.gettrace() is before
