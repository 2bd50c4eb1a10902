"""Which files of a folder make a data set, by what annotation tools write: parts, formats and class names."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from yolo_helpers.annotations.labelme import is_labelme
from yolo_helpers.annotations.record import AnnotationError, composed, fail, get_classes, read_text
from yolo_helpers.annotations.text import listed_pictures
from yolo_helpers.annotations.voc import voc_folder
from yolo_helpers.annotations.yolo import CLASS_FILES, beginnings, label_folder, label_of, yolo_files
from yolo_helpers.files import list_files, other_kind
from yolo_helpers.images import IMAGE_SUFFIXES

FORMATS = {
    "text": "keras-yolo3's text (a .txt file with lines of 'image.jpg x_min,y_min,x_max,y_max,class ...')",
    "voc": "Pascal VOC (a folder of .xml files)",
    "coco": "COCO (a .json file, or the folder that holds it)",
    "yolo": "YOLO (a folder of images and .txt files of the same names, together or in images/ and labels/; data.yaml; "
    "obj.data; or a list of images)",
    "labelme": "labelme (a folder of images and .json files of the same names)",
}
WORDS = {
    "train": ("train", "training", "trainval", "default"),
    "val": ("val", "valid", "validation", "validate", "eval", "dev"),
    "test": ("test", "testing"),
}
NOT_BOXES = ("captions_", "person_keypoints_", "stuff_", "panoptic_", "image_info_")  # COCO's other files
NOT_COCO = ("notes.json", "info.json", "package.json")


def split_of(name: str) -> str | None:
    """The part that a folder, list or key of this name stands for; val2017 is val, and trainval train."""
    word = name.lower().rstrip("0123456789_-")
    return next((split for split, words in WORDS.items() if word in words), None)


def by_split(paths: Sequence[Path]) -> dict[str, Path]:
    """Folders or files by the part that their names stand for; train counts before trainval."""
    named = sorted(paths, key=lambda path: split_of(path.stem) == path.stem.lower())
    return {split: path for path in named if (split := split_of(path.stem))}


class Source(NamedTuple):
    """What one reader is given."""

    path: Path
    split: Path | None = None  # voc: a text file with names of XML files


@dataclass
class Layout:
    """A data set on disk.

    Attributes:
        format: one of FORMATS.
        parts: what to read for "train", "val" and "test"; all under "train" where there are no parts.
        whole: what to read for all together, where that is not the parts one after another.
        names: of the classes, where a file of the layout lists them.
        names_from: that file.
        missing: parts that a file names, with file and line, and which are not there.
    """

    format: str
    parts: dict[str, list[Source]]
    whole: list[Source] | None = None
    names: list[str] | None = None
    names_from: Path | None = None
    missing: list[str] = field(default_factory=list)


def find_layout(path: Path, format: str | None, images: Path | None) -> Layout:
    """Recognises what a path is.

    Args:
        path: a file or a folder.
        format: one of FORMATS; None: any.
        images: the folder of the pictures, if they are elsewhere.

    Raises:
        AnnotationError: nothing is there, or nothing of this format, or it is not clear which.
    """
    if not path.exists():
        fail(path, "there is no such file or folder.")
    found = _of_file(path) if path.is_file() else _of_folder(path, format, images)
    if format is not None and (found is None or found.format != format):
        if path.is_dir() == (format in ("voc", "yolo", "labelme")):
            return Layout(format, {"train": [Source(path)]})  # its reader says what is missing
        fail(path, f"not found, or not what is expected for format {format!r}: {FORMATS[format]}.")
    if found is None:
        kind = f"a file ending in {path.suffix!r}"
        if path.is_dir():
            kind = f"a folder with {len(yolo_files(path, images)[0])} images and no known annotations"
        fail(path, f"the format is not clear, found {kind}; known are {'; '.join(FORMATS.values())}: give format=.")
    return found


def _of_file(path: Path) -> Layout | None:
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        return _of_yaml(path)
    if suffix == ".data":
        return _of_data(path)
    if suffix == ".json":
        return Layout("coco", {"train": [Source(path)]})
    if suffix == ".txt":
        listed = listed_pictures(path)
        is_yolo = listed is not None and any(label_of(name, path) for name, _ in listed)
        return Layout("yolo" if is_yolo else "text", {"train": [Source(path)]})
    if suffix == ".xml" or suffix in IMAGE_SUFFIXES:
        fail(path, "one file of many: give the folder that it lies in.")
    if suffix in (".csv", ".tsv", ".xlsx", ".parquet", ".tfrecord", ".jsonl", ".ndjson"):
        fail(path, f"a {suffix} file is not read: export as YOLO, COCO or Pascal VOC.")
    with path.open("rb") as file:
        other = other_kind(file.read(1024))
    if other:
        fail(path, f"this is {other[0]}: {other[1]}.")
    return None


def _of_folder(path: Path, format: str | None, images: Path | None) -> Layout | None:
    inside = [f for f in path.iterdir() if not f.name.startswith(".") and f.name != "__MACOSX"]
    if len(inside) == 1 and inside[0].is_dir() and inside[0].name.lower() not in ("images", "labels", "annotations"):
        return _of_folder(inside[0], format, images)  # a zip unpacked into a folder of its name
    described = [f for name in ("data", "dataset") for f in list_files(path, [".yaml", ".yml"]) if f.stem == name]
    described = described or list_files(path, [".yaml", ".yml"])
    if format in (None, "yolo") and len(described) == 1 and re.search(r"(?im)^names\s*:", read_text(described[0])):
        return _of_yaml(described[0])
    data = list_files(path, [".data"])
    if format in (None, "yolo") and len(data) == 1:
        return _of_data(data[0])
    parted = _split_folders(path, format, images) or (_lists(path) if format in (None, "yolo") else None)
    if parted:
        return parted
    makers = (("voc", _voc), ("yolo", _yolo), ("labelme", _labelme))
    found = [layout for name, make in makers if format in (None, name) and (layout := make(path, images))]
    if len(found) > 1:
        names = " and ".join(layout.format for layout in found)
        fail(path, f"the format is not clear, found a folder with {names} annotations: give format= (--format).")
    found += [
        layout
        for name, make in (("coco", _coco), ("text", _text))
        if not found and format in (None, name) and (layout := make(path))
    ]
    return found[0] if found else None


def _split_folders(path: Path, format: str | None, images: Path | None) -> Layout | None:
    """Folders train/, valid/ and test/ that are data sets each, as Roboflow exports them."""
    layouts, missing = {}, []
    for split, folder in by_split([f for f in path.iterdir() if split_of(f.name) and f.is_dir()]).items():
        try:
            layout = _of_folder(folder, format, images)
            problem = f"{folder}: no annotations were found in it"
        except AnnotationError as error:
            layout, problem = None, str(error).rstrip(".")
        if layout:
            layouts[split] = layout
        else:
            missing.append(problem)
    if "train" not in layouts:
        return None
    formats = {split: layout.format for split, layout in layouts.items()}
    if len(set(formats.values())) > 1:
        fail(path, f"its parts have different formats, {formats}: give one with --train, another with --validation.")
    parts = {name: sum(layout.parts.values(), []) for name, layout in layouts.items()}
    return Layout(layouts["train"].format, _in_order(parts), missing=missing)


def _lists(path: Path) -> Layout | None:
    """Lists of images called train.txt and so on, as darknet has them."""
    texts = by_split([file for file in list_files(path, [".txt"]) if split_of(file.stem)])
    parts = {split: [Source(file)] for split, file in texts.items() if _of_file(file).format == "yolo"}
    return Layout("yolo", _in_order(parts)) if "train" in parts else None


def _voc(path: Path, images: Path | None) -> Layout | None:
    folder = voc_folder(path)
    if folder is None:
        return None
    lists = by_split(list_files(path / "ImageSets" / "Main", [".txt"])) if folder != path else {}
    parts = {split: [Source(path, file)] for split, file in lists.items()}
    whole = [Source(path)]
    return Layout("voc", _in_order(parts), whole) if "train" in parts else Layout("voc", {"train": whole})


def _yolo(path: Path, images: Path | None) -> Layout | None:
    pictures, labels = yolo_files(path, images)
    if not any(name in labels for name, _ in pictures) and not any(map(_holds_boxes, labels.values())):
        return None
    inside = (path / "images").iterdir() if (path / "images").is_dir() else ()
    folders = by_split([folder for folder in inside if split_of(folder.name) and folder.is_dir()])
    parts = {split: [Source(folder)] for split, folder in folders.items()}
    whole = [Source(path)]
    return Layout("yolo", _in_order(parts), whole) if len(parts) > 1 else Layout("yolo", {"train": whole})


def _coco(path: Path) -> Layout | None:
    folders = [path, *(f for f in path.iterdir() if f.name.lower() == "annotations" and f.is_dir())]
    files = [file for folder in folders for file in list_files(folder, [".json"])]
    files = [f for f in files if f.name not in NOT_COCO and not f.name.startswith(NOT_BOXES)]
    if len(files) == 1:
        return Layout("coco", {"train": [Source(files[0])]})
    parts: dict[str, list[Source]] = {}
    for file in files:
        words = [split for word in re.findall("[a-z]+", file.stem.lower()) if (split := split_of(word))]
        if len(words) != 1 or words[0] in parts:
            shown = ", ".join(str(file.relative_to(path)) for file in files[:5])
            fail(path, f"found several .json files ({shown}), and it is not clear which is which: give one of them.")
        parts[words[0]] = [Source(file)]
    return Layout("coco", _in_order(parts)) if parts else None


def _labelme(path: Path, images: Path | None) -> Layout | None:
    # A data set of labelme has a file for each image; a few of them tell.
    found = any(is_labelme(file) for file in list_files(path, [".json"], recursive=True)[:5])
    return Layout("labelme", {"train": [Source(path)]}) if found else None


def _text(path: Path) -> Layout | None:
    found = [path / name for name in ("_annotations.txt", "annotations.txt") if (path / name).is_file()]
    return Layout("text", {"train": [Source(found[0])]}) if len(found) == 1 else None


def _read_yaml(path: Path) -> tuple[dict, dict[str, str]]:
    """What a YAML file holds; and for each key, file and line."""
    import yaml  # only those who need it wait for it

    text = read_text(path)
    try:
        # Every value as it is written: YAML would make True of a class called yes, and 8 of one called 010.
        content, root = yaml.load(text, yaml.BaseLoader), yaml.compose(text, yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else path
        fail(place, f"broken YAML: {getattr(error, 'problem', None) or 'it cannot be read'}.")
    except RecursionError:
        fail(path, "broken YAML: its brackets lie too deep.")
    if not isinstance(content, dict):
        fail(path, "expected 'train:', 'val:' and 'names:', as Ultralytics and Roboflow write them.")
    where: dict[str, str] = {}
    inner = [value for _, value in root.value if isinstance(value, yaml.MappingNode)]
    for mapping in (*inner, root):
        seen = set()
        for key, _ in mapping.value:
            name = str(key.value)
            where[name.lower()] = f"{path}, line {key.start_mark.line + 1}"
            if name in seen:
                fail(where[name.lower()], f"{name[:60]!r} is there twice, expected each key once.")
            seen.add(name)
    return {str(key).lower(): value for key, value in content.items()}, where


def _of_yaml(path: Path) -> Layout:
    """The description that Ultralytics and Roboflow write: where the parts lie, and the names of the classes."""
    content, where = _read_yaml(path)
    names = _names(content, where, path) if content.get("names") else None
    base = content.get("path")
    bases = [path.parent / base, path.parent] if isinstance(base, str) else [path.parent]
    parts, missing = {}, []
    for key, value in content.items():
        split = split_of(key)
        if split is None or value in ("", "~", "null"):
            continue
        entries = value if isinstance(value, list) else [value]
        if not all(isinstance(entry, str) and entry for entry in entries):
            expected = "expected a folder, a list of images, or several of these"
            fail(where[key], f"found {key} = {str(value)[:60]!r}, {expected}.")
        found = [_resolve(entry, bases) for entry in entries]
        lost = [entry for entry, there in zip(entries, found, strict=True) if there is None]
        if not lost:
            parts[split] = [Source(there) for there in found]
        elif split == "train":
            fail(where[key], f"{lost[0]!r:.200} was not found, expected it in {bases[0]}: correct the path.")
        else:
            missing.append(f"{where[key]}: {key}: {lost[0]!r:.200} was not found")
    if not parts:
        fail(path, "found no 'train:' or 'val:', expected a folder, a list of images, or several of these.")
    return Layout("yolo", _in_order(parts), names=names, names_from=path, missing=missing)


def _names(content: dict, where: dict[str, str], path: Path) -> list[str]:
    names, place = content.get("names"), where.get("names", path)
    if isinstance(names, str) and os.path.isfile(path.parent / names):  # noqa: PTH113 - a name of any kind
        return get_classes(path.parent / names)
    if isinstance(names, dict):
        if sorted(map(str, names)) != sorted(map(str, range(len(names)))):
            fail(
                place, f"found names with the numbers {list(names)!s:.100}, expected 0 to {len(names) - 1}, each once."
            )
        names = [name for _, name in sorted(names.items(), key=lambda item: int(item[0]))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        expected = "expected a list of class names, in the order of their numbers"
        fail(place, f"found names = {str(names)[:60]!r}, {expected}.")
    names = [composed(name) for name in names]
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        fail(place, f"the class {twice[0]!r:.60} is there twice, expected each name once.")
    count = content.get("nc")
    if count is not None and count != str(len(names)):
        fail(
            where["nc"],
            f"found nc = {count!r:.20}, which contradicts names, which has {len(names)}: correct one of them.",
        )
    return names


def _of_data(path: Path) -> Layout:
    """Darknet's description, which CVAT writes too: lists of images, and the file of the class names."""
    content = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        key, equals, value = (part.strip() for part in line.partition("="))
        if line.strip() and not line.lstrip().startswith("#"):
            if not equals:
                fail(f"{path}, line {number}", f"found {line.strip()[:60]!r}, expected key = value.")
            if key in content:
                fail(f"{path}, line {number}", f"{key!r:.60} is there twice, expected each key once.")
            content[key] = (value, f"{path}, line {number}")
    parts, missing, names = {}, [], None
    for key, (value, where) in content.items():
        there, split = _resolve(value, [path.parent]) if value else None, split_of(key)
        there = there if there and there.is_file() else None
        if split and there:
            parts[split] = [Source(there)]
        elif split == "train":
            fail(where, f"{value!r:.200} was not found, expected it in {path.parent}: correct the path.")
        elif split:
            missing.append(f"{where}: {value!r:.200} was not found")
        elif key == "names" and there:
            names = get_classes(there)
            count = content.get("classes", (str(len(names)), ""))
            if count[0] != str(len(names)):
                fail(
                    count[1],
                    f"classes = {count[0]:.20} contradicts {there}, which has {len(names)} names: correct one.",
                )
    if not parts:
        fail(path, "found no 'train =' or 'valid =', expected a list of images.")
    return Layout("yolo", _in_order(parts), names=names, names_from=path, missing=missing)


