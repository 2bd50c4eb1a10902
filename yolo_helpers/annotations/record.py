"""What a reader takes out of a file, and the small parts that all readers share."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np


class AnnotationError(ValueError):
    """Something is wrong with the reader's own data; the message names the place and the mend."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """One image and what is in it.

    Attributes:
        image_path: the image; it exists, and its header could be read.
        boxes: (N, 4) float32; x_min, y_min, x_max, y_max in pixels of the image as `open_image` gives it.
        classes: (N,) int64; indices into the class names.
    """

    image_path: Path
    boxes: np.ndarray
    classes: np.ndarray


class Box(NamedTuple):
    where: str  # file and line
    corners: Sequence[float]  # x_min, y_min, x_max, y_max; in pixels, or for YOLO as parts of the image
    label: int | str  # the number of a class, or its name


class Record(NamedTuple):
    where: str
    image_path: Path
    boxes: list[Box]


def fail(where: object, problem: str) -> NoReturn:
    """Raises an AnnotationError that says where, then what."""
    raise AnnotationError(f"{where}: {problem}")


def read_text(path: Path) -> str:
    """A text file as UTF-8 with or without a byte order mark; every kind of line end becomes one newline."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise AnnotationError(f"{path}, line {line}: not UTF-8 text: save the file as UTF-8.") from error
    except (OSError, ValueError) as error:  # ValueError: a path no file can have
        raise AnnotationError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from error


def get_classes(path: Path | str) -> list[str]:
    """Reads a class file: one name per line; the first line is class 0.

    Args:
        path: the file; empty lines at its end do not count.

    Returns:
        The names.

    Raises:
        AnnotationError: the file cannot be read or is empty, a line between two names is empty, or a name comes twice.
    """
    names = [line.strip() for line in read_text(Path(path)).rstrip().split("\n")]
    for number, name in enumerate(names, 1):
        if not name:
            fail(f"{path}, line {number}", "found an empty line, expected the name of a class: one name per line.")
        if name in names[: number - 1]:
            fail(f"{path}, line {number}", f"the class {name!r} is there twice, expected each name once.")
    return names


def find_image(names: Sequence[str], folders: Sequence[Path], where: str) -> Path:
    """The first image that exists: in a folder itself, in its images/, or in images/ or JPEGImages/ beside it.

    Args:
        names: under which it may lie there.
        folders: where to look.
        where: file and line that name it.

    Raises:
        AnnotationError: there is none.
    """
    for candidate in _candidates(names, folders):
        if os.path.isfile(candidate):  # noqa: PTH113 - Path.is_file raises where a name is too long
            return candidate
    places = f"{folders[0]}, its images/, or images/ or JPEGImages/ beside it"
    fail(where, f"the image {names[0]!r} was not found, expected in {places}: correct the path, or move the image.")


def _candidates(names: Sequence[str], folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        parent = folder.parent if folder.name not in ("", "..") else folder / ".."
        for name in names:
            for place in (folder, folder / "images", parent / "images", parent / "JPEGImages"):
                yield place / name
                yield place / name.replace("\\", "/")  # a\b.jpg was written on Windows


def numbers(fields: Sequence[Any], where: str) -> list[float]:
    """Coordinates as finite numbers."""
    values = []
    for field in fields:
        try:
            values.append(float(field))
        except (TypeError, ValueError, OverflowError):
            values.append(math.nan)
        if not math.isfinite(values[-1]):
            fail(where, f"found {field!r:.60} as a coordinate, expected a number.")
    return values


def class_number(field: str, where: str) -> int:
    """The number of a class, which a file gives as a text."""
    try:
        return int(field)
    except ValueError:
        found = f"found {field!r:.60} as class"
        fail(where, f"{found}, expected a whole number: the line of the class file, counted from 0.")
