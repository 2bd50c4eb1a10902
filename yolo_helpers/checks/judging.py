"""The checks of a detector's figures: IoU, then precision, recall and AP."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from yolo_helpers.annotations import Annotation
from yolo_helpers.checks.compare import likely, numbers, one_number, show
from yolo_helpers.checks.verdict import Hint, NotDone, call, task
from yolo_helpers.detection import Detections
from yolo_helpers.evaluation import average_precision

# IoU

IOU_CASES = [  # words, two boxes (x_min, y_min, x_max, y_max)
    ("two boxes that overlap in a corner", [10, 20, 50, 40], [30, 25, 60, 50]),
    ("the same box twice", [10, 20, 50, 40], [10, 20, 50, 40]),
    ("a small box inside a large one", [0, 0, 40, 20], [10, 5, 20, 15]),
    ("a large box around a small one", [10, 5, 20, 15], [0, 0, 40, 20]),
    ("two boxes that touch", [0, 0, 10, 10], [10, 0, 20, 10]),
    ("two boxes side by side, with a gap between them", [0, 0, 10, 20], [30, 5, 50, 25]),
    ("two boxes one above the other, with a gap between them", [0, 0, 20, 10], [5, 30, 25, 50]),
    ("two boxes apart in both directions", [0, 0, 10, 10], [30, 40, 50, 60]),
    ("corners with fractions", [0.5, 1.25, 3.5, 3.25], [1.5, 0.25, 4.0, 2.75]),
]


def iou(
    edge: float = 0.0,
    clamp: bool = True,
    over: str = "union",
    corners: Callable = lambda box: box,
    finish: Callable = lambda overlap: overlap,
) -> Callable:
    """Make an answer `iou`; the defaults are right, each argument is a common mistake.

    Args:
        edge: added to every side.
        clamp: whether a negative side of the overlap becomes 0.
        over: what the overlap is divided by: 'union', 'sum' of the areas, the 'first', 'second' or 'smaller', 'none'.
        corners: takes a box (4,), returns (x_min, y_min, x_max, y_max).
        finish: takes the result.
    """

    def answer(box, other):
        box, other = (corners(np.asarray(b, float)) for b in (box, other))
        sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]) + edge
        shared = (np.maximum(sides, 0) if clamp else sides).prod()
        one, two = ((b[2:] - b[:2] + edge).prod() for b in (box, other))
        whole = {"union": one + two - shared, "sum": one + two, "first": one, "second": two, "smaller": min(one, two)}
        return finish(shared / (whole | {"none": 1.0})[over])

    return answer


APART = "Boxes that do not meet share nothing: a side of the overlap must not be negative, max(0, …)."
OF_ONE = "Divide by the area that the two cover together, not by that of one box."
IOU_MISTAKES = [
    (APART, iou(clamp=False)),
    ("What both share counts once: the union is the sum of the two areas minus the overlap.", iou(over="sum")),
    (OF_ONE, iou(over="smaller")),
    (OF_ONE, iou(over="first")),
    (OF_ONE, iou(over="second")),
    ("Corners are edges: a width is x_max - x_min, without + 1.", iou(edge=1)),
    ("That is the area of the overlap; divide it by that of the union.", iou(over="none")),
    ("That is 1 - IoU.", iou(finish=lambda overlap: 1 - overlap)),
    ("That is a percentage; expected a number from 0 to 1.", iou(finish=lambda overlap: 100 * overlap)),
    (
        "The last two numbers are corners too, not width and height.",
        iou(corners=lambda box: np.concatenate([box[:2], box[:2] + box[2:]])),
    ),
    ("Divide by the union with /, which keeps the fraction; // cuts it off.", iou(finish=np.floor)),
]


@task
def check_iou(function: Callable) -> None:
    """Check `iou(box, other)`.

    Args:
        function: the reader's answer; takes two boxes (x_min, y_min, x_max, y_max), returns a number from 0 to 1.
    """
    for words, box, other in IOU_CASES:
        given = f"{words}, {tuple(box)} and {tuple(other)},"
        result = call(function, np.array(box, float), np.array(other, float), given=given)
        found, expected = one_number(result, given), iou()(box, other)
        if not np.isclose(found, expected, atol=1e-6):
            why = likely(found, IOU_MISTAKES, box, other) or (f" {APART}" if expected == 0 or found < 0 else "")
            raise Hint(f"for {given} your function gave {found:.4g}; expected {expected:.4g}.{why}")


# Precision, recall and AP


def matched(
    boxes: np.ndarray,
    scores: np.ndarray,
    true_boxes: np.ndarray,
    once: bool = True,
    lowest: float = 0.5,
    including: bool = True,
    untaken_only: bool = True,
) -> np.ndarray:
    """Say for each detection whether it is right, as the task asks, or as a common mistake does.

    Args:
        boxes: (N, 4), x_min, y_min, x_max, y_max in pixels.
        scores: (N,).
        true_boxes: (T, 4), likewise.
        once: each true box is taken once.
        lowest: IoU from which a detection is right.
        including: this IoU itself is enough.
        untaken_only: look for the best true box among those not taken yet, instead of among all.

    Returns:
        (N,) bool, from the highest score to the lowest.
    """
    taken, right, overlap_of = set(), [], iou()
    for d in np.argsort(-scores, kind="stable"):
        overlaps = [
            -1 if once and untaken_only and t in taken else overlap_of(boxes[d], true)
            for t, true in enumerate(true_boxes)
        ]
        best = int(np.argmax(overlaps))
        enough = overlaps[best] >= lowest - 1e-9 if including else overlaps[best] > lowest + 1e-9
        right.append(enough and not (once and best in taken))
        if right[-1]:
            taken.add(best)
    return np.array(right)


def mean_over_recalls(precision: np.ndarray, recall: np.ndarray, points: int = 101, best: Callable = max) -> float:
    """Return AP: the mean of the precision at `points` recalls from 0 to 1; of those from there on, the `best`."""
    reached = [list(precision[recall >= r - 1e-9]) for r in np.linspace(0, 1, points)]
    return float(np.mean([best(values) if values else 0.0 for values in reached]))


def _in_place(right: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Put what is sorted by score into the order in which the scores came."""
    moved = np.empty_like(right)
    moved[np.argsort(-scores, kind="stable")] = right
    return moved


