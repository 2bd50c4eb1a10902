"""labelme: a JSON file for each image, beside it."""

from pathlib import Path
from typing import Any

from yolo_helpers.annotations.find import Pictures
from yolo_helpers.annotations.record import (
    Box,
    Findings,
    Record,
    claimed_size,
    composed,
    fail,
    numbers,
    read_json,
)
from yolo_helpers.files import list_files


def read_labelme(
    path: Path, split: Path | None, pictures: Pictures, findings: Findings
) -> tuple[list[Record], dict[str, object]]:
    records, names = [], {}
    for file in list_files(path, [".json"], recursive=True):
        with findings:
            data = read_json(file)
            if not isinstance(data, dict) or not isinstance(data.get("shapes"), list):
                fail(file, "no list 'shapes' in the file, expected labelme's.")
            boxes = []
            for index, shape in enumerate(data["shapes"]):
                where = f"{file}, shapes[{index}]"
                boxes.append(_box(shape, where))
                names.setdefault(boxes[-1].label, where)
            name = data.get("imagePath")
            if not isinstance(name, str):
                fail(file, f"found imagePath = {str(name)[:60]!r}, expected the path of the image.")
            image = pictures.of_file(name, file.stem, (file.parent,), str(file), "imagePath")
            size = claimed_size(data.get("imageWidth"), data.get("imageHeight"))
            records.append(Record(str(file), image, boxes, size))
    return records, names


def is_labelme(path: Path) -> bool:
    """Whether a JSON file is one of labelme's; it may hold the whole image, so only its beginning is looked at."""
    with path.open("rb") as file:
        beginning = file.read(4096)
    return b'"shapes"' in beginning or b'"imageData"' in beginning


def _box(shape: Any, where: str) -> Box:
    """A rectangle, or what surrounds a polygon."""
    shape = shape if isinstance(shape, dict) else {}
    label, kind, points = shape.get("label"), shape.get("shape_type") or "polygon", shape.get("points")
    name = composed(label) if isinstance(label, str) else ""
    if not name:
        fail(where, f"found label = {str(label)[:60]!r}, expected the name of a class.")
    if kind not in ("rectangle", "polygon"):
        fail(where, f"found shape_type = {str(kind)[:60]!r}, expected a rectangle or a polygon.")
    least = 2 if kind == "rectangle" else 3
    if not isinstance(points, list) or len(points) < least or not all(type(p) is list and len(p) == 2 for p in points):
        fail(where, f"expected {least} points or more as [x, y], found {str(points):.60}.")
    values = numbers([value for point in points for value in point], where)
    xs, ys = values[::2], values[1::2]
    return Box(where, (min(xs), min(ys), max(xs), max(ys)), name)
