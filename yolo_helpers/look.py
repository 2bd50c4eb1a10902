"""A look at a data set before anything is trained: what is in it, how large it is on the input, and all that is wrong.

From a shell: `python -m yolo_helpers look PATH`.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from yolo_helpers.anchors import (
    ANCHORS_PER_HEAD,
    STRIDES,
    anchor_iou,
    box_sizes,
    default_anchors,
    fitting_shape,
    grid_shapes,
    kmeans_anchors,
)
from yolo_helpers.annotations import Annotation, shared_photographs, survey
from yolo_helpers.boxes import letterbox
from yolo_helpers.images import ImageError, open_image
from yolo_helpers.progress import progress
from yolo_helpers.start import SMALL_AREA, has_small_objects

NAMES_OF_FORMATS = {"text": "keras-yolo3", "voc": "Pascal VOC", "coco": "COCO", "yolo": "YOLO", "labelme": "labelme"}
SHOWN = 20  # of what is doubtful or wrong, when printed
NARROW = 2.0  # pixels of the input: what is narrower leaves hardly a trace there


@dataclass
class Look:
    """What a look at a data set found; `print` it, which shows at most twenty things wrong and twenty doubtful.

    Attributes:
        format: of the annotations, as `read_annotations` names it; "" if it was not recognised.
        parts: the annotations of "train", and of "val" and "test" where there are such parts; what could be read.
        class_names: in the order of their numbers.
        input_shape: (height, width) of the network's input that sizes and slots are counted at.
        problems: what a training would not start with, with file and line.
        remarks: what is doubtful.
        sizes: (N, 2), width and height of the boxes in pixels of the input, in the order of `parts`.
        sharing: photograph and how many of its boxes share a slot with another, where any do; counted with anchors
            that are fitted to the boxes, as `train` of the command line does it.
        broken: photographs that do not open.
    """

    format: str
    parts: dict[str, list[Annotation]]
    class_names: list[str]
    input_shape: tuple[int, int]
    problems: list[str]
    remarks: list[str]
    sizes: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    sharing: list[tuple[Path, int]] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)

    @property
    def ready(self) -> bool:
        """Whether a training would start."""
        return not self.problems

    def check(self) -> None:
        """Ends a notebook that would go on and train.

        Raises:
            ValueError: if something is wrong, which `print` says.
        """
        if not self.ready:
            raise ValueError("Mend what is listed under Wrong, then run again.")

    def some(self, count: int) -> list[Annotation]:
        """A few photographs from all over the data set: those that opened, with objects where there are any."""
        every = [a for each in self.parts.values() for a in each if a.image_path not in self.broken]
        every = [annotation for annotation in every if len(annotation.classes)] or every
        return [every[i] for i in np.unique(np.linspace(0, len(every) - 1, min(count, len(every))).astype(int))]

    def __str__(self) -> str:
        lines = [*self._counts(), "", *self._sizes(), ""]
        for title, sentences in (("Doubtful", self.remarks), ("Wrong", self.problems)):
            shown = [*sentences[:SHOWN], *([f"… and {len(sentences) - SHOWN} more"] if len(sentences) > SHOWN else [])]
            lines += [f"{title}:", *(f"  {sentence}" for sentence in shown), ""] if shown else []
        count = len(self.problems)
        things = "one thing is" if count == 1 else f"{count} things are"
        verdict = "Nothing wrong was found: a training would start. Whether the boxes are right, only you can see."
        lines.append(f"No training would start: {things} wrong." if count else verdict)
        return "\n".join(lines)

    def _counts(self) -> list[str]:
        heads = list(self.parts) if len(self.parts) > 1 else ["all"] * len(self.parts)
        counts = [np.bincount(_classes(each), minlength=len(self.class_names)) for each in self.parts.values()]
        rows = [
            ("", heads),
            ("photographs", [len(each) for each in self.parts.values()]),
            ("  without any box", [sum(not len(a.classes) for a in each) for each in self.parts.values()]),
            ("boxes", [int(count.sum()) for count in counts]),
            *((f"  {name}", [int(count[number]) for count in counts]) for number, name in enumerate(self.class_names)),
        ]
        width = max(len(title) for title, _ in rows)
        table = [f"{title:{width}}" + "".join(f"{value!s:>9}" for value in values) for title, values in rows]
        return [f"format: {NAMES_OF_FORMATS.get(self.format, 'not recognised')}", *table]

    def _sizes(self) -> list[str]:
        if not len(self.sizes):
            return ["There are no boxes."]
        height, width = self.input_shape
        classes = np.concatenate([_classes(each) for each in self.parts.values()])
        longest = max(map(len, self.class_names))
        lines = [
            f"size of the boxes, width x height in pixels, where photographs fit an input of {width} x {height}:",
            f"  {'':{longest}}{'10 % are under':>16}{'half are under':>16}{'10 % are over':>16}",
        ]
        for number, name in enumerate(self.class_names):
            if (classes == number).any():
                tenths = np.quantile(self.sizes[classes == number], [0.1, 0.5, 0.9], axis=0).round().astype(int)
                lines.append(f"  {name:{longest}}" + "".join(f"{f'{w} x {h}':>16}" for w, h in tenths.tolist()))
        lost = sum(count for _, count in self.sharing)
        lines.append(f"boxes that cannot be learnt, as another one takes their slot: {lost} of {len(self.sizes)}")
        if self.sharing:
            worst, count = max(self.sharing, key=lambda pair: pair[1])
            lines[-1] += f" (most in {worst.name}: {count})"
        return lines


def look(
    path: Path | str,
    *,
    validation: Path | str | Sequence[Path] | None = None,
    input_shape: tuple[int, int] | None = None,
    **options,
) -> Look:
    """Looks at a data set: reads all of it, opens every photograph, and goes on after whatever is wrong.

    Args:
        path: as `read_annotations` takes it.
        validation: a data set of its own for validation, likewise, or a pair with its list of names; None: the part
            "val" of the first, if it has one.
        input_shape: (height, width) of the network's input in pixels, multiples of 32; when None, that of a training
            from a small network, see `yolo_helpers.start`.
        **options: format, class_names, split, images, zero_area, outside and allow_empty of `read_annotations`.

    Returns:
        What was found.

    Raises:
        ValueError: a side of the input is no multiple of 32.

    >>> from yolo_helpers.anchors import DATA
    >>> found = look(DATA / "smears" / "annotations.txt")
    >>> found.ready, len(found.parts["train"])
    (True, 8)
    """
    if input_shape is not None:
        grid_shapes(input_shape, 1)
    seen = survey(path, **options)
    parts, problems, remarks = seen.parts, seen.faults, seen.remarks
    if validation is not None:
        other, *of_it = [validation] if isinstance(validation, str | Path) else validation
        options |= {"class_names": seen.class_names or None, "split": of_it[0] if of_it else None}
        apart = survey(other, **options)
        parts = {"train": parts.get("train", []), "val": sum(apart.parts.values(), [])}
        problems = problems + apart.faults
        remarks = remarks + apart.remarks + shared_photographs(parts)
    problems = sorted(problems, key=_place)
    learnt = parts.get("train") or sum(parts.values(), [])
    input_shape = input_shape or (fitting_shape(learnt, SMALL_AREA) if learnt else (320, 320))
    found = Look(seen.format, parts, seen.class_names, tuple(input_shape), problems, remarks)
    _look_at_pixels(found)
    _look_at_slots(found)
    if not problems and len(parts.get("train", ())) < (1 if "val" in parts else 2):
        problems.append(f"{path}: a training needs two photographs or more, one of them for validation.")
    return found


def _place(problem: str) -> tuple[str, int]:
    """File and line of a sentence, by which a reader mends them one after another."""
    file, _, rest = problem.partition(", line ")
    line = re.match(r"\d+", rest)
    return file, int(line[0]) if line else 0


def _look_at_pixels(found: Look) -> None:
    """Opens every photograph: one may be damaged behind its header, or be there twice under two names."""
    seen: dict[bytes, tuple[str, Path]] = {}
    every = [(part, annotation.image_path) for part, each in found.parts.items() for annotation in each]
    twice: dict[tuple[str, str], list[tuple[Path, Path]]] = {}
    for part, path in progress(every, "photographs opened"):
        try:
            image = open_image(path)
        except ImageError as error:
            found.problems.append(str(error))
            found.broken.add(path)
            continue
        content = hashlib.sha256(str(image.size).encode() + image.tobytes()).digest()
        before, other = seen.setdefault(content, (part, path))
        if other != path:
            twice.setdefault((before, part), []).append((other, path))
    for (one, other), pairs in twice.items():
        first = f"the first are {pairs[0][0]} and {pairs[0][1]}"
        if one == other:
            found.remarks.append(f"{len(pairs)} photographs of {one} are there twice, pixel by pixel; {first}.")
        else:
            harm = "so that what is measured there says little about new photographs"
            found.remarks.append(
                f"{len(pairs)} photographs of {other} are in {one} too, pixel by pixel, {harm}; {first}."
            )


def _look_at_slots(found: Look) -> None:
    every = [annotation for each in found.parts.values() for annotation in each]
    if not len(_classes(every)):
        return
    found.sizes = box_sizes(every, found.input_shape)
    learnt = found.parts.get("train", [])
    fitted_to = box_sizes(learnt, found.input_shape) if len(_classes(learnt)) else found.sizes
    anchors = kmeans_anchors(fitted_to, default_anchors(3 if has_small_objects(fitted_to) else 2))
    for annotation in every:
        count = len(annotation.classes) - slots_taken(annotation, found.input_shape, anchors)
        if count:
            found.sharing.append((annotation.image_path, count))
    narrow = int((found.sizes < NARROW).any(1).sum())
    if narrow:
        found.remarks.append(
            f"{narrow} of {len(found.sizes)} boxes are narrower or lower than {NARROW:g} pixels on the input: choose a "
            "larger one (--input-shape, in lesson 04 INPUT_SHAPE), or cut the photographs into parts."
        )


def slots_taken(annotation: Annotation, input_shape: tuple[int, int], anchors: np.ndarray) -> int:
    """How many slots the boxes of a photograph fill; where it is fewer than boxes, some share one.

    Args:
        annotation: a photograph with its boxes.
        input_shape: (height, width) of the network's input in pixels.
        anchors: (A, 2), three for each head, the finest head's first.
    """
    placed = letterbox(annotation.size, input_shape).to_input(annotation.boxes)
    best = anchor_iou(placed[:, 2:] - placed[:, :2], anchors).argmax(1)
    stride = np.array(STRIDES[: len(anchors) // ANCHORS_PER_HEAD][::-1])[best // ANCHORS_PER_HEAD]
    centres = (placed[:, :2] + placed[:, 2:]) / 2
    cells = np.minimum(centres // stride[:, None], np.array(input_shape[::-1]) // stride[:, None] - 1)
    return len(np.unique(np.column_stack([best, cells]), axis=0))


def _classes(annotations: Sequence[Annotation]) -> np.ndarray:
    return np.concatenate([annotation.classes for annotation in annotations]) if annotations else np.zeros(0, np.int64)
