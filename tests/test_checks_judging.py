"""The checks of a detector's figures, tried with right answers and with wrong ones that people really give."""

import math
from pathlib import Path

import numpy as np
import pytest
from verdicts import answers

from yolo_helpers import checks
from yolo_helpers.annotations import Annotation
from yolo_helpers.checks.judging import (
    AREA_MISTAKES,
    IOU_MISTAKES,
    PRECISION_MISTAKES,
    RECALL_MISTAKES,
    RIGHT_MISTAKES,
    detection_cases,
    iou,
    judge,
    matched,
)
from yolo_helpers.detection import Detections
from yolo_helpers.evaluation import average_precision


@pytest.mark.parametrize(
    ("check", "words", "wrong"),
    [
        (check, *pair)
        for check, mistakes in (
            (checks.check_iou, IOU_MISTAKES),
            (checks.check_judge, RIGHT_MISTAKES + PRECISION_MISTAKES + RECALL_MISTAKES + AREA_MISTAKES),
        )
        for pair in mistakes
    ],
)
def test_each_mistake_gets_its_words(says, check, words, wrong):
    says(check, wrong, "hint: ", words)


# iou


def plain_iou(box, other):
    """Another right answer."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    shared = max(width, 0) * max(height, 0)
    area, other_area = ((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return shared / (area + other_area - shared)


def only_if_they_meet(box, other):
    if min(box[2], other[2]) <= max(box[0], other[0]):  # forgets the height
        return 0.0
    return iou(clamp=False)(box, other)


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (plain_iou, "ok"),
        (lambda box, other: np.float32(plain_iou(box, other)), "ok"),
        (None, "not done yet"),
        (lambda box, other: None, "not done yet: the function returns None"),
        (
            iou(over="sum"),
            "for two boxes that overlap in a corner, (10, 20, 50, 40) and (30, 25, 60, 50), your function gave 0.1935",
            "expected 0.24. What both share counts once",
        ),
        (
            iou(clamp=False),
            "for two boxes side by side, with a gap between them",
            "Boxes that do not meet share nothing",
        ),
        (only_if_they_meet, "one above the other", "Boxes that do not meet share nothing"),
        (
            iou(clamp=False, finish=abs),
            "side by side, with a gap between them",
            "gave 0.3333; expected 0. Boxes that do not meet share nothing",
        ),
        (lambda box, other: plain_iou(box, other) // 1, "// cuts it off"),
        (lambda box, other: plain_iou(box, other) or math.nan, "for two boxes that touch", "the answer is NaN"),
        (lambda box, other: [plain_iou(box, other)], "expected one number, but the answer has the shape (1,)"),
        (lambda box, other: "0.24", "expected a number, but the answer is of type str"),
        (lambda box, other: box[4], "your function raised IndexError"),
        (lambda box: 0.5, "your function raised TypeError"),
        (0.24, "expected a function, but the answer is of type float"),
    ),
)
def test_iou(says, answer, expected):
    says(checks.check_iou, answer, *expected)


# judge


def plain_judge(boxes, scores, true_boxes, order=None):
    """Another right answer; with `order` of the detections changed, a common mistake."""
    right, taken = [], set()
    for d in np.argsort(-scores) if order is None else order(scores):
        best, best_t = -1.0, None
        for t, true in enumerate(true_boxes):
            overlap = plain_iou(boxes[d], true)
            if overlap > best and t not in taken:
                best, best_t = overlap, t
        right.append(best >= 0.5)
        if right[-1]:
            taken.add(best_t)
    right = np.array(right)
    precision, recall = right.cumsum() / np.arange(1, len(right) + 1), right.cumsum() / len(true_boxes)
    return right, precision, recall, np.mean([max(precision[recall >= r], default=0) for r in np.linspace(0, 1, 101)])


def judge_changed(change):
    """An answer that changes the right one's four parts."""
    return lambda *case: change(plain_judge(*case))


