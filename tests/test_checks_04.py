"""The checks of lesson 04's exercises, against right answers and against wrong answers that people really give."""

import json
import math
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

from data.recorded.make_logs import COLUMNS, EPOCHS, HEALTHY, RECIPES, in_json
from yolo_helpers import checks
from yolo_helpers.anchors import DATA, anchor_iou
from yolo_helpers.annotations import Annotation
from yolo_helpers.detection import Detections
from yolo_helpers.evaluation import average_precision

ROOT = Path(__file__).resolve().parents[1]
RECORD = json.loads((DATA / "recorded" / "training_logs.json").read_text(encoding="utf-8"))


def answers(*rows):
    """An answer and the words that its verdict must hold, for parametrize."""
    return [(answer, words) for answer, *words in rows]


def says(said, expected):
    """One line, with all the expected words; an exact verdict stands alone."""
    assert "\n" not in said and "Traceback" not in said
    assert all(words in said for words in expected), said
    assert expected != ["ok"] or said == "ok"


# 4.1, IoU


def iou(clamp=True, edge=0.0, over="union"):
    """Make an answer to the first part of exercise 4.1; the defaults are right, each argument is a common mistake."""

    def iou_of_two(box, other):
        width = min(box[2], other[2]) - max(box[0], other[0]) + edge
        height = min(box[3], other[3]) - max(box[1], other[1]) + edge
        shared = max(width, 0) * max(height, 0) if clamp else width * height
        area, other_area = ((b[2] - b[0] + edge) * (b[3] - b[1] + edge) for b in (box, other))
        whole = {
            "union": area + other_area - shared,
            "sum": area + other_area,
            "first": area,
            "second": other_area,
            "smaller": min(area, other_area),
            "none": 1,
        }
        return shared / whole[over]

    return iou_of_two


def of_sizes(box, other):
    (x, y, w, h), (u, v, s, t) = box, other
    return iou()((x, y, x + w, y + h), (u, v, u + s, v + t))


def only_if_they_meet(box, other):
    if min(box[2], other[2]) <= max(box[0], other[0]):  # forgets the height
        return 0.0
    return iou(clamp=False)(box, other)


def nan_apart(box, other):
    return iou()(box, other) or math.nan


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (iou(), "ok"),
        (lambda box, other: np.float32(iou()(box, other)), "ok"),
        (None, "not done yet"),
        (lambda box, other: None, "not done yet: the function returns None"),
        (
            iou(over="sum"),
            "for two boxes that overlap in a corner, (10, 20, 50, 40) and (30, 25, 60, 50), your function gave 0.1935",
            "expected 0.24. What both share counts once",
        ),
        (iou(over="first"), "Divide by the area that the two cover together, not by that of one box."),
        (iou(over="second"), "not by that of one box."),
        (iou(over="smaller"), "not by that of one box."),
        (iou(over="none"), "That is the area of the overlap; divide it by that of the union."),
        (iou(edge=1), "Corners are edges: a width is x_max - x_min, without + 1."),
        (
            iou(clamp=False),
            "for two boxes side by side, with a gap between them",
            "Boxes that do not meet share nothing",
        ),
        (only_if_they_meet, "one above the other", "Boxes that do not meet share nothing"),
        (
            lambda box, other: abs(iou(clamp=False)(box, other)),
            "side by side, with a gap between them",
            "gave 0.3333; expected 0. Boxes that do not meet share nothing",
        ),
        (of_sizes, "The last two numbers are corners too, not width and height."),
        (lambda box, other: 1 - iou()(box, other), "That is 1 - IoU."),
        (lambda box, other: 100 * iou()(box, other), "That is a percentage"),
        (lambda box, other: iou()(box, other) // 1, "// cuts it off"),
        (nan_apart, "for two boxes that touch", "the answer is NaN"),
        (lambda box, other: [iou()(box, other)], "expected one number, but the answer has the shape (1,)"),
        (lambda box, other: "0.24", "expected a number, but the answer is of type str"),
        (lambda box, other: box[4], "your function raised IndexError"),
        (lambda box: 0.5, "your function raised TypeError"),
        (0.24, "expected a function, but the answer is of type float"),
    ),
)
def test_iou(verdict, answer, expected):
    says(verdict(checks.check_iou, answer), expected)


# 4.1, precision, recall and AP


