"""The ordered check names the step at which boxes were made to vanish, on one photograph of a trained detector."""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from reference import iou

from yolo_helpers.anchors import DATA, Heads
from yolo_helpers.annotations import Annotation
from yolo_helpers.boxes import letterbox
from yolo_helpers.darknet import build_body, load_weights, read_cfg
from yolo_helpers.detection import detect
from yolo_helpers.diagnosis import why_no_boxes
from yolo_helpers.images import place
from yolo_helpers.model import inference_model, with_heads
from yolo_helpers.smear import draw_smear

HEADS = read_cfg(DATA / "smears.cfg")
SHAPE = HEADS.input_shape
PIXELS, BOXES, CLASSES = draw_smear(np.random.default_rng(3), (256, 448))  # wider than the input
PHOTO, TRUTH = Image.fromarray(PIXELS), Annotation(Path("drawn.png"), BOXES.astype(np.float32), CLASSES)
LETTERBOXED = np.asarray(place(PHOTO, letterbox((256, 448), SHAPE), SHAPE))
STRETCHED = np.asarray(PHOTO.resize(SHAPE[::-1]))


@pytest.fixture(scope="module")
def body():
    body = build_body(DATA / "smears.cfg")
    load_weights(body, DATA / "smears.weights")
    return body


@pytest.fixture(scope="module")
def detector(body):
    return inference_model(body, SHAPE)


def heads_with(anchors=1, num_classes=3):
    return Heads(SHAPE, HEADS.anchors * anchors, num_classes, HEADS.anchor_mask)


def seen(found, name):
    return next(step.seen for step in found.steps if step.name == name)


