"""The network, its boxes and its letterboxing against darknet's C code, for numbers that are made from a seed."""

import darknet_files as files
import numpy as np
import pytest
from reference import PARITY

from yolo_helpers.darknet import Header, build_body, load_weights, read_cfg, save_weights
from yolo_helpers.detection import yolo_eval
from yolo_helpers.images import letterbox_image
from yolo_helpers.model import yolo_head


@pytest.fixture(scope="module")
def darknet():
    """What darknet computed: each array of `parity/darknet.npz` by its name."""
    with np.load(PARITY / "darknet.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def cfg_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("cfg") / "small.cfg"
    path.write_text(files.SMALL, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def body(cfg_path):
    """The small network with the weights that darknet was given, and the epsilon nearest to what it does on a CPU."""
    weights = cfg_path.with_name("small.weights")
    weights.write_bytes(files.random_weights(files.SMALL))
    model = build_body(cfg_path, epsilon=1e-7)
    assert load_weights(model, weights) == (files.SMALL.count("[conv"), Header(*files.HEADER))
    return model


def channels_last(output):
    return np.transpose(output, (1, 2, 0))[None]


def test_the_numbers_are_those_that_darknet_was_given(darknet):
    assert files.given_digest() == darknet["given_sha256"]


def test_the_heads_are_darknets(darknet, body):
    heads = body(files.small_image()[None])
    for number, head in enumerate(heads):
        expected = channels_last(darknet[f"head_{number}"])
        assert 0.5 < expected.std() < 5
        np.testing.assert_allclose(head, expected, rtol=0, atol=5e-5 * expected.std())
    assert len(heads) == 3


def test_weights_are_saved_as_darknet_had_them(body, tmp_path):
    save_weights(body, tmp_path / "again.weights", Header(*files.HEADER))
    assert (tmp_path / "again.weights").read_bytes() == files.random_weights(files.SMALL)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_boxes_of_all_slots_are_darknets(darknet, cfg_path, number):
    cfg = read_cfg(cfg_path)
    raw, squashed = (channels_last(darknet[f"{name}_{number}"]) for name in ("head", "yolo"))
    anchors = cfg.anchors[cfg.anchor_mask[number]]
    xy, wh, confidence, probability = map(np.asarray, yolo_head(raw, anchors, files.CLASSES, files.INPUT_SHAPE))
    squashed = squashed.reshape(*squashed.shape[:3], 3, 5 + files.CLASSES)
    np.testing.assert_allclose(confidence, squashed[..., 4:5], rtol=1e-5)
    np.testing.assert_allclose(probability, squashed[..., 5:], rtol=1e-5)
    np.testing.assert_allclose(np.concatenate([xy, wh], -1)[0], darknet[f"boxes_{number}"], rtol=1e-5)


@pytest.mark.parametrize("number", [0, 1])
def test_detections_are_darknets(darknet, body, cfg_path, number):
    cfg, (height, width) = read_cfg(cfg_path), files.PHOTOS[number]
    heads = body(files.small_image()[None])
    boxes, scores, classes = yolo_eval(
        heads, cfg.anchors, cfg.num_classes, (height, width), 1000, files.SCORE, files.IOU, cfg.anchor_mask
    )
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    ours = np.column_stack([classes, scores, np.concatenate([centres, sizes], 1) / [width, height, width, height]])
    theirs = darknet[f"detections_{number}"]
    # Scores that differ by a rounding may have changed places, so each is compared with the nearest.
    nearest = abs(ours[:, None] - theirs).max(-1).argmin(1)
    assert sorted(nearest) == list(range(len(theirs))) and len(theirs) > 100
    np.testing.assert_allclose(ours, theirs[nearest], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("number", range(len(files.LETTERBOXED)))
def test_letterboxing_is_darknets(darknet, number):
    shape, input_shape = files.LETTERBOXED[number]
    expected = channels_last(darknet[f"letterbox_{number}"])[0]
    found = letterbox_image(files.picture(shape), input_shape)
    assert 0 < (expected == 0.5).all(-1).mean() < 0.6  # the grey bars
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
