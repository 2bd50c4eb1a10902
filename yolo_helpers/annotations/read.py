"""The one way in: a layout is recognised, its files read by the reader of their format, and checked like all others."""

import contextlib
import gc
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from yolo_helpers.annotations.check import Check
from yolo_helpers.annotations.coco import CROWD, read_coco
from yolo_helpers.annotations.find import Pictures
from yolo_helpers.annotations.labelme import read_labelme
from yolo_helpers.annotations.layout import FORMATS, Source, find_layout, names_beside, names_inside, split_of
from yolo_helpers.annotations.record import (
    Annotation,
    AnnotationError,
    Findings,
    NoLabels,
    Record,
    composed,
    fail,
    folded,
)
from yolo_helpers.annotations.split import shared_photographs
from yolo_helpers.annotations.text import listed_pictures, read_lines
from yolo_helpers.annotations.voc import read_voc
from yolo_helpers.annotations.yolo import read_yolo
from yolo_helpers.files import list_files
from yolo_helpers.images import IMAGE_SUFFIXES

READERS = {"text": read_lines, "voc": read_voc, "coco": read_coco, "yolo": read_yolo, "labelme": read_labelme}
FORMS = {"text": "corners", "voc": "corners", "coco": "sizes", "yolo": "parts", "labelme": "corners"}
OWN_FILE = {"voc": "XML", "labelme": "JSON"}  # formats whose files name their pictures, and not the other way round


def read_annotations(
    path: Path | str,
    format: str | None = None,
    class_names: Sequence[str] | None = None,
    split: Path | str | None = None,
    images: Path | str | None = None,
    zero_area: str = "error",
    outside: str = "error",
    allow_empty: bool = False,
) -> tuple[list[Annotation], list[str]]:
    """Reads a data set in any of five formats and checks every line, box and image of it.

    Images are looked for beside the annotation file and in the folders in which annotation tools put them; for the text
    format then in the same places seen from the current folder, as in keras-yolo3. Names are taken as written: `%20` is
    no space, unless only an image with the space is there. A box up to one pixel outside its image is clipped.
    An image listed twice is an error, since one of its entries would teach that the other's objects are background.
    An image without boxes is one without objects, and so is a YOLO image without a label file. In voc and labelme an
    image without a file is left out, with a warning where others of its folder have one.
    COCO's crowd regions are left out, VOC's difficult objects kept. Where the file says the size of the image that was
    annotated, it must be the image's; if it is the size before the camera's rotation (EXIF), the boxes are turned with
    the image. What is read but looks doubtful is said in a warning, one of each kind, with how often and where first.

    Args:
        path: what an annotation tool wrote: a folder, or the file in it that describes it. text: the file. voc: the
            folder of XML files, or the one that holds it. coco: the file, or its folder. yolo: the folder with
            images/ and labels/, or with both mixed, an images/ folder, a list of images, data.yaml, or obj.data.
            labelme: the folder.
        format: "text", "voc", "coco", "yolo" or "labelme"; None: recognised.
        class_names: names in the order of their numbers. None: voc and labelme: all names in the files, sorted; coco:
            the categories by id; text and yolo: those of data.yaml, obj.names, classes.txt or another such file. Where
            there are such, and all of them are among the given names, the numbers in the files mean them.
        split: "train", "val" or "test", in a data set that has these parts; None: all of them. voc: also a text file
            with one name of an XML file (without .xml) per line.
        images: the folder in which the images lie, where they are not in one of the usual places.
        zero_area: a box without area (x_max <= x_min or y_max <= y_min): "error", or "skip" to leave all of them out.
        outside: a box that reaches more than a pixel outside its image, by up to a tenth of its side: "error", "clip"
            to cut it at the border, or "skip" to leave it out.
        allow_empty: whether all photographs may be without objects; some always may.

    Returns:
        The annotations (text and coco: as in the file; otherwise sorted, or as in the list) and the class names.

    Raises:
        AnnotationError: anything is wrong; the message names file and line, what was found and what is expected.

    >>> from yolo_helpers.anchors import DATA
    >>> annotations, class_names = read_annotations(DATA / "smears" / "annotations.txt")
    >>> len(annotations), class_names
    (8, ['Platelets', 'RBC', 'WBC'])
    >>> annotations[0].image_path.name, annotations[0].boxes.shape
    ('smear_0000.png', (23, 4))
    """
    reading = _Reading(path, Findings(), format, class_names, images, zero_area, outside, allow_empty)
    annotations = reading.joined(split)
    reading.warn(stacklevel=2)
    return annotations, reading.names


