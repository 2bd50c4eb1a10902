"""The check of non-maximum suppression, against right answers and wrong ones that people really give."""

import numpy as np
import pytest
from verdicts import answers

from yolo_helpers import checks, detection
from yolo_helpers.boxes import box_iou
from yolo_helpers.checks.suppression import BOX_CASES, BOX_MISTAKES, FORM_MISTAKES, suppress


@pytest.mark.parametrize(("words", "wrong"), BOX_MISTAKES + FORM_MISTAKES)
def test_each_mistake_gets_its_words(says, words, wrong):
    says(checks.check_suppress, wrong, "hint: for ", words)


def what_is_left(boxes, scores, iou_threshold, left=lambda overlap, threshold: overlap <= threshold):
    """Another right answer: keeps the best, goes on with what does not overlap it."""
    order, kept = np.argsort(-scores), []
    while len(order):
        kept.append(int(order[0]))
        order = order[left(box_iou(boxes[order[:1]], boxes[order])[0], iou_threshold)]
    return kept


def one_by_one(boxes, scores, iou_threshold):
    kept = []
    for index in sorted(range(len(scores)), key=lambda index: -scores[index]):
        if all(box_iou(boxes[[index]], boxes[[other]])[0, 0] <= iou_threshold for other in kept):
            kept.append(index)
    return kept


def by_a_table(boxes, scores, iou_threshold, order=np.argsort):
    """The classical mistake: a table of all pairs in which boxes that were dropped drop others."""
    order = order(-scores)
    overlap = np.triu(box_iou(boxes[order], boxes[order]), k=1)
    return order[~(overlap > iou_threshold).any(axis=0)]


def sorted_first(boxes, scores, iou_threshold):
    order = np.argsort(-scores)
    return what_is_left(boxes[order], scores[order], iou_threshold)


def one_part_of(change):
    """An answer that changes the right indices."""
    return lambda boxes, scores, threshold: change(what_is_left(boxes, scores, threshold), boxes, scores)


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (what_is_left, "ok"),
        (one_by_one, "ok"),
        (suppress(), "ok"),
        (lambda boxes, scores, threshold: detection.suppress(boxes, scores, 100, threshold), "ok"),
        (one_part_of(lambda kept, *_: np.array(kept)), "ok"),
        (None, "not done yet"),
        (lambda *arguments: None, "not done yet: the function returns None"),
        (
            by_a_table,
            "for a chain: the first overlaps the second, the second the third",
            "you keep the boxes [0]; expected [0, 2]. A box that was dropped itself must not drop others",
        ),
        (
            lambda boxes, scores, threshold: np.flatnonzero(box_iou(boxes[:1], boxes)[0] <= threshold),
            "for one box, scores [0.9], you keep the boxes []; expected [0]. Nothing is left.",
        ),
        (
            lambda boxes, scores, threshold: what_is_left(boxes, -np.arange(len(boxes)), threshold),
            "for boxes that do not come in the order of their scores",
            "Begin with the highest score.",
        ),
        (
            lambda boxes, scores, threshold: what_is_left(boxes, -scores, threshold),
            "for two boxes that overlap, and one apart, scores [0.9, 0.8, 0.7]",
            "Do you begin with the lowest score?",
        ),
        (sorted_first, "Those are places in the sorted list"),
        (one_part_of(lambda kept, *_: sorted(kept)), "the right ones, but in another order: the best comes first"),
        (one_part_of(lambda kept, *_: kept[::-1]), "the right ones, but in another order: the best comes first"),
        (
            lambda *case: what_is_left(*case, left=np.less),
            "for boxes with an IoU of exactly 0.5",
            "An IoU equal to the threshold is not above it",
        ),
        (
            lambda *case: what_is_left(*case, left=np.greater),
            "for one box, scores [0.9], your function raised TooManyRounds: it had not ended",
        ),
        (
            lambda boxes, scores, threshold: what_is_left(boxes, scores, 0.5),
            "for boxes with an IoU of 0.54, and the threshold 0.7",
            "Use the iou_threshold that is given.",
        ),
        (
            lambda boxes, scores, threshold: what_is_left(boxes, scores, max(threshold, 0.5)),
            "for boxes with an IoU of 0.33, and the threshold 0.3",
            "Use the iou_threshold that is given.",
        ),
        (one_part_of(lambda kept, boxes, scores: boxes[kept]), "Those are the kept boxes themselves."),
        (one_part_of(lambda kept, boxes, scores: scores[kept]), "Those are the scores of the kept boxes."),
        (one_part_of(lambda kept, boxes, scores: [i in kept for i in range(len(boxes))]), "That is a mask"),
        (one_part_of(lambda kept, boxes, scores: (boxes[kept], scores[kept])), "you return a tuple"),
        (one_part_of(lambda kept, *_: set(kept)), "expected a list of indices; you return a set"),
        (one_part_of(lambda kept, *_: len(kept)), "expected the indices [0]; you return 1."),
        (one_part_of(lambda kept, *_: kept[:2]), "for seven boxes of three objects"),
        (one_part_of(lambda kept, *_: [*kept, kept[0]]), "for one box, scores [0.9], you keep the boxes [0, 0]"),
        (
            lambda boxes, scores, threshold: [np.argmax(scores), *what_is_left(boxes, scores, threshold)[1:]],
            "for no boxes, scores [], your function raised ValueError",
        ),
        (lambda boxes, scores: [0], "your function raised TypeError"),
        ([0], "expected a function, but the answer is of type list"),
    ),
)
def test_suppress(says, answer, expected):
    says(checks.check_suppress, answer, *expected)


def test_right_answers_agree_on_random_boxes():
    random = np.random.default_rng(4)
    for count in (0, 1, 5, 40, 200):
        corner, size = random.uniform(0, 100, (count, 2)), random.uniform(10, 40, (count, 2))
        boxes, scores = np.concatenate([corner, corner + size], axis=1), random.permutation(count) / max(count, 1)
        for threshold in (0.2, 0.5):
            expected = one_by_one(boxes, scores, threshold)
            for answer in (suppress(), what_is_left):
                assert list(answer(boxes, scores, threshold)) == expected


@pytest.mark.parametrize(("words", "boxes", "scores", "threshold"), BOX_CASES, ids=[case[0] for case in BOX_CASES])
def test_the_cases_agree_with_the_package(words, boxes, scores, threshold):
    boxes, scores = np.array(boxes, float).reshape(-1, 4), np.array(scores)
    theirs = detection.suppress(boxes, scores, max_boxes=100, iou_threshold=threshold)
    assert suppress()(boxes, scores, threshold).tolist() == theirs.tolist()