def judge(
    right: Callable = matched,
    precision: Callable = lambda hits, truth: hits / np.arange(1, len(hits) + 1),
    recall: Callable = lambda hits, truth: hits / truth,
    area: Callable = mean_over_recalls,
) -> Callable:
    """Make an answer `judge`; the defaults are right, each argument is a common mistake.

    Args:
        right: takes boxes (N, 4), scores (N,) and true boxes (T, 4), returns (N,) bool.
        precision, recall: take the number of right ones so far (N,) and T, return (N,).
        area: takes precision and recall, returns AP.
    """

    def answer(boxes, scores, true_boxes):
        matches = right(boxes, scores, true_boxes)
        hits, truth = matches.cumsum(), len(true_boxes)
        both = precision(hits, truth), recall(hits, truth)
        return matches, *both, area(*both)

    return answer


def _of_right_ones(precision, recall):
    steps = np.diff(recall, prepend=0)
    return precision[steps > 0].mean() if steps.any() else 0.0


def _stairs(precision, recall):
    return (np.maximum.accumulate(precision[::-1])[::-1] * np.diff(recall, prepend=0)).sum()


def _of_reached(precision, recall):
    reached = np.linspace(0, 1, 101) <= recall[-1] + 1e-9
    return 101 * mean_over_recalls(precision, recall) / reached.sum()


