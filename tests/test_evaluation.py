"""Average precision: a case worked out by hand, and the corner cases."""

import numpy as np
import pytest

from yolo_helpers.annotations import Annotation
from yolo_helpers.detection import Detections
from yolo_helpers.evaluation import average_precision

NOTHING = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))


def annotation(*boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 5)
    return Annotation("photo.png", boxes[:, :4], boxes[:, 4].astype(int))


def detections(*boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 6)
    return Detections(boxes[:, :4], boxes[:, 4], boxes[:, 5].astype(int))


def test_a_case_worked_out_by_hand():
    """Class 0: three true boxes; by falling score right, wrong, right: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.

    Made falling from the right that is 1 up to recall 1/3, then 2/3 up to 2/3, then 0: of the 101 recalls 0, 0.01 … 1,
    34 lie up to 1/3 and 33 more up to 2/3.
    """
    truth = [annotation([0, 0, 10, 10, 0], [20, 0, 30, 10, 0]), annotation([0, 0, 10, 10, 0], [50, 50, 70, 70, 1])]
    found = [
        detections([0, 0, 10, 10, 0.9, 0], [40, 40, 50, 50, 0.8, 0]),
        detections([0, 0, 10, 9, 0.7, 0], [50, 50, 70, 70, 0.3, 1]),
    ]
    scores = average_precision(truth, found, ["a", "b"])
    assert scores["AP50"]["a"] == pytest.approx((34 * 1 + 33 * 2 / 3) / 101, abs=1e-6)
    assert scores["AP50"]["b"] == pytest.approx(1)
    assert scores["AP50"]["mean"] == pytest.approx((scores["AP50"]["a"] + 1) / 2)


def test_ap_asks_for_tighter_boxes_than_ap50():
    # IoU 0.8: right at 0.50, 0.55 … 0.80, seven of ten thresholds.
    scores = average_precision([annotation([0, 0, 10, 10, 0])], [detections([0, 0, 10, 8, 0.9, 0])], ["a"])
    assert scores["AP50"]["a"] == pytest.approx(1)
    assert scores["AP"]["a"] == pytest.approx(0.7, abs=0.01)


def test_two_detections_of_one_box_are_one_right_and_one_wrong():
    truth = [annotation([0, 0, 10, 10, 0], [20, 20, 30, 30, 0])]
    once = [detections([0, 0, 10, 10, 0.9, 0], [20, 20, 30, 30, 0.5, 0])]
    twice = [detections([0, 0, 10, 10, 0.9, 0], [0, 0, 10, 10, 0.8, 0], [20, 20, 30, 30, 0.5, 0])]
    assert average_precision(truth, once, ["a"])["AP50"]["a"] == pytest.approx(1)
    assert average_precision(truth, twice, ["a"])["AP50"]["a"] == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-6)


def test_a_class_without_true_boxes_is_left_out_of_the_mean():
    scores = average_precision([annotation([0, 0, 10, 10, 0])], [detections([0, 0, 10, 10, 0.9, 0])], ["a", "b"])
    assert np.isnan(scores["AP50"]["b"]) and scores["AP50"]["mean"] == pytest.approx(1)


def test_nothing_found_is_zero():
    scores = average_precision([annotation([0, 0, 10, 10, 0])], [NOTHING], ["a", "b"])
    assert scores["AP50"]["a"] == 0 and scores["AP50"]["mean"] == 0 and np.isnan(scores["AP"]["b"])


def test_as_many_detections_as_photographs():
    with pytest.raises(ValueError, match="detections for 1 photographs, found 2"):
        average_precision([annotation()], [NOTHING, NOTHING], ["a"])
