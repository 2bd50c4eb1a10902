"""The data set: annotations become batches `((image, *targets), zeros)`, with which the training model is fed."""

from collections.abc import Sequence

import keras
import numpy as np

from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import Annotation
from yolo_helpers.augment import Augmentation
from yolo_helpers.boxes import clip_boxes, letterbox
from yolo_helpers.images import open_image, place
from yolo_helpers.targets import TrueBoxError, check_kind, check_true_boxes, preprocess_true_boxes


class YoloDataset(keras.utils.PyDataset):
    """Photographs and boxes in batches, for `fit` and `evaluate`.

    A batch is `((image, *y_true), zeros)`: image (B, h, w, 3) uint8, y_true as `preprocess_true_boxes` returns it, and
    zeros (B, 1) for a target that the identity loss does not look at. What is drawn at random depends on the seed, the
    epoch and the photograph alone, so any number of workers gives the same batches. Tell `fit` shuffle=False: the data
    set shuffles photographs itself, and Keras would shuffle the batches unseeded.

    Where photographs are left over for a last short batch, that is filled up with the first of the epoch when
    augmenting, so that all batches have one shape: XLA, and with it JAX, compiles the step anew for every other one.
    Otherwise it stays short, and every photograph comes once. A set smaller than a batch is one small batch.

    Args:
        annotations: photographs with their boxes, from `read_annotations`.
        heads: of the network that the batches are for.
        batch_size: photographs in a batch.
        augment: shuffle, and change every photograph at random each time it is used; for training. True makes every
            change of `Augmentation`, which may be given in its place. When False the photographs come in order,
            letterboxed and unchanged; for validation.
        seed: for the order and the changes.
        targets: "y_true"; or "boxes", for `create_model(..., targets="boxes")`: a batch is then ((image, boxes), zeros)
            with boxes (B, T, 5), the corners in pixels of the input and the class. T is the most that any photograph
            has, the same in every batch; rows of zeros are padding.
        **kwargs: workers, use_multiprocessing and max_queue_size of keras.utils.PyDataset.

    Raises:
        ValueError: if there are no annotations or no photographs in a batch, or for an unknown kind of targets.

    >>> from yolo_helpers.anchors import DATA, default_anchors
    >>> from yolo_helpers.annotations import read_annotations
    >>> annotations, class_names = read_annotations(DATA / "smears" / "annotations.txt")
    >>> data = YoloDataset(annotations, Heads((96, 128), default_anchors(3), len(class_names)), batch_size=4)
    >>> (image, *y_true), zeros = data[0]
    >>> image.shape, [target.shape for target in y_true], zeros.shape
    ((4, 96, 128, 3), [(4, 3, 4, 3, 8), (4, 6, 8, 3, 8), (4, 12, 16, 3, 8)], (4, 1))
    """

    def __init__(
        self,
        annotations: Sequence[Annotation],
        heads: Heads,
        batch_size: int = 8,
        augment: bool | Augmentation = False,
        seed: int = 0,
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
        self.heads = heads
        self.batch_size = batch_size
        self.augment = Augmentation() if augment is True else augment
        self.seed = seed
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
        except TrueBoxError as error:
            raise ValueError(f"{self.annotations[chosen[error.image]].image_path}: {error}") from error
        return (np.stack(images), *targets), np.zeros((len(images), 1), np.float32)

    def _targets_of(self, boxes):
        heads = self.heads
        if self.targets == "boxes":
            check_true_boxes(boxes, heads.input_shape, heads.num_classes)
            return [boxes]
        return preprocess_true_boxes(boxes, heads.input_shape, heads.anchors, heads.num_classes, heads.anchor_mask)

    def on_epoch_end(self):
        # Keras stops its workers before it calls this, so no batch is made while the epoch changes.
        self.epoch += 1

    def _indices(self, index):
        order = np.arange(len(self.annotations))
        if self.augment:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
            if len(order) > self.batch_size:
                order = np.resize(order, len(self) * self.batch_size)  # begins anew at its end
        return order[index * self.batch_size : (index + 1) * self.batch_size]

    def sample(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Photograph i as the network sees it in the current epoch.

        Returns:
            The image (h, w, 3) uint8, and its boxes (N, 5): x_min, y_min, x_max, y_max in pixels of the input, class.
        """
        annotation, input_shape = self.annotations[i], self.heads.input_shape
        boxes, size = annotation.boxes, annotation.size
        enough = tuple(2 * side for side in letterbox(size, input_shape).size) if size else None
        image = open_image(annotation.image_path, enough)
        if size and (image.height, image.width) != size:  # it was decoded smaller
            boxes = boxes * np.float32([image.width / size[1], image.height / size[0]] * 2)
        if self.augment:
            rng = np.random.default_rng([self.seed, self.epoch, i])
            pixels, boxes = self.augment(rng, image, boxes, input_shape)
        else:
            placement = letterbox((image.height, image.width), input_shape)
            pixels, boxes = place(image, placement, input_shape), placement.to_input(boxes)
        boxes = clip_boxes(boxes, input_shape)
        visible = (boxes[:, 2:] - boxes[:, :2] > (1 if self.augment else 0)).all(1)
        return np.asarray(pixels), np.column_stack([boxes, annotation.classes])[visible].astype(np.float32)