RIGHT_MISTAKES = [
    (
        "They come in the order of the input: sort by score, and give the highest first.",
        judge(right=lambda boxes, scores, true_boxes: _in_place(matched(boxes, scores, true_boxes), scores)),
    ),
    ("Begin with the highest score; yours begin with the lowest.", judge(right=lambda *case: matched(*case)[::-1])),
    (
        "Each true box can be taken once; a second detection of it is wrong.",
        judge(right=lambda *case: matched(*case, once=False)),
    ),
    ("An IoU of 0.5 itself is enough: >=.", judge(right=lambda *case: matched(*case, including=False))),
    ("An IoU below 0.5 is not enough.", judge(right=lambda *case: matched(*case, lowest=0.4))),
    (
        "Any overlap is not enough: the IoU must be at least 0.5.",
        judge(right=lambda *case: matched(*case, lowest=0.01)),
    ),
    (
        "Look for the best true box among those that are not taken yet.",
        judge(right=lambda *case: matched(*case, untaken_only=False)),
    ),
    ("Those are the wrong ones.", judge(right=lambda *case: ~matched(*case))),
]
PRECISION_MISTAKES = [
    ("Precision and recall are exchanged.", judge(precision=lambda hits, truth: hits / truth)),
    ("Divide by the detections so far, not by all of them.", judge(precision=lambda hits, truth: hits / len(hits))),
    ("That is the share of wrong ones.", judge(precision=lambda hits, truth: 1 - hits / np.arange(1, len(hits) + 1))),
    ("That counts the right ones; divide by the detections so far.", judge(precision=lambda hits, truth: hits)),
    (
        "Count the right ones so far, not all of them.",
        judge(precision=lambda hits, truth: np.full(len(hits), hits[-1] / len(hits))),
    ),
]
RECALL_MISTAKES = [
    ("Divide by the number of true boxes, not of detections.", judge(recall=lambda hits, truth: hits / len(hits))),
    (
        "Divide by the number of true boxes, also of those never found.",
        judge(recall=lambda hits, truth: hits / max(hits[-1], 1)),
    ),
    ("That counts the right ones; divide by the number of true boxes.", judge(recall=lambda hits, truth: hits)),
    (
        "Divide by the number of true boxes, not by the detections so far.",
        judge(recall=lambda hits, truth: hits / np.arange(1, len(hits) + 1)),
    ),
]
AREA_MISTAKES = [
    (
        "Take the best precision at this recall or at a higher one, not the precision at this recall.",
        judge(area=lambda *curve: mean_over_recalls(*curve, best=lambda values: values[0])),
    ),
    (
        "That is the mean over the detections; take it over the 101 recalls.",
        judge(area=lambda precision, recall: precision.mean()),
    ),
    ("That is the mean over the right detections; take it over the 101 recalls.", judge(area=_of_right_ones)),
    ("Recalls that are never reached count too, with the precision 0.", judge(area=_of_reached)),
    ("That is the exact area under the stairs; take the mean over the 101 recalls 0, 0.01 … 1.", judge(area=_stairs)),
    ("Take 101 recalls, not 11.", judge(area=lambda *curve: mean_over_recalls(*curve, points=11))),
    (
        "Take 101 recalls, 0 and 1 included, not 100.",
        judge(area=lambda *curve: 101 * mean_over_recalls(*curve) / 100),
    ),
    (
        "The sum over the recalls must be divided by 101.",
        judge(area=lambda *curve: 101 * mean_over_recalls(*curve)),
    ),
    (
        "That is a percentage; expected a number from 0 to 1.",
        judge(area=lambda *curve: 100 * mean_over_recalls(*curve)),
    ),
    ("That is the area by trapezia (np.trapezoid); take the mean over the 101 recalls.", judge(area=np.trapezoid)),
    ("That is the last precision.", judge(area=lambda precision, recall: precision[-1])),
]


