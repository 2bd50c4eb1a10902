"""The checks of the tasks in `lesson_04`, against right answers and against wrong answers that people really give."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from data.recorded.make_logs import COLUMNS, EPOCHS, HEALTHY, RECIPES, in_json
from yolo_helpers import checks
from yolo_helpers.anchors import DATA, anchor_iou
from yolo_helpers.annotations import Annotation
from yolo_helpers.checks.lesson_04_1 import (
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
from yolo_helpers.checks.lesson_04_2 import FIT_MISTAKES, anchor_cases, by_distance, fit_anchors
from yolo_helpers.checks.lesson_04_3 import CAUSES as CAUSE_HINTS
from yolo_helpers.detection import Detections
from yolo_helpers.evaluation import average_precision

RECORD = json.loads((DATA / "recorded" / "training_logs.json").read_text(encoding="utf-8"))


def answers(*rows):
    """An answer and the words that its verdict must hold, for parametrize."""
    return [(answer, words) for answer, *words in rows]


@pytest.mark.parametrize(
    ("check", "words", "wrong"),
    [
        (check, *pair)
        for check, mistakes in (
            (checks.check_iou, IOU_MISTAKES),
            (checks.check_judge, RIGHT_MISTAKES + PRECISION_MISTAKES + RECALL_MISTAKES + AREA_MISTAKES),
            (checks.check_fit_anchors, FIT_MISTAKES),
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


# The causes of the logs

CAUSES = {letter: log["cause"] for letter, log in RECORD["logs"].items()}


def with_cause(letter, cause):
    return CAUSES | {letter: cause}


def letter_of(cause):
    return next(letter for letter, name in CAUSES.items() if name == cause)


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (CAUSES, "ok"),
        ({letter: f" {cause.title()} " for letter, cause in CAUSES.items()}, "ok"),
        (None, "not done yet"),
        (dict.fromkeys(CAUSES, ""), "not done yet: no cause yet for A, B, C, D, E, F"),
        ({}, "not done yet: no cause yet for A"),
        (with_cause("B", ""), "not done yet: no cause yet for B"),
        (with_cause("B", None), "not done yet: no cause yet for B"),
        (with_cause("A", "overfit"), "log A: 'overfit' is not in the list of causes: healthy, learning rate too high"),
        (with_cause("A", 3), "log A: 3 is not in the list of causes"),
        (with_cause("A", ["healthy"]), "log A: ['healthy'] is not in the list of causes"),
        (CAUSES | {"G": "healthy"}, "there is no log 'G'; the logs are A, B, C, D, E, F"),
        (list(CAUSES.values()), "expected a dictionary from a log's letter to a cause; yours is a list"),
        ("healthy", "yours is a str"),
    ),
)
def test_causes(says, answer, expected):
    says(checks.check_causes, answer, *expected)


@pytest.mark.parametrize("cause", CAUSES.values())
@pytest.mark.parametrize("named", CAUSES.values())
def test_a_wrong_cause_gets_a_column_to_look_at(capsys, cause, named):
    letter = letter_of(cause)
    checks.check_causes(with_cause(letter, named))
    said = capsys.readouterr().out.strip()
    if cause == named:
        assert said == "ok"
        return
    assert said.startswith(f"hint: log {letter} is not {named!r}: there ") and "Look at " in said
    assert any(column in said.split("Look at ")[1] for column in COLUMNS)
    assert cause not in said.split("Look at ")[1], "the hint gives the answer away"


def test_every_cause_has_its_words():
    assert list(RECIPES) == list(CAUSE_HINTS)
    assert sorted(CAUSES.values()) == sorted(RECIPES)


def test_the_logs_are_as_the_hints_say():
    """What the hints claim of each cause holds in the recorded runs, and tells it from the others."""
    log = {CAUSES[letter]: columns for letter, columns in checks.training_logs().items()}

    def kept(cause, column):
        """The last value as a part of the first."""
        return log[cause][column][-1] / log[cause][column][0]

    good = log["healthy"]
    assert kept("healthy", "val_loss") < 0.6 and good["val_AP50"][-1] > 0.3
    assert all(columns["val_AP50"][-1] < 0.2 for cause, columns in log.items() if cause != "healthy")
    assert not max(log["learning rate too high"]["loss"]) < 10 * max(good["loss"])  # also when it is NaN
    few = log["overfitting"]
    assert few["val_loss"][-1] > 1.02 * min(few["val_loss"]) and few["val_loss"][-1] > 2 * few["loss"][-1]
    assert few["loss"][-1] < 0.7 * good["loss"][-1]
    assert kept("classes in another order", "class") < 0.2 and kept("classes in another order", "val_class") > 2
    assert 0.5 < kept("learning rate too low", "wh") < 0.8 and 0.8 < kept("learning rate too low", "class") < 1
    frozen = log["body left frozen"]
    assert max(frozen["wh"]) < 0.5 * min(log["learning rate too low"]["wh"]) and max(frozen["val_AP50"]) < 0.05
    assert kept("body left frozen", "class") > 0.75 and kept("body left frozen", "confidence") > 0.9


def test_the_record_belongs_to_its_tool():
    assert RECORD["command"] == "python -m data.recorded.make_logs" and RECORD["date"] and RECORD["versions"]["keras"]
    assert {name: RECORD["healthy"][name] for name in HEALTHY} == HEALTHY
    for letter, log in RECORD["logs"].items():
        assert RECIPES[log["cause"]] == (letter, log["changes"])
        assert tuple(log["columns"]) == COLUMNS and {len(values) for values in log["columns"].values()} == {EPOCHS}
    assert [in_json(value) for value in (1.234567, math.nan, math.inf)] == [1.2346, "nan", "inf"]


# threshold_for


def threshold(select="most", including=True, ties=True, give="score", in_order=True, nothing=np.inf):
    """Make an answer `threshold_for`; the defaults are right, each argument is a common mistake."""

    def threshold_for(scores, right, wanted):
        order = np.argsort(-scores, kind="stable") if in_order else np.arange(len(scores))
        scores, right = scores[order], right[order]
        precision = right.cumsum() / np.arange(1, len(right) + 1)
        good = precision >= wanted if including else precision > wanted
        if select == "until it falls":
            good &= np.cumsum(~good) == 0
        if ties:
            good[:-1] &= scores[1:] != scores[:-1]
        if not good.any():
            return nothing
        last = np.flatnonzero(good)[0 if select == "first" else -1]
        values = {"score": scores[last], "place": last + 2, "precision": precision[last] + 1}
        if give == "next" and last + 1 < len(scores):
            return scores[last + 1]
        return values.get(give, scores[last])

    return threshold_for


def by_a_loop(scores, right, wanted):
    best = np.inf
    for score in sorted(scores, reverse=True):
        if right[scores >= score].mean() >= wanted:
            best = score
    return best


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (threshold(), "ok"),
        (by_a_loop, "ok"),
        (lambda *arguments: by_a_loop(*arguments) - 1e-6, "ok"),
        (threshold(nothing=1.0), "ok"),
        (None, "not done yet"),
        (lambda scores, right, wanted: None, "not done yet: the function returns None"),
        (
            threshold(select="first"),
            "for five detections, highest score first",
            "the threshold 0.9 finds 1 true boxes; 0.7 finds 3 and is precise enough.",
        ),
        (
            threshold(including=False),
            "for a precision that is reached exactly",
            "0.6 has a precision of 0.75 too: >= is enough",
        ),
        (
            threshold(select="until it falls"),
            "for a precision that falls and rises again",
            "Do not stop where the precision first falls below: it may rise again.",
        ),
        (threshold(in_order=False), "for scores in any order"),
        (threshold(ties=False), "for several detections with the same score", "Equal scores pass together."),
        (threshold(give="next"), "is just too low. A detection whose score equals the threshold is kept"),
        (threshold(give="place"), "you return 4; expected a score, such as 0.7"),
        (threshold(give="precision"), "you return 2; expected a score, such as 0.7"),
        (lambda scores, right, wanted: wanted, "the threshold 0.9 finds 1 true boxes; 0.7 finds 3"),
        (lambda scores, right, wanted: scores.min(), "keeps 5, of which 3 are right: a precision of 0.60"),
        (lambda scores, right, wanted: 0.0, "you return 0; expected a score"),
        (lambda scores, right, wanted: 0.99, "the threshold 0.99 keeps nothing; 0.7 is good"),
        (threshold(nothing=None), "for detections of which none is right you return None; expected np.inf"),
        (threshold(nothing=0.0), "no threshold is precise enough; expected np.inf"),
        (threshold(nothing=math.nan), "for detections of which none is right the answer is NaN"),
        (lambda scores, right, wanted: scores[right], "expected one number, but the answer has the shape (3,)"),
        (lambda scores, right, wanted: "0.7", "expected a number, but the answer is of type str"),
        (lambda scores, right: 0.7, "your function raised TypeError"),
        (lambda scores, right, wanted: scores[99], "your function raised IndexError"),
        (0.7, "expected a function"),
    ),
)
def test_threshold(says, answer, expected):
    says(checks.check_threshold, answer, *expected)


def test_the_recorded_detections():
    found = RECORD["detections"]
    assert len(found["scores"]) == len(found["right"]) > 100 and set(found["right"]) == {0, 1}
    assert found["scores"] == sorted(found["scores"], reverse=True) and sum(found["right"]) <= found["true_boxes"]
