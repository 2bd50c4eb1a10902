"""Lesson 03, one box: the checks of its place in the grid, and of its four terms on paper."""

import functools

import numpy as np

from yolo_helpers.anchors import default_anchor_mask, default_anchors
from yolo_helpers.checks.compare import expect_entries, likely, one_number
from yolo_helpers.checks.verdict import Hint, task
from yolo_helpers.targets import preprocess_true_boxes

INPUT_SHAPE = (192, 256)  # height and width of the first smear
PLATELET = np.array([180.0, 14.0, 197.0, 32.0])  # one of its boxes; class 0
SIZE, CENTRE = PLATELET[2:] - PLATELET[:2], (PLATELET[:2] + PLATELET[2:]) / 2
RAW = np.array([0, 1, 0.5, -0.5, 2, 1, -1, -1])  # of its slot

# Place a box


@functools.cache
def right_place() -> dict[str, int]:
    """Return the slot of the platelet: its head, row, column, and anchor, counted over all heads."""
    anchors = default_anchors(3)
    grids = preprocess_true_boxes(np.array([[[*PLATELET, 0]]]), INPUT_SHAPE, anchors, 3)
    (head,) = (head for head, grid in enumerate(grids) if grid[..., 4].any())
    _, row, column, anchor = (int(place) for place in np.argwhere(grids[head][..., 4])[0])
    return {"head": head, "row": row, "column": column, "anchor": default_anchor_mask(9)[head][anchor]}


def _square(point: np.ndarray, stride: int = 8) -> dict[str, float]:
    """Return the row and the column of the grid square in which a point lies."""
    column, row = np.floor(point / stride)
    return {"row": row, "column": column}


# The sentence, and what the answer then says of some of the four entries.
PLACE_MISTAKES = [
    ("Anchors are counted from 0.", lambda: {"anchor": 2}),
    ("Anchor 4 is that of the white cell.", lambda: {"anchor": 4}),
    ("That is the anchor with the smallest IoU.", lambda: {"anchor": 8}),
    ("Heads are counted from the coarsest grid: head 0 has the stride 32.", lambda: {"head": 0}),
    ("Head 1 has the anchors 3 to 5.", lambda: {"head": 1}),
    ("Heads are counted from 0.", lambda: {"head": 3}),
    ("That is the place in pixels.", lambda: {"row": CENTRE[1], "column": CENTRE[0]}),
    ("The two are swapped.", lambda: {"row": right_place()["column"], "column": right_place()["row"]}),
    ("That is the grid square of stride 16; the box's head has another stride.", lambda: _square(CENTRE, 16)),
    ("That is the grid square of stride 32; the box's head has another stride.", lambda: _square(CENTRE, 32)),
    ("Is it rounded up, or counted from 1?", lambda: _square(CENTRE + 8)),
    ("The upper left corner lies there; what counts is the centre.", lambda: _square(PLATELET[:2])),
    ("The lower right corner lies there; what counts is the centre.", lambda: _square(PLATELET[2:])),
]


@task
def check_place(own_place: dict) -> None:
    """Check the task "place a box of your own" of lesson 03.

    Args:
        own_place: the reader's head, row, column and anchor of the platelet.
    """
    expected = right_place()
    found = {name: one_number(value, f"{name} of the platelet") for name, value in expect_entries(own_place, expected)}
    for together in (["anchor"], ["head"], ["row", "column"]):  # in the order in which they are found
        wrong = [name for name in together if found[name] != expected[name]]
        if wrong:
            said = " and ".join(f"{name} {found[name]:g}" for name in wrong)
            why = next((f" {words}" for words, of in PLACE_MISTAKES if _says(of(), wrong, found)), "")
            if not why and any(found[name] % 1 for name in wrong):
                why = " Expected whole numbers."
            raise Hint(f"the platelet is not at {said}.{why}")


def _says(mistake: dict, wrong: list[str], found: dict) -> bool:
    """Tell whether all entries that are wrong are what a mistake makes of them."""
    return all(name in mistake and np.floor(found[name]) == np.floor(mistake[name]) for name in wrong)


# Four terms with a calculator


def _bce(target, raw):
    return np.logaddexp(0, raw) - target * raw


def _entropy(target):
    return -target * np.log(target) - (1 - target) * np.log(1 - target)


def _squares(ratio, raw=RAW[2:4], log=np.log):
    return np.square(log(ratio) - raw)