def judge(
    order="score",
    once=True,
    lowest=0.5,
    including=True,
    untaken=True,
    verdicts="right",
    area="101",
    precision_by="so far",
    recall_by="truth",
    give=tuple,
):
    """Make an answer to the second part of exercise 4.1; the defaults are right, each argument is a common mistake."""

    def judge_all(boxes, scores, true_boxes):
        places = {"score": np.argsort(-scores), "lowest": np.argsort(scores), "given": np.arange(len(scores))}[order]
        right, taken = [], set()
        for d in places:
            best, best_t = -1.0, None
            for t, true in enumerate(true_boxes):
                overlap = iou()(boxes[d], true)
                if overlap > best and not (once and untaken and t in taken):
                    best, best_t = overlap, t
            good = (best >= lowest if including else best > lowest) and not (once and best_t in taken)
            right.append(good)
            if good:
                taken.add(best_t)
        right = np.array(right)
        hits, looked_at = right.cumsum(), np.arange(1, len(right) + 1)
        precision = hits / {"so far": looked_at, "all": len(right), "none": 1}[precision_by]
        recall = hits / {"truth": len(true_boxes), "all": len(right), "found": max(hits[-1], 1), "none": 1}[recall_by]
        after = [precision[recall >= r] for r in np.linspace(0, 1, 11 if area == "11" else 101)]
        best = np.array([precision[i:].max() for i in range(len(precision))])
        steps = np.diff(recall, prepend=0)
        ap = {
            "11": lambda: np.mean([p.max() if len(p) else 0 for p in after]),
            "101": lambda: np.mean([max(p, default=0) for p in after]),
            "first": lambda: np.mean([p[0] if len(p) else 0 for p in after]),
            "reached": lambda: np.mean([p.max() for p in after if len(p)]),
            "stairs": lambda: (best * steps).sum(),
            "stairs of precision": lambda: (precision * steps).sum(),
            "mean": lambda: precision.mean(),
            "mean of right": lambda: precision[right].mean() if right.any() else 0.0,
            "trapezia": lambda: np.trapezoid(precision, recall),
            "sum": lambda: np.sum([max(p, default=0) for p in after]),
            "percent": lambda: 100 * np.mean([max(p, default=0) for p in after]),
            "none": lambda: None,
            "nan": lambda: math.nan,
        }[area]()
        if verdicts == "in the given order":
            right = right[np.argsort(places)]
        elif verdicts == "wrong":
            right = ~right
        return give((right, precision, recall, ap))

    return judge_all


def as_lists(parts):
    right, precision, recall, ap = parts
    return [right.tolist(), precision.tolist(), recall.tolist(), float(ap)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (judge(), "ok"),
        (judge(give=as_lists), "ok"),
        (None, "not done yet"),
        (lambda *arguments: None, "not done yet: the function returns None"),
        (judge(area="none"), "not done yet: AP is None"),
        (
            judge(lowest=0.4),
            "for a detection with an IoU of 0.48, scores [0.9, 0.8], the detection with score 0.8 is wrong; yours says "
            "1. An IoU below 0.5 is not enough.",
        ),
        (judge(lowest=0.01), "with score 0.8 is wrong; yours says 1."),
        (
            judge(including=False),
            "for a detection with an IoU of exactly 0.5",
            "the detection with score 0.9 is right; yours says 0. An IoU of 0.5 itself is enough: >=.",
        ),
        (
            judge(once=False),
            "for two detections of one true box",
            "the detection with score 0.8 is wrong; yours says 1. Each true box can be taken once",
        ),
        (judge(order="lowest"), "Begin with the highest score; yours begin with the lowest."),
        (
            judge(order="given"),
            "for detections that are not in the order of their scores",
            "the detection with score 0.7 is right; yours says 0. They come in the order of the input: sort by score",
        ),
        (judge(verdicts="in the given order"), "They come in the order of the input"),
        (
            judge(untaken=False),
            "for a detection whose best true box is taken, while another fits too",
            "Look for the best true box among those that are not taken yet.",
        ),
        (judge(verdicts="wrong"), "Those are the wrong ones."),
        (judge(precision_by="all"), "precision is", "Divide by the detections so far, not by all of them."),
        (judge(precision_by="none"), "That counts the right ones; divide by the detections so far."),
        (judge(give=lambda p: (p[0], p[2], p[1], p[3])), "Precision and recall are exchanged."),
        (judge(recall_by="all"), "recall is", "Divide by the number of true boxes, not of detections."),
        (judge(recall_by="found"), "also of those never found."),
        (judge(recall_by="none"), "That counts the right ones; divide by the number of true boxes."),
        (judge(area="first"), "right, precision and recall are good, but AP is", "Take the best precision at this"),
        (judge(area="stairs"), "That is the exact area under the stairs"),
        (judge(area="stairs of precision"), "That is the exact area under the stairs"),
        (judge(area="mean"), "That is the mean over the detections"),
        (judge(area="mean of right"), "That is the mean over the right detections"),
        (judge(area="reached"), "Recalls that are never reached count too, with the precision 0."),
        (judge(area="11"), "Take 101 recalls, not 11."),
        (judge(area="trapezia"), "That is the area by trapezia"),
        (judge(area="sum"), "must be divided by 101"),
        (judge(area="percent"), "That is a percentage"),
        (judge(area="nan"), "the answer is NaN"),
        (judge(give=lambda p: p[:3]), "expected the four right, precision, recall and AP; you return 3 of them"),
        (judge(give=lambda p: p[3]), "you return a float64"),
        (judge(give=lambda p: (p[0].sum(), *p[1:])), "right has the shape (); expected (3,)"),
        (judge(give=lambda p: (p[0], p[1][:1], *p[2:])), "precision has the shape (1,); expected (3,)"),
        (judge(give=lambda p: (p[0], p[1], p[2] * math.nan, p[3])), "recall is [nan, nan, nan]: NaN comes of 0"),
        (judge(give=lambda p: (["yes"] * len(p[0]), *p[1:])), "right is of type list; expected 3 numbers"),
        (judge(give=lambda p: (*p[:3], "0.4")), "expected a number, but the answer is of type str"),
        (lambda boxes, scores, true_boxes: boxes[99], "your function raised IndexError"),
        (0.55, "expected a function"),
    ),
)
def test_judge(verdict, answer, expected):
    says(verdict(checks.check_judge, answer), expected)


