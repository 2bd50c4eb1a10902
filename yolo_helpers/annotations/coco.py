"""COCO: one JSON file."""

import re
from collections.abc import Sequence
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

KINDS = {list: "a list", str: "a text", int: "a whole number", int | str: "a whole number or a text"}
CROWD = "boxes surround a crowd (iscrowd) and are left out"
IS_NONE, IS_ONE = ("0", "false", "False"), ("1", "true", "True")


def read_coco(
    path: Path, split: Path | None, pictures: Pictures, findings: Findings
) -> tuple[list[Record], dict[str, object]]:
    data = _parse(path)
    categories: dict[int | str, str] = {}
    names: dict[str, object] = {}
    for where, entry in _entries(data, "categories", path):
        with findings:
            number, name = _id(entry, "id", where), composed(_field(entry, "name", str, where))
            if number in categories or name in names:
                fail(
                    where, f"the category {number} ({name!r:.60}) is there twice, expected each id and each name once."
                )
            categories[number], names[name] = name, where
    places = pictures.places([path.parent])
    if pictures.images is None:  # annotations/instances_train2017.json belongs to train2017/ beside its folder
        subset = path.stem.partition("_")[2] or path.stem
        beside = [path.parent.parent, path.parent] if path.parent.name == "annotations" else [path.parent]
        called = dict.fromkeys((subset, path.stem, *re.split("[_.-]", path.stem)))
        around = [f / inside / name for f in beside for name in called for inside in ("", "images")]
        places = list(dict.fromkeys([*around, *places, *beside]))
    records: dict[int | str, Record] = {}
    faulty: set[int | str] = set()  # images whose fault is told already, so not again with each of their boxes
    for where, entry in _entries(data, "images", path):
        with findings:
            number, name = _id(entry, "id", where), _field(entry, "file_name", str, where)
            if number in records:
                fail(where, f"the image id {number!r:.60} is there twice, expected each id once.")
            faulty.add(number)
            size = claimed_size(entry.get("width"), entry.get("height"))
            records[number] = Record(where, pictures.find(name, places, where), [], size)
            faulty.remove(number)
    boxes = []
    for where, entry in _entries(data, "annotations", path):
        with findings:
            image, category = _id(entry, "image_id", where), _id(entry, "category_id", where)
            if image in faulty:
                continue
            if image not in records:
                fail(where, f"found image_id {image!r:.60}, expected the id of one of the images.")
            if category not in categories:
                cause = ", perhaps counted from 0" if category == 0 and min(categories, default=0) == 1 else ""
                fail(where, f"found category_id {category!r:.60}, expected one of {list(categories)!s:.200}{cause}.")
            x, y, width, height = box = _bbox(entry, where)
            if entry.get("iscrowd") and _is_crowd(entry["iscrowd"], where):
                findings.remark(CROWD, where)
                continue
            if "attributes" in entry and _is_turned(entry["attributes"]):
                findings.remark("boxes were drawn turned (rotation) and count as they were before that", where)
            records[image].boxes.append(Box(where, (x, y, x + width, y + height), categories[category]))
            boxes.append((box, entry))
    with findings:
        _check_order(path, boxes)
    used = {label for record in records.values() for box in record.boxes for label in (box.label,)}
    numbers = [number for number in _in_order(categories) if not _is_group(data, categories[number], used)]
    return list(records.values()), {categories[number]: names[categories[number]] for number in numbers}