def read_splits(
    path: Path | str,
    format: str | None = None,
    class_names: Sequence[str] | None = None,
    images: Path | str | None = None,
    zero_area: str = "error",
    outside: str = "error",
    allow_empty: bool = False,
) -> tuple[dict[str, list[Annotation]], list[str]]:
    """Reads a data set with the parts that the annotation tool divided it into.

    Args:
        path, format, class_names, images, zero_area, outside, allow_empty: as in `read_annotations`.

    Returns:
        The annotations of "train", and of "val" and "test" where there are such parts; and the class names.

    Raises:
        AnnotationError: as in `read_annotations`.
    """
    reading = _Reading(path, Findings(), format, class_names, images, zero_area, outside, allow_empty)
    parts = reading.parts(None)
    reading.warn(stacklevel=2)
    return parts, reading.names


class Survey(NamedTuple):
    """What could be read of a data set, and all that is wrong with it.

    Attributes:
        format: one of FORMATS, or "" if it was not recognised.
        parts: the annotations of "train", and of "val" and "test" where there are such parts.
        class_names: in the order of their numbers.
        faults: for which `read_annotations` refuses the data set.
        remarks: which it would give as warnings.
    """

    format: str
    parts: dict[str, list[Annotation]]
    class_names: list[str]
    faults: list[str]
    remarks: list[str]