def test_the_cases_of_the_judge_agree_with_pycocotools():
    for words, boxes, scores, true_boxes in checks._detection_cases():
        truth = [Annotation(Path("a.png"), true_boxes, np.zeros(len(true_boxes), int))]
        found = [Detections(boxes, scores, np.zeros(len(boxes), int))]
        theirs = average_precision(truth, found, ["cell"])["AP50"]["cell"]
        assert judge()(boxes, scores, true_boxes)[3] == pytest.approx(theirs, abs=1e-9), words


# 4.2


def fit(nearness="iou", middle=np.median, rounds=100, empty="stays", swapped=False, finish=lambda anchors: anchors):
    """Make an answer to exercise 4.2; the defaults are right, each argument is a common mistake."""

    def fit_anchors(sizes, start):
        anchors = start.copy()
        for _ in range(rounds):
            if nearness == "euclid":
                nearest = np.linalg.norm(sizes[:, None] - anchors, axis=-1).argmin(1)
            elif nearness == "lowest":
                nearest = anchor_iou(sizes, anchors).argmin(1)
            else:
                nearest = anchor_iou(sizes, anchors[:, ::-1] if swapped else anchors).argmax(1)
            before, anchors = anchors, anchors.copy()
            for k in range(len(anchors)):
                if (nearest == k).any():
                    anchors[k] = middle(sizes[nearest == k], axis=0)
                elif empty == "zero":
                    anchors[k] = 0
            if np.array_equal(before, anchors):
                break
        return finish(anchors)

    return fit_anchors


def by_nan(sizes, start):
    """Right, though NumPy warns: what became NaN is put back."""
    anchors = start
    while True:
        nearest = anchor_iou(sizes, anchors).argmax(1)
        with np.testing.suppress_warnings() as quiet:
            quiet.filter(RuntimeWarning)
            moved = np.stack([np.median(sizes[nearest == k], axis=0) for k in range(len(anchors))])
        moved = np.where(np.isnan(moved), anchors, moved)
        if np.array_equal(moved, anchors):
            return moved
        anchors = moved


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def nan_without_end(sizes, start):
    anchors = start
    while True:
        nearest = anchor_iou(sizes, anchors).argmax(1)
        moved = np.stack([np.median(sizes[nearest == k], axis=0) for k in range(len(anchors))])
        if np.array_equal(moved, anchors):
            return moved
        anchors = moved


