"""The one way in: a format is recognised, read by its reader, and checked like all others."""

import re
from collections.abc import Sequence
from pathlib import Path

from yolo_helpers.annotations.check import check
from yolo_helpers.annotations.coco import read_coco
from yolo_helpers.annotations.record import Annotation, AnnotationError, fail, get_classes
from yolo_helpers.annotations.text import read_lines
from yolo_helpers.annotations.voc import read_voc, voc_folder
from yolo_helpers.annotations.yolo import read_yolo, yolo_files
from yolo_helpers.files import list_files

FORMATS = {
    "text": "keras-yolo3's text (a .txt file with lines of 'image.jpg x_min,y_min,x_max,y_max,class ...')",
    "voc": "Pascal VOC (a folder of .xml files)",
    "coco": "COCO (a .json file)",
    "yolo": "YOLO (a folder of images and .txt files of the same names, together or in images/ and labels/)",
}


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

    >>> from yolo_helpers.anchors import DATA
    >>> annotations, class_names = read_annotations(DATA / "smears" / "annotations.txt")
    >>> len(annotations), class_names
    (8, ['Platelets', 'RBC', 'WBC'])
    >>> annotations[0].image_path.name, annotations[0].boxes.shape
    ('smear_0000.png', (23, 4))
    """
    path = Path(path)
    if zero_area not in ("error", "skip"):
        raise AnnotationError(f"zero_area is {zero_area!r}, expected 'error' or 'skip'.")
    format = _recognise(path) if format is None else format
    if format not in FORMATS:
        raise AnnotationError(f"format is {format!r}, expected one of {', '.join(FORMATS)}.")
    if path.is_dir() != (format in ("voc", "yolo")):
        fail(path, f"not found, or not what is expected for format {format!r}: {FORMATS[format]}.")
    if split is not None and format != "voc":
        raise AnnotationError(f"split is {str(split)!r}, but only Pascal VOC has splits, and this is {format!r}.")
    if class_names is not None:
        if isinstance(class_names, str | Path):
            raise AnnotationError(f"class_names is {class_names!r}, expected a list: get_classes(path) reads a file.")
        if not class_names or len(set(class_names)) < len(class_names):
            raise AnnotationError(f"class_names is {list(class_names)}, expected each name once, and at least one.")

    reader = {"text": read_lines, "voc": read_voc, "coco": read_coco, "yolo": read_yolo}[format]
    records, names = reader(path, None if split is None else Path(split))
    if not records:
        fail(path, f"no images in it, expected {FORMATS[format]}.")
    if class_names is not None:
        names = list(class_names)
    elif names is None:
        names = _names_beside(path)
    if not names:
        fail(path, "no class in it: expected an object with a name in at least one file, or one of the categories.")
    for name in names:
        if not name.strip() or re.search(r"[\x00-\x1f\ud800-\udfff]", name):
            fail(path, f"found {name!r:.60} as the name of a class, expected a text on one line.")
    return check(path, records, names, zero_area, fractions=format == "yolo"), names


def _recognise(path: Path) -> str:
    if not path.exists():
        fail(path, "there is no such file or folder.")
    found = [name for name, suffix in (("text", ".txt"), ("coco", ".json")) if path.suffix.lower() == suffix]
    kind = f"a file ending in {path.suffix!r}"
    if path.is_dir():
        images, labels = yolo_files(path)
        found = ["voc"] if list_files(voc_folder(path), [".xml"]) else []
        found += ["yolo"] if any(name in labels for name, _ in images) else []
        kind = f"a folder with {len(images)} images and {' and '.join(found) or 'no known'} annotations"
    if len(found) != 1:
        fail(path, f"the format is not clear, found {kind}; known are {'; '.join(FORMATS.values())}: give format=.")
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
    fail(path, f"the class names are not known, expected classes.txt or one .names file in {folders[0]}: {mend}.")