def _resolve(entry: str, bases: Sequence[Path]) -> Path | None:
    """A path that is there, seen from a base."""
    parts = PurePosixPath(entry.replace("\\", "/")).parts
    for start in beginnings(parts):
        for base in bases:
            path = base.joinpath(*parts[start:])
            if os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a name is too long
                return path
    return None


def names_beside(paths: Sequence[Path]) -> tuple[list[str] | None, Path | None]:
    """The class names in the files that tools put beside their annotations, and that file.

    Args:
        paths: files or folders of the data set.

    Raises:
        AnnotationError: two such files disagree.
    """
    found: dict[Path, list[str]] = {}
    for path in paths:
        folders = [path, path / "labels", path.parent] if path.is_dir() else [path.parent]
        if path.parent.name in ("images", "labels") or path.name in ("images", "labels"):  # .../images/train
            folders += [path.parent.parent, path.parent / "labels"]
        for folder in folders:
            for file in _names_files(folder):
                is_yaml = file.suffix.lower() in (".yaml", ".yml")
                content, where = _read_yaml(file) if is_yaml else ({}, {})
                if not is_yaml or content.get("names"):
                    found[file] = _names(content, where, file) if is_yaml else get_classes(file)
            if found:
                break
    if len({tuple(names) for names in found.values()}) > 1:
        one, other = list(found)[:2]
        fail(one, f"its class names are others than those of {other}: remove one, or pass class_names (--classes).")
    return next(((names, file) for file, names in found.items()), (None, None))