def nan_with_an_end(sizes, start):
    anchors = start
    for _ in range(30):
        nearest = anchor_iou(sizes, anchors).argmax(1)
        anchors = np.stack([np.median(sizes[nearest == k], axis=0) for k in range(len(anchors))])
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
        (fit(), "ok"),
        (fit(finish=lambda anchors: anchors.astype("float32")), "ok"),
        (fit(finish=lambda anchors: anchors.tolist()), "ok"),
        (by_nan, "ok"),
        (None, "not done yet"),
        (lambda sizes, start: None, "not done yet: the function returns None"),
        (lambda sizes, start: start, "These are the anchors that it started from."),
        (
            fit(middle=np.mean),
            "for 45 boxes in three clear groups and 3 anchors you return",
            "with a mean best IoU of 0.914; expected",
            "Take the median of an anchor's boxes, not the mean.",
        ),
        (
            fit(nearness="euclid"),
            "for boxes between two anchors",
            "Take the anchor of best shape IoU, not the one that is nearest in pixels.",
        ),
        (fit(nearness="euclid", middle=np.mean), "not the mean"),
        (fit(nearness="lowest"), "Take the highest IoU (argmax), not the lowest."),
        (fit(rounds=1), "for boxes that need several rounds", "That is one round: go on until nothing moves."),
        (in_place, "That is one round", "keep a copy"),
        (fit(swapped=True), "three groups with outliers", "of the anchors are exchanged where you compare"),
        (fit(finish=lambda anchors: anchors[:, ::-1]), "Width and height are exchanged: the width comes first."),
        (
            fit(finish=lambda anchors: anchors[anchors.prod(1).argsort()]),
            "for anchors that start with the largest",
            "in another order: keep that of the start",
        ),
        (fit(finish=np.round), "Do not round them."),
        (
            lambda sizes, start: np.tile(np.median(sizes, axis=0), (len(start), 1)),
            "of an anchor's boxes alone, not of all boxes",
        ),
        (
            lambda sizes, start: np.tile(np.mean(sizes, axis=0), (len(start), 1)),
            "of an anchor's boxes alone, not the mean of all boxes",
        ),
        (
            nan_with_an_end,
            "for an anchor that no box is nearest to and 4 anchors you return",
            "The median of no boxes is NaN",
        ),
        (nan_without_end, "your function raised TooManyRounds: it had not ended", "NaN, the median of no boxes"),
        (without_end, "your function raised TooManyRounds"),
        (fit(empty="zero"), "An anchor that no box is nearest to stays as it is; yours became 0."),
        (fit(empty="zero", rounds=3), "hint: for boxes that need several rounds"),
        (lambda sizes, start: anchor_iou(sizes, start).argmax(1), "That is one number a box; return the anchors."),
        (lambda sizes, start: np.median(sizes, axis=0), "you return the shape (2,); expected (3, 2)"),
        (lambda sizes, start: [[1, 2], [3]], "expected an array of numbers; you return a list"),
        (lambda sizes, start: "anchors", "expected an array of numbers; you return a str"),
        (lambda sizes, start: anchor_iou(sizes, start[:, 0]), "your function raised"),
        (np.ones((3, 2)), "expected a function, but the answer is of type ndarray"),
    ),
)
def test_fit_anchors(verdict, answer, expected):
    says(verdict(checks.check_fit_anchors, answer), expected)


def test_no_case_of_the_anchors_hangs_on_a_last_bit():
    """In no round two anchors fit a box equally well, so any way to compute the IoU gives the same anchors."""
    for words, sizes, start in checks._anchor_cases():
        for rounds in range(20):
            overlap = np.sort(anchor_iou(sizes, checks._fitted(sizes, start, rounds=rounds)), axis=1)
            assert (overlap[:, -1] - overlap[:, -2]).min() > 1e-6, words


def test_a_limit_leaves_the_tracing_of_others_alone(verdict):
    before = sys.gettrace()
    verdict(checks.check_fit_anchors, without_end)
    assert sys.gettrace() is before


# 4.3

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
def test_causes(verdict, answer, expected):
    says(verdict(checks.check_causes, answer), expected)


@pytest.mark.parametrize("cause", CAUSES.values())
@pytest.mark.parametrize("named", CAUSES.values())
def test_a_wrong_cause_gets_a_column_to_look_at(verdict, cause, named):
    letter = letter_of(cause)
    said = verdict(checks.check_causes, with_cause(letter, named))
    if cause == named:
        assert said == "ok"
        return
    assert said.startswith(f"hint: log {letter} is not {named!r}: there ") and "Look at " in said
    assert any(column in said.split("Look at ")[1] for column in COLUMNS)
    assert cause not in said.split("Look at ")[1], "the hint gives the answer away"


def test_every_cause_has_its_words():
    assert list(RECIPES) == list(checks._CAUSES)
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


# 4.4


def threshold(select="most", including=True, ties=True, give="score", in_order=True, nothing=np.inf):
    """Make an answer to exercise 4.4; the defaults are right, each argument is a common mistake."""

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
def test_threshold(verdict, answer, expected):
    says(verdict(checks.check_threshold, answer), expected)


def test_the_recorded_detections():
    found = RECORD["detections"]
    assert len(found["scores"]) == len(found["right"]) > 100 and set(found["right"]) == {0, 1}
    assert found["scores"] == sorted(found["scores"], reverse=True) and sum(found["right"]) <= found["true_boxes"]


def test_every_check_of_the_solution_says_ok():
    """The first exercise has two checks; the test of all exercises is content with one that is right."""
    cells = nbformat.read(ROOT / "notebooks" / "solutions" / "04_gpu_training.ipynb", as_version=4).cells
    for cell in cells:
        if cell.cell_type == "code" and "checks.check_" in cell.source:
            printed = "".join(output.get("text", "") for output in cell.outputs).splitlines()
            assert printed.count("ok") == cell.source.count("checks.check_")
