"""What is wrong with boxes and images, for all formats alike."""

import os
from collections.abc import Sequence

import numpy as np

from yolo_helpers.annotations.record import (
    Annotation,
    AnnotationError,
    Box,
    Findings,
    Record,
    composed,
    fail,
    folded,
)
from yolo_helpers.images import Header, ImageError, read_header
from yolo_helpers.progress import progress

MIN_SIDE = 1e-3  # pixels: what is narrower has no area, only rounding
SLACK = 1.01  # pixels a box may reach outside its image: one, and what rounding to a few digits adds
LITTLE = 0.1  # of the image's side: boxes that reach out farther belong to another image, or are no pixels
SLOW = 0.05  # seconds to open an image, a thousand times what it takes in benchmarks/annotations.py
LESSON = "in lesson 04 SKIP_BAD_BOXES"
SKIP_EMPTY = f"correct it, or leave such boxes out with zero_area='skip' (--zero-area, {LESSON})"
CUT = f"correct it, or cut or leave out such boxes with outside='clip' or 'skip' (--outside, {LESSON})"
COPY_FIRST = (
    "training opens each of them in every epoch, so copy the data set to this computer's own disk first (on Colab: out "
    "of the mounted drive)."
)


class Check:
    """Finds fault with what the readers took out of files, and makes annotations of it.

    Args:
        names: of the classes.
        findings: where faults and remarks go.
        form: how the files give a box: "corners" or "sizes" (a corner, width and height) in pixels; or "parts", centre
            and size as parts of the image.
        zero_area: "error", or "skip" to leave boxes without area out.
        outside: "error", "clip" or "skip": for boxes that reach outside their image by up to a tenth of its side.
        own_names: those of the numbers in the files, where they are others than `names`.
    """

    def __init__(
        self,
        names: Sequence[str],
        findings: Findings,
        form: str,
        zero_area: str,
        outside: str,
        own_names: Sequence[str] | None = None,
    ):
        self.names = names
        by_name = {composed(name): number for number, name in enumerate(names)}
        by_number = (
            {n: by_name[own] for n, own in enumerate(own_names)} if own_names else dict(enumerate(range(len(names))))
        )
        self.numbers: dict[int | str, int] = by_name | by_number
        self.findings, self.form, self.zero_area, self.outside = findings, form, zero_area, outside
        self._seen: dict[str, str] = {}

    def annotations(self, records: Sequence[Record]) -> list[Annotation]:
        """The annotations of a part of a data set.

        Args:
            records: its images with their boxes.

        Raises:
            AnnotationError: an image is listed twice, does not open or has another size than the file says, a class is
                unknown, a box lies outside or has no area.
        """
        opened = []
        for record in progress(records, "photographs", SLOW, COPY_FIRST):
            with self.findings:
                opened.append((record, *self._header(record)))
        # All boxes at once, since a data set may have a million; one by one only where something is wrong.
        counts = [len(record.boxes) for record, *_ in opened]
        corners = np.array([box.corners for record, *_ in opened for box in record.boxes], np.float64).reshape(-1, 4)
        drawn_on = [header.size if turned else header.size[::-1] for _, header, turned in opened]  # width, height
        limits = np.array(drawn_on, np.float64).reshape(-1, 2)[:, [0, 1, 0, 1]].repeat(counts, axis=0)
        if self.form == "parts":
            corners *= limits
        cut = corners.clip(0, limits).astype(np.float32)
        labels = [box.label for record, *_ in opened for box in record.boxes]
        classes = np.array([self.numbers.get(label, -1) for label in labels], np.int64)
        wrong = ((corners < -SLACK) | (corners > limits + SLACK)).any(1) | (classes < 0)
        wrong |= (cut[:, 2:] - cut[:, :2] < MIN_SIDE).any(1) | self._are_parts(corners, limits)
        found, kept, end = [], ~wrong, 0
        for (record, header, turned), count in zip(opened, counts, strict=True):
            start, end = end, end + count
            for index in np.flatnonzero(wrong[start:end]) + start:
                with self.findings:
                    box = record.boxes[index - start]
                    self._check_class(box, labels)
                    kept[index] = self._keeps(box, index - start, corners[start:end], limits[index], header, turned)
            boxes, of_image = cut[start:end], classes[start:end]
            if wrong[start:end].any():
                boxes, of_image = boxes[kept[start:end]], of_image[kept[start:end]]
            found.append(Annotation(record.image_path, turn(boxes, header) if turned else boxes, of_image, header.size))
        return found

    def _header(self, record: Record) -> tuple[Header, bool]:
        """An image's header, and whether its boxes were drawn before the camera's rotation."""
        path = record.image_path
        key = os.path.abspath(path)  # noqa: PTH100 - without following links
        if key in self._seen:
            fail(record.where, f"{path.name} is already in {self._seen[key]}: keep one, with all its boxes.")
        self._seen[key] = record.where
        try:
            header = read_header(path)
        except ImageError as error:
            raise AnnotationError(f"{record.where}: {error}") from error
        return header, self._is_turned(record, header)

    def _is_turned(self, record: Record, header: Header) -> bool:
        """Whether the boxes were drawn on the image as stored, not as the camera's rotation shows it."""
        seen = header.size[::-1]  # width, height
        stored = seen[::-1] if header.orientation >= 5 else seen
        said = record.size
        if said is not None and not near(said, seen):
            if near(said, stored):
                if record.boxes:
                    self.findings.remark(
                        "photographs were annotated as they are stored, by the size in the file, and their boxes are "
                        "turned with the camera's rotation (EXIF): look at some",
                        record.where,
                    )
                return True
            swapped = (
                ", the same turned (exchange the two in the file, if that is the fault)"
                if near(said[::-1], seen)
                else ""
            )
            fail(
                record.where,
                "it says that the image has {:g} x {:g} pixels (width x height), but {} has {} x {}{}: its boxes "
                "belong to another size, so export again with these images, or put the annotated ones there.".format(
                    *said, record.image_path.name, *seen, swapped
                ),
            )
        if header.orientation != 1 and record.boxes and (said is None or near(said, stored)):
            self.findings.remark(
                "photographs carry a camera's rotation (EXIF), with nothing to say whether their boxes were drawn "
                "before or after it, and count as drawn after: look at some",
                str(record.image_path),
            )
        return False

    def _check_class(self, box: Box, labels: Sequence[int | str]) -> None:
        """Refuses a box of an unknown class."""
        if box.label in self.numbers:
            return
        if isinstance(box.label, str):
            alike = [name for name in self.names if folded(name) == folded(box.label)]
            cause = f", so most likely {alike[0]!r}" if alike else ""
            fail(box.where, f"found the class {box.label!r:.200}, expected one of {list(self.names)!s:.300}{cause}.")
        count = len(self.names)
        cause = (
            ": correct the number, or add the missing name" if 0 in labels else ": perhaps counted from 1, not from 0"
        )
        cause = cause if box.label >= count else ""
        expected = f"0 to {count - 1}, since there are {count} names" if count > 1 else "0, since there is one name"
        fail(box.where, f"found class {box.label!r:.60}, expected {expected}{cause}.")

    def _keeps(self, box: Box, index: int, every: np.ndarray, limit: np.ndarray, header: Header, turned: bool) -> bool:
        """Refuses a box that is not right, or says whether it is kept; `every` are the corners of the photograph's."""
        corners = every[index]
        shown = "x_min {:g}, y_min {:g}, x_max {:g}, y_max {:g}".format(*corners)
        beyond = np.maximum(-corners, corners - limit)
        if self._are_parts(corners[None], limit[None])[0]:
            fail(
                box.where,
                f"found {shown}, which are parts of the image, where pixels are expected: multiply by the image's "
                "width and height, or export again.",
            )
        if (corners[2:] - corners[:2] >= MIN_SIDE).all() and (beyond > SLACK).any():
            if self.outside == "error" or not sticks_out_little(corners, limit):
                place = "outside the image of {:g} x {:g} pixels (width x height)".format(*limit[:2])
                fail(box.where, f"found {shown}, {place}: {self._cause(index, every, limit, header, turned)}.")
            what = "are clipped at its border" if self.outside == "clip" else "are left out"
            self.findings.remark(f"boxes reach outside their image and {what}", f"{box.where}: found {shown}")
            if self.outside == "skip":
                return False
        cut = corners.clip(0, limit).astype(np.float32)
        if (cut[2:] - cut[:2] >= MIN_SIDE).all():
            return True
        empty = f"found {shown}, a box without area, expected x_max > x_min and y_max > y_min"
        if self.zero_area == "error":
            cause = self._cause_of_empty(corners, limit)
            fail(box.where, f"{empty}: {cause or SKIP_EMPTY}.")
        self.findings.remark("boxes have no area and are left out", f"{box.where}: {empty}")
        return False

    def _are_parts(self, corners: np.ndarray, limits: np.ndarray) -> np.ndarray:
        """Which boxes (N, 4) have no number above 1 in the file, so that parts of the image are meant, not pixels."""
        if self.form == "parts":
            return np.zeros(len(corners), bool)
        small = (corners[:, 2:] < 1.001).all(1)  # rounded up, perhaps
        if self.form == "sizes":  # or a centre in place of the corner
            small |= (corners[:, 2:] - corners[:, :2] < 1).all(1)
        return small & (corners[:, :2] <= 1).all(1) & (limits.max(1, initial=0) > 2)

    def _cause(self, index: int, every: np.ndarray, limit: np.ndarray, header: Header, turned: bool) -> str:
        """Why a box may lie outside, the likeliest first, and what helps."""
        (width, height), corners = limit[:2], every[index]
        little = sticks_out_little(every, limit)
        # One box over the edge says nothing of the rotation, where the others are right as the photograph stands.
        fits_turned = header.orientation >= 5 and all(fits(each, height, width) for each in every)
        if fits_turned and self.form != "parts" and not little.all():
            if turned:
                return "it fits the image as it is seen (EXIF), so exchange width and height in the file"
            return "it fits the image before the camera's rotation (EXIF), so store the image turned and export again"
        for words, other in self._other_readings(corners):
            if fits(other, width, height):
                if little[index]:
                    return f"{CUT}; or, if most boxes look wrong, {words}: export again"
                return f"{words}, most likely: check this box and others, and export again"
        if little[index]:
            return CUT
        return "it belongs to another image or another size of it, most likely: correct it, or leave the image out"

    def _other_readings(self, corners: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """What the four numbers of the file would be if they meant something else, in words and as corners."""
        x_min, y_min, x_max, y_max = corners
        sides = corners[2:] - corners[:2]
        exchanged = ("x and y have changed places", corners[[1, 0, 3, 2]])
        if self.form == "parts":
            centre = (corners[:2] + corners[2:]) / 2
            return [
                ("corners in place of width and height", np.array([*centre, *sides])),
                ("a corner in place of the centre", np.array([*centre, *centre + sides])),
                exchanged,
            ]
        if self.form == "sizes":
            return [
                ("corners in place of width and height", np.array([x_min, y_min, *sides])),
                ("the centre in place of the corner", np.array([*corners[:2] - sides / 2, *corners[:2] + sides / 2])),
                exchanged,
            ]
        return [exchanged, ("x_min, x_max, y_min, y_max in place of x_min, y_min, x_max, y_max", corners[[0, 2, 1, 3]])]

    def _cause_of_empty(self, corners: np.ndarray, limit: np.ndarray) -> str:
        """Why a box may have no area if its corners are not simply equal, and what helps."""
        if not (corners[2:] < corners[:2]).any():
            return ""
        width, height = limit[:2]
        if self.form != "corners":
            return "a width or height below 0, so exchange the corners, or export again"
        if fits(corners[[0, 2, 1, 3]], width, height):
            order = "x_min, x_max, y_min, y_max in place of x_min, y_min, x_max, y_max"
            return f"{order}, or corners that changed places: check this box and others"
        if fits(np.array([*corners[:2], *corners[:2] + corners[2:]]), width, height):
            sides = "width and height in place of x_max and y_max"
            return f"{sides}, or corners that changed places: check this box and others"
        return "corners that changed places, most likely, so exchange them"


def fits(corners: np.ndarray, width: float, height: float) -> bool:
    """Whether corners (4,) are those of a box on an image."""
    inside = corners.min() >= -SLACK and corners[2] <= width + SLACK and corners[3] <= height + SLACK
    return bool(inside and corners[0] < corners[2] and corners[1] < corners[3])


def sticks_out_little(corners: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Which boxes, corners (..., 4), reach out of an image, limit (4,), by no more than may be cut off."""
    return (np.maximum(-corners, corners - limit) <= LITTLE * limit).all(-1)


def turn(boxes: np.ndarray, header: Header) -> np.ndarray:
    """Boxes drawn on an image as it is stored, on the image as it is seen after a quarter turn.

    Args:
        boxes: (N, 4), x_min, y_min, x_max, y_max in pixels of the stored image.
        header: of the image; its orientation is one of EXIF's four that exchange rows and columns: 5, mirrored at the
            diagonal from the left above; 6, turned to the right; 7, mirrored at the other diagonal; 8, to the left.

    Returns:
        (N, 4) in pixels of the image as `open_image` gives it.
    """
    height, width = header.size
    y0, x0, y1, x1 = boxes.T
    if header.orientation in (6, 7):
        x0, x1 = width - x1, width - x0
    if header.orientation in (7, 8):
        y0, y1 = height - y1, height - y0
    return np.stack([x0, y0, x1, y1], 1)


def near(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two sizes are equal but for a pixel."""
    return abs(one[0] - other[0]) <= 1 and abs(one[1] - other[1]) <= 1
