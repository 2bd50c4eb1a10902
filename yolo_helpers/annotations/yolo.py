"""Darknet's and Ultralytics' text files, one for each image: `class x_centre y_centre width height`, as parts of it."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from yolo_helpers.annotations.find import NOT_READ, OTHER_NAME, Pictures, folded_name
from yolo_helpers.annotations.record import (
    Box,
    Findings,
    NoLabels,
    Record,
    class_number,
    composed,
    fail,
    numbers,
    read_text,
)
from yolo_helpers.annotations.text import listed_pictures
from yolo_helpers.files import list_files, name_within
from yolo_helpers.images import IMAGE_SUFFIXES

IMAGE_FOLDERS = ("images", "jpegimages", "image", "imgs", "img")
LABEL_FOLDERS = ("labels", "label", "labeltxt", "txt", "annotations")
CLASS_FILES = ("classes.txt", "_classes.txt", "labels.txt")  # names of the classes, if no image has that name
UNLABELLED = "photographs have no label file and count as photographs without objects"


def read_yolo(path: Path, split: Path | None, pictures: Pictures, findings: Findings) -> tuple[list[Record], None]:
    if path.is_file():
        return _read_list(path, pictures, findings), None
    images, labels = yolo_files(path, pictures.images)
    times = Counter(name for name, _ in images)
    renamed = {}
    for name, label in labels.items():
        if name not in times:
            with findings:
                other = _other_name(name, label, labels, times, [image for _, image in images])
                if other:
                    renamed[other] = label
                    findings.remark(OTHER_NAME, f"{label}: {other}")
    if not labels:
        expected = "one for each image, beside it or in labels/"
        if images:
            expected = f"one for each image, such as {_expected_label(images[0][1])}"
        raise NoLabels(f"{path}: no .txt file of an image's name was found, expected {expected}.")
    records = []
    for name, image in images:
        with findings:
            if times[name] > 1:
                fail(image, "another image has the same name, so that both share one .txt file: rename one.")
            label = labels.get(name) or renamed.get(name)
            if label is None:
                findings.remark(UNLABELLED, str(image))
            records.append(Record(str(label or image), image, _boxes(label, findings) if label else []))
    return records, None


def _read_list(path: Path, pictures: Pictures, findings: Findings) -> list[Record]:
    """The images that a list names, as darknet and Ultralytics take them."""
    places, then = pictures.places([path.parent]), pictures.places([Path()])
    records = []
    for name, where in listed_pictures(path) or ():
        with findings:
            label = label_of(name, path)
            image = pictures.find(name, places, where, then)
            if label is None:
                findings.remark(UNLABELLED, where)
            records.append(Record(where, image, _boxes(label, findings) if label else []))
    return records


def _expected_label(image: Path) -> Path:
    """Where the label file of an image should lie."""
    at = [number for number, part in enumerate(image.parts) if part.lower() in IMAGE_FOLDERS]
    parts = list(image.with_suffix(".txt").parts)
    if at:
        parts[at[-1]] = "labels"
    return Path(*parts)


def label_of(name: str, path: Path) -> Path | None:
    """The label file of an image in a list: in labels/ where the image is in images/, or else beside it."""
    spelt = PurePosixPath(name.replace("\\", "/")).with_suffix(".txt").parts
    at = [number for number, part in enumerate(spelt) if part.lower() in IMAGE_FOLDERS]
    both = [(*spelt[: at[-1]], "labels", *spelt[at[-1] + 1 :])] if at else []
    for parts in (*both, spelt):
        for start in beginnings(parts):
            for folder in (path.parent, Path()):
                label = folder.joinpath(*parts[start:])
                if os.path.isfile(label):  # noqa: PTH113 - Path.is_file raises where a name is too long
                    return label
    return None


def beginnings(parts: Sequence[str]) -> list[int]:
    """Where a path in a list or description may begin, seen from the file that holds it.

    CVAT writes data/train.txt for train.txt, Roboflow ../train/images for train/images; and a path that begins at the
    root of another computer's disk says nothing of how much of it lies here.
    """
    first = parts[0] if parts else ""
    if first == "/" or first.endswith(":"):
        return list(range(len(parts)))
    return [0, 1] if first in ("..", "data") else [0]


def _boxes(label: Path, findings: Findings) -> list[Box]:
    boxes = []
    for number, line in enumerate(read_text(label).split("\n"), 1):
        fields = line.split()
        if fields:
            with findings:
                boxes.append(_box(fields, f"{label}, line {number}"))
    return boxes


def _box(fields: Sequence[str], where: str) -> Box:
    if len(fields) != 5:
        fail(where, f"found {len(fields)} fields, expected five: class x_centre y_centre width height{_cause(fields)}.")
    number = class_number(fields[0], where)
    x, y, width, height = values = numbers(fields[1:], where)
    if max(map(abs, values)) > 2:  # a little more than 1 is left to the check of the box
        worst = max(values, key=abs)
        fail(where, f"found {worst:g}, expected parts of the image from 0 to 1, not pixels, percent or thousandths.")
    return Box(where, (x - width / 2, y - height / 2, x + width / 2, y + height / 2), number)


def _cause(fields: Sequence[str]) -> str:
    marked = re.split("[,;]", " ".join(fields))
    if len(marked) > 1:
        return f" with blanks between them, not {len(marked)} with commas"
    if not re.fullmatch(r"\d+(\.0+)?", fields[0]):
        return ": this looks like another tool's text file, so export as YOLO"
    if len(fields) == 6:
        return ": a sixth is the score of a detection or the number of a track, so export annotations without it"
    if len(fields) == 9:
        return ": these are the corners of a turned box or a polygon, so export upright boxes"
    if len(fields) > 6:
        kind = "a polygon (a segmentation)" if len(fields) % 2 else "key points or the like"
        return f": this looks like {kind}, so export boxes"
    return ""


def yolo_files(path: Path, images: Path | None = None) -> tuple[list[tuple[str, Path]], dict[str, Path]]:
    """Images and label files by name without suffix, which is what ties the two together.

    Args:
        path: the folder of both.
        images: that of the images, if it is elsewhere.
    """
    pictures, labels = _folders(path, images)
    pictures = images or pictures

    files = [file for file in list_files(pictures, IMAGE_SUFFIXES, recursive=True) if not _is_detection(file)]
    found = [(composed(name_within(image, pictures)), image) for image in files]
    names = {each for each, _ in found}
    texts = {composed(name_within(text, labels)): text for text in list_files(labels, [".txt"], recursive=True)}
    texts = {each: text for each, text in texts.items() if each in names or not _is_something_else(text, names)}
    if labels not in (pictures, path) and not images:
        for text in list_files(pictures, [".txt"], recursive=True):
            name = composed(name_within(text, pictures))
            if name in texts and name in names:
                fail(text, f"{texts[name]} is there too, for the same image: remove the one that is out of date.")
    return found, texts


def _is_detection(image: Path) -> bool:
    """Whether `detect` drew a picture, a.jpg.png with a.jpg.json beside it."""
    return image.stem.lower().endswith(IMAGE_SUFFIXES) and image.with_suffix(".json").is_file()


def label_folder(path: Path) -> Path:
    """Where the label files of a folder of images, or of a whole data set, lie."""
    return _folders(path, None)[1]


def _folders(path: Path, images: Path | None) -> tuple[Path, Path]:
    """The folders of the images and of the label files."""
    pictures = labels = path
    inside = {entry.name.lower(): Path(entry.path) for entry in os.scandir(path) if entry.is_dir()}
    of_images, of_labels = (
        next((inside[each] for each in names if each in inside), None) for names in (IMAGE_FOLDERS, LABEL_FOLDERS)
    )
    if of_labels and (images or of_images):
        pictures, labels = of_images or path, of_labels
    elif at := [number for number, part in enumerate(path.parts) if part.lower() == "images"]:
        # .../images/train belongs to .../labels/train
        before, after = Path(*path.parts[: at[-1]]), path.parts[at[-1] + 1 :]
        beside = sorted(each for each in before.iterdir() if each.name.lower() in LABEL_FOLDERS)
        labels = next((each.joinpath(*after) for each in beside if each.joinpath(*after).is_dir()), path)
    return pictures, labels


def _is_something_else(text: Path, names: set[str]) -> bool:
    """Whether a text file without image holds no boxes: class names, a tool's read-me, or a list of all the images."""
    if text.name.lower() in CLASS_FILES or text.name.lower().startswith("readme"):
        return True
    listed = listed_pictures(text) if os.path.getsize(text) else None  # noqa: PTH202
    if listed is None:
        return False
    return {composed(Path(name).stem) for name, _ in listed} >= {Path(each).name for each in names}


