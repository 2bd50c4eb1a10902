"""Reads pictures and their boxes, in four formats, and says where a file is wrong.

    text   keras-yolo3's lines: `path x_min,y_min,x_max,y_max,class ...`
    voc    Pascal VOC: a folder of XML files, one per image
    coco   COCO: one JSON file
    yolo   darknet and Ultralytics: a text file per image, `class x_centre y_centre width height` as parts of the image

Each format has one reader, which only takes the file apart; `_check` then finds fault with all four alike.
Coordinates are kept as written. Pascal VOC counts pixels from 1, but most tools that write its format count from 0,
and one pixel is less than an annotator's hand shakes: nothing is shifted.
"""

import json
import math
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
LEAST = 1e-3  # pixels: what is narrower has no area, only rounding
SLACK = 1.01  # pixels a box may reach outside its image: one, and what rounding to a few digits adds
FORMATS = {
    "text": "keras-yolo3's text (a .txt file with lines of 'image.jpg x_min,y_min,x_max,y_max,class ...')",
    "voc": "Pascal VOC (a folder of .xml files)",
    "coco": "COCO (a .json file)",
    "yolo": "YOLO (a folder of images and .txt files of the same names, together or in images/ and labels/)",
}


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


class _Box(NamedTuple):
    where: str  # file and line
    corners: Sequence[float]  # x_min, y_min, x_max, y_max; in pixels, or for YOLO as parts of the image
    label: int | str  # the number of a class, or its name


class _Record(NamedTuple):
    where: str
    image_path: Path
    boxes: list[_Box]


# ---------------------------------------------------------------------------------------------------------- images


