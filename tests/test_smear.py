"""The synthetic smears: the same on every machine, boxes as tight as can be, and sizes as in a real smear."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from yolo_helpers import smear
from yolo_helpers.annotations import read_annotations


def draw(i, image_shape=(192, 256), seed=0):
    return smear.draw_smear(np.random.default_rng([seed, i]), image_shape)


def test_the_same_seed_draws_the_same_pixels_on_every_machine():
    # The hash was made once on x86-64 Linux with numpy 2.1.3; every other machine has to arrive at it.
    picture = hashlib.sha256()
    for i in range(3):
        for array in draw(i):
            picture.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    assert picture.hexdigest() == "e82d09130df44a502652707d6deea49c8f6b8d0c71f190c70dc3a5db82b44e16"


@pytest.mark.parametrize("image_shape", [(192, 256), (480, 640), (64, 64), (96, 320), (320, 96)])
def test_boxes_are_whole_pixels_inside_the_picture(image_shape):
    for i in range(20):
        image, boxes, classes = draw(i, image_shape)
        assert image.shape == (*image_shape, 3) and image.dtype == np.uint8
        assert boxes.shape == (len(classes), 4) and boxes.dtype == np.float32 and classes.dtype == np.int64
        assert len(boxes) > 0
        assert (boxes == np.round(boxes)).all() and (boxes >= 0).all()
        assert (boxes[:, 2] <= image_shape[1]).all() and (boxes[:, 3] <= image_shape[0]).all()
        assert (boxes[:, 2] - boxes[:, 0] >= 1).all() and (boxes[:, 3] - boxes[:, 1] >= 1).all()
        assert set(classes) <= {0, 1, 2}


@pytest.mark.parametrize("kind", range(3), ids=smear.CLASS_NAMES)
@pytest.mark.parametrize("place", [(120.3, 90.7), (3.0, 90.0), (255.9, 191.9), (0.0, 0.0)])
def test_a_box_is_the_extent_of_what_was_drawn(kind, place):
    rng = np.random.default_rng(5)
    before = np.full((192, 256, 3), 0.9)
    after = before.copy()
    radius = smear.RADII[kind][1] * 192 / 480
    *box, mask = smear.draw_cell(after, rng, kind, *place, radius)
    rows, columns = np.nonzero(mask)
    assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    # The mask in turn is what changed, but for the half-covered pixels of the smooth edge.
    changed = np.abs(after - before).max(axis=-1) > 0
    assert changed[mask].all()
    rows, columns = np.nonzero(changed)
    extent = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(extent - box).max() <= 1


def test_sizes_and_numbers_are_those_of_a_real_smear():
    widths, numbers = {k: [] for k in range(3)}, {k: [] for k in range(3)}
    for i in range(60):
        _, boxes, classes = draw(i, (480, 640))
        inside = ((boxes[:, :2] > 0) & (boxes[:, 2:] < (640, 480))).all(axis=1)
        for kind in range(3):
            widths[kind].extend((boxes[:, 2] - boxes[:, 0])[inside & (classes == kind)])
            numbers[kind].append((classes == kind).sum())
    # 5th and 95th percentile in BCCD: red 80 to 128, white 122 to 258, platelets 29 to 57.
    for kind, (low, high) in {smear.RED: (75, 140), smear.WHITE: (115, 265), smear.PLATELET: (25, 65)}.items():
        assert low < min(widths[kind]) and max(widths[kind]) < high
        assert smear.COUNTS[kind][0] == min(numbers[kind]) and max(numbers[kind]) == smear.COUNTS[kind][1]


def test_the_look_scales_with_the_height():
    _, small, classes_small = draw(1, (192, 256))
    _, large, classes_large = draw(1, (384, 512))
    assert (classes_small == classes_large).all()
    # To a pixel for red cells; the later ones vary in form, for they come after noise that is drawn pixel by pixel.
    red = classes_small == smear.RED
    assert np.abs(small * 2 - large)[red].max() <= 2
    assert np.abs(small * 2 - large).max() <= 8


def test_no_cell_hides_another():
    for i in range(30):
        _, boxes, _ = draw(i)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        shared = (high - low).clip(min=0).prod(axis=-1)
        np.fill_diagonal(shared, 0)
        assert (shared / area[:, None]).max() < 0.6  # boxes share more than the round cells in them


def test_classes_differ_in_colour():
    colours = {k: [] for k in range(3)}
    for i in range(10):
        image, boxes, classes = draw(i)
        for (x_min, y_min, x_max, y_max), kind in zip(boxes.astype(int), classes, strict=True):
            colours[kind].append(image[y_min:y_max, x_min:x_max].mean(axis=(0, 1)))
    red, white, platelet = (np.mean(colours[k], axis=0) for k in (smear.RED, smear.WHITE, smear.PLATELET))
    assert red[0] > red[2] + 15  # red cells are more red than blue,
    assert white[2] > white[0] + 15 and platelet[2] > platelet[0] + 15  # the stained ones more blue than red


def test_a_picture_too_small_is_refused():
    with pytest.raises(ValueError, match=r"\(32, 256\).*64"):
        draw(0, (32, 256))


def test_written_smears_read_back(tmp_path):
    path = smear.write_smears(tmp_path / "new folder", 4, (64, 96), seed=3)
    annotations, names = read_annotations(path)
    assert names == list(smear.CLASS_NAMES)
    assert [a.image_path.name for a in annotations] == [f"smear_{i:04d}.png" for i in range(4)]
    for i, annotation in enumerate(annotations):
        image, boxes, classes = draw(i, (64, 96), seed=3)
        assert (np.asarray(Image.open(annotation.image_path)) == image).all()
        assert (annotation.boxes == boxes).all() and (annotation.classes == classes).all()
    assert not list(path.parent.glob(".writing-*"))


def test_a_picture_does_not_depend_on_the_count_and_does_on_the_seed(tmp_path):
    pictures = []
    for count, seed in ((1, 0), (3, 0), (1, 1)):
        folder = smear.write_smears(tmp_path / f"{count} {seed}", count, (64, 96), seed).parent
        pictures.append((folder / "smear_0000.png").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_the_annotations_come_last_so_that_an_interrupted_run_is_not_taken_for_whole(tmp_path, monkeypatch):
    calls = []

    def disk_full(image):
        calls.append(image)
        if len(calls) == 3:
            raise OSError("No space left on device")
        return b"png"

    monkeypatch.setattr(smear, "png_bytes", disk_full)
    with pytest.raises(OSError, match="No space"):
        smear.write_smears(tmp_path, 5, (64, 96))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["smear_0000.png", "smear_0001.png"]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    smear.write_file(path, b"old")

    def fail(*_):
        raise OSError("moving failed")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="file.txt could not be written .moving failed., and is as it was"):
        smear.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