def detection_cases() -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Return words, boxes (N, 4), scores (N,) and true boxes (T, 4) on which the second part is tried."""
    a, b, c, d = [10, 10, 30, 40], [50, 10, 80, 30], [10, 60, 50, 80], [70, 50, 90, 90]

    def moved(box, dx, dy=0):
        return [box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy]

    half = [10, 10, 30, 25]  # of a: IoU 0.5 exactly
    cases = [
        ("three detections, the second of which meets nothing", [a, moved(d, -15), b], [0.9, 0.8, 0.7], [a, b, c, d]),
        ("a detection with an IoU of 0.48", [b, moved(a, 7)], [0.9, 0.8], [a, b]),
        ("a detection with an IoU of exactly 0.5", [half, b], [0.9, 0.8], [a, b]),
        ("two detections of one true box", [moved(a, 2), a, b], [0.9, 0.8, 0.7], [a, b, c, d]),
        ("detections that are not in the order of their scores", [b, moved(c, 30), d, a], [0.3, 0.9, 0.5, 0.7], [a, d]),
        ("a detection whose best true box is taken, while another fits too", [a, a], [0.9, 0.8], [a, moved(a, 5), c]),
        ("detections none of which is right", [moved(a, 15), moved(b, 20)], [0.9, 0.8], [a, b, c]),
        (
            "five detections of four true boxes",
            [moved(c, 4), moved(a, 1, 2), moved(a, -3), moved(b, 0, 8), moved(b, 2, 1)],
            [0.35, 0.95, 0.9, 0.65, 0.5],
            [d, c, b, a],
        ),
    ]
    return [(words, *(np.array(values, float) for values in rest)) for words, *rest in cases]


@task
def check_judge(function: Callable) -> None:
    """Check `judge(boxes, scores, true_boxes)`; its AP is compared with pycocotools.

    Args:
        function: the reader's answer; takes (N, 4), (N,) and (T, 4), returns right, precision and recall, each (N,)
            from the highest score to the lowest, and AP, a number.
    """
    for words, *case in detection_cases():
        scores = case[1]
        given = f"{words}, scores {show(scores)},"
        result = call(function, *(values.copy() for values in case), given=given)
        parts = _four_parts(result, len(scores), given)
        right, *curve, _ = judge()(*case)
        if not np.array_equal(parts["right"], right):
            why = likely(parts["right"], RIGHT_MISTAKES, *case, part=0)
            place = int(np.flatnonzero(parts["right"] != right)[0])
            which = f"the detection with score {np.sort(scores)[::-1][place]:g}"
            is_right = "right" if right[place] else "wrong"
            raise Hint(f"for {given} {which} is {is_right}; yours says {parts['right'][place]:g}.{why}")
        mistakes = {"precision": PRECISION_MISTAKES, "recall": RECALL_MISTAKES}
        for part, (name, expected) in enumerate(zip(mistakes, curve), start=1):
            if not np.allclose(parts[name], expected, rtol=1e-4):
                why = likely(parts[name], mistakes[name], *case, part=part)
                raise Hint(f"for {given} {name} is {show(parts[name])}; expected {show(expected)}.{why}")
        found, expected = one_number(result[3], given), _area_by_coco(*case)
        if not np.isclose(found, expected, atol=1e-5):
            why = likely(found, AREA_MISTAKES, *case, part=3)
            differ = f"AP is {found:.4f}; expected {expected:.4f}"
            raise Hint(f"for {given} right, precision and recall are good, but {differ}.{why}")


def _four_parts(result, count: int, given: str) -> dict[str, np.ndarray]:
    """Return right, precision and recall (N,), or end the check when they and AP are not what was returned."""
    if not isinstance(result, (tuple, list)) or len(result) != 4:
        what = f"{len(result)} of them" if isinstance(result, (tuple, list)) else f"a {type(result).__name__}"
        raise Hint(f"for {given} expected the four right, precision, recall and AP; you return {what}.")
    for name, part in zip(("right", "precision", "recall", "AP"), result):
        if part is None:
            raise NotDone(f"{name} is None")
    parts = {}
    for name, part in zip(("right", "precision", "recall"), result):
        parts[name] = numbers(part)
        if parts[name] is None:
            raise Hint(f"for {given} {name} is of type {type(part).__name__}; expected {count} numbers.")
        if parts[name].shape != (count,):
            raise Hint(f"for {given} {name} has the shape {parts[name].shape}; expected ({count},).")
        if np.isnan(parts[name]).any():
            raise Hint(f"for {given} {name} is {show(parts[name])}: NaN comes of 0 divided by 0.")
    return parts


def _area_by_coco(boxes: np.ndarray, scores: np.ndarray, true_boxes: np.ndarray) -> float:
    """Return the AP of one photograph with one class as pycocotools computes it."""
    truth = [Annotation(Path("photograph.png"), true_boxes, np.zeros(len(true_boxes), int))]
    detections = [Detections(boxes, scores, np.zeros(len(boxes), int))]
    return average_precision(truth, detections, ["cell"])["AP50"]["mean"]
