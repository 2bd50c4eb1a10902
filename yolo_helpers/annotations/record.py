"""What a reader takes out of a file, what is found wrong with it, and the small parts that all readers share."""

import codecs
import json
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

UNSEEN = {ord(each): None for each in " \t-_"}


class AnnotationError(ValueError):
    """Something is wrong with the reader's own data; the message names the place and the mend."""


class NoLabels(AnnotationError):
    """A folder of images has no label file at all, which a test part may want."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """One image and what is in it.

    Attributes:
        image_path: the image; it exists, and its header could be read.
        boxes: (N, 4) float32; x_min, y_min, x_max, y_max in pixels of the image as `open_image` gives it.
        classes: (N,) int64; indices into the class names.
        size: (height, width) of the image as `open_image` gives it, where its header was read.
    """

    image_path: Path
    boxes: np.ndarray
    classes: np.ndarray
    size: tuple[int, int] | None = None


class Box(NamedTuple):
    where: str  # file and line
    corners: Sequence[float]  # x_min, y_min, x_max, y_max; in pixels, or for YOLO as parts of the image
    label: int | str  # the number of a class, or its name


class Record(NamedTuple):
    where: str
    image_path: Path
    boxes: list[Box]
    size: tuple[float, float] | None = None  # (width, height) of the image that was annotated, if the file says it


class Findings:
    """What is found in a data set: faults, which end the reading unless they are kept; remarks, counted; and notes.

    `with findings:` stands around the reading of one file, line or entry: a fault in it ends the reading, or is kept
    while the next one is read.

    Args:
        collect: keep the faults in `faults`, for `look`.
    """

    def __init__(self, collect: bool = False):
        self.collect = collect
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.remarks: dict[str, list[str]] = {}

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> bool:
        if self.collect and isinstance(error, AnnotationError):
            self.faults.append(str(error))
            return True
        return False

    def remark(self, what: str, where: str) -> None:
        """Notes something that is no fault.

        Args:
            what: the same words each time; they begin with what is counted: "boxes" or "photographs".
            where: file and line, and more if need be.
        """
        self.remarks.setdefault(what, []).append(where)

    def sentences(self, path: Path, **totals: int) -> list[str]:
        """The notes, and the remarks in one sentence a kind: how many of how many, and the first.

        Args:
            path: the data set.
            **totals: of what is counted.
        """
        return self.notes + [
            f"{path}: {len(places)} of {totals[what.split()[0]]} {what}; the first is {places[0]}."
            for what, places in self.remarks.items()
        ]


def fail(where: object, problem: str) -> NoReturn:
    """Raises an AnnotationError that says where, then what."""
    raise AnnotationError(f"{where}: {problem}")


def read_text(path: Path) -> str:
    """A text file as UTF-8 with or without a byte order mark; every kind of line end becomes one newline."""
    return decoded(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """A file's content, or one sentence."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path no file can have
        raise AnnotationError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from error


def decoded(content: bytes, path: Path, encoding: str = "utf-8") -> str:
    """What `read_text` returns for a file's content."""
    if b"\0" in content[:2] and encoding == "utf-8":  # letters with a zero byte between them
        fail(f"{path}, line 1", "not UTF-8 text, but most likely UTF-16: save the file as UTF-8.")
    if content.startswith(b"version https://git-lfs"):
        fail(path, "a pointer of Git LFS in place of the file: run git lfs pull where it was cloned.")
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode(encoding)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise AnnotationError(f"{path}, line {line}: not UTF-8 text: save the file as UTF-8.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}, line {error.lineno}: broken JSON: {error.msg}.") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets as deep
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"{path}: JSON that cannot be read: {error}.") from error


def get_classes(path: Path | str) -> list[str]:
    """Reads a class file: one name per line; the first line is class 0.

    Args:
        path: the file; empty lines at its end do not count.

    Returns:
        The names.

    Raises:
        AnnotationError: the file cannot be read or is empty, a line between two names is empty, or a name comes twice.
    """
    path = Path(path)
    if not path.is_file():
        fail(path, "there is no such file, expected a text file with the name of a class on each line.")
    names = [composed(line) for line in read_text(path).rstrip().split("\n")]
    _check_class_lines(path, names)
    for number, name in enumerate(names, 1):
        if not name:
            fail(f"{path}, line {number}", "found an empty line, expected the name of a class: one name per line.")
        if name in names[: number - 1]:
            fail(f"{path}, line {number}", f"the class {name!r:.60} is there twice, expected each name once.")
    return names


def _check_class_lines(path: Path, lines: list[str]) -> None:
    """Refuses what is no list of names: each would be a class of a strange name, or all would be off by one."""
    if path.suffix.lower() in (".yaml", ".yml", ".json", ".csv"):
        fail(path, f"a {path.suffix} file, expected a text file with the name of a class on each line.")
    numbered = [line for line in lines if re.match(r"\d+\s*[:,;\s]\s*\S", line)]
    if len(lines) > 1 and len(numbered) >= len(lines) - 1:
        fail(
            f"{path}, line 1",
            "found numbers before the names, expected the names alone, in the order of their numbers.",
        )
    if lines[0][:1] in ("#", "[", "{") or (len(lines) == 1 and "," in lines[0]):
        fail(
            f"{path}, line 1",
            f"found {lines[0]!r:.60}, expected the name of a class: one name per line and nothing else.",
        )


def folded(name: str) -> str:
    """What two spellings of one class have in common: no capitals, blanks, hyphens, underscores or letters unseen."""
    if name.isascii():
        return name.casefold().translate(UNSEEN)
    letters = unicodedata.normalize("NFKC", name).casefold()
    return "".join(each for each in letters if unicodedata.category(each) not in ("Cf", "Zs", "Pd", "Pc"))


def composed(text: str) -> str:
    """A text without blanks around it, in the one of Unicode's forms that most tools write: ü as one character.

    macOS writes file names with ü as u and a mark; the two look alike and are unequal.
    """
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip()


def numbers(fields: Sequence[Any], where: str) -> list[float]:
    """Coordinates as finite numbers."""
    try:
        values = [float(field) for field in fields]
    except (TypeError, ValueError, OverflowError):
        values = [_number(field) for field in fields]
    if math.isfinite(sum(values)):
        return values
    for value, field in zip(values, fields, strict=True):
        if not math.isfinite(value):
            comma = isinstance(field, str) and math.isfinite(_number(field.replace(",", ".")))
            mend = " with a point in it, not a comma" if comma else ""
            fail(where, f"found {field!r:.60} as a coordinate, expected a number{mend}.")
    return values


def _number(field: Any) -> float:
    """NaN for what is none."""
    try:
        return float(field)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def claimed_size(width: Any, height: Any) -> tuple[float, float] | None:
    """The size of the annotated image as a file gives it; None if it does not, or writes 0, -1 or no number."""
    size = _number(width), _number(height)
    return size if all(math.isfinite(side) and side > 0 for side in size) else None


def class_number(field: str, where: str) -> int:
    """The number of a class, which a file gives as a text; NumPy writes 1 as 1.000000e+00."""
    try:
        return int(field)
    except ValueError:
        number = _number(field)
    if not number.is_integer():
        found = f"found {field!r:.60} as class"
        fail(where, f"{found}, expected a whole number: the line of the class file, counted from 0.")
    return int(number)
