"""keras-yolo3's lines: `path x_min,y_min,x_max,y_max,class ...`."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo_helpers.annotations.find import Pictures
from yolo_helpers.annotations.record import (
    Annotation,
    Box,
    Findings,
    Record,
    class_number,
    fail,
    numbers,
    read_text,
)
from yolo_helpers.files import write_text
from yolo_helpers.images import IMAGE_SUFFIXES

# A path may hold spaces and commas, so it ends at the last known suffix. Boxes hold none.
LINE = re.compile(rf"(.*(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))}))(?!\S)(.*)", re.IGNORECASE)


def read_lines(path: Path, split: Path | None, pictures: Pictures, findings: Findings) -> tuple[list[Record], None]:
    # keras-yolo3 takes relative paths from where Python was started; beside the file is tried first.
    places, then = pictures.places([path.parent]), pictures.places([Path()])
    records = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            with findings:
                records.append(_record(line.strip(), f"{path}, line {number}", places, then, pictures))
    return records, None


def _record(line: str, where: str, places: Sequence[Path], then: Sequence[Path], pictures: Pictures) -> Record:
    name, boxes = _taken_apart(line, where)
    return Record(where, pictures.find(name, places, where, then), boxes)


def _taken_apart(line: str, where: str) -> tuple[str, list[Box]]:
    """The image's name, and its boxes."""
    match = LINE.fullmatch(line)
    if match is None:
        expected = f"the path of an image ({' '.join(IMAGE_SUFFIXES)}) first{_table(line)}"
        fail(where, f"found {line[:60]!r}, expected {expected}.")
    boxes = []
    for token in match[2].split():
        fields = token.split(",")
        if len(fields) != 5:
            found = f"found {token!r:.60} with {len(fields)} fields"
            fail(where, f"{found}, expected five without spaces: x_min,y_min,x_max,y_max,class.")
        boxes.append(Box(where, numbers(fields[:4], where), class_number(fields[4], where)))
    return match[1], boxes


def _table(line: str) -> str:
    """What to say of a line that is most likely one of a table."""
    if re.search(rf"({'|'.join(map(re.escape, IMAGE_SUFFIXES))})[,;\t]", line, re.IGNORECASE):
        return ", then a space: this looks like a table (CSV), which is not read"
    return ""


def listed_pictures(path: Path) -> list[tuple[str, str]] | None:
    """The names in a list of pictures, each with file and line; None if the file is something else, or has boxes."""
    lines = [(line.strip(), f"{path}, line {n}") for n, line in enumerate(read_text(path).split("\n"), 1)]
    lines = [(line, where) for line, where in lines if line]
    return lines if lines and all(line.lower().endswith(IMAGE_SUFFIXES) for line, _ in lines) else None


def count_boxes(path: Path) -> tuple[int, Counter[int]]:
    """How many photographs a list of `write_lines` holds, and how many boxes; the photographs themselves may be gone.

    Args:
        path: the file.

    Returns:
        The photographs, and class number -> boxes.

    Raises:
        ValueError: it is damaged.
    """
    lines = [(line.strip(), f"{path}, line {n}") for n, line in enumerate(read_text(path).split("\n"), 1)]
    boxes = [_taken_apart(line, where)[1] for line, where in lines if line]
    return len(boxes), Counter(box.label for each in boxes for box in each)


def write_lines(path: Path, annotations: Sequence[Annotation]) -> None:
    """Writes annotations as keras-yolo3's lines, which `read_annotations` reads; whole or not at all.

    Args:
        path: the file, ending in .txt.
        annotations: photographs with their boxes; their paths are written from the root on.
    """
    lines = []
    for annotation in annotations:
        boxes = np.column_stack([annotation.boxes, annotation.classes]).tolist()
        fields = [",".join(f"{number:.9g}" for number in box) for box in boxes]  # nine digits give the same float32
        lines.append(" ".join([str(annotation.image_path.absolute()), *fields]))
    write_text(path, "\n".join(lines) + "\n")
