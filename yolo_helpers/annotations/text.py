"""keras-yolo3's lines: `path x_min,y_min,x_max,y_max,class ...`."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo_helpers.annotations.record import Annotation, Box, Record, class_number, fail, find_image, numbers, read_text
from yolo_helpers.files import write_text
from yolo_helpers.images import IMAGE_SUFFIXES


def read_lines(path: Path, split: Path | None) -> tuple[list[Record], None]:
    # A path may hold spaces and commas, so it ends at the last known suffix. Boxes hold none.
    suffixes = "|".join(re.escape(suffix) for suffix in IMAGE_SUFFIXES)
    pattern = re.compile(rf"(.*(?:{suffixes}))(?!\S)(.*)", re.IGNORECASE)
    records = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        match = pattern.fullmatch(line.strip())
        if match is None:
            fail(
                where, f"found {line.strip()[:60]!r}, expected the path of an image ({' '.join(IMAGE_SUFFIXES)}) first."
            )
        boxes = []
        for token in match[2].split():
            fields = token.split(",")
            if len(fields) != 5:
                found = f"found {token!r:.60} with {len(fields)} fields"
                fail(where, f"{found}, expected five without spaces: x_min,y_min,x_max,y_max,class.")
            boxes.append(Box(where, numbers(fields[:4], where), class_number(fields[4], where)))
        # keras-yolo3 takes relative paths from where Python was started; beside the file is tried first.
        records.append(Record(where, find_image([match[1]], [path.parent, Path()], where), boxes))
    if records and not any(record.boxes for record in records):
        fail(path, "no line has a box: expected 'image.jpg x_min,y_min,x_max,y_max,class' in at least one.")
    return records, None


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
