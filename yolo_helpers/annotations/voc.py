"""Pascal VOC: a folder of XML files, one for each image.

VOC counts pixels from 1, but most tools that write its format count from 0, and one pixel is less than an annotator's
hand shakes: nothing is shifted.
"""

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from yolo_helpers.annotations.record import AnnotationError, Box, Record, fail, find_image, numbers, read_text
from yolo_helpers.files import list_files
from yolo_helpers.images import IMAGE_SUFFIXES


def read_voc(path: Path, split: Path | None) -> tuple[list[Record], list[str]]:
    folder = voc_folder(path)
    roots = {file.stem: (file, _parse_xml(file)) for file in list_files(folder, [".xml"])}
    # The names come from all files, whatever the split: train and test must count classes alike.
    names = {_child_text(thing, "name", file) for file, root in roots.values() for thing in root.findall("object")}
    chosen = list(roots)
    if split is not None:
        chosen = [line.strip() for line in read_text(split).split("\n")]
    records = []
    for number, stem in enumerate(chosen, 1):
        if not stem:
            continue
        if stem not in roots:
            fail(
                f"{split}, line {number}",
                f"found {stem!r}, expected the name of an .xml file in {folder} without .xml.",
            )
        file, root = roots[stem]
        boxes = []
        for thing in root.findall("object"):
            box = thing.find("bndbox")
            if box is None:
                fail(_line(file, thing), "this <object> has no <bndbox>: add one, or remove the object.")
            corners = [_child_text(box, corner, file) for corner in ("xmin", "ymin", "xmax", "ymax")]
            label = _child_text(thing, "name", file)
            boxes.append(Box(_line(file, thing), numbers(corners, _line(file, box)), label))
        image_names = [(root.findtext("filename") or "").strip() or stem, *(stem + suffix for suffix in IMAGE_SUFFIXES)]
        where = str(file) if split is None else f"{file} ({split}, line {number})"
        records.append(Record(where, find_image(image_names, [folder], where), boxes))
    return records, sorted(names)


def voc_folder(path: Path) -> Path:
    return path / "Annotations" if (path / "Annotations").is_dir() else path


def _parse_xml(path: Path) -> ElementTree.Element:
    """The tree, each element with its line as an attribute (ElementTree's own parser does not keep it)."""
    text = read_text(path)
    # Only a document type can declare entities, the way of attacks by XML. VOC files have none: refused unread.
    if "<!DOCTYPE" in text:
        fail(path, "found <!DOCTYPE, which could make the parser read other files or fill the memory: remove it.")
    tree, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler = lambda tag, attributes: tree.start(tag, {"line": str(parser.CurrentLineNumber)})
    parser.EndElementHandler, parser.CharacterDataHandler = tree.end, tree.data
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise AnnotationError(f"{path}, line {error.lineno}: broken XML: {expat.ErrorString(error.code)}.") from error
    root = tree.close()
    if root.tag != "annotation":
        fail(path, f"found <{root.tag}> as the outermost element, expected Pascal VOC's <annotation>.")
    return root


def _line(path: Path, element: ElementTree.Element) -> str:
    return f"{path}, line {element.get('line')}"


def _child_text(element: ElementTree.Element, tag: str, path: Path) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        fail(_line(path, element), f"<{element.tag}> has no <{tag}>, or an empty one.")
    return text
