"""Boxes: how much two of them overlap, and where a photograph lies on the network's input."""

from dataclasses import dataclass

import numpy as np


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Area of each box.

    Args:
        boxes: (..., 4), x_min, y_min, x_max, y_max.

    Returns:
        (...), in the square of the boxes' unit.
    """
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(boxes1: np.ndarray, boxes2: np.ndarray) -> np.ndarray:
    """Intersection over union (IoU) of every box of one list with every box of another.

    Args:
        boxes1: (N, 4), x_min, y_min, x_max, y_max.
        boxes2: (M, 4), likewise.

    Returns:
        (N, M), from 0 (apart) to 1 (the same box).

    >>> box_iou(np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]])).tolist()
    [[1.0, 0.5, 0.0]]
    """
    boxes1, boxes2 = np.asarray(boxes1)[:, None], np.asarray(boxes2)[None]
    # One side after the other: NumPy takes several times as long over an axis of two.
    width, height = (
        np.minimum(boxes1[..., axis + 2], boxes2[..., axis + 2]) - np.maximum(boxes1[..., axis], boxes2[..., axis])
        for axis in (0, 1)
    )
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    return intersection / np.maximum(box_area(boxes1) + box_area(boxes2) - intersection, 1e-9)


def clip_boxes(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Boxes cut off at the border of a picture.

    Args:
        boxes: (N, 4), x_min, y_min, x_max, y_max in pixels.
        shape: (height, width) of the picture in pixels.

    Returns:
        (N, 4); a box that lies outside altogether comes back with no area.
    """
    height, width = shape
    return np.clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))


@dataclass(frozen=True)
class Placement:
    """Where a photograph lies on the network's input: x_input = x_photo * scale + offset.

    Attributes:
        size: (height, width) in input pixels of the resized photograph.
        scale: (x, y), input pixels for each photograph pixel.
        offset: (x, y), input pixels from the input's top left corner; negative where the photograph sticks out.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]

    @classmethod
    def of_size(cls, image_shape: tuple[int, int], size: tuple[int, int], offset: tuple[float, float]) -> "Placement":
        """The placement of a photograph that is resized to `size` and laid at `offset`.

        Args:
            image_shape: (height, width) of the photograph in pixels.
            size: (height, width) it is resized to, in input pixels.
            offset: (x, y) of its top left corner, in input pixels.
        """
        return cls(size, (size[1] / image_shape[1], size[0] / image_shape[0]), offset)

    def to_input(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) in pixels of the photograph, in pixels of the network's input."""
        return (boxes * np.tile(self.scale, 2) + np.tile(self.offset, 2)).astype(np.float32)

    def to_photo(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) in pixels of the network's input, in pixels of the photograph."""
        return ((boxes - np.tile(self.offset, 2)) / np.tile(self.scale, 2)).astype(np.float32)


def letterbox(image_shape: tuple[int, int], input_shape: tuple[int, int]) -> Placement:
    """The largest placement that shows the whole photograph, undistorted and centred, with bars beside it.

    The size is rounded to whole pixels and the bars are equally wide, as darknet and keras-yolo3 undo it
    (`correct_yolo_boxes`, `yolo_correct_boxes`), so an offset may end in a half.

    Args:
        image_shape: (height, width) of the photograph in pixels.
        input_shape: (height, width) of the network's input in pixels.

    >>> placement = letterbox((480, 640), (416, 416))
    >>> placement.size, placement.offset
    ((312, 416), (0.0, 52.0))
    >>> placement.to_input(np.array([[0, 0, 640, 480]])).tolist()
    [[0.0, 52.0, 416.0, 364.0]]
    """
    scale = min(input_shape[0] / image_shape[0], input_shape[1] / image_shape[1])
    size = tuple(max(1, round(side * scale)) for side in image_shape)
    return Placement.of_size(image_shape, size, ((input_shape[1] - size[1]) / 2, (input_shape[0] - size[0]) / 2))
