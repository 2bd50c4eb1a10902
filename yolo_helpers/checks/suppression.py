"""The check of non-maximum suppression."""

from collections.abc import Callable

import numpy as np

from yolo_helpers.boxes import box_iou
from yolo_helpers.checks.compare import likely, numbers, show
from yolo_helpers.checks.verdict import Hint, bounded, call, task

A, B, C, D, E = [10, 10, 50, 50], [14, 10, 54, 50], [70, 10, 110, 50], [74, 10, 114, 50], [10, 70, 50, 110]
LEFT, RIGHT = [0, 10, 40, 50], [12, 10, 52, 50]  # of A; LEFT overlaps A, but not B
BOX_CASES = [  # words, boxes (N, 4), scores (N,), iou_threshold
    ("one box", [A], [0.9], 0.5),
    ("two boxes that overlap, and one apart", [A, B, C], [0.9, 0.8, 0.7], 0.5),
    ("seven boxes of three objects", [A, B, LEFT, C, D, RIGHT, E], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], 0.5),
    ("boxes that do not come in the order of their scores", [E, B, A, C, D], [0.6, 0.8, 0.95, 0.4, 0.5], 0.5),
    ("two boxes that overlap a little, by an IoU of 0.33", [A, [30, 10, 70, 50]], [0.9, 0.8], 0.5),
    (
        "a chain: the first overlaps the second, the second the third, the first does not overlap the third",
        [[10, 10, 50, 50], [22, 10, 62, 50], [34, 10, 74, 50]],
        [0.9, 0.8, 0.7],
        0.5,
    ),
    ("boxes with an IoU of exactly 0.5", [[0, 0, 40, 40], [0, 0, 40, 20], C], [0.9, 0.8, 0.7], 0.5),
    ("boxes with an IoU of 0.54, and the threshold 0.7", [[10, 10, 50, 50], [22, 10, 62, 50]], [0.9, 0.8], 0.7),
    ("boxes with an IoU of 0.33, and the threshold 0.3", [[10, 10, 50, 50], [30, 10, 70, 50]], [0.9, 0.8], 0.3),
    ("no boxes", [], [], 0.5),
]


def suppress(
    order: Callable = lambda scores: np.argsort(-scores, kind="stable"),
    rivals: Callable = lambda kept, better: kept,
    overlaps: Callable = np.greater,
    dropped: Callable = np.any,
    give: Callable = lambda kept, order, boxes, scores: kept,
) -> Callable:
    """Make an answer `suppress`, a loop; the defaults are right, each argument is a common mistake.

    Args:
        order: takes scores (N,), returns the order in which the boxes are tried.
        rivals: takes the indices kept so far and those tried so far, returns those that a box is compared with.
        overlaps: takes the IoU with the rivals and the threshold, returns whether they overlap.
        dropped: takes this for all rivals, where there are any, says whether the box is dropped.
        give: takes the kept indices, the order, boxes and scores, returns the result.
    """

    def answer(boxes, scores, iou_threshold):
        iou, tried, kept = box_iou(boxes, boxes), order(scores), []
        for place, index in enumerate(tried):
            others = list(rivals(kept, tried[:place]))
            if not (others and dropped(overlaps(iou[index, others], iou_threshold))):
                kept.append(index)
        return give(np.array(kept, int), tried, boxes, scores)

    return answer


BOX_MISTAKES = [
    ("Use the iou_threshold that is given.", suppress(overlaps=lambda iou, threshold: iou > 0.5)),
    (
        "A box that was dropped itself must not drop others: compare with those kept alone.",
        suppress(rivals=lambda kept, better: better),
    ),
    ("An IoU equal to the threshold is not above it: > drops, >= does not.", suppress(overlaps=np.greater_equal)),
    ("Any overlap is not enough: the IoU must be above the threshold.", suppress(overlaps=lambda iou, _: iou > 0)),
    ("No box is dropped.", suppress(dropped=lambda overlap: False)),
    (
        "Those are the boxes that overlap; drop them, and keep the others.",
        suppress(dropped=lambda overlap: not overlap.any()),
    ),
    (
        "A box must not overlap any of those kept; yours is kept if there is one that it does not overlap.",
        suppress(dropped=np.all),
    ),
    (
        "Compare a box with all that are kept, not with the best alone.",
        suppress(rivals=lambda kept, better: better[:1]),
    ),
    (
        "Compare a box with all that are kept, not with the last of them alone.",
        suppress(rivals=lambda kept, better: kept[-1:]),
    ),
    (
        "Compare a box with all that are kept, not with the one before it alone.",
        suppress(rivals=lambda kept, better: better[-1:]),
    ),
    ("Do you go through the boxes as they come? Begin with the highest score.", suppress(lambda s: np.arange(len(s)))),
    ("Do you begin with the lowest score? Begin with the highest.", suppress(np.argsort)),
    (
        "Those are places in the sorted list; expected places in the boxes as they were given.",
        suppress(give=lambda kept, order, boxes, scores: [list(order).index(index) for index in kept]),
    ),
    (
        "Nothing is left. Do you compare each box with itself? Its IoU with itself is 1.",
        lambda boxes, scores, iou_threshold: [],
    ),
]
FORM_MISTAKES = [  # results that are no list of indices
    ("Those are the kept boxes themselves.", suppress(give=lambda kept, order, boxes, scores: boxes[kept])),
    ("Those are the scores of the kept boxes.", suppress(give=lambda kept, order, boxes, scores: scores[kept])),
    (
        "That is a mask; np.flatnonzero gives indices, which you then sort by score.",
        suppress(give=lambda kept, order, boxes, scores: np.isin(np.arange(len(boxes)), kept)),
    ),
]


@task
def check_suppress(function: Callable) -> None:
    """Check `suppress(boxes, scores, iou_threshold)` against a loop over all boxes.

    Args:
        function: the reader's answer; takes (N, 4) x_min, y_min, x_max, y_max, (N,), and a number, returns the
            indices of the boxes kept, best first.
    """
    endless = "it had not ended after very many rounds: each round must take away at least the box that it keeps."
    for words, boxes, scores, threshold in BOX_CASES:
        boxes, scores = np.array(boxes, float).reshape(-1, 4), np.array(scores, float)
        given = f"{words}, scores {show(scores)},"
        case = boxes, scores, threshold
        result = call(bounded(function, endless, 20_000), boxes.copy(), scores.copy(), threshold, given=given)
        found, expected = numbers(result), suppress()(*case)
        if found is None:
            raise Hint(f"for {given} expected a list of indices; you return a {type(result).__name__}.")
        is_mask = np.asarray(result).dtype == bool
        if is_mask or found.ndim != 1 or (found != np.round(found)).any():
            why = likely(found, FORM_MISTAKES, *case)
            raise Hint(f"for {given} expected the indices {show(expected)}; you return {show(result)}.{why}")
        if not np.array_equal(found, expected):
            why = likely(found, BOX_MISTAKES, *case)
            if np.array_equal(np.sort(found), np.sort(expected)):
                why = " Those are the right ones, but in another order: the best comes first."
            kept = f"you keep the boxes {show(found.astype(int))}; expected {show(expected)}"
            raise Hint(f"for {given} {kept}.{why}")
