"""The check of a function that writes boxes into slots."""

from collections.abc import Callable

import numpy as np

from yolo_helpers.anchors import default_anchors
from yolo_helpers.checks.compare import show
from yolo_helpers.checks.verdict import Hint, call, task
from yolo_helpers.targets import preprocess_true_boxes

PADDING = [0.0] * 5
RED, PLATELET, WHITE = [10, 12, 50, 42, 1], [68, 20, 78, 32, 0], [20, 5, 90, 91, 2]
TARGET_CASES = [  # words, boxes, input_shape
    ("one box with its centre on a whole pixel", [RED], (96, 128)),
    ("one box with its centre on half a pixel", [[10, 12, 51, 41, 1]], (96, 128)),
    ("two boxes and padding after them", [RED, PLATELET, PADDING], (96, 128)),
    ("a padding row between two boxes", [RED, PADDING, PLATELET], (96, 128)),
    ("a padding row before three boxes", [PADDING, WHITE, RED, PLATELET], (128, 96)),
    ("two boxes of two classes that want the same slot", [PLATELET, [69, 20, 79, 32, 2]], (96, 128)),
    (
        "padding between two boxes of two classes that want the same slot",
        [PLATELET, PADDING, [*PLATELET[:4], 2]],
        (96, 128),
    ),
    ("a centre on the right border", [[118, 10, 138, 26, 1]], (96, 128)),
    ("a centre in the lower right corner", [[110, 80, 146, 112, 1]], (96, 128)),
    ("a picture with padding only", [PADDING, PADDING], (96, 128)),
    ("a picture without any row", np.zeros((0, 5)), (96, 128)),
]


def _differing_slot(found: np.ndarray, expected: np.ndarray) -> str:
    """Name the first slot, (row, column, anchor), in which two grids of one head differ, and say how."""
    place = tuple(int(i) for i in np.argwhere(~np.isclose(found, expected, atol=1e-5).all(-1))[0])
    row, column, anchor = place
    ours, theirs = found[place], expected[place]
    where = f"row {row}, column {column}, anchor {anchor} of its head"
    if ours[4] != theirs[4]:
        return f"{where} should hold {'an object' if theirs[4] else 'no object'}; yours is {show(ours)}"
    for part, axes in (("centre", slice(0, 2)), ("size", slice(2, 4)), ("class", slice(5, None))):
        if not np.allclose(ours[axes], theirs[axes], atol=1e-5):
            return f"{where} holds the {part} {show(ours[axes])}; expected {show(theirs[axes])}"
    return f"{where} holds {ours[4]:g} in the place of the object's 1"


@task
def check_targets(function: Callable) -> None:
    """Check `repaired_targets(true_boxes, input_shape, anchors, num_classes)`, or such a function of a repository.

    Args:
        function: the reader's answer; takes (B, T, 5) boxes in pixels, returns three arrays (B, h, w, 3, 5 + C).
    """
    anchors = default_anchors(3)
    for given, boxes, input_shape in TARGET_CASES:
        boxes = np.array(boxes, "float32")[None]
        result = call(function, boxes.copy(), input_shape, anchors.copy(), 3, given=given)
        expected = preprocess_true_boxes(boxes, input_shape, anchors, 3)
        shapes = [np.shape(grid) for grid in result] if isinstance(result, (list, tuple)) else np.shape(result)
        if shapes != [grid.shape for grid in expected]:
            raise Hint(f"for {given} expected arrays of {[grid.shape for grid in expected]}; yours are {shapes}.")
        for head, (found, grid) in enumerate(zip(result, expected)):
            if not np.allclose(found, grid, atol=1e-5):
                raise Hint(f"for {given}, in head {head}: {_differing_slot(np.asarray(found)[0], grid[0])}.")