def open_image(path: Path | str) -> Image.Image:
    """Opens an image as a person sees it, as 8-bit RGB.

    The camera's rotation (EXIF) is applied; grey and CMYK are converted; 16 bits are scaled to 8, not clipped;
    transparent parts become white; of an animation the first frame is taken.

    Args:
        path: the image file.

    Returns:
        A loaded Pillow image of mode RGB.

    Raises:
        AnnotationError: the file is missing, empty, cut off, or not an image.
    """

    def as_seen(image: Image.Image) -> Image.Image:
        if _orientation(image) != 1:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            values = np.asarray(image)
            if image.mode == "F" or values.min() < 0 or values.max() > 65535:
                raise ValueError("its values have 32 bits, expected 8 or 16")
            image = Image.fromarray(((values.astype(np.int32) + 128) // 257).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB")

    return _use_image(path, as_seen)


def image_size(path: Path | str) -> tuple[int, int]:
    """The (height, width) that `open_image` would give, from the header alone.

    Args:
        path: the image file.

    Returns:
        Height and width in pixels, after the camera's rotation.

    Raises:
        AnnotationError: the file is missing, empty, or does not begin as an image does.
    """

    def size(image: Image.Image) -> tuple[int, int]:
        turned = _orientation(image) >= 5  # 5 to 8: a quarter turn
        if turned and image.format == "TIFF":
            image.load()  # Pillow turns a TIFF itself; some versions only now
            turned = False
        width, height = image.size
        return (width, height) if turned else (height, width)

    return _use_image(path, size)


def _use_image(path: Path | str, use: Callable[[Image.Image], Any]) -> Any:
    try:
        with Image.open(path) as image:
            return use(image)
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        if isinstance(error, FileNotFoundError):
            reason = "the file does not exist"
        elif os.path.isfile(path) and os.path.getsize(path) == 0:  # noqa: PTH113, PTH202 - any path, even a bad one
            reason = "the file is empty"
        elif isinstance(error, UnidentifiedImageError):
            reason = "it is not an image, or of an unknown kind"
        else:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise AnnotationError(f"{path}: the image does not open ({reason}): replace it, or leave it out.") from error


def _orientation(image: Image.Image) -> int:
    """How the camera was held, 1 (upright) to 8, as EXIF numbers it."""
    try:
        # The base class's method: the one for PNG decodes the whole picture in search of a late EXIF block.
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF: viewers show such a picture as it is
        return 1
    return value if value in range(1, 9) else 1


# ------------------------------------------------------------------------------------------------------ small parts


def _fail(where: object, problem: str) -> NoReturn:
    raise AnnotationError(f"{where}: {problem}")


def _read_text(path: Path) -> str:
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
    names = [line.strip() for line in _read_text(Path(path)).rstrip().split("\n")]
    for number, name in enumerate(names, 1):
        if not name:
            _fail(f"{path}, line {number}", "found an empty line, expected the name of a class: one name per line.")
        if name in names[: number - 1]:
            _fail(f"{path}, line {number}", f"the class {name!r} is there twice, expected each name once.")
    return names


def list_files(folder: Path, suffixes: Iterable[str], pattern: str = "*") -> list[Path]:
    """The files of a folder in alphabetical order, without hidden ones (such as macOS' `._photo.jpg`).

    Args:
        folder: where to look.
        suffixes: endings to keep, in small letters with their dot; capitals in a file's name do not count.
        pattern: as `Path.glob` takes it; "**/*" for folders inside the folder too.
    """
    found = (p for p in folder.glob(pattern) if p.suffix.lower() in suffixes and not p.name.startswith("."))
    return sorted(p for p in found if p.is_file())


def _find_image(names: Sequence[str], folders: Sequence[Path], where: str) -> Path:
    """The first that exists: in a folder itself, in its images/, or in images/ or JPEGImages/ beside it."""
    for folder in folders:
        parent = folder.parent if folder.name not in ("", "..") else folder / ".."
        for name in names:
            for place in (folder, folder / "images", parent / "images", parent / "JPEGImages"):
                for candidate in (place / name, place / name.replace("\\", "/")):  # a\b.jpg was written on Windows
                    if os.path.isfile(candidate):  # noqa: PTH113 - Path.is_file raises where a name is too long
                        return candidate
    places = f"{folders[0]}, its images/, or images/ or JPEGImages/ beside it"
    _fail(where, f"the image {names[0]!r} was not found, expected in {places}: correct the path, or move the image.")


def _numbers(fields: Sequence[Any], where: str) -> list[float]:
    values = []
    for field in fields:
        try:
            values.append(float(field))
        except (TypeError, ValueError, OverflowError):
            values.append(math.nan)
        if not math.isfinite(values[-1]):
            _fail(where, f"found {field!r:.60} as a coordinate, expected a number.")
    return values


def _class_number(field: str, where: str) -> int:
    try:
        return int(field)
    except ValueError:
        _fail(
            where, f"found {field!r:.60} as class, expected a whole number: the line of the class file, counted from 0."
        )


# ------------------------------------------------------------------------------- the readers: (records, class names)


def _read_lines(path: Path, split: Path | None) -> tuple[list[_Record], None]:
    # A path may hold spaces and commas, so it ends at the last known suffix. Boxes hold none.
    suffixes = "|".join(re.escape(suffix) for suffix in IMAGE_SUFFIXES)
    pattern = re.compile(rf"(.*(?:{suffixes}))(?!\S)(.*)", re.IGNORECASE)
    records = []
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        match = pattern.fullmatch(line.strip())
        if match is None:
            _fail(
                where, f"found {line.strip()[:60]!r}, expected the path of an image ({' '.join(IMAGE_SUFFIXES)}) first."
            )
        boxes = []
        for token in match[2].split():
            fields = token.split(",")
            if len(fields) != 5:
                found = f"found {token!r:.60} with {len(fields)} fields"
                _fail(where, f"{found}, expected five without spaces: x_min,y_min,x_max,y_max,class.")
            boxes.append(_Box(where, _numbers(fields[:4], where), _class_number(fields[4], where)))
        # keras-yolo3 takes relative paths from where Python was started; beside the file is tried first.
        records.append(_Record(where, _find_image([match[1]], [path.parent, Path()], where), boxes))
    if records and not any(record.boxes for record in records):
        _fail(path, "no line has a box: expected 'image.jpg x_min,y_min,x_max,y_max,class' in at least one.")
    return records, None


def _read_voc(path: Path, split: Path | None) -> tuple[list[_Record], list[str]]:
    folder = _voc_folder(path)
    roots = {file.stem: (file, _parse_xml(file)) for file in list_files(folder, [".xml"])}
    # The names come from all files, whatever the split: train and test must count classes alike.
    names = {_child_text(thing, "name", file) for file, root in roots.values() for thing in root.findall("object")}
    chosen = list(roots)
    if split is not None:
        chosen = [line.strip() for line in _read_text(split).split("\n")]
    records = []
    for number, stem in enumerate(chosen, 1):
        if not stem:
            continue
        if stem not in roots:
            _fail(
                f"{split}, line {number}",
                f"found {stem!r}, expected the name of an .xml file in {folder} without .xml.",
            )
        file, root = roots[stem]
        boxes = []
        for thing in root.findall("object"):
            box = thing.find("bndbox")
            if box is None:
                _fail(_line(file, thing), "this <object> has no <bndbox>: add one, or remove the object.")
            corners = [_child_text(box, corner, file) for corner in ("xmin", "ymin", "xmax", "ymax")]
            label = _child_text(thing, "name", file)
            boxes.append(_Box(_line(file, thing), _numbers(corners, _line(file, box)), label))
        image_names = [(root.findtext("filename") or "").strip() or stem, *(stem + suffix for suffix in IMAGE_SUFFIXES)]
        where = str(file) if split is None else f"{file} ({split}, line {number})"
        records.append(_Record(where, _find_image(image_names, [folder], where), boxes))
    return records, sorted(names)


def _voc_folder(path: Path) -> Path:
    return path / "Annotations" if (path / "Annotations").is_dir() else path


def _parse_xml(path: Path) -> ElementTree.Element:
    """The tree, each element with its line as an attribute (ElementTree's own parser does not keep it)."""
    text = _read_text(path)
    # Only a document type can declare entities, the way of attacks by XML. VOC files have none: refused unread.
    if "<!DOCTYPE" in text:
        _fail(path, "found <!DOCTYPE, which could make the parser read other files or fill the memory: remove it.")
    tree, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler = lambda tag, attributes: tree.start(tag, {"line": str(parser.CurrentLineNumber)})
    parser.EndElementHandler, parser.CharacterDataHandler = tree.end, tree.data
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise AnnotationError(f"{path}, line {error.lineno}: broken XML: {expat.ErrorString(error.code)}.") from error
    root = tree.close()
    if root.tag != "annotation":
        _fail(path, f"found <{root.tag}> as the outermost element, expected Pascal VOC's <annotation>.")
    return root


def _line(path: Path, element: ElementTree.Element) -> str:
    return f"{path}, line {element.get('line')}"


def _child_text(element: ElementTree.Element, tag: str, path: Path) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        _fail(_line(path, element), f"<{element.tag}> has no <{tag}>, or an empty one.")
    return text


def _read_coco(path: Path, split: Path | None) -> tuple[list[_Record], list[str]]:
    try:
        data = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}, line {error.lineno}: broken JSON: {error.msg}.") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets as deep
        raise AnnotationError(f"{path}: JSON that cannot be read: {error}.") from error

    def entries(key: str, **kinds: Any) -> list[tuple[str, list[Any]]]:
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            _fail(path, f"no list {key!r} in the file, expected COCO's images, annotations and categories.")
        found = []
        for index, entry in enumerate(data[key]):
            where = f"{path}, {key}[{index}]"
            for field, kind in kinds.items():
                value = entry.get(field) if isinstance(entry, dict) else None
                if not isinstance(value, kind):
                    kind_name = {list: "a list", str: "a text", int: "a whole number"}.get(kind, "a number or a text")
                    _fail(where, f"found {field} = {str(value)[:60]!r}, expected {kind_name}.")
            found.append((where, [entry[field] for field in kinds] + [entry]))
        return found

    categories: dict[int, str] = {}
    for where, (number, name, _) in entries("categories", id=int, name=str):
        if number in categories or name in categories.values():
            _fail(where, f"the category {number} ({name!r}) is there twice, expected each id and each name once.")
        categories[number] = name
    records: dict[int | str, _Record] = {}
    for where, (number, name, _) in entries("images", id=int | str, file_name=str):
        if number in records:
            _fail(where, f"the image id {number!r} is there twice, expected each id once.")
        records[number] = _Record(where, _find_image([name], [path.parent], where), [])
    for where, (image, category, box, entry) in entries("annotations", image_id=int | str, category_id=int, bbox=list):
        if image not in records:
            _fail(where, f"found image_id {image!r:.60}, expected the id of one of the images.")
        if category not in categories:
            _fail(where, f"found category_id {category!r:.60}, expected one of {sorted(categories)}.")
        if len(box) != 4:
            _fail(where, f"found a bbox with {len(box)} fields, expected four: x_min, y_min, width, height.")
        x, y, width, height = _numbers(box, where)
        if not entry.get("iscrowd"):  # a crowd's box surrounds many objects and is none itself
            records[image].boxes.append(_Box(where, (x, y, x + width, y + height), categories[category]))
    return list(records.values()), [categories[number] for number in sorted(categories)]


def _read_yolo(path: Path, split: Path | None) -> tuple[list[_Record], None]:
    images, labels = _yolo_files(path)
    times = Counter(name for name, _ in images)
    for name, label in labels.items():
        if name not in times:
            _fail(label, "there is no image of this name: add the image, or remove the file.")
    if not labels:
        _fail(path, "no .txt file of an image's name was found, expected one per image, beside it or in labels/.")
    records = []
    for name, image in images:
        if times[name] > 1:
            _fail(image, "another image has the same name, so that both share one .txt file: rename one.")
        label, boxes = labels.get(name), []
        for number, line in enumerate(_read_text(label).split("\n") if label else (), 1):
            where, fields = f"{label}, line {number}", line.split()
            if not fields:
                continue
            if len(fields) != 5:
                _fail(where, f"found {len(fields)} fields, expected five: class x_centre y_centre width height.")
            x, y, width, height = values = _numbers(fields[1:], where)
            if max(map(abs, values)) > 2:  # a little more than 1 is left to the check of the box
                _fail(where, f"found {max(values, key=abs):g}, expected parts of the image from 0 to 1, not pixels.")
            corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            boxes.append(_Box(where, corners, _class_number(fields[0], where)))
        records.append(_Record(str(label or image), image, boxes))
    return records, None


def _yolo_files(path: Path) -> tuple[list[tuple[str, Path]], dict[str, Path]]:
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


# ------------------------------------------------------------------------------------------------- the one way in


def read_annotations(
    path: Path | str,
    format: str | None = None,
    class_names: Sequence[str] | None = None,
    split: Path | str | None = None,
    zero_area: str = "error",
) -> tuple[list[Annotation], list[str]]:
    """Reads a data set in any of the four formats and checks every line, box and image of it.

    Images are looked for beside the annotation file, in `images/`, and in `images/` or `JPEGImages/` beside its
    folder; for the text format then in the same places seen from the current folder, as in keras-yolo3. Names are
    taken as written: `%20` is no space. A box up to one pixel outside its image is clipped. An image listed twice is
    an error, since one of its entries would teach that the other's objects are background. COCO's crowd regions are
    left out, VOC's difficult objects kept. An image without boxes is one without objects; so is a YOLO image
    without a label file.

    Args:
        path: text: the file. voc: the folder of XML files, or the one that holds it as `Annotations`.
            coco: the file. yolo: the folder with images/ and labels/, or with both mixed, or an images/ folder.
        format: "text", "voc", "coco" or "yolo"; None: recognised.
        class_names: names in the order of their numbers. None: voc: all names in the folder, sorted; coco: the
            categories by id; text and yolo: classes.txt, or the only .names file, in the data set's folder.
        split: voc only: a text file with one name of an XML file (without .xml) per line.
        zero_area: a box without area (x_max <= x_min or y_max <= y_min): "error", or "skip" to leave all of them
            out with one warning that counts them.

    Returns:
        The annotations (text: as in the file; voc: sorted, or as in the split; coco: as in the file; yolo: sorted)
        and the class names.

    Raises:
        AnnotationError: anything is wrong; the message names file and line, what was found and what is expected.
    """
    path = Path(path)
    if zero_area not in ("error", "skip"):
        raise AnnotationError(f"zero_area is {zero_area!r}, expected 'error' or 'skip'.")
    format = _recognise(path) if format is None else format
    if format not in FORMATS:
        raise AnnotationError(f"format is {format!r}, expected one of {', '.join(FORMATS)}.")
    if path.is_dir() != (format in ("voc", "yolo")):
        _fail(path, f"not found, or not what is expected for format {format!r}: {FORMATS[format]}.")
    if split is not None and format != "voc":
        raise AnnotationError(f"split is {str(split)!r}, but only Pascal VOC has splits, and this is {format!r}.")
    if class_names is not None:
        if isinstance(class_names, str | Path):
            raise AnnotationError(f"class_names is {class_names!r}, expected a list: get_classes(path) reads a file.")
        if not class_names or len(set(class_names)) < len(class_names):
            raise AnnotationError(f"class_names is {list(class_names)}, expected each name once, and at least one.")

    reader = {"text": _read_lines, "voc": _read_voc, "coco": _read_coco, "yolo": _read_yolo}[format]
    records, names = reader(path, None if split is None else Path(split))
    if not records:
        _fail(path, f"no images in it, expected {FORMATS[format]}.")
    if class_names is not None:
        names = list(class_names)
    elif names is None:
        names = _names_beside(path)
    if not names:
        _fail(path, "no class in it: expected an object with a name in at least one file, or one of the categories.")
    for name in names:
        if not name.strip() or re.search(r"[\x00-\x1f\ud800-\udfff]", name):
            _fail(path, f"found {name!r:.60} as the name of a class, expected a text on one line.")
    return _check(path, records, names, zero_area, fractions=format == "yolo"), names


def _recognise(path: Path) -> str:
    if not path.exists():
        _fail(path, "there is no such file or folder.")
    found = [name for name, suffix in (("text", ".txt"), ("coco", ".json")) if path.suffix.lower() == suffix]
    kind = f"a file ending in {path.suffix!r}"
    if path.is_dir():
        images, labels = _yolo_files(path)
        found = ["voc"] if list_files(_voc_folder(path), [".xml"]) else []
        found += ["yolo"] if any(name in labels for name, _ in images) else []
        kind = f"a folder with {len(images)} images and {' and '.join(found) or 'no known'} annotations"
    if len(found) != 1:
        _fail(path, f"the format is not clear, found {kind}; known are {'; '.join(FORMATS.values())}: give format=.")
    return found[0]


def _names_beside(path: Path) -> list[str]:
    folders = [path, path / "labels", path.parent] if path.is_dir() else [path.parent]
    if path.parent.name == "images":  # .../images/train
        folders.append(path.parent.parent)
    for folder in folders:
        found = [folder / "classes.txt"] if (folder / "classes.txt").is_file() else list_files(folder, [".names"])
        if len(found) == 1:
            return get_classes(found[0])
    mend = "add it, or pass class_names, for example class_names=get_classes('my_classes.txt')"
    _fail(path, f"the class names are not known, expected classes.txt or one .names file in {folders[0]}: {mend}.")


def _check(path: Path, records: list[_Record], names: list[str], zero_area: str, fractions: bool) -> list[Annotation]:
    numbers = {name: number for number, name in enumerate(names)}
    seen: dict[str, str] = {}
    without_area: list[str] = []
    annotations = []
    for record in records:
        key = os.path.abspath(record.image_path)  # noqa: PTH100 - without following links
        if key in seen:
            _fail(record.where, f"{record.image_path.name} is already in {seen[key]}: put all its boxes in one place.")
        seen[key] = record.where
        try:
            height, width = image_size(record.image_path)
        except AnnotationError as error:
            raise AnnotationError(f"{record.where}: {error}") from error
        limit = np.array([width, height, width, height], np.float64)
        boxes, classes = [], []
        for where, corners, label in record.boxes:
            if isinstance(label, str) and label not in numbers:
                _fail(where, f"found the class {label!r}, expected one of {names}.")
            number = numbers[label] if isinstance(label, str) else label
            if not 0 <= number < len(names):
                _fail(
                    where,
                    f"found class {number!r:.60}, expected 0 to {len(names) - 1}, since there are {len(names)} names.",
                )
            box = np.array(corners, np.float64) * (limit if fractions else 1.0)
            shown = "x_min {:g}, y_min {:g}, x_max {:g}, y_max {:g}".format(*box)
            if (box < -SLACK).any() or (box > limit + SLACK).any():
                _fail(where, f"found {shown}, outside the image of {width} x {height} pixels (width x height).")
            box = box.clip(0, limit).astype(np.float32)
            if (box[2:] - box[:2] < LEAST).any():
                problem = f"found {shown}, a box without area, expected x_max > x_min and y_max > y_min"
                if zero_area == "error":
                    _fail(where, f"{problem}: correct it, or leave such boxes out with zero_area='skip'.")
                without_area.append(f"{where}: {problem}")
                continue
            boxes.append(box)
            classes.append(number)
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        annotations.append(Annotation(record.image_path, boxes, np.array(classes, np.int64)))
    if without_area:
        total = sum(len(record.boxes) for record in records)
        count = f"{len(without_area)} of {total} boxes have no area and are left out"
        warnings.warn(f"{path}: {count}; the first is {without_area[0]}.", stacklevel=3)
    return annotations
