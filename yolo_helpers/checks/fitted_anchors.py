"""The check of anchors fitted to boxes."""

from collections.abc import Callable

import numpy as np

from yolo_helpers.anchors import anchor_iou
from yolo_helpers.checks.compare import likely, numbers, show
from yolo_helpers.checks.verdict import Hint, bounded, call, task


def by_iou(sizes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the anchor of best shape IoU for each of sizes (N, 2)."""
    return anchor_iou(sizes, anchors).argmax(1)


def by_distance(sizes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the anchor that is nearest in pixels for each of sizes (N, 2)."""
    return np.square(sizes[:, None] - anchors).sum(-1).argmin(1)


def fit_anchors(
    nearest: Callable = by_iou,
    middle: Callable = np.median,
    rounds: int = 100,
    empty: float = 1.0,
    finish: Callable = lambda anchors: anchors,
) -> Callable:
    """Make an answer `fit_anchors`; the defaults are right, each argument is a common mistake.

    Args:
        nearest: takes sizes (N, 2) and anchors (A, 2), returns the anchor of each box (N,).
        middle: of the boxes of an anchor, over axis 0.
        rounds: most rounds.
        empty: an anchor without boxes is multiplied by this.
        finish: takes the anchors.
    """

    def answer(sizes, start):
        anchors = np.array(start, float)
        for _ in range(rounds):
            own = nearest(sizes, anchors)
            groups = [sizes[own == k] for k in range(len(anchors))]
            moved = np.array(
                [middle(group, axis=0) if len(group) else empty * anchor for group, anchor in zip(groups, anchors)]
            )
            if np.array_equal(moved, anchors):
                break
            anchors = moved
        return finish(anchors)

    return answer


FIT_MISTAKES = [
    (
        "That is one round: go on until nothing moves. If you compare with the anchors before, keep a copy of them.",
        fit_anchors(rounds=1),
    ),
    ("These are the anchors that it started from.", lambda sizes, start: start),
    ("Take the anchor of best shape IoU, not the one that is nearest in pixels.", fit_anchors(nearest=by_distance)),
    ("Take the median of an anchor's boxes, not the mean.", fit_anchors(middle=np.mean)),
    (
        "Take the median of an anchor's boxes alone, not of all boxes.",
        lambda sizes, start: np.tile(np.median(sizes, axis=0), (len(start), 1)),
    ),
    (
        "Take the median of an anchor's boxes alone, not the mean of all boxes.",
        lambda sizes, start: np.tile(sizes.mean(axis=0), (len(start), 1)),
    ),
    (
        "Width and height are exchanged: the width comes first.",
        fit_anchors(finish=lambda anchors: anchors[:, ::-1]),
    ),
    (
        "Width and height of the anchors are exchanged where you compare.",
        fit_anchors(nearest=lambda sizes, anchors: by_iou(sizes, anchors[:, ::-1])),
    ),
    (
        "Take the highest IoU (argmax), not the lowest.",
        fit_anchors(nearest=lambda sizes, anchors: anchor_iou(sizes, anchors).argmin(1)),
    ),
    ("An anchor that no box is nearest to stays as it is; yours became 0.", fit_anchors(empty=0.0)),
]


def anchor_cases() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return words, sizes (N, 2) and anchors to start from (A, 2) on which `fit_anchors` is tried."""
    random = np.random.default_rng(9)

    def cluster(width, height, count, spread=0.1):
        return np.round([width, height] * (1 + spread * random.uniform(-1, 1, (count, 2))), 1)

    clear = np.concatenate([cluster(10, 30, 21), cluster(45, 15, 15), cluster(60, 70, 9)])
    outliers = np.concatenate([clear, [[11, 60], [13, 64], [90, 18], [120, 110], [30, 160]]])
    start = [[12, 24], [36, 18], [50, 50]]
    # For a box of 30 x 30, 12 x 12 is nearer in pixels, but 50 x 50 is nearer in shape.
    between = np.concatenate([cluster(12, 12, 9, 0.05), cluster(50, 50, 7, 0.05), cluster(30, 30, 4, 0.02)])
    chain = np.repeat(np.arange(10.0, 81.0, 2)[:, None], 2, axis=1) * [1, 1.2]
    cases = [
        ("45 boxes in three clear groups", clear, start),
        ("three groups with outliers", outliers, start),
        ("boxes between two anchors", between, [[12, 12], [50, 50]]),
        ("boxes that need several rounds", chain, [[10, 12], [14, 16], [18, 22]]),
        ("an anchor that no box is nearest to", clear, [*start, [300, 300]]),
        ("anchors that start with the largest", clear, start[::-1]),
    ]
    return [(words, sizes, np.array(start, float)) for words, sizes, start in cases]


@task
def check_fit_anchors(function: Callable) -> None:
    """Check `fit_anchors(sizes, start)`.

    Args:
        function: the reader's answer; takes (N, 2) and (A, 2), width and height in pixels, returns (A, 2).
    """
    endless = (
        "it had not ended after very many rounds. End it when the moved anchors equal those before; NaN, the median of "
        "no boxes, never equals NaN."
    )
    why_nan = "The median of no boxes is NaN: an anchor that no box is nearest to stays as it is."
    for words, sizes, start in anchor_cases():
        given = f"{words} and {len(start)} anchors"
        result = call(bounded(function, endless), sizes.copy(), start.copy(), given=given)
        found = numbers(result)
        if found is None:
            raise Hint(f"for {given} expected an array of numbers; you return a {type(result).__name__}.")
        if found.shape != start.shape:
            is_labels = found.shape == (len(sizes),)
            why = " That is one number a box; return the anchors." if is_labels else ""
            raise Hint(f"for {given} you return the shape {found.shape}; expected {start.shape}.{why}")
        if not np.isfinite(found).all():
            raise Hint(f"for {given} you return {show(found)}. {why_nan}")
        expected = fit_anchors()(sizes, start)
        if not np.allclose(found, expected, rtol=1e-4):
            ours, theirs = (float(anchor_iou(sizes, anchors).max(1).mean()) for anchors in (found, expected))
            raise Hint(
                f"for {given} you return {show(found)}, with a mean best IoU of {ours:.3f}; expected "
                f"{show(expected)}, with {theirs:.3f}.{_likely_fit(found, expected, sizes, start)}"
            )


def _likely_fit(found: np.ndarray, expected: np.ndarray, sizes: np.ndarray, start: np.ndarray) -> str:
    """Name the mistake that wrong anchors look like, as `likely` does."""
    why = likely(found, FIT_MISTAKES, sizes, start)
    if not why and np.allclose(np.sort(found, axis=0), np.sort(expected, axis=0), rtol=1e-4):
        why = " They are right, but in another order: keep that of the start."
    if not why and np.allclose(found, expected, atol=1):
        why = " Do not round them."
    return why
