"""Anchors: their file, their heads, and k-means."""

import numpy as np
import pytest
from reference import ANCHORS, MASKS, ROOT, iou

from yolo_helpers.anchors import (
    Heads,
    anchor_iou,
    default_anchor_mask,
    default_anchors,
    get_anchors,
    grid_shapes,
    kmeans_anchors,
    read_shape,
)


@pytest.mark.parametrize("number", [3, 6, 9])
def test_masks_are_darknets(number):
    assert default_anchor_mask(number) == {3: [[0, 1, 2]], **MASKS}[number]


def test_other_numbers_of_anchors_are_said():
    with pytest.raises(ValueError, match="9 anchors .*, 6 .* or 3 .*, found 5"):
        default_anchor_mask(5)


def test_grids_of_416():
    assert grid_shapes((416, 416), 3) == [(13, 13), (26, 26), (52, 52)]
    assert sum(3 * h * w for h, w in grid_shapes((416, 416), 3)) == 10647
    assert sum(3 * h * w for h, w in grid_shapes((416, 416), 2)) == 2535


@pytest.mark.parametrize("shape", [(416, 410), (0, 32), (-32, 32)])
def test_a_grid_needs_multiples_of_32(shape):
    with pytest.raises(ValueError, match="multiples of 32"):
        grid_shapes(shape, 3)


@pytest.mark.parametrize(
    "text", ["320 416", "320x416", "320 X 416", "320×416", "320,416", " (320, 416) ", "[320, 416]", (320, 416)]
)
def test_a_shape_as_readers_write_it(text):
    assert read_shape(text) == (320, 416)


def test_a_shape_that_is_left_out_or_none():
    assert read_shape("") is None and read_shape("  ") is None
    for text in ("416", "320 416 3", "-320 416", "320.5 416", "large", "320416x", "9" * 5000 + " 1", "()"):
        with pytest.raises(ValueError, match="^INPUT_SHAPE: .*320 416"):
            read_shape(text)


def test_what_the_heads_of_a_network_share():
    heads = Heads((64, 96), ANCHORS.ravel().tolist(), 3)
    assert heads.anchors.shape == (9, 2) and heads.anchors.dtype == np.float32
    assert heads.anchor_mask == MASKS[9] and heads.strides == (32, 16, 8) and heads.channels == 24
    assert heads.grids == [(2, 3), (4, 6), (8, 12)]
    one = Heads((64, 96), ANCHORS[:3], 80)
    assert one.anchor_mask == [[0, 1, 2]] and one.grids == [(2, 3)] and one.channels == 255
    quirk = Heads((64, 96), ANCHORS[:6], 1, np.array([[3, 4, 5], [1, 2, 3]]))
    assert quirk.anchor_mask == [[3, 4, 5], [1, 2, 3]]


@pytest.mark.parametrize(
    ("shape", "anchors", "mask", "words"),
    [
        ((64, 90), ANCHORS, None, "multiples of 32, found \\(64, 90\\)"),
        ((64, 96), ANCHORS[:5], None, "found 5"),
        ((64, 96), ANCHORS, [[7, 8, 9], [3, 4, 5], [0, 1, 2]], "anchors 0 to 8 for each head"),
        ((64, 96), ANCHORS, [[6, 7, 8], [3, 4], [0, 1, 2]], "as many of the anchors"),
        ((64, 96), ANCHORS, [[0], [1], [2], [3]], "one to 3 heads"),
    ],
)
def test_heads_that_cannot_be_are_said(shape, anchors, mask, words):
    with pytest.raises(ValueError, match=words):
        Heads(shape, anchors, 3, mask)


def test_the_course_has_the_originals_anchors():
    np.testing.assert_array_equal(get_anchors(ROOT / "data" / "yolo_anchors.txt"), ANCHORS)
    np.testing.assert_array_equal(default_anchors(3), ANCHORS)
    np.testing.assert_array_equal(default_anchors(2), [[10, 14], [23, 27], [37, 58], [81, 82], [135, 169], [344, 319]])


@pytest.mark.parametrize("text", ["", "10,13, 16", "10,13, 16,x", "10,13, -16,30", "10,13, nan,30", "10,13, 1e39,30"])
def test_a_bad_anchors_file_is_named(tmp_path, text):
    (tmp_path / "mine.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="mine.txt: anchors are"):
        get_anchors(tmp_path / "mine.txt")


def test_anchor_iou_is_that_of_boxes_on_one_centre():
    rng = np.random.default_rng(0)
    sizes = rng.uniform(5, 300, (20, 2))
    overlap = anchor_iou(sizes, ANCHORS)
    for (w, h), row in zip(sizes, overlap, strict=True):
        for (p, q), value in zip(ANCHORS, row, strict=True):
            assert value == pytest.approx(iou((-w / 2, -h / 2, w / 2, h / 2), (-p / 2, -q / 2, p / 2, q / 2)))


def test_kmeans_finds_planted_shapes():
    rng = np.random.default_rng(1)
    planted = ANCHORS * rng.uniform(0.8, 1.25, ANCHORS.shape)
    sizes = np.repeat(planted, 50, axis=0) * rng.uniform(0.97, 1.03, (450, 2))
    found = kmeans_anchors(sizes, ANCHORS)
    assert anchor_iou(planted, found).max(1).min() > 0.97
    assert (np.diff(found.prod(1).reshape(3, 3)) > 0).all()


def test_kmeans_fits_better_than_what_it_started_from():
    sizes = np.random.default_rng(2).uniform(10, 200, (300, 2))
    found = kmeans_anchors(sizes, ANCHORS)
    assert anchor_iou(sizes, found).max(1).mean() > anchor_iou(sizes, ANCHORS).max(1).mean() + 0.01


def test_a_frequent_size_stays_in_its_head_and_unused_anchors_stay_put():
    sizes = np.random.default_rng(3).uniform(45, 60, (400, 2))  # the middle head's
    found = kmeans_anchors(sizes, ANCHORS)
    assert (anchor_iou(sizes, found).argmax(1) // 3 == 1).all()
    np.testing.assert_array_equal(found[[0, 1, 2, 6, 7, 8]], ANCHORS[[0, 1, 2, 6, 7, 8]])
    np.testing.assert_array_equal(kmeans_anchors(np.zeros((0, 2)), ANCHORS), ANCHORS)
