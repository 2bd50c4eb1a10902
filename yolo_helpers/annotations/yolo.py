"""Darknet's and Ultralytics' text files, one for each image: `class x_centre y_centre width height`, as parts of it."""

from collections import Counter
from pathlib import Path

from yolo_helpers.annotations.record import Box, Record, class_number, fail, numbers, read_text
from yolo_helpers.files import list_files
from yolo_helpers.images import IMAGE_SUFFIXES


def read_yolo(path: Path, split: Path | None) -> tuple[list[Record], None]:
    images, labels = yolo_files(path)
    times = Counter(name for name, _ in images)
    for name, label in labels.items():
        if name not in times:
            fail(label, "there is no image of this name: add the image, or remove the file.")
    if not labels:
        fail(path, "no .txt file of an image's name was found, expected one per image, beside it or in labels/.")
    records = []
    for name, image in images:
        if times[name] > 1:
            fail(image, "another image has the same name, so that both share one .txt file: rename one.")
        label, boxes = labels.get(name), []
        for number, line in enumerate(read_text(label).split("\n") if label else (), 1):
            where, fields = f"{label}, line {number}", line.split()
            if not fields:
                continue
            if len(fields) != 5:
                fail(where, f"found {len(fields)} fields, expected five: class x_centre y_centre width height.")
            x, y, width, height = values = numbers(fields[1:], where)
            if max(map(abs, values)) > 2:  # a little more than 1 is left to the check of the box
                fail(where, f"found {max(values, key=abs):g}, expected parts of the image from 0 to 1, not pixels.")
            corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            boxes.append(Box(where, corners, class_number(fields[0], where)))
        records.append(Record(str(label or image), image, boxes))
    return records, None


def yolo_files(path: Path) -> tuple[list[tuple[str, Path]], dict[str, Path]]:
    """Images and label files by name without suffix, which is what ties the two together."""
    images = labels = path
    if (path / "images").is_dir() and (path / "labels").is_dir():
        images, labels = path / "images", path / "labels"
    elif "images" in path.parts:  # .../images/train belongs to .../labels/train
        cut = len(path.parts) - 1 - path.parts[::-1].index("images")
        beside = Path(*path.parts[:cut], "labels", *path.parts[cut + 1 :])
        labels = beside if beside.is_dir() else path

    def name(file: Path, folder: Path) -> str:
        return file.relative_to(folder).with_suffix("").as_posix()

    texts = [text for text in list_files(labels, [".txt"], "**/*") if text.name != "classes.txt"]
    pictures = list_files(images, IMAGE_SUFFIXES, "**/*")
    return [(name(image, images), image) for image in pictures], {name(text, labels): text for text in texts}
