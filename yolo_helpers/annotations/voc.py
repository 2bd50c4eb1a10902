"""Pascal VOC: a folder of XML files, one for each image.

VOC counts pixels from 1, but most tools that write its format count from 0, and one pixel is less than an annotator's
hand shakes: nothing is shifted.
"""

import codecs
import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

from yolo_helpers.annotations.find import Pictures
from yolo_helpers.annotations.record import (
    AnnotationError,
    Box,
    Findings,
    Record,
    claimed_size,
    composed,
    decoded,
    fail,
    numbers,
    read_bytes,
    read_text,
)
from yolo_helpers.files import holds_files, list_files, name_within
from yolo_helpers.images import IMAGE_SUFFIXES

CORNERS = ("xmin", "ymin", "xmax", "ymax")
FOLDERS = ("annotations", "labels", "xml", "xmls")  # what tools call the folder of the XML files, capitals aside


def read_voc(
    path: Path, split: Path | None, pictures: Pictures, findings: Findings
) -> tuple[list[Record], dict[str, object]]:
    folder = voc_folder(path) or path
    # Where a data set has a folder for them, folders inside it count too.
    files = {name_within(file, folder): file for file in list_files(folder, [".xml"], recursive=folder != path)}
    chosen: list[tuple[str, str | None]] = [(stem, None) for stem in files]
    if split is not None:
        lines = enumerate(read_text(split).split("\n"), 1)
        chosen = [(_stem(line.strip()), f"{split}, line {number}") for number, line in lines if line.strip()]
    wanted = {stem for stem, _ in chosen}
    found: dict[str, Record] = {}
    names: dict[str, object] = {}
    for stem, file in files.items():
        with findings:
            root = _parse(file)
            objects = _objects(root, file)
            # The names come from all files, whatever the split: train and test must count classes alike.
            for _, label, where in objects:
                names.setdefault(label, where)
            if stem in wanted:  # only then may its boxes and its image be at fault; no tree is kept
                boxes = [box for thing, label, where in objects for box in _boxes(thing, label, where)]
                name = _file_name(root, file)
                around = (file.parent, folder) if "/" in stem else (folder,)
                image = pictures.of_file(name, stem, around, str(file), "<filename>")
                size = claimed_size(root.findtext("size/width"), root.findtext("size/height"))
                found[stem] = Record(str(file), image, boxes, size)
    records = []
    for stem, line in chosen:
        with findings:
            if stem not in files:
                fail(line, f"found {stem!r:.200}, expected the name of an .xml file in {folder} without .xml.")
            if stem in found:
                record = found[stem]
                records.append(record._replace(where=f"{record.where} ({line})") if line else record)
    return records, names


def _stem(name: str) -> str:
    """A name in a list, which some tools write with the suffix of the file or its image."""
    return name[: -len(Path(name).suffix)] if name.lower().endswith((".xml", *IMAGE_SUFFIXES)) else name


def _objects(root: ElementTree.Element, file: Path) -> list[tuple[ElementTree.Element, str, "_Line"]]:
    """The objects with their names, and where each stands."""
    found, direct = list(root.iter("object")), root.findall("object")
    if len(found) != len(direct):
        number = next(number for number, element in enumerate(found) if element not in direct)
        fail(_Line(file, number), "this <object> lies in another element: put it directly into <annotation>.")
    return [(each, _text_in(each, "name", at := _Line(file, number)), at) for number, each in enumerate(found)]


def _boxes(thing: ElementTree.Element, label: str, where: "_Line") -> list[Box]:
    """All boxes of an object: some tools write those of a whole class into one."""
    found = thing.findall("bndbox")
    if not found:
        drawn = [tag for tag in ("polygon", "robndbox", "mask", "line") if thing.find(tag) is not None]
        if drawn:
            fail(where, f"this <object> has a <{drawn[0]}> in place of a <bndbox>: export boxes, or draw one.")
        fail(where, "this <object> has no <bndbox>: add one, or remove the object.")
    return [Box(where, numbers(_corners(box, where), where), label) for box in found]


def _corners(box: ElementTree.Element, where: object) -> list[str]:
    corners = [box.findtext(corner) for corner in CORNERS]
    if len(box) == len(corners) and all(corners):
        return corners
    return [_text_in(box, corner, where) for corner in CORNERS]


def _text_in(element: ElementTree.Element, tag: str, where: object) -> str:
    found = element.findall(tag)
    text = composed(found[0].text or "") if found else ""
    if not text:
        others = ", ".join(f"<{child.tag}>" for child in element)
        fail(where, f"<{element.tag}> has no <{tag}>, or an empty one, only {others or 'nothing'}.")
    if len(found) > 1:
        fail(where, f"<{element.tag}> has {len(found)} times <{tag}>, expected one.")
    return text


def _file_name(root: ElementTree.Element, file: Path) -> str:
    found = root.findall("filename")
    if len(found) > 1:
        fail(file, f"found {len(found)} times <filename>, expected one.")
    return (found[0].text or "") if found else ""


def voc_folder(path: Path) -> Path | None:
    """The folder of the XML files, itself or the one inside that has any; None if neither has."""
    found = [path] if holds_files(path, [".xml"]) else []
    inside = sorted(f for f in path.iterdir() if f.name.lower() in FOLDERS and f.is_dir())
    found += [folder for folder in inside if holds_files(folder, [".xml"], recursive=True)]
    if len(found) > 1:
        fail(found[0], f"there are .xml files here and in {found[1]}: give the folder that is meant.")
    return found[0] if found else None


class _Line(NamedTuple):
    """Where an object stands; the line is looked up when asked for, since a parser that keeps lines is slow."""

    file: Path
    number: int  # of the object in the file, counted from 0

    def __str__(self) -> str:
        parser, lines = expat.ParserCreate(), []
        parser.StartElementHandler = lambda tag, _: lines.append(parser.CurrentLineNumber) if tag == "object" else None
        parser.Parse(_text_of(self.file), True)
        return f"{self.file}, line {lines[self.number]}"


def _parse(path: Path) -> ElementTree.Element:
    text = _text_of(path)
    # Only a document type can declare entities, the way of attacks by XML. VOC files have none: refused unread.
    if "<!DOCTYPE" in text:
        fail(path, "found <!DOCTYPE, which could make the parser read other files or fill the memory: remove it.")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        line, problem = error.position[0], expat.ErrorString(error.code)
        raise AnnotationError(f"{path}, line {line}: broken XML: {problem}.") from error
    if root.tag == "annotations":
        fail(path, "this is CVAT's own XML, of all images: export as YOLO, COCO or Pascal VOC.")
    if root.tag != "annotation":
        fail(path, f"found <{root.tag:.60}> as the outermost element, expected Pascal VOC's <annotation>.")
    return root


def _text_of(path: Path) -> str:
    """The file as text, in the encoding that it declares."""
    content = read_bytes(path)
    declared = re.match(rb"""\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""", content[:200])
    encoding = declared[1].decode().lower().replace("_", "-") if declared else "utf-8"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return decoded(content, path, "utf-16")
    if encoding in ("utf-8", "utf8") or content.isascii():
        return decoded(content, path)
    place = f"{path}, line 1"
    try:
        text = content.decode(encoding)
    except (LookupError, UnicodeDecodeError) as error:
        fail(place, f"it declares encoding={encoding!r:.60}, which does not fit ({error}): save it as UTF-8.")
    try:
        content.decode()
    except UnicodeDecodeError:
        return text
    fail(place, f"it declares encoding={encoding!r:.60}, but is UTF-8 text: correct the declaration.")
