"""The targets against the original's, against a plain loop, and without the original's faults."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ANCHORS, MASKS, oracle_case, plain_targets

from yolo_helpers.targets import preprocess_true_boxes


@pytest.mark.parametrize("number", [0, 1, 2])
def test_targets_are_the_originals(number):
    case = oracle_case(number)
    y_true = preprocess_true_boxes(
        case["boxes"], case["input_shape"], case["anchors"], case["num_classes"], case["mask"]
    )
    for ours, theirs in zip(y_true, case["y_true"], strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(64, 64), (96, 32), (32, 128)]),
    num_anchors=st.sampled_from([6, 9]),
    boxes=st.integers(0, 8),
)
def test_targets_are_those_of_a_plain_loop(seed, shape, num_anchors, boxes):
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(0, 1, (2, boxes, 2, 2)), axis=2) * (shape[1], shape[0])
    corners[:, :, 1] += 0.5  # no box without area
    true_boxes = np.concatenate([corners.reshape(2, boxes, 4), rng.integers(0, 4, (2, boxes, 1))], -1)
    true_boxes = np.minimum(true_boxes, [*shape[::-1], *shape[::-1], 9]).astype(np.float32)
    true_boxes = true_boxes[:, (true_boxes[..., 2:4] > true_boxes[..., :2]).all((0, 2))]
    y_true = preprocess_true_boxes(true_boxes, shape, ANCHORS[:num_anchors], 4)
    expected = plain_targets(true_boxes, shape, ANCHORS[:num_anchors], 4, MASKS[num_anchors])
    for ours, plain in zip(y_true, expected, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-6)


def slots(true_boxes, num_classes=3, input_shape=(64, 96), anchors=ANCHORS):
    """(head, image, row, column, anchor) of every filled slot."""
    y_true = preprocess_true_boxes(np.array(true_boxes, np.float32), input_shape, anchors, num_classes)
    return [(head, *map(int, slot)) for head, target in enumerate(y_true) for slot in np.argwhere(target[..., 4])]


def test_one_box_worked_out_by_hand():
    # 30 x 61, the fourth anchor: head 1 (stride 16), its first anchor; centre (40.5, 32) lies in column 2, row 2.
    y_true = preprocess_true_boxes([[[25.5, 1.5, 55.5, 62.5, 2]]], (64, 96), ANCHORS, 3)
    assert [int(target[..., 4].sum()) for target in y_true] == [0, 1, 0]
    np.testing.assert_allclose(y_true[1][0, 2, 2, 0], [40.5 / 96, 32 / 64, 30 / 96, 61 / 64, 1, 0, 0, 1], rtol=1e-6)


# The original's faults, none of which exists here.


@pytest.mark.parametrize("box", [[10, 10, 10, 20, 0], [10, 10, 20, 10, 0], [20, 10, 10, 20, 0]])
def test_a_box_without_area_is_an_error_and_not_an_infinite_loss(box):
    with pytest.raises(ValueError, match="image 0, box 1: expected x_min < x_max and y_min < y_max"):
        preprocess_true_boxes([[[1, 1, 9, 9, 0], box]], (64, 96), ANCHORS, 3)


def test_padding_may_stand_anywhere():
    box, other, nothing = [10, 10, 40, 50, 1], [60, 30, 70, 43, 2], [0, 0, 0, 0, 0]
    assert slots([[nothing, box, nothing, other]]) == slots([[box, other, nothing, nothing]])
    assert len(slots([[nothing, box, nothing, other]])) == 2


def test_centres_are_not_rounded_to_whole_pixels():
    y_true = preprocess_true_boxes([[[10, 10, 21, 24, 0]]], (64, 96), ANCHORS, 3)
    slot = y_true[2][y_true[2][..., 4] == 1][0]
    np.testing.assert_allclose(slot[:2], [15.5 / 96, 17 / 64])


def test_two_boxes_in_one_slot_leave_the_later_one_whole():
    earlier, later = [8, 10, 18, 23, 0], [9, 11, 19, 24, 2]
    y_true = preprocess_true_boxes([[earlier, later]], (64, 96), ANCHORS, 3)
    alone = preprocess_true_boxes([[later]], (64, 96), ANCHORS, 3)
    for both, one in zip(y_true, alone, strict=True):
        np.testing.assert_array_equal(both, one)


@pytest.mark.parametrize("label", [-1, 3, 0.5, np.nan])
def test_a_class_out_of_range_is_an_error(label):
    with pytest.raises(ValueError, match="image 0, box 0"):
        preprocess_true_boxes([[[10, 10, 20, 23, label]]], (64, 96), ANCHORS, 3)


def test_a_centre_on_the_right_or_bottom_edge_belongs_to_the_last_cell():
    assert slots([[[88, 49, 104, 79, 0]]]) == [(2, 0, 7, 11, 1)]  # as wide and high as the second anchor


def test_a_centre_outside_is_an_error():
    with pytest.raises(ValueError, match="outside the input"):
        preprocess_true_boxes([[[90, 10, 110, 20, 0]]], (64, 96), ANCHORS, 3)


def test_every_tiny_anchor_belongs_to_one_head():
    anchors = ANCHORS[:6]
    for number, (width, height) in enumerate(anchors):
        box = [48 - width / 2, 64 - height / 2, 48 + width / 2, 64 + height / 2, 0]
        found = slots([[box]], input_shape=(128, 96), anchors=anchors)
        assert [(head, k) for head, _, _, _, k in found] == [(0, number - 3) if number > 2 else (1, number)]


@pytest.mark.parametrize(("count", "more"), [(1, ""), (2, " and more")])
def test_boxes_whose_anchor_no_head_owns_are_left_out_with_one_warning(count, more):
    boxes = [[[10, 10, 20, 23, 0]] * count]
    with pytest.warns(UserWarning) as caught:
        y_true = preprocess_true_boxes(boxes, (64, 96), ANCHORS[:6], 3, [[3, 4, 5], [1, 2, 3]])
    assert [str(warning.message) for warning in caught] == [
        f"{count} of {count} boxes are left out, since their anchor belongs to no head: "
        f"image 0, box 0, whose anchor is 0{more}."
    ]
    assert not any(target.any() for target in y_true)


def test_any_number_of_boxes_is_kept():
    boxes = [[x, y, x + 7, y + 9, 0] for x in range(0, 88, 8) for y in range(0, 48, 8)]
    assert len(slots([boxes])) == len(boxes) > 20


def test_an_input_that_is_no_multiple_of_32_is_said():
    with pytest.raises(ValueError, match="multiples of 32, found \\(100, 96\\)"):
        preprocess_true_boxes(np.zeros((1, 1, 5)), (100, 96), ANCHORS, 3)
