"""The data set: annotations become batches ((image, *targets), zeros), the form in which the training model is fed."""

import re
from collections.abc import Callable, Sequence

import keras
import numpy as np
from PIL import Image

from yolo_helpers.anchors import default_anchor_mask, grid_shapes
from yolo_helpers.annotations import Annotation, open_image
from yolo_helpers.boxes import Placement, clip_boxes, letterbox
from yolo_helpers.targets import check_kind, check_true_boxes, preprocess_true_boxes

RGB_TO_YIQ = np.array([[0.3, 0.59, 0.11], [0.599, -0.2773, -0.3217], [0.213, -0.5251, 0.3121]])  # FCC, as in colorsys
GREY = (128, 128, 128)  # what surrounds a photograph that does not fill the input, as in keras-yolo3


class YoloDataset(keras.utils.PyDataset):
    """Photographs and boxes in batches, for `fit` and `evaluate`.

    A batch is ((image, *y_true), zeros): image (B, h, w, 3) uint8, y_true as `preprocess_true_boxes` returns it, and
    zeros (B, 1) for a target that the identity loss does not look at. The last batch may be short. What is drawn at
    random depends on the seed, the epoch and the photograph alone, so any number of workers gives the same batches.
    Tell `fit` shuffle=False: the data set shuffles photographs itself, and Keras would shuffle the batches unseeded.

    Args:
        annotations: photographs with their boxes, from `read_annotations`.
        input_shape: (height, width) of the network's input in pixels, multiples of 32.
        anchors: (A, 2), width and height in pixels of the input.
        num_classes: C.
        batch_size: photographs in a batch.
        augment: shuffle, and change every photograph at random each time it is used; for training. When False the
            photographs come in order, letterboxed and unchanged; for validation.
        seed: for the order and the changes.
        anchor_mask: the anchors of each head, coarsest first; darknet's when None.
        targets: "y_true"; or "boxes", for `create_model(..., targets="boxes")`: a batch is then ((image, boxes), zeros)
            with boxes (B, T, 5), the corners in pixels of the input and the class. T is the most that any photograph
            has, the same in every batch; rows of zeros are padding.
        **kwargs: workers, use_multiprocessing and max_queue_size of keras.utils.PyDataset.

    Raises:
        ValueError: if there are no annotations or no photographs in a batch, for an input shape or a number of anchors
            that no network here has, or for an unknown kind of targets.
    """

    def __init__(
        self,
        annotations: Sequence[Annotation],
        input_shape: tuple[int, int],
        anchors: np.ndarray,
        num_classes: int,
        batch_size: int = 8,
        augment: bool = False,
        seed: int = 0,
        anchor_mask: list[list[int]] | None = None,
        targets: str = "y_true",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not annotations:
            raise ValueError("The data set is empty: there is no annotated photograph in it.")
        check_kind(targets)
        if batch_size < 1:
            raise ValueError(f"batch_size: expected a whole number from 1 on, found {batch_size}.")
        self.annotations = list(annotations)
        self.input_shape = tuple(int(side) for side in input_shape)
        self.anchors = np.asarray(anchors, np.float32).reshape(-1, 2)
        self.num_classes = num_classes
        self.batch_size = batch_size
        self.augment = augment
        self.seed = seed
        self.anchor_mask = anchor_mask
        mask = default_anchor_mask(len(self.anchors)) if anchor_mask is None else anchor_mask
        grid_shapes(self.input_shape, len(mask))
        self.targets = targets
        self.max_boxes = max(1, max(len(annotation.classes) for annotation in self.annotations))
        self.epoch = 0

    def __len__(self):
        return -(-len(self.annotations) // self.batch_size)

    def __getitem__(self, index):
        chosen = self._indices(index)
        images, boxes = zip(*(self.sample(i) for i in chosen), strict=True)
        padded = np.zeros((len(boxes), self.max_boxes, 5), np.float32)
        for row, found in zip(padded, boxes, strict=True):
            row[: len(found)] = found
        try:
            targets = self._targets_of(padded)
        except ValueError as error:
            number = re.match(r"image (\d+)", str(error))  # in the batch, which a reader does not know
            if number is None:
                raise
            raise ValueError(f"{self.annotations[chosen[int(number[1])]].image_path}: {error}") from error
        return (np.stack(images), *targets), np.zeros((len(images), 1), np.float32)

    def _targets_of(self, boxes):
        if self.targets == "boxes":
            check_true_boxes(boxes, self.input_shape, self.num_classes)
            return [boxes]
        return preprocess_true_boxes(boxes, self.input_shape, self.anchors, self.num_classes, self.anchor_mask)

    def on_epoch_end(self):
        # Keras stops its workers before it calls this, so no batch is made while the epoch changes.
        self.epoch += 1

    def _indices(self, index):
        order = np.arange(len(self.annotations))
        if self.augment:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        return order[index * self.batch_size : (index + 1) * self.batch_size]

    def sample(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Photograph i as the network sees it in the current epoch.

        Returns:
            The image (h, w, 3) uint8, and its boxes (N, 5): x_min, y_min, x_max, y_max in pixels of the input, class.
        """
        annotation = self.annotations[i]
        image = open_image(annotation.image_path)
        shape = (image.height, image.width)
        if not self.augment:
            placement = letterbox(shape, self.input_shape)
            pixels, boxes = place(image, placement, self.input_shape), placement.to_input(annotation.boxes)
        else:
            rng = np.random.default_rng([self.seed, self.epoch, i])
            placement = random_placement(rng, shape, self.input_shape)
            flip = rng.random() < 0.5
            pixels = place(image, placement, self.input_shape, lambda seen: random_colour(rng, seen))
            boxes = placement.to_input(annotation.boxes)
            if flip:
                pixels, boxes = pixels.transpose(Image.Transpose.FLIP_LEFT_RIGHT), mirror(boxes, self.input_shape[1])
        boxes = clip_boxes(boxes, self.input_shape)
        visible = (boxes[:, 2:] - boxes[:, :2] > (1 if self.augment else 0)).all(1)
        return np.asarray(pixels), np.column_stack([boxes, annotation.classes])[visible].astype(np.float32)


def place(
    image: Image.Image,
    placement: Placement,
    input_shape: tuple[int, int],
    change: Callable[[Image.Image], Image.Image] = lambda seen: seen,
) -> Image.Image:
    """A photograph drawn on the network's grey input where `placement` says, half pixels included.

    Args:
        image: the photograph, RGB.
        placement: its size and place.
        input_shape: (height, width) of the input in pixels.
        change: what is done to the resized photograph, or to the part of it that is seen; the grey stays as it is.

    Returns:
        An RGB picture of that size.
    """
    height, width = input_shape
    x, y = placement.offset
    if x == int(x) and y == int(y):
        return _place_visible(image, placement.size[::-1], (int(x), int(y)), (width, height), change)
    resized = image.resize(placement.size[::-1], Image.Resampling.BILINEAR, reducing_gap=2)
    return change(resized).transform(
        (width, height), Image.Transform.AFFINE, (1, 0, -x, 0, 1, -y), Image.Resampling.BILINEAR, fillcolor=GREY
    )


def _place_visible(image, size, offset, canvas_size, change):
    """`place` for whole pixels, several times faster: only what will be seen is resized. All are (x, y)."""
    canvas = Image.new("RGB", canvas_size, GREY)
    start = [max(0, -o) for o in offset]
    stop = [min(s, c - o) for s, c, o in zip(size, canvas_size, offset, strict=True)]
    if start[0] < stop[0] and start[1] < stop[1]:
        box = [
            edge * full / s for edges in (start, stop) for edge, full, s in zip(edges, image.size, size, strict=True)
        ]
        seen = (stop[0] - start[0], stop[1] - start[1])
        seen = image.resize(seen, Image.Resampling.BILINEAR, box=box, reducing_gap=2)
        canvas.paste(change(seen), (max(0, offset[0]), max(0, offset[1])))
    return canvas


def random_placement(rng: np.random.Generator, image_shape: tuple[int, int], input_shape: tuple[int, int]) -> Placement:
    """A placement with another size, another aspect and another place.

    Args:
        rng: where the randomness comes from.
        image_shape: (height, width) of the photograph in pixels.
        input_shape: (height, width) of the network's input in pixels.

    Returns:
        A placement 0.7 to 1.4 times as large as the letterbox, with an aspect changed by up to 0.7 / 1.3, as much of
        it inside the input as its size allows.
    """
    stretch = np.sqrt(rng.uniform(0.7, 1.3) / rng.uniform(0.7, 1.3))
    scale = rng.uniform(0.7, 1.4)
    height, width = letterbox(image_shape, input_shape).size
    size = (max(1, round(height * scale / stretch)), max(1, round(width * scale * stretch)))
    x, y = (round(rng.uniform(0, 1) * (input_shape[axis] - size[axis])) for axis in (1, 0))
    return Placement.of_size(image_shape, size, (x, y))


def mirror(boxes: np.ndarray, width: int) -> np.ndarray:
    """Boxes (N, 4) of a picture `width` pixels wide after it was mirrored left to right."""
    return np.column_stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]])


def random_colour(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """A picture with another hue, saturation and brightness, within keras-yolo3's ranges.

    The original goes to hue, saturation and value, and back. In YIQ, the colours of American television, brightness (Y)
    stands apart from a plane of colours (I, Q), in which hue is the direction and saturation the distance from grey. So
    all three changes are one matrix, which Pillow applies several times faster.

    Args:
        rng: where the randomness comes from.
        image: RGB.

    Returns:
        RGB: hue turned by up to a tenth of the circle, saturation and brightness times 1/1.5 to 1.5.
    """
    angle = 2 * np.pi * rng.uniform(-0.1, 0.1)
    saturation, brightness = (factor if rng.random() < 0.5 else 1 / factor for factor in rng.uniform(1, 1.5, size=2))
    i, q = saturation * np.cos(angle), saturation * np.sin(angle)
    change = brightness * np.array([[1, 0, 0], [0, i, -q], [0, q, i]])
    matrix = np.linalg.inv(RGB_TO_YIQ) @ change @ RGB_TO_YIQ
    return image.convert("RGB", np.column_stack([matrix, np.zeros(3)]).ravel().tolist())
