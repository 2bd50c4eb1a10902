"""The check of a score threshold."""

from collections.abc import Callable

import numpy as np

from yolo_helpers.checks.compare import one_number, show
from yolo_helpers.checks.verdict import Hint, NotDone, call, task

THRESHOLD_CASES = [  # words, scores, which detections are right, the precision wanted
    ("five detections, highest score first", [0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 1, 0, 0], 0.9),
    ("a precision that is reached exactly", [0.9, 0.8, 0.6, 0.6, 0.5], [1, 1, 1, 0, 0], 0.75),
    ("a precision that falls and rises again", [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 1, 1, 0], 0.7),
    ("scores in any order", [0.3, 0.9, 0.5, 0.7, 0.6, 0.2], [0, 1, 1, 1, 0, 0], 0.7),
    ("several detections with the same score", [0.9, 0.8, 0.6, 0.6, 0.6, 0.4], [1, 1, 1, 0, 0, 0], 0.75),
    ("detections all of which are right", [0.9, 0.6, 0.3], [1, 1, 1], 0.9),
    ("a wrong detection with the highest score", [0.95, 0.9, 0.8, 0.7], [0, 1, 1, 1], 0.75),
]


def _kept(scores: np.ndarray, right: np.ndarray, threshold: float) -> tuple[int, int]:
    """Count the detections that have at least this score, and those of them that are right."""
    kept = scores >= threshold
    return int(kept.sum()), int(right[kept].sum())


@task
def check_threshold(function: Callable) -> None:
    """Check `threshold_for(scores, right, wanted)` against a loop over all scores.

    Args:
        function: the reader's answer; takes (N,) scores, (N,) bool and a precision, returns a score threshold.
    """
    for words, scores, right, wanted in THRESHOLD_CASES:
        scores, right = np.array(scores), np.array(right, bool)
        given = f"{words}, scores {show(scores)}, right {show(right.astype(int))}, wanted {wanted},"
        found = one_number(call(function, scores.copy(), right.copy(), wanted, given=given), given)
        wrong = _wrong_threshold(found, scores, right, wanted)
        if wrong:
            raise Hint(f"for {given} {wrong}")

    given, scores, right = "detections of which none is right", np.array([0.9, 0.6]), np.array([False, False])
    try:
        result = call(function, scores.copy(), right.copy(), 0.5, given=given)
    except NotDone:
        raise Hint(f"for {given} you return None; expected np.inf, which no score reaches.") from None
    if _kept(scores, right, one_number(result, given))[0]:
        raise Hint(f"for {given} no threshold is precise enough; expected np.inf, which no score reaches.")


def _wrong_threshold(found: float, scores: np.ndarray, right: np.ndarray, wanted: float) -> str:
    """Say what is wrong with a threshold; '' where it finds as many true boxes as a precise threshold can.

    Args:
        found: the reader's threshold.
        scores: (N,).
        right: (N,) bool.
        wanted: the precision that the threshold must reach.
    """
    count, hits = _kept(scores, right, found)
    good = {t: _kept(scores, right, t) for t in scores}
    good = {t: n for t, n in good.items() if n[1] / n[0] >= wanted}
    most = max(n[1] for n in good.values())
    best = max(t for t, n in good.items() if n[1] == most)
    if count and hits / count >= wanted and hits == most:
        return ""
    if found == 0 and count == len(scores) or not 0 <= found <= 1:
        return f"you return {found:g}; expected a score, such as {best:g}."
    above = scores > found
    cut_off = above.any() and right[above].sum() == most and right[above].mean() >= wanted
    if cut_off and (scores == found).sum() < 2:
        why = "A detection whose score equals the threshold is kept: score >= threshold."
        return f"the threshold {found:g} is just too low. {why}"
    if not count:
        return f"the threshold {found:g} keeps nothing; {best:g} is good."
    if hits / count < wanted:
        why = " Equal scores pass together." if (scores == found).sum() > 1 else ""
        kept = f"keeps {count}, of which {hits} are right: a precision of {hits / count:.2f}"
        return f"the threshold {found:g} {kept}.{why}"
    over = [t for t, n in good.items() if n[1] / n[0] > wanted]
    if over and found == min(over) and best not in over:
        return f"you return {found:g}; {best:g} has a precision of {wanted} too: >= is enough."
    dip = any(best < t < found and t not in good for t in scores)
    why = " Do not stop where the precision first falls below: it may rise again." if dip else ""
    return f"the threshold {found:g} finds {hits} true boxes; {best:g} finds {most} and is precise enough.{why}"
