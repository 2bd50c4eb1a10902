"""The check of a score threshold, tried with right answers and with wrong ones that people really give."""

import json
import math

import numpy as np
import pytest
from verdicts import answers

from yolo_helpers import checks
from yolo_helpers.anchors import DATA

RECORD = json.loads((DATA / "recorded" / "training_logs.json").read_text(encoding="utf-8"))

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