def names_inside(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """The class names that LabelImg left beside labels, in whichever folder of a YOLO data set: each file, its names.

    Args:
        paths: folders of the data set; anything else does not count.
    """
    folders = {folder for path in paths if path.is_dir() for folder in (path, label_folder(path))}
    files = {file for folder in folders for file in list_files(folder, ["classes.txt"], recursive=True)}
    return {file: get_classes(file) for file in sorted(files) if file.name.lower() in CLASS_FILES}


def _names_files(folder: Path) -> list[Path]:
    files = [folder / name for name in ("classes.txt", "_classes.txt")]
    files += list_files(folder, [".names", ".labels"])
    labels = folder / "labels.txt"
    if labels.is_file() and not _holds_boxes(labels):
        files.append(labels)
    files += [file for file in list_files(folder, [".yaml", ".yml"]) if file.stem in ("data", "dataset")]
    return [file for file in files if file.is_file()]


def _holds_boxes(text: Path) -> bool:
    """Whether a text file begins as a YOLO label file does."""
    return re.match(r"\s*\d+(\s+[\d.eE+-]+){4}", read_text(text)) is not None


def _in_order(parts: dict[str, list[Source]]) -> dict[str, list[Source]]:
    return {split: parts[split] for split in ("train", "val", "test") if split in parts}