def as_lists(parts):
    right, precision, recall, ap = parts
    return [right.tolist(), precision.tolist(), recall.tolist(), float(ap)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (plain_judge, "ok"),
        (judge(), "ok"),
        (judge_changed(as_lists), "ok"),
        (None, "not done yet"),
        (lambda *arguments: None, "not done yet: the function returns None"),
        (judge_changed(lambda p: (*p[:3], None)), "not done yet: AP is None"),
        (
            judge(right=lambda *case: matched(*case, lowest=0.4)),
            "for a detection with an IoU of 0.48, scores [0.9, 0.8], the detection with score 0.8 is wrong; yours says "
            "1. An IoU below 0.5 is not enough.",
        ),
        (judge(right=lambda *case: matched(*case, lowest=0.01)), "with score 0.8 is wrong; yours says 1."),
        (
            judge(right=lambda *case: matched(*case, including=False)),
            "for a detection with an IoU of exactly 0.5",
            "the detection with score 0.9 is right; yours says 0. An IoU of 0.5 itself is enough: >=.",
        ),
        (
            judge(right=lambda *case: matched(*case, once=False)),
            "for two detections of one true box",
            "the detection with score 0.8 is wrong; yours says 1. Each true box can be taken once",
        ),
        (
            lambda *case: plain_judge(*case, order=np.argsort),
            "Begin with the highest score; yours begin with the lowest.",
        ),
        (
            lambda *case: plain_judge(*case, order=lambda scores: np.arange(len(scores))),
            "for detections that are not in the order of their scores",
            "the detection with score 0.7 is right; yours says 0. They come in the order of the input: sort by score",
        ),
        (
            judge(right=lambda *case: matched(*case, untaken_only=False)),
            "for a detection whose best true box is taken, while another fits too",
        ),
        (judge(precision=lambda hits, truth: hits / len(hits)), "precision is"),
        (judge_changed(lambda p: (p[0], p[2], p[1], p[3])), "Precision and recall are exchanged."),
        (judge(recall=lambda hits, truth: hits / len(hits)), "recall is"),
        (judge(area=lambda *curve: 0.123), "right, precision and recall are good, but AP is 0.1230; expected"),
        (
            judge(area=lambda precision, recall: (precision * np.diff(recall, prepend=0)).sum()),
            "That is the exact area under the stairs",
        ),
        (judge(area=lambda *curve: math.nan), "the answer is NaN"),
        (
            judge_changed(lambda p: p[:3]),
            "expected the four right, precision, recall and AP; you return 3 of them",
        ),
        (judge_changed(lambda p: p[3]), "you return a float64"),
        (judge_changed(lambda p: (p[0].sum(), *p[1:])), "right has the shape (); expected (3,)"),
        (judge_changed(lambda p: (p[0], p[1][:1], *p[2:])), "precision has the shape (1,); expected (3,)"),
        (judge_changed(lambda p: (p[0], p[1], p[2] * math.nan, p[3])), "recall is [nan, nan, nan]: NaN comes of 0"),
        (judge_changed(lambda p: (["yes"] * len(p[0]), *p[1:])), "right is of type list; expected 3 numbers"),
        (judge_changed(lambda p: (*p[:3], "0.4")), "expected a number, but the answer is of type str"),
        (lambda boxes, scores, true_boxes: boxes[99], "your function raised IndexError"),
        (0.55, "expected a function"),
    ),
)
def test_judge(says, answer, expected):
    says(checks.check_judge, answer, *expected)


def test_the_cases_of_the_judge_agree_with_pycocotools():
    for words, boxes, scores, true_boxes in detection_cases():
        truth = [Annotation(Path("a.png"), true_boxes, np.zeros(len(true_boxes), int))]
        found = [Detections(boxes, scores, np.zeros(len(boxes), int))]
        theirs = average_precision(truth, found, ["cell"])["AP50"]["cell"]
        for answer in (judge(), plain_judge):
            assert answer(boxes, scores, true_boxes)[3] == pytest.approx(theirs, abs=1e-9), words
