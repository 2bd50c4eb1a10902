"""COCO: one JSON file."""

import json
from pathlib import Path
from typing import Any

from yolo_helpers.annotations.record import AnnotationError, Box, Record, fail, find_image, numbers, read_text


def read_coco(path: Path, split: Path | None) -> tuple[list[Record], list[str]]:
    try:
        data = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}, line {error.lineno}: broken JSON: {error.msg}.") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets as deep
        raise AnnotationError(f"{path}: JSON that cannot be read: {error}.") from error

    def entries(key: str, **kinds: Any) -> list[tuple[str, list[Any]]]:
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            fail(path, f"no list {key!r} in the file, expected COCO's images, annotations and categories.")
        found = []
        for index, entry in enumerate(data[key]):
            where = f"{path}, {key}[{index}]"
            for field, kind in kinds.items():
                value = entry.get(field) if isinstance(entry, dict) else None
                if not isinstance(value, kind):
                    kind_name = {list: "a list", str: "a text", int: "a whole number"}.get(kind, "a number or a text")
                    fail(where, f"found {field} = {str(value)[:60]!r}, expected {kind_name}.")
            found.append((where, [entry[field] for field in kinds] + [entry]))
        return found

    categories: dict[int, str] = {}
    for where, (number, name, _) in entries("categories", id=int, name=str):
        if number in categories or name in categories.values():
            fail(where, f"the category {number} ({name!r}) is there twice, expected each id and each name once.")
        categories[number] = name
    records: dict[int | str, Record] = {}
    for where, (number, name, _) in entries("images", id=int | str, file_name=str):
        if number in records:
            fail(where, f"the image id {number!r} is there twice, expected each id once.")
        records[number] = Record(where, find_image([name], [path.parent], where), [])
    for where, (image, category, box, entry) in entries("annotations", image_id=int | str, category_id=int, bbox=list):
        if image not in records:
            fail(where, f"found image_id {image!r:.60}, expected the id of one of the images.")
        if category not in categories:
            fail(where, f"found category_id {category!r:.60}, expected one of {sorted(categories)}.")
        if len(box) != 4:
            fail(where, f"found a bbox with {len(box)} fields, expected four: x_min, y_min, width, height.")
        x, y, width, height = numbers(box, where)
        if not entry.get("iscrowd"):  # a crowd's box surrounds many objects and is none itself
            records[image].boxes.append(Box(where, (x, y, x + width, y + height), categories[category]))
    return list(records.values()), [categories[number] for number in sorted(categories)]