def survey(path: Path | str, split: Path | str | None = None, **options) -> Survey:
    """Like `read_splits`, but goes on after a fault.

    Args:
        path, split: as in `read_annotations`.
        **options: its others.
    """
    findings = Findings(collect=True)
    reading, parts = None, {}
    with findings:
        reading = _Reading(path, findings, **options)
        parts = reading.parts(split)
    if reading is None:
        return Survey("", {}, [], findings.faults, [])
    return Survey(reading.layout.format, parts, reading.names, findings.faults, reading.remarks())


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Without Python's search for circular garbage, which looks again and again at all boxes read so far."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Reading:
    """One reading of a data set, from the check of the arguments on."""

    def __init__(
        self,
        path: Path | str,
        findings: Findings,
        format: str | None = None,
        class_names: Sequence[str] | None = None,
        images: Path | str | None = None,
        zero_area: str = "error",
        outside: str = "error",
        allow_empty: bool = False,
    ):
        self.path, self.images = Path(path), None if images is None else Path(images)
        self.class_names, self.findings, self.allow_empty = class_names, findings, allow_empty
        self.zero_area, self.outside = zero_area, outside
        self.names: list[str] = []
        self.own_names: list[str] | None = None
        self.totals = {"boxes": 0, "photographs": 0}
        for name, value, allowed in (
            ("zero_area", zero_area, ("error", "skip")),
            ("outside", outside, ("error", "clip", "skip")),
            ("format", format, (None, *FORMATS)),
        ):
            if value not in allowed:
                raise AnnotationError(f"{name} is {value!r:.60}, expected one of {', '.join(map(str, allowed))}.")
        if isinstance(class_names, str | Path):
            raise AnnotationError(f"class_names is {class_names!r}, expected a list: get_classes(path) reads a file.")
        if class_names is not None and (not class_names or len(set(class_names)) < len(class_names)):
            raise AnnotationError(f"class_names is {list(class_names)}, expected each name once, and at least one.")
        if self.images is not None and not self.images.is_dir():
            fail(self.images, "there is no such folder, expected that of the images (images=, --images).")
        self.layout = find_layout(self.path, format, self.images)
        findings.notes += [f"{missing}: this part is left out." for missing in self.layout.missing]

    def joined(self, split: Path | str | None) -> list[Annotation]:
        """The annotations of a part, or of all. A photograph of several parts is there once."""
        if split is None and self.layout.whole:
            return self._read({"train": self.layout.whole})["train"]
        every = [annotation for each in self.parts(split).values() for annotation in each]
        return list({annotation.image_path: annotation for annotation in reversed(every)}.values())[::-1]

    def parts(self, split: Path | str | None) -> dict[str, list[Annotation]]:
        """The annotations of each part, or of the one that `split` names."""
        layout = self.layout
        if split is None:
            return self._read(layout.parts)
        part = split_of(str(split))
        if part in layout.parts and len(layout.parts) > 1:
            return self._read({part: layout.parts[part]})
        if layout.format != "voc" or (part and not Path(split).is_file()):
            parts = ", ".join(layout.parts) if len(layout.parts) > 1 else "none"
            reason = f" ({layout.missing[0]})" if layout.missing else ""
            problem = f"{str(split)!r:.200} is no part of it; its parts: {parts}{reason}"
            fail(
                self.path,
                f"{problem}. A list of names is for Pascal VOC alone, and a second data set for --validation.",
            )
        return self._read({"train": [Source(self.path, Path(split))]})

    @_collector_paused()
    def _read(self, chosen: dict[str, list[Source]]) -> dict[str, list[Annotation]]:
        layout = self.layout
        reader = READERS[layout.format]
        records: dict[str, list[Record]] = {part: [] for part in chosen}
        found: dict[str, object] | None = None
        named: set[str] = set()
        # The names come from all parts, whichever is asked for: train and test must count classes alike.
        every = {**layout.parts, **chosen}
        for part, sources in every.items():
            findings = self.findings if part in chosen else Findings(collect=True)
            pictures = Pictures(findings, self.images)
            for source in dict.fromkeys(sources):
                try:
                    of_source, names = reader(source.path, source.split, pictures, findings)
                except NoLabels as error:
                    if part != "test" or len(chosen) == 1:
                        raise
                    self.findings.notes.append(f"{str(error).rstrip('.')}: this part is left out.")
                    continue
                records.get(part, []).extend(of_source)
                named |= {os.path.abspath(record.image_path) for record in of_source}  # noqa: PTH100 - without following links
                found = self._united(found, names)
        records = {part: each for part, each in records.items() if each or part != "test"}
        if not any(records.values()) and not self.findings.faults:
            fail(self.path, f"no images in it, expected {FORMATS[layout.format]}.")
        is_listed = any(source.split for sources in every.values() for source in sources)
        if layout.format in OWN_FILE and not is_listed and not self.findings.faults:  # a file at fault names nothing
            self._note_unnamed(records, named)
        self.names = self._names(found, [source.path for sources in chosen.values() for source in sources])
        self.totals["photographs"] = sum(map(len, records.values()))
        left_out = len(self.findings.remarks.get(CROWD, ()))
        self.totals["boxes"] = left_out + sum(len(record.boxes) for each in records.values() for record in each)
        parts = {}
        for part, each in records.items():
            form = FORMS[layout.format]
            check = Check(self.names, self.findings, form, self.zero_area, self.outside, self.own_names)
            parts[part] = check.annotations(each)
            with self.findings:
                self._check_objects(part, parts)
        self.findings.notes += [f"{self.path}: {sentence}" for sentence in shared_photographs(parts)]
        return parts

    def _note_unnamed(self, records: dict[str, list[Record]], named: set[str]) -> None:
        """Says which photographs have no file of their own, in the folders where others have one."""
        folders = {os.path.abspath(r.image_path.parent): r.image_path.parent for each in records.values() for r in each}  # noqa: PTH100
        inside = [path for folder in folders.values() for path in list_files(folder, IMAGE_SUFFIXES)]
        left = [path for path in inside if os.path.abspath(path) not in named]  # noqa: PTH100
        if left:
            lack = f"{len(left)} photographs have no {OWN_FILE[self.layout.format]} file and are left out"
            self.findings.notes.append(f"{self.path}: {lack}; the first is {left[0]}.")

    def _united(self, found: dict[str, object] | None, names: dict[str, object] | None) -> dict[str, object] | None:
        """The class names of all files so far. COCO numbers its categories, so each file must have the same."""
        if found is None or names is None:
            return names
        if self.layout.format == "coco" and list(found) != list(names):
            found = f"its files have different categories, {list(found)!s:.200} and {list(names)!s:.200}"
            fail(self.path, f"{found}: export them again with one list, or give one file.")
        return {**names, **found}

    def _names(self, found: dict[str, object] | None, paths: list[Path]) -> list[str]:
        """The class names: those given, of the layout, in the files themselves, or in a file beside them."""
        layout = self.layout
        own, place = layout.names, layout.names_from
        if own is None and found is not None:
            own = list(found) if layout.format == "coco" else sorted(found)
        elif own is None:
            try:
                own, place = names_beside([self.path, *paths])
            except AnnotationError:
                if self.class_names is None:
                    raise  # two files that disagree, and nothing that decides
        if self.class_names is not None:
            if found is None and own is not None:
                self._renumber(own, place)
            own = list(self.class_names)
        elif own is None:
            example = "class_names=get_classes('my_classes.txt') (--classes, in lesson 04 CLASSES)"
            mend = f"add it, or pass class_names, for example {example}"
            folder = self.path if self.path.is_dir() else self.path.parent
            expected = f"expected classes.txt or one .names file in {folder}"
            fail(self.path, f"the class names are not known, {expected}: {mend}.")
        elif found is not None:
            self._check_spelling(found)
        else:
            self._compare_lists(own, place, paths)
        if not own and not self.findings.faults:
            fail(self.path, "no class in it: expected an object with a name in some file, or one of the categories.")
        for name in own:
            if not name.strip() or re.search(r"[\x00-\x1f\ud800-\udfff]", name):
                fail(self.path, f"found {name!r:.60} as the name of a class, expected a text on one line.")
        return own

    def _renumber(self, own: list[str], place: Path | None) -> None:
        """Numbers mean the data set's own names; where these are among the given ones, they count as those."""
        given = [composed(name) for name in self.class_names]
        if own == given[: len(own)]:
            return
        if set(own) <= set(given):
            self.own_names = own
        else:
            self.findings.notes.append(f"{place}: the numbers mean {own} there, and are read as {self.class_names}.")

    def _compare_lists(self, own: list[str], place: Path | None, paths: list[Path]) -> None:
        """Refuses lists of class names in a data set that contradict each other, as two annotators leave them."""
        for file, names in names_inside([self.path, *paths]).items():
            if names[: len(own)] != own[: len(names)]:
                found = f"its class names, {names!s:.200}, are others than those of {place}, {own!s:.200}"
                with self.findings:
                    fail(file, f"{found}: number the classes alike, or pass class_names (--classes) if they are.")
        seen: dict[str, str] = {}
        for name in own:
            if seen.setdefault(folded(name), name) != name:
                both = f"{seen[folded(name)]!r:.60} and {name!r:.60}"
                self.findings.notes.append(f"{place}: the classes {both} look like one, and count as two.")

    def _check_spelling(self, found: dict[str, object]) -> None:
        seen: dict[str, str] = {}
        for name, where in found.items():
            other = seen.setdefault(folded(name), name)
            if other != name:
                with self.findings:
                    fail(
                        where,
                        f"found the class {name!r:.60}, and {other!r:.60} in {found[other]}: correct one, or if they "
                        "are two classes, pass both as class_names (--classes).",
                    )

    def _check_objects(self, part: str, parts: dict[str, list[Annotation]]) -> None:
        """Refuses a part without any object; one for the test alone, which may have no labels yet, is left out."""
        annotations = parts[part]
        if self.allow_empty or self.findings.faults or any(len(a.classes) for a in annotations):
            return
        left_out = [f"{len(places)} {what}" for what, places in self.findings.remarks.items()]
        reason = f" ({'; '.join(left_out)})" if left_out else ""
        found = f"no object on any of {len(annotations)} photographs{reason}"
        if part == "test" and len(parts) > 1:
            del parts[part]
            self.findings.notes.append(f"{self.path} (test): {found}: this part is left out.")
            return
        if self.layout.format == "text" and all(listed_pictures(source.path) for source in self.layout.parts["train"]):
            expected = "expected boxes behind each path, or for YOLO a .txt file beside each image or in labels/"
            fail(self.path, f"no boxes in this list of images, and no label files: {expected}.")
        mend = "annotate them, or if a network is to learn from background alone, pass allow_empty=True (--allow-empty)"
        where = self.path if part == "train" else f"{self.path} ({part})"
        fail(where, f"{found}, expected some: {mend}.")

    def remarks(self) -> list[str]:
        """What is no fault, and yet doubtful."""
        return self.findings.sentences(self.path, **self.totals)

    def warn(self, stacklevel: int) -> None:
        """Says it as warnings of the caller's caller."""
        for sentence in self.remarks():
            warnings.warn(sentence, stacklevel=stacklevel + 1)