def _other_name(name: str, label: Path, labels: dict[str, Path], times: Counter, images: Sequence[Path]) -> str | None:
    """The only image that a label file without one can mean; or what is wrong with it."""
    same = [each for each in times if folded_name(each) == folded_name(name) and each not in labels]
    if len(same) == 1:
        return same[0]
    if name.lower().endswith(IMAGE_SUFFIXES):
        fail(label, f"expected the image's name without its suffix: rename the file {Path(name).stem}.txt.")
    text = read_text(label)
    lines = [line.split() for line in text.split("\n") if line.strip()]
    if listed_pictures(label):
        fail(label, "this looks like a list of images: give it in place of the folder, or remove it from there.")
    if lines and not any(field.replace(".", "").isdigit() for line in lines for field in line):
        fail(label, "this looks like class names: name it classes.txt, or give it as class_names (--classes).")
    stem = folded_name(Path(name).name)
    for folder in dict.fromkeys([label.parent, *(image.parent for image in images)]):
        for path in sorted(folder.glob("*")):
            if folded_name(path.stem) == stem and path.name.lower().endswith(NOT_READ):
                fail(label, f"its image {path.name!r} is of a kind that is not read: save it as JPEG or PNG.")
    for image in images:
        if folded_name(image.stem) == stem:
            mend = "put the two into folders of the same name, images/… and labels/…"
            fail(label, f"its image seems to be {image}: {mend}.")
    if not lines:
        fail(label, "it is empty, and there is no image of this name: remove it, or add the image.")
    place = f"among {len(images)} images" if images else "and no image at all"
    mend = "say where the images lie with images= (--images), or move them beside it, or add this one"
    fail(label, f"there is no image of this name {place}: {mend}; without its image a label file is of no use.")
