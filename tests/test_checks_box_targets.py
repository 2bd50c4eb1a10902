"""The check of a function that writes boxes into slots, tried with right answers and with what people really give."""

import numpy as np
import pytest
from verdicts import answers

from yolo_helpers import checks
from yolo_helpers.anchors import STRIDES, anchor_iou
from yolo_helpers.targets import preprocess_true_boxes


def targets(half=True, rows="filter", clear=True, clamp=True, order=(0, 1)):
    """Make an answer `repaired_targets`; the defaults are right, each argument is a common mistake."""

    def targets_for(true_boxes, input_shape, anchors, num_classes):
        (boxes,) = true_boxes
        height, width = input_shape
        y_true = [np.zeros((height // s, width // s, 3, 5 + num_classes), "float32") for s in STRIDES]
        if rows == "filter":
            boxes = boxes[boxes[:, 2] > 0]
        elif rows == "stop":
            boxes = boxes[: np.argmin(np.append(boxes[:, 2] > 0, False))]
        elif rows == "class":
            boxes = boxes[boxes.all(axis=1)]
        centres = (boxes[:, 0:2] + boxes[:, 2:4]) / 2 if half else (boxes[:, 0:2] + boxes[:, 2:4]) // 2
        sizes = boxes[:, 2:4] - boxes[:, 0:2]
        of_best = sizes[sizes[:, 0] > 0] if rows == "count" else sizes
        for t, anchor in enumerate(anchor_iou(of_best, anchors).argmax(axis=1)):
            head = 2 - anchor // 3
            last = [width // STRIDES[head] - 1, height // STRIDES[head] - 1] if clamp else np.inf
            column, row = np.minimum(centres[t] // STRIDES[head], last).astype(int)
            slot = y_true[head][row, column, anchor % 3]
            if clear == "first wins" and slot[4]:
                continue
            if clear:
                slot[:] = 0
            slot[0:2] = centres[t] / np.array([width, height])[list(order)]
            slot[2:4], slot[4], slot[5 + int(boxes[t, 4])] = sizes[t] / [width, height], 1, 1
        return [grid[None] for grid in y_true]

    return targets_for


def targets_of_one_picture(true_boxes, *arguments):
    return [grid[0] for grid in preprocess_true_boxes(true_boxes, *arguments)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (targets(), "ok"),
        (preprocess_true_boxes, "ok"),
        (None, "not done yet"),
        (lambda *arguments: None, "not done yet: the function returns None"),
        (
            targets(half=False),
            "for one box with its centre on half a pixel, in head 2: row 3, column 3, anchor 2",
            "holds the centre [0.2344, 0.2708]; expected [0.2383, 0.276 ]",
        ),
        (targets(half=False, rows="count", clear=False), "for one box with its centre on half a pixel"),
        (
            targets(rows="count"),
            "for a padding row between two boxes, in head 2: row 0, column 0, anchor 0",
            "should hold no object; yours is [0., 0., 0., 0., 1.",
        ),
        (
            targets(rows="stop"),
            "for a padding row between two boxes, in head 2: row 3, column 9, anchor 0",
            "should hold an object; yours is [0., 0.",
        ),
        (targets(rows="class"), "for two boxes and padding after them, in head 2"),
        (targets(rows="all"), "for two boxes and padding after them, in head 2: row 0, column 0, anchor 0"),
        (
            targets(clear=False),
            "for two boxes of two classes that want the same slot, in head 2: row 3, column 9",
            "holds the class [1., 0., 1.]; expected [0., 0., 1.]",
        ),
        (targets(clear="first wins"), "for two boxes of two classes that want the same slot"),
        (targets(clamp=False), "for a centre on the right border your function raised IndexError"),
        (targets(order=(1, 0)), "for one box with its centre on a whole pixel, in head 2"),
        (targets_of_one_picture, "for one box with its centre on a whole pixel expected arrays of [(1, 3, 4, 3, 8)"),
        (lambda *arguments: 0, "yours are ()"),
    ),
)
def test_targets(says, answer, expected):
    says(checks.check_targets, answer, *expected)
