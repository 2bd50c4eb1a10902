"""Augmentation: a photograph and its boxes changed at random, each kind of change with a switch."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from yolo_helpers.boxes import Placement, letterbox
from yolo_helpers.images import place

RGB_TO_YIQ = np.array([[0.3, 0.59, 0.11], [0.599, -0.2773, -0.3217], [0.213, -0.5251, 0.3121]])  # FCC, as in colorsys


@dataclass(frozen=True)
class Augmentation:
    """What may change about a photograph each time it is used for training.

    Attributes:
        placement: its size, aspect and place on the input, see `random_placement`; else it is letterboxed.
        mirror: left and right, every second time.
        colour: hue, saturation and brightness, see `random_colour`.
    """

    placement: bool = True
    mirror: bool = True
    colour: bool = True

    def __call__(
        self, rng: np.random.Generator, image: Image.Image, boxes: np.ndarray, input_shape: tuple[int, int]
    ) -> tuple[Image.Image, np.ndarray]:
        """Draws a photograph, changed at random, on the network's input.

        Args:
            rng: where the randomness comes from.
            image: the photograph, RGB.
            boxes: (N, 4), x_min, y_min, x_max, y_max in pixels of the photograph.
            input_shape: (height, width) of the network's input in pixels.

        Returns:
            The picture, and the boxes (N, 4) in pixels of the input; they may reach beyond it.
        """
        shape = (image.height, image.width)
        placement = random_placement(rng, shape, input_shape) if self.placement else letterbox(shape, input_shape)
        flip = self.mirror and rng.random() < 0.5
        changes = [lambda seen: random_colour(rng, seen)] if self.colour else []
        pixels, boxes = place(image, placement, input_shape, *changes), placement.to_input(boxes)
        if flip:
            pixels, boxes = pixels.transpose(Image.Transpose.FLIP_LEFT_RIGHT), mirror(boxes, input_shape[1])
        return pixels, boxes


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