def test_where_all_is_well_each_step_has_its_numbers(body, detector, tmp_path):
    body.save_weights(tmp_path / "best.weights.h5")
    before = body.get_weights()
    found = why_no_boxes(detector, PHOTO, HEADS, weights=tmp_path / "best.weights.h5", truth=TRUTH)
    assert found.lost is None and str(found).endswith("No step loses every box.")
    assert [step.name for step in found.steps] == ["input", "weights", "heads", "scores", "boxes", "objects"]
    assert seen(found, "weights") == f"{len(before)} of {len(before)} are those of best.weights.h5"
    (detections,) = detect(detector, [PHOTO], HEADS)
    assert seen(found, "boxes").endswith(f"{len(detections.boxes)} boxes after suppression")
    met = [[iou(true, box) >= 0.5 for box in detections.boxes] for true in BOXES]
    assert seen(found, "objects").startswith(f"{sum(map(any, met))} of {len(BOXES)} true boxes are met")
    for old, new in zip(before, body.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_half_precision_is_no_fault(body, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = build_body(DATA / "smears.cfg")
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(body.get_weights())
    half.save_weights(tmp_path / "best.weights.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # of numbers beyond half precision
        assert why_no_boxes(half, PHOTO, HEADS, None, tmp_path / "best.weights.h5", TRUTH).lost is None


def test_slots_and_scores_are_those_of_a_plain_loop(detector):
    found = why_no_boxes(detector, PHOTO, HEADS, truth=TRUTH)
    scores = []
    for head in detector.predict_on_batch(LETTERBOXED[None]):
        raw = 1 / (1 + np.exp(-head.reshape(-1, 8).astype(float)))
        scores += [slot[4] * slot[5:].max() for slot in raw]
    counts = ", ".join(f"{t}: {sum(score >= t for score in scores)}" for t in (0.01, 0.05, 0.1, 0.3, 0.5))
    assert seen(found, "scores").endswith(f"slots from {counts}")
    assert len(found.nearest) == len(BOXES)
    (detections,) = detect(detector, [PHOTO], HEADS, score_threshold=0.01, iou_threshold=1)
    for true, nearest in zip(BOXES, found.nearest, strict=True):
        of_true = [(s, iou(true, box)) for box, s in zip(detections.boxes, detections.scores, strict=True)]
        score, overlap = max(pair for pair in of_true if pair[1] >= 0.5)
        np.testing.assert_allclose([nearest.score, nearest.iou], [score, overlap], rtol=1e-3)


# What goes in, whether it is the body's; then what is said of the input.
INPUTS = [
    (LETTERBOXED, True, "divide the pixels by 255"),
    (LETTERBOXED / 127.5 - 1, True, "bring the values to 0 to 1"),
    (LETTERBOXED / np.float32(255), False, "do not divide the pixels by 255 again"),
    (LETTERBOXED / 255**2, True, "do not divide the pixels by 255 again"),
    (STRETCHED, False, "draw the photograph as the training did; this course: `place` with `letterbox`, RGB"),
    (STRETCHED / 255, False, "do not divide the pixels by 255 again, and draw the photograph"),
    (LETTERBOXED[None, ..., ::-1], False, "draw the photograph as the training did"),
    (255 - LETTERBOXED, False, "which they do not resemble"),
    (LETTERBOXED[::-1], False, "which they do not resemble"),  # of the same colours
    (np.where(LETTERBOXED == 128, 0, LETTERBOXED), False, "draw the photograph as the training did"),
    (PIXELS, False, "give all three the input size of the training"),
]


@pytest.mark.parametrize(("pixels", "of_body", "mend"), INPUTS)
def test_the_input(body, detector, pixels, of_body, mend):
    found = why_no_boxes(body if of_body else detector, PHOTO, HEADS, pixels)
    assert found.lost.name == "input" and mend in found.lost.mend and f"input: {found.lost.mend}" in str(found)
    assert found.lost.seen.endswith("BGR in place of RGB") == (pixels.shape[0] == 1)
    assert ("resemble" in found.lost.mend) == ("resemble" in mend)


def test_the_border_is_told_from_the_photograph(detector):
    wide = PHOTO.resize((448, 90))
    drawn = np.asarray(place(wide, letterbox((90, 448), SHAPE), SHAPE))
    found = why_no_boxes(detector, wide, HEADS, np.where(drawn == 128, 0, drawn))
    assert found.lost.seen.endswith("letterboxed, not on grey") and "resemble" not in found.lost.mend
    assert not why_no_boxes(detector, wide, HEADS, np.where(drawn == 128, 114, drawn)).steps[0].mend


@pytest.mark.parametrize("brightest", [0, 1, 3])
def test_a_dark_photograph_is_not_blamed_for_its_values(body, detector, brightest):
    dark = Image.fromarray((STRETCHED > 170).astype(np.uint8) * np.uint8(brightest))
    for model, pixels in ((body, None), (detector, None), (body, np.asarray(dark) / 255), (detector, np.asarray(dark))):
        assert not why_no_boxes(model, dark, HEADS, pixels).steps[0].mend


def test_values_a_little_beyond_the_range_come_of_resizing(body):
    pixels = LETTERBOXED / 255
    pixels[0, :2] = [[-0.03], [1.04]]
    assert not why_no_boxes(body, PHOTO, HEADS, pixels).steps[0].mend


def test_a_detector_within_a_model(detector):
    image = keras.Input((*SHAPE, 3))
    outer = keras.Model(image, detector(keras.ops.cast(image, "uint8")))
    assert why_no_boxes(outer, PHOTO, HEADS, truth=TRUTH).lost is None


@pytest.mark.parametrize("of_body", [True, False])
def test_the_right_input_is_found_right(body, detector, of_body):
    pixels = LETTERBOXED / np.float32(255) if of_body else LETTERBOXED
    assert why_no_boxes(body if of_body else detector, PHOTO, HEADS, pixels, truth=TRUTH).lost is None


def test_weights_that_were_skipped(body, tmp_path):
    body.save_weights(tmp_path / "best.weights.h5")
    other = with_heads(build_body(DATA / "smears.cfg"), 5, SHAPE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns, and a notebook's reader scrolls past
        other.load_weights(tmp_path / "best.weights.h5", skip_mismatch=True)
    found = why_no_boxes(
        inference_model(other, SHAPE), PHOTO, heads_with(num_classes=5), None, tmp_path / "best.weights.h5"
    )
    assert found.lost.name == "weights" and "skip_mismatch" in found.lost.mend
    count = len(other.weights)
    assert found.lost.seen.startswith(f"{count - 6} of {count} are those of best.weights.h5; conv2d_")


def test_weights_that_were_never_loaded_or_diverged(body):
    fresh = inference_model(build_body(DATA / "smears.cfg"), SHAPE)
    found = why_no_boxes(fresh, PHOTO, HEADS)
    assert found.lost.name == "weights" and "19 of 19 batch normalisations have never been trained" in found.lost.seen
    fresh.weights[0].assign(fresh.weights[0] * np.nan)
    found = why_no_boxes(fresh, PHOTO, HEADS)
    assert "1 hold inf or NaN, conv2d_0/kernel is the first" in found.lost.seen
    assert found.steps[-1].seen == "outputs of inf or NaN"


def test_averages_that_were_not_filled(body):
    copy = keras.models.clone_model(body)
    copy.set_weights(body.get_weights())
    for variable in copy.weights:
        start = {"moving_mean": 0, "moving_variance": 1}.get(variable.path.split("/")[-1])
        if start is not None:
            variable.assign(0.8 * start + 0.2 * variable)
    found = why_no_boxes(inference_model(copy, SHAPE), PHOTO, HEADS)
    assert found.lost.name == "scores" and "are not filled" in found.lost.mend


@pytest.mark.parametrize(
    ("heads", "mend"),
    [
        (heads_with(num_classes=4), "the network has 3 classes"),
        (Heads(SHAPE, HEADS.anchors[:6], 3), "the anchors are those of 2 heads"),
    ],
)
def test_heads_that_do_not_fit(detector, heads, mend):
    found = why_no_boxes(detector, PHOTO, heads)
    assert found.lost.name == "heads" and mend in found.lost.mend and found.steps[-1] == found.lost


def test_outputs_that_are_no_raw_heads(detector):
    slots = keras.Model(detector.input, [keras.layers.Reshape((-1, 8))(head) for head in detector.outputs])
    classifier = keras.Sequential([keras.Input((*SHAPE, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    for model in (slots, classifier):
        assert "are not raw heads" in why_no_boxes(model, PHOTO, HEADS).lost.mend


def test_heads_in_another_order(body):
    turned = inference_model(keras.Model(body.input, body.outputs[::-1]), SHAPE)
    assert "coarsest first" in why_no_boxes(turned, PHOTO, HEADS).lost.mend


def test_a_threshold_above_every_score(detector):
    found = why_no_boxes(detector, PHOTO, HEADS, truth=TRUTH, score_threshold=0.99999)
    assert found.lost.name == "scores" and "lower it" in found.lost.mend
    assert f"{len(BOXES)} more by slots that score" in found.steps[-1].seen


@pytest.mark.parametrize("times", [2, 0.5])
def test_anchors_of_another_training(detector, times):
    found = why_no_boxes(detector, PHOTO, heads_with(anchors=times), truth=TRUTH)
    assert found.lost.name == "objects"
    assert float(found.lost.mend.split("are ")[1].split(" times")[0]) == pytest.approx(times, rel=0.08)


def test_anchors_as_fractions_of_the_input(detector):
    lost = why_no_boxes(detector, PHOTO, heads_with(anchors=1 / 256)).lost
    assert lost.name == "boxes" and "smaller than a pixel" in lost.mend


def test_boxes_of_another_shape(detector):
    """True boxes four times as high and a quarter as wide."""
    centre, half = (TRUTH.boxes[:, :2] + TRUTH.boxes[:, 2:]) / 2, (TRUTH.boxes[:, 2:] - TRUTH.boxes[:, :2]) / 2
    half *= np.float32([1 / 4, 4])
    turned = Annotation(TRUTH.image_path, np.concatenate([centre - half, centre + half], 1), CLASSES)
    assert "are of another shape" in why_no_boxes(detector, PHOTO, HEADS, truth=turned).lost.mend


def test_true_boxes_as_corner_and_size(detector):
    boxes = np.concatenate([TRUTH.boxes[:, :2], TRUTH.boxes[:, 2:] - TRUTH.boxes[:, :2]], 1)
    lost = why_no_boxes(detector, PHOTO, HEADS, truth=Annotation(TRUTH.image_path, boxes, CLASSES)).lost
    assert "x_min, y_min, x_max, y_max" in lost.mend


def test_scores_of_two_classes_of_a_slot_are_both_counted(detector):
    found = why_no_boxes(detector, PHOTO, HEADS, score_threshold=1e-6)
    (detections,) = detect(detector, [PHOTO], HEADS, score_threshold=1e-6, iou_threshold=1, max_boxes=10**6)
    assert seen(found, "boxes").startswith(f"{len(detections.boxes)} scores")


def test_classes_in_another_order(detector):
    turned = Annotation(TRUTH.image_path, TRUTH.boxes, (TRUTH.classes + 1) % 3)
    found = why_no_boxes(detector, PHOTO, HEADS, truth=turned)
    assert found.lost.name == "objects" and "the names in the order of the training" in found.lost.mend


def test_true_boxes_of_another_photograph(detector):
    moved = Annotation(TRUTH.image_path, np.float32([[0, 0, 8, 8], [440, 0, 448, 8]]), np.array([0, 1]))
    assert "the boxes lie elsewhere" in why_no_boxes(detector, PHOTO, HEADS, truth=moved).lost.mend


def blind(detector):
    return keras.Model(detector.input, [head * 0 - 9 for head in detector.outputs])


def test_a_photograph_without_objects(detector):
    empty = Annotation(TRUTH.image_path, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    found = why_no_boxes(detector, PHOTO, HEADS, truth=empty)
    assert found.lost is None and found.nearest == []
    assert why_no_boxes(detector, PHOTO, HEADS, truth=empty, score_threshold=1.1).lost is None
    assert "sees nothing here: if there is something" in why_no_boxes(blind(detector), PHOTO, HEADS).lost.mend
    assert why_no_boxes(blind(detector), PHOTO, HEADS, truth=empty).lost is None


def test_a_training_model_is_refused():
    two = [keras.Input((4,)), keras.Input((4,))]
    with pytest.raises(ValueError, match="give the detector, a functional model"):
        why_no_boxes(keras.Model(two, keras.layers.Add()(two)), PHOTO, HEADS)


def test_a_subclassed_model_is_refused(detector):
    class Own(keras.Model):
        def call(self, x):
            return detector(x)

    with pytest.raises(ValueError, match="a functional model that takes images alone"):
        why_no_boxes(Own(), PHOTO, HEADS)
