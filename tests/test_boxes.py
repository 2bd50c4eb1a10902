"""Geometry against pixel counting, against Keras, and there and back again."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_helpers.boxes import box_iou, clip_boxes, letterbox

sides = st.integers(1, 3000)


def test_iou_counts_pixels():
    one, other = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    one[2:10, 3:12], other[5:15, 8:16] = True, True
    expected = (one & other).sum() / (one | other).sum()
    assert box_iou([[3, 2, 12, 10]], [[8, 5, 16, 15]])[0, 0] == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_iou_is_that_of_keras(seed):
    corners = np.sort(np.random.default_rng(seed).uniform(0, 50, (6, 2, 2)), axis=1).astype(np.float32)
    boxes = corners.reshape(6, 4)
    np.testing.assert_allclose(
        box_iou(boxes[:2], boxes[2:]), keras.utils.bounding_boxes.compute_iou(boxes[:2], boxes[2:], "xyxy"), atol=1e-5
    )


def test_clipping_leaves_what_is_inside():
    boxes = np.array([[-5, -5, 10, 10], [90, 20, 200, 300], [10, 10, 20, 20], [120, 10, 130, 20]], np.float32)
    np.testing.assert_array_equal(
        clip_boxes(boxes, (50, 100)), [[0, 0, 10, 10], [90, 20, 100, 50], [10, 10, 20, 20], [100, 10, 100, 20]]
    )


@given(sides, sides, st.sampled_from([(416, 416), (192, 256), (320, 96)]))
def test_the_letterbox_holds_the_whole_photograph_in_the_middle(height, width, input_shape):
    placement = letterbox((height, width), input_shape)
    corners = placement.to_input(np.array([[0, 0, width, height]], np.float32))[0]
    assert (corners >= -1e-3).all() and corners[2] <= input_shape[1] + 1e-3 and corners[3] <= input_shape[0] + 1e-3
    assert placement.size[0] == input_shape[0] or placement.size[1] == input_shape[1]
    assert corners[0] + corners[2] == pytest.approx(input_shape[1]) and corners[1] + corners[3] == pytest.approx(
        input_shape[0]
    )


@given(sides, sides, st.integers(0, 2**32 - 1))
def test_there_and_back_again(height, width, seed):
    boxes = np.random.default_rng(seed).uniform(0, 1, (5, 4)).astype(np.float32) * (width, height, width, height)
    placement = letterbox((height, width), (416, 320))
    np.testing.assert_allclose(
        placement.to_photo(placement.to_input(boxes)), boxes, atol=1e-5 * 416 / min(placement.scale) + 1e-3
    )