def _parse(path: Path) -> dict[str, Any]:
    data = read_json(path)
    for key in ("categories", "images", "annotations"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            fail(path, f"no list {key!r} in the file, expected COCO's images, annotations and categories{_kind(data)}.")
    return data


def _kind(data: Any) -> str:
    """What the file most likely is, and what helps."""
    first = data[0] if isinstance(data, list) and data else data
    if not isinstance(first, dict):
        return ""
    if "score" in first and "bbox" in first:
        return ": this looks like detections (COCO's results), not annotations"
    if "shapes" in first:
        return ": this looks like labelme's file of one image, so give the folder"
    if "data" in first and ("annotations" in first or "completions" in first):
        return ": this looks like Label Studio's own JSON, so export as YOLO or COCO there"
    if "annotation_id" in first or "annotator" in first:
        return ": this looks like Label Studio's JSON-MIN, so export as YOLO or COCO there"
    if any(isinstance(each, dict) and "caption" in each for each in _lists(first.get("annotations"))[:1]):
        return ": these are captions, so give COCO's instances_*.json"
    if "image" in first and "annotations" in first:
        return ": this looks like CreateML's JSON, so export as YOLO, Pascal VOC or COCO"
    if "items" in first and "categories" in first:
        return ": this looks like Datumaro's JSON, so export as COCO or YOLO"
    if "_via_img_metadata" in first or any(isinstance(v, dict) and "regions" in v for v in first.values()):
        return ": this looks like the JSON of the VGG Image Annotator, so export as COCO there"
    return "" if {"images", "annotations", "categories"} & set(first) else ": export as COCO, YOLO or Pascal VOC"


def _lists(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _entries(data: dict[str, list[Any]], key: str, path: Path) -> list[tuple[str, Any]]:
    return [(f"{path}, {key}[{index}]", entry) for index, entry in enumerate(data[key])]


def _field(entry: Any, field: str, kind: Any, where: str) -> Any:
    value = entry.get(field) if isinstance(entry, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        fail(where, f"found {field} = {str(value)[:60]!r}, expected {KINDS[kind]}.")
    return value


def _id(entry: Any, field: str, where: str) -> int | str:
    """An id; a number is the same as a text or, as tables write them, a decimal: 7, "7", 7.0."""
    value = entry.get(field) if isinstance(entry, dict) else None
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    value = _field(entry, field, int | str, where)
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 and str(int(value)) == value else value


def _bbox(entry: dict[str, Any], where: str) -> list[float]:
    box = entry.get("bbox")
    if isinstance(box, list) and len(box) == 4:
        return numbers(box, where)
    box = _field(entry, "bbox", list, where) if "bbox" in entry or not entry.get("segmentation") else []
    cause = ": there is only a segmentation, so export boxes" if not box and entry.get("segmentation") else ""
    fail(where, f"found a bbox with {len(box)} fields, expected four: x_min, y_min, width, height{cause}.")


def _is_turned(attributes: Any) -> bool:
    return isinstance(attributes, dict) and bool(attributes.get("rotation"))


def _is_crowd(value: Any, where: str) -> bool:
    """A crowd's box surrounds many objects and is none itself."""
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if value not in IS_NONE + IS_ONE:
        fail(where, f"found iscrowd = {str(value)[:60]!r}, expected 0 or 1.")
    return value in IS_ONE


def _is_group(data: dict[str, list[Any]], name: str, used: set[str]) -> bool:
    """Whether a category is the group of all others and never annotated, as Roboflow's first one."""
    others = [entry for entry in data["categories"] if isinstance(entry, dict) and entry.get("name") != name]
    return name not in used and bool(others) and all(entry.get("supercategory") == name for entry in others)


def _check_order(path: Path, boxes: list[tuple[list[float], dict[str, Any]]]) -> None:
    """Refuses corners in place of width and height, if the areas or the outlines in the file say so throughout."""
    boxes = boxes[:100]  # which tell, and looking at all would take long
    areas = [(b, size[0]) for b, e in boxes if (size := claimed_size(e.get("area"), 1))]
    outlined = [(b, e["segmentation"]) for b, e in boxes if isinstance(e.get("segmentation"), list)]
    outlines = [(b, extent) for b, each in outlined if (extent := _extent(each))]

    def covers(width: float, height: float, area: float) -> bool:
        return width > 0 < height and abs(width * height - area) <= 0.01 * area

    def surrounds(box: Sequence[float], extent: Sequence[float]) -> bool:
        return all(abs(one - other) <= 1 for one, other in zip(box, extent, strict=True))

    for what, as_corners, as_sizes in (
        (
            "outline",
            [surrounds(b, extent) for b, extent in outlines],
            [surrounds((b[0], b[1], b[0] + b[2], b[1] + b[3]), extent) for b, extent in outlines],
        ),
        (
            "area",
            [covers(b[2] - b[0], b[3] - b[1], area) for b, area in areas],
            [covers(b[2], b[3], area) for b, area in areas],
        ),
    ):
        if as_corners and all(as_corners) and not all(as_sizes):
            fail(path, f"every {what} fits a bbox of corners, expected x_min, y_min, width, height: write these.")


def _extent(segmentation: list[Any]) -> tuple[float, float, float, float] | None:
    """What surrounds the polygons of a segmentation, as corners; None if they are no lists of numbers."""
    try:
        xs = [float(x) for polygon in segmentation for x in polygon[::2]]
        ys = [float(y) for polygon in segmentation for y in polygon[1::2]]
        return min(xs), min(ys), max(xs), max(ys)
    except (TypeError, ValueError, KeyError, OverflowError):
        return None


def _in_order(categories: dict[int | str, str]) -> list[int | str]:
    return sorted(categories, key=lambda number: (isinstance(number, str), number))
