"""What is wrong with boxes and images, for all formats alike."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo_helpers.annotations.record import Annotation, AnnotationError, Box, Record, fail
from yolo_helpers.images import ImageError, image_size

MIN_SIDE = 1e-3  # pixels: what is narrower has no area, only rounding
SLACK = 1.01  # pixels a box may reach outside its image: one, and what rounding to a few digits adds


class BoxWithoutArea(Exception):
    """A box that has no area, which a reader may want left out."""


def check(path: Path, records: list[Record], names: list[str], zero_area: str, fractions: bool) -> list[Annotation]:
    """Finds fault with what a reader took out of a file, and makes annotations of it.

    Args:
        path: the data set.
        records: its images with their boxes.
        names: of the classes.
        zero_area: "error", or "skip" to leave boxes without area out with one warning that counts them.
        fractions: coordinates are parts of the image, not pixels.

    Raises:
        AnnotationError: an image is listed twice or does not open, a class is unknown, a box lies outside or has no
            area.
    """
    seen: dict[str, str] = {}
    without_area: list[str] = []
    annotations = []
    for record in records:
        key = os.path.abspath(record.image_path)  # noqa: PTH100 - without following links
        if key in seen:
            fail(record.where, f"{record.image_path.name} is already in {seen[key]}: put all its boxes in one place.")
        seen[key] = record.where
        try:
            height, width = image_size(record.image_path)
        except ImageError as error:
            raise AnnotationError(f"{record.where}: {error}") from error
        boxes, classes = [], []
        for box in record.boxes:
            number = _class_of(box, names)
            try:
                boxes.append(_corners_of(box, width, height, fractions))
                classes.append(number)
            except BoxWithoutArea as error:
                if zero_area == "error":
                    fail(box.where, f"{error}: correct it, or leave such boxes out with zero_area='skip'.")
                without_area.append(f"{box.where}: {error}")
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        annotations.append(Annotation(record.image_path, boxes, np.array(classes, np.int64)))
    if without_area:
        total = sum(len(record.boxes) for record in records)
        count = f"{len(without_area)} of {total} boxes have no area and are left out"
        warnings.warn(f"{path}: {count}; the first is {without_area[0]}.", stacklevel=3)
    return annotations


def _class_of(box: Box, names: Sequence[str]) -> int:
    """The number of a box's class."""
    if isinstance(box.label, str):
        if box.label not in names:
            fail(box.where, f"found the class {box.label!r}, expected one of {names}.")
        return names.index(box.label)
    if not 0 <= box.label < len(names):
        found = f"found class {box.label!r:.60}"
        fail(box.where, f"{found}, expected 0 to {len(names) - 1}, since there are {len(names)} names.")
    return box.label


def _corners_of(box: Box, width: int, height: int, fractions: bool) -> np.ndarray:
    """The corners (4,) float32 in pixels, cut off at the border of the image."""
    limit = np.array([width, height, width, height], np.float64)
    corners = np.array(box.corners, np.float64) * (limit if fractions else 1.0)
    shown = "x_min {:g}, y_min {:g}, x_max {:g}, y_max {:g}".format(*corners)
    if (corners < -SLACK).any() or (corners > limit + SLACK).any():
        fail(box.where, f"found {shown}, outside the image of {width} x {height} pixels (width x height).")
    corners = corners.clip(0, limit).astype(np.float32)
    if (corners[2:] - corners[:2] < MIN_SIDE).any():
        raise BoxWithoutArea(f"found {shown}, a box without area, expected x_max > x_min and y_max > y_min")
    return corners
