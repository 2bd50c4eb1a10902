"""Detection against the original's numbers, TensorFlow's suppression and planted boxes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from reference import ANCHORS, heads_that_see, needs_oracle, oracle_case

from yolo_helpers.boxes import box_iou
from yolo_helpers.detection import detect, suppress, yolo_eval


@needs_oracle
@pytest.mark.parametrize("number", [0, 1, 2])
def test_detections_are_the_originals(number):
    case = oracle_case(number)
    boxes, scores, classes = yolo_eval(
        [output[:1] for output in case["output"]],
        case["anchors"],
        case["num_classes"],
        case["image_shape"],
        max_boxes=20,
        score_threshold=0.3,
        iou_threshold=0.45,
        anchor_mask=case["mask"],
    )
    theirs = case["eval_boxes"][:, [1, 0, 3, 2]]
    ours_order = np.lexsort((scores, classes))
    their_order = np.lexsort((case["eval_scores"], case["eval_classes"]))
    np.testing.assert_array_equal(classes[ours_order], case["eval_classes"][their_order])
    np.testing.assert_allclose(scores[ours_order], case["eval_scores"][their_order], rtol=1e-4)
    np.testing.assert_allclose(boxes[ours_order], theirs[their_order], atol=0.5)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(0, 40), most=st.integers(1, 20), limit=st.sampled_from([0.3, 0.5])
)
def test_suppression_is_tensorflows(seed, count, most, limit):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (count, 2))], 1).astype(np.float32)
    scores = rng.permutation(count).astype(np.float32)
    expected = tf.image.non_max_suppression(boxes, scores, most, limit).numpy()
    np.testing.assert_array_equal(suppress(boxes, scores, most, limit), expected)


@pytest.mark.parametrize("image_shape", [(96, 128), (480, 640), (333, 500), (101, 57)])
def test_what_the_heads_say_comes_back_in_pixels_of_the_photograph(image_shape):
    height, width = image_shape
    planted = [[0.1, 0.2, 0.4, 0.6], [0.55, 0.5, 0.9, 1]] * np.array([width, height, width, height])
    planted = np.column_stack([planted, [2, 0]])
    boxes, scores, classes = yolo_eval(heads_that_see(planted, image_shape), ANCHORS, 3, image_shape)
    assert classes.tolist() == [0, 2] and (scores > 0.99).all()
    np.testing.assert_allclose(boxes, np.array(planted)[::-1, :4], atol=0.02 * max(image_shape))
    assert box_iou(boxes, np.array(planted)[::-1, :4]).diagonal().min() > 0.97


def test_max_boxes_counts_per_class():
    planted = [[x, y, x + 12, y + 14, c] for c, y in ((0, 10), (1, 60)) for x in (5, 35, 65, 95)]
    _, _, classes = yolo_eval(heads_that_see(planted, (96, 128)), ANCHORS, 3, (96, 128), max_boxes=3)
    assert np.bincount(classes).tolist() == [3, 3]


def test_thresholds_and_nothing_found():
    heads = heads_that_see([[10, 10, 50, 60, 1]], (96, 128))
    boxes, scores, classes = yolo_eval([head - 20 for head in heads], ANCHORS, 3, (96, 128))
    assert boxes.shape == (0, 4) and scores.shape == (0,) and classes.shape == (0,)


@pytest.mark.parametrize("wrong", [slice(0, 2), slice(0, 3)])
def test_heads_that_do_not_fit_are_said(wrong):
    heads = [np.concatenate([head] * 2) for head in heads_that_see([[10, 10, 50, 60, 1]], (96, 128))][wrong]
    with pytest.raises(ValueError, match="Expected 3 heads of one photograph, found heads of shape"):
        yolo_eval(heads, ANCHORS, 3, (96, 128))


def test_detect_looks_at_photographs_of_any_size_in_batches():
    """A stand-in for a trained network: its heads are constants, the boxes of one 64 x 128 photograph."""
    heads = heads_that_see([[20, 10, 60, 50, 1], [-20, 20, 30, 60, 2]], (64, 128))
    image = keras.Input((96, 128, 3), dtype="uint8")

    @keras.saving.register_keras_serializable("tests")
    class Constant(keras.layers.Layer):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def call(self, inputs):
            return keras.ops.repeat(self.value, keras.ops.shape(inputs)[0], axis=0)

    detector = keras.Model(image, [Constant(head)(image) for head in heads])
    photos = [Image.new("RGB", (128, 64)), Image.new("RGB", (256, 128)), Image.new("RGB", (128, 64))]
    small, large, again = detect(detector, photos, ANCHORS, 3, batch_size=2)
    assert small.classes.tolist() in ([1, 2], [2, 1])
    np.testing.assert_allclose(large.boxes, 2 * small.boxes, atol=0.1)
    np.testing.assert_array_equal(small.boxes, again.boxes)
    assert small.boxes.min() == 0  # cut off at the border of the photograph
    assert (np.diff(small.scores) <= 0).all()