S = 2 - np.prod(SIZE / INPUT_SHAPE[::-1])
PLACE = CENTRE / 8 % 1
ANCHOR = default_anchors(3)[1]
XY, WH, CLASS = _bce(PLACE, RAW[:2]), _squares(SIZE / ANCHOR), _bce(np.array([1, 0, 0]), RAW[5:])
TO_BASE_10 = "That is with the logarithm to base 10, often the key log; the natural one is the key ln."
NEGATIVE = "A term is never negative: the logarithm of a number below 1 is."
SQUARED = "That is a squared error; expected a BCE."
SLOT_TERMS = {  # the term, and mistakes
    "xy": (
        S * XY.sum(),
        [
            (TO_BASE_10, lambda: S * XY.sum() / np.log(10)),
            (NEGATIVE, lambda: -S * XY.sum()),
            ("Is s missing, or did you take the mean of the two parts?", lambda: XY.sum()),
            ("In s, w and h are fractions of the picture.", lambda: (2 - np.prod(SIZE)) * XY.sum()),
            (
                "The targets are the place in the grid square, not in the picture.",
                lambda: S * _bce(CENTRE / INPUT_SHAPE[::-1], RAW[:2]).sum(),
            ),
            (
                "Is that the place of the upper left corner? Expected that of the centre.",
                lambda: S * _bce(PLATELET[:2] / 8 % 1, RAW[:2]).sum(),
            ),
            ("That is the part of x alone.", lambda: S * XY[0]),
            ("That is the part of y alone.", lambda: S * XY[1]),
            ("That is the entropy of the target: the raw numbers are not in it.", lambda: S * _entropy(PLACE).sum()),
            (SQUARED, lambda: S * np.square(PLACE - 1 / (1 + np.exp(-RAW[:2]))).sum()),
        ],
    ),
    "wh": (
        S * 0.5 * WH.sum(),
        [
            (TO_BASE_10, lambda: S * 0.5 * _squares(SIZE / ANCHOR, log=np.log10).sum()),
            ("Is s missing, or did you take the mean of the two parts?", lambda: 0.5 * WH.sum()),
            ("Is the half missing?", lambda: S * WH.sum()),
            ("In s, w and h are fractions of the picture.", lambda: (2 - np.prod(SIZE)) * 0.5 * WH.sum()),
            ("That is the part of the height alone.", lambda: S * 0.5 * WH[1]),
            ("Is the logarithm missing?", lambda: S * 0.5 * _squares(SIZE / ANCHOR, log=np.asarray).sum()),
            ("Are width and height swapped?", lambda: S * 0.5 * _squares(SIZE[::-1] / ANCHOR).sum()),
            (
                "Mind the sign: the raw number is subtracted.",
                lambda: S * 0.5 * _squares(SIZE / ANCHOR, -RAW[2:4]).sum(),
            ),
            ("That is with anchor 0.", lambda: S * 0.5 * _squares(SIZE / default_anchors(3)[0]).sum()),
            ("That is with anchor 4.", lambda: S * 0.5 * _squares(SIZE / default_anchors(3)[4]).sum()),
        ],
    ),
    "confidence": (
        _bce(1, RAW[4]),
        [
            (TO_BASE_10, lambda: _bce(1, RAW[4]) / np.log(10)),
            (NEGATIVE, lambda: -_bce(1, RAW[4])),
            ("That is BCE(0, r); there is an object in the slot.", lambda: _bce(0, RAW[4])),
            ("That is the entropy of the target: the raw number is not in it.", lambda: 0.0),
            ("s belongs to xy and wh only.", lambda: S * _bce(1, RAW[4])),
            ("That is sigmoid(r).", lambda: 1 / (1 + np.exp(-RAW[4]))),
        ],
    ),
    "class": (
        CLASS.sum(),
        [
            (TO_BASE_10, lambda: CLASS.sum() / np.log(10)),
            (NEGATIVE, lambda: -CLASS.sum()),
            ("That is one of the three parts, or their mean; expected the sum of all three.", lambda: CLASS[0]),
            (
                "That is the cross-entropy of a softmax; here each class has a sigmoid of its own.",
                lambda: np.log(np.exp(RAW[5:]).sum()) - RAW[5],
            ),
            ("That is the entropy of the target: the raw numbers are not in it.", lambda: 0.0),
            ("s belongs to xy and wh only.", lambda: S * CLASS.sum()),
            ("The first class has the target 1, the others have 0.", lambda: _bce(1, RAW[5:]).sum()),
            ("The first class has the target 1, the others have 0.", lambda: _bce(0, RAW[5:]).sum()),
            (SQUARED, lambda: np.square([1, 0, 0] - 1 / (1 + np.exp(-RAW[5:]))).sum()),
        ],
    ),
}


@task
def check_slot_terms(own_terms: dict) -> None:
    """Check the task "your own slot, with a calculator" of lesson 03.

    Args:
        own_terms: the reader's xy, wh, confidence and class of the platelet's slot, to two decimals.
    """
    for name, value in expect_entries(own_terms, SLOT_TERMS):
        expected, mistakes = SLOT_TERMS[name]
        found = one_number(value, f"{name} of the platelet's slot")
        if not np.isclose(found, expected, rtol=0, atol=0.015):
            raise Hint(f"for the platelet's slot {name} is not {found:g}.{likely(found, mistakes, rtol=0, atol=0.006)}")
