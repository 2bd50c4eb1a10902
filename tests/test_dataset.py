"""Batches: what is in them, that boxes stay on their objects, and that the seed alone decides."""

import keras
import numpy as np
import pytest
from PIL import Image
from reference import ANCHORS

from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import Annotation
from yolo_helpers.augment import Augmentation
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.images import open_image

SHAPE = (96, 128)


@pytest.fixture
def annotations(tmp_path):
    """Seven photographs of different shapes, each with a red block on blue; the box is the block."""
    made = []
    shapes = [(96, 128), (50, 70), (200, 90), (96, 131), (301, 400), (64, 64), (97, 97)]
    for number, (height, width) in enumerate(shapes):
        rng = np.random.default_rng(number)
        x, y = int(rng.uniform(0.1, 0.4) * width), int(rng.uniform(0.1, 0.4) * height)
        box = [x, y, x + width // 3, y + height // 3]
        pixels = np.full((height, width, 3), (20, 20, 200), np.uint8)
        pixels[box[1] : box[3], box[0] : box[2]] = (200, 20, 20)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        made.append(Annotation(tmp_path / f"{number}.png", np.array([box], np.float32), np.array([number % 2])))
    return made


def dataset(annotations, **settings):
    return YoloDataset(annotations, Heads(SHAPE, ANCHORS, 2), **{"batch_size": 3, **settings})


def extent(image):
    """The red block's box, found by its colour: more red than blue, in whatever hue the two have become."""
    red = image[..., 0].astype(int) - image[..., 2] > 20
    columns, rows = np.flatnonzero(red.any(0)), np.flatnonzero(red.any(1))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_a_batch_is_what_the_training_model_takes(annotations):
    data = dataset(annotations)
    assert len(data) == 3
    (image, *y_true), zeros = data[0]
    assert image.shape == (3, *SHAPE, 3) and image.dtype == np.uint8
    assert [target.shape for target in y_true] == [(3, 3, 4, 3, 7), (3, 6, 8, 3, 7), (3, 12, 16, 3, 7)]
    assert zeros.shape == (3, 1) and not zeros.any()


# Seven photographs, in batches of how many: how many each batch holds when augmented, and when not.
SIZES = [(3, [3, 3, 3], [3, 3, 1]), (5, [5, 5], [5, 2]), (7, [7], [7]), (9, [7], [7]), (1, [1] * 7, [1] * 7)]


@pytest.mark.parametrize(("batch_size", "filled", "plain"), SIZES)
def test_a_short_last_batch_is_filled_up_to_learn_from_alone(annotations, batch_size, filled, plain):
    for augment, sizes in ((True, filled), (False, plain)):
        data = dataset(annotations, batch_size=batch_size, augment=augment)
        orders = []
        for data.epoch in range(3):
            images = [image for (image, *_), _ in map(data.__getitem__, range(len(data)))]
            assert [len(image) for image in images] == sizes
            found = [image.tobytes() for image in np.concatenate(images)]
            photographs = [data.sample(i)[0].tobytes() for i in range(7)]
            order = [photographs.index(image) for image in found]
            assert sorted(order[:7]) == list(range(7)) and order[7:] == order[: len(order) - 7]
            orders.append(order)
        assert (orders[0] == orders[1]) != augment


def test_boxes_as_they_are_in_place_of_grids(annotations):
    crowded = Annotation(annotations[0].image_path, np.tile(annotations[0].boxes, (4, 1)), np.arange(4) % 2)
    data = dataset([*annotations, crowded], targets="boxes")
    for batch in range(len(data)):  # T is that of the crowded photograph, in every batch
        (image, boxes), zeros = data[batch]
        assert boxes.shape == (len(image), 4, 5) and boxes.dtype == np.float32 and zeros.shape == (len(image), 1)
        for row, i in zip(boxes, range(3 * batch, 9), strict=False):
            expected = data.sample(i)[1]
            np.testing.assert_array_equal(row[: len(expected)], expected)
            assert not row[len(expected) :].any()
    with pytest.raises(ValueError, match="targets: expected 'y_true' or 'boxes', found 'grids'"):
        dataset(annotations, targets="grids")
    annotations[1].classes[0] = 2
    with pytest.raises(ValueError, match="image 1, box 0: expected a class from 0 to 1, found 2"):
        dataset(annotations, targets="boxes")[0]


@pytest.mark.parametrize("augment", [False, True])
def test_every_box_stays_on_its_object(annotations, augment):
    data = dataset(annotations, augment=augment)
    checked = 0
    for data.epoch in range(6 if augment else 1):
        for i in range(len(annotations)):
            image, boxes = data.sample(i)
            if len(boxes) and (boxes[:, 2:4] - boxes[:, :2] > 6).all():
                np.testing.assert_allclose(extent(image), boxes[0, :4], atol=1.0)
                checked += 1
    assert checked >= (30 if augment else 7)


def test_augmentation_moves_mirrors_and_colours(annotations):
    data = dataset(annotations, augment=True)
    images, boxes = [], []
    for data.epoch in range(8):
        image, box = data.sample(0)
        images.append(image)
        boxes.append(box[0, :4])
    assert len({image.tobytes() for image in images}) == 8
    assert np.ptp([(box[2] - box[0]) / (box[3] - box[1]) for box in boxes]) > 0.1
    assert len(np.unique(np.array(boxes)[:, 0])) == 8


class Witness(keras.Model):
    """Learns nothing and keeps every batch that `fit` hands it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def train_step(self, batch):
        self.seen.append([np.asarray(part) for part in batch[0]])
        return {"loss": 0.0}


def batches_of_fit(data, epochs):
    model = Witness()
    model.compile(run_eagerly=True)
    model.fit(data, epochs=epochs, shuffle=False, verbose=0)
    return model.seen


def test_the_same_seed_gives_the_same_batches_whatever_the_workers(annotations):
    ways = ({}, {"workers": 3}, {"workers": 2, "use_multiprocessing": True})
    plain, *others = (batches_of_fit(dataset(annotations, augment=True, seed=5, **way), epochs=2) for way in ways)
    assert [len(plain), *map(len, others)] == [6, 6, 6]
    for batches in others:
        for one, other in zip(plain, batches, strict=True):
            for part, same in zip(one, other, strict=True):
                np.testing.assert_array_equal(part, same)
    first_epoch, second_epoch = plain[:3], plain[3:]
    assert not any(np.array_equal(a[0], b[0]) for a in first_epoch for b in second_epoch)


def test_validation_photographs_are_never_changed(annotations):
    data = dataset(annotations, seed=1)
    first = data[0][0][0]
    data.on_epoch_end()
    np.testing.assert_array_equal(first, data[0][0][0])
    np.testing.assert_array_equal(first, dataset(annotations, seed=2)[0][0][0])
    assert (first[1, 0, 0] == 128).all() or (first[1, :, 0] == first[1, 0, 0]).all()


def test_any_number_of_boxes_is_kept(annotations):
    # 8 x 10 pixels each on the photograph of the input's own shape: 96 boxes.
    boxes = np.array([[x, y, x + 7, y + 8] for x in range(0, 128, 16) for y in range(0, 96, 8)], np.float32)
    many = Annotation(annotations[0].image_path, boxes, np.zeros(len(boxes), int))
    (_, *y_true), _ = dataset([many, annotations[1]])[0]
    assert sum(int(target[0, ..., 4].sum()) for target in y_true) == len(boxes) == 96


def test_a_photograph_without_objects_and_an_empty_set(annotations):
    nothing = Annotation(annotations[0].image_path, np.zeros((0, 4), np.float32), np.zeros(0, int))
    (_, *y_true), _ = dataset([nothing], augment=True)[0]
    assert not any(target.any() for target in y_true)
    with pytest.raises(ValueError, match="no annotated photograph"):
        dataset([])


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_smaller_and_its_boxes_with_it(tmp_path, orientation):
    """A white box on black, seen through the network's input: it lies where the annotation says."""
    pixels = np.zeros((1201, 1599, 3), np.uint8)
    pixels[300:900, 400:1000] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "large.jpg", exif=exif)
    box = [400, 300, 1000, 900] if orientation == 1 else [1201 - 900, 400, 1201 - 300, 1000]
    size = (1201, 1599) if orientation == 1 else (1599, 1201)
    annotation = Annotation(tmp_path / "large.jpg", np.array([box], float), np.array([0]), size=size)
    small = open_image(annotation.image_path, (192, 256))
    assert max(small.size) <= 800  # of 1599
    for augment in (False, Augmentation(colour=False)):
        data = YoloDataset([annotation], Heads((96, 128), ANCHORS, 1), batch_size=1, augment=augment)
        image, boxes = data.sample(0)
        inside = np.argwhere(image.min(-1) > 190)
        found = [*inside.min(0)[::-1], *(inside.max(0)[::-1] + 1)]
        np.testing.assert_allclose(found, boxes[0, :4], atol=1.5)
