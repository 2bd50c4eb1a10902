"""Where the pictures of a data set lie, under the names that its files give them."""

import filecmp
import os
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from yolo_helpers.annotations.record import Findings, composed, fail
from yolo_helpers.images import IMAGE_SUFFIXES

OTHER_NAME = "photographs have a name that differs a little from the one in the file"
NOT_READ = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".pdf", ".psd", ".tga", ".dng", ".cr2", ".cr3", ".nef")
NOT_READ += (".arw", ".raf", ".dcm", ".npy", ".mov", ".mp4")
OTHER_PLACES = ("images", "jpegimages", "data", "image", "imgs", "img", "pictures", "photos", "photographs")


class Pictures:
    """Finds pictures by name, and lists each folder only once, since a mounted drive may answer slowly.

    Args:
        findings: for names that differ a little from their picture's.
        images: the folder of the pictures, if the reader of the data set gave one; None: the usual places.
    """

    def __init__(self, findings: Findings, images: Path | None = None):
        self.findings, self.images = findings, images
        self._names: dict[str, frozenset[str]] = {}
        self._folded: dict[str, dict[str, list[str]]] = {}
        self._places: dict[tuple[Path, ...], list[Path]] = {}

    def places(self, folders: Sequence[Path]) -> list[Path]:
        """The folders themselves and the usual ones inside and beside them; or the one that was given.

        Args:
            folders: of the files that name the pictures.
        """
        key = tuple(folders) if self.images is None else ()
        if key not in self._places and self.images is not None:
            inside = [Path(place) for place, _, _ in os.walk(self.images)]
            self._places[key] = sorted(each for each in inside if not each.name.startswith("."))
        elif key not in self._places:
            found = []
            for folder in folders:
                parent = folder.parent if folder.name not in ("", "..") else folder / ".."
                found += [folder, *self._usual(folder), *self._usual(parent)]
            self._places[key] = list(dict.fromkeys(found))
        return self._places[key]

    def find(self, name: str, places: Sequence[Path], where: str, then: Sequence[Path] = ()) -> Path:
        """The picture of a name: under exactly this one, or the only one under a name that means the same.

        Args:
            name: as a file gives it.
            places: where to look, the likeliest first.
            where: file and line that name it.
            then: where to look if it is not there.

        Raises:
            AnnotationError: there is none, or several could be meant.
        """
        found = self.exact(name, places, where) or self.exact(name, then)
        found = found or self.alike(name, [*places, *then], where)
        return found or self.missing(name, places, where)

    def exact(self, name: str, places: Sequence[Path], where: str = "") -> Path | None:
        """The first picture of exactly this name, in whichever of Unicode's forms; a\\b.jpg was written on Windows.

        Args:
            name, places: as in `find`.
            where: file and line that name it, if two of this name are a fault that are no copies and lie in two of
                the usual folders side by side.
        """
        for spelt in (name, name.replace("\\", "/")) if "\\" in name else (name,):
            folder, last = os.path.split(spelt)
            for number, place in enumerate(places):
                within = os.path.join(place, folder)  # noqa: PTH118 - a quarter of the time of Path, for every picture
                if last in self._listing(within):
                    found = Path(os.path.join(within, last))  # noqa: PTH118
                    if where and number:  # beside the file that names it, it is the one
                        beside = [other for other in places[number + 1 :] if other.parent == place.parent]
                        self._check_alone(found, folder, beside, where)
                    return found
                if not last.isascii():
                    for real in self._folded_listing(within).get(folded_name(last), ()):
                        if composed(real) == composed(last):
                            return Path(within, real)
        return None

    def _check_alone(self, found: Path, folder: str, places: Sequence[Path], where: str) -> None:
        for place in places:
            within = os.path.join(place, folder)  # noqa: PTH118
            if found.name in self._listing(within):
                other = Path(os.path.normpath(within), found.name)
                if other != Path(os.path.normpath(found)) and not filecmp.cmp(found, other, shallow=False):
                    mend = "remove one, or give the folder of the right one with images= (--images)"
                    fail(where, f"both {found} and {other} could be meant: {mend}.")

    def alike(self, name: str, places: Sequence[Path], where: str) -> Path | None:
        """The only picture whose name differs in capitals, in a web address's escapes or in the folders before it."""
        parts = PurePosixPath(name.replace("\\", "/")).parts
        for start in range(len(parts)):  # data/train/a.jpg, train/a.jpg, a.jpg
            tails = dict.fromkeys(
                str(PurePosixPath(*map(spell, parts[start:]))) for spell in (str, urllib.parse.unquote)
            )
            found = list(
                dict.fromkeys(path for tail in tails for place in places for path in self._alike(place / tail))
            )
            exact = [path for path in found if composed(path.name) == composed(parts[-1])]
            found = exact or found
            if len({os.path.realpath(path) for path in found}) > 1:
                mend = f"{found[0]} and {found[1]} could be meant: give the path of one"
                fail(where, f"the image {name!r:.200} was not found, and {mend}.")
            if found:
                if not exact:
                    self.findings.remark(OTHER_NAME, f"{where}: {name} is {found[0]}")
                return found[0]
        return None

    def of_stem(self, stem: str, places: Sequence[Path], where: str) -> Path | None:
        """The only picture of a name without suffix, in the first place that has any."""
        for place in places:
            path = place / stem.replace("\\", "/")
            listing, wanted = self._folded_listing(str(path.parent)), folded_name(path.name)
            found = [real for suffix in IMAGE_SUFFIXES for real in listing.get(wanted + suffix, ())]
            exact = [real for real in found if composed(Path(real).stem) == composed(path.name)]
            found = exact or found
            if len(found) > 1:
                fail(where, f"{found[0]} and {found[1]} both have this file's name: give the image's name in it.")
            if found:
                return path.with_name(found[0])
        return None

    def of_file(self, name: str, stem: str, folders: Sequence[Path], where: str, field: str) -> Path:
        """The picture that an annotation file of its own names, or the one that is called as the file is.

        Args:
            name: as the file gives it; it may be empty.
            stem: the file's own name without suffix.
            folders: where to look, and around.
            where: the file.
            field: in which the file gives the name.

        Raises:
            AnnotationError: there is none, several could be meant, or the two are there and differ.
        """
        places = self.places(folders)
        name = composed(name)
        last = name.replace("\\", "/").rpartition("/")[2]
        named = (self.exact(name, places, where) or self.exact(last, places, where)) if last else None
        if named and composed(named.stem) == composed(stem.rpartition("/")[2]):
            return named
        own = self.of_stem(stem, places, where)
        if named is None and last and not last.lower().endswith(IMAGE_SUFFIXES):
            named = self.of_stem(last, places, where)
        if named and own and named != own:
            both = f"{field} names {last!r:.200}, but {own.name!r:.200} has the name of this file, and both are there"
            fail(where, f"{both}: correct {field}, or rename the file.")
        return named or own or self.find(name or stem, places, where)

    def missing(self, name: str, places: Sequence[Path], where: str) -> NoReturn:
        """Says that a picture was not found, and the likeliest reason."""
        lost = f"the image {name!r:.200} was not found"
        flat = PurePosixPath(name.replace("\\", "/"))
        for path in (place / spelt for place in places for spelt in (flat, flat.name)):
            beside = [each for each in self._files(path.parent) if composed(each.stem) == composed(path.stem)]
            for each in beside:
                if each.name.lower().endswith(IMAGE_SUFFIXES):
                    fail(where, f"{lost}, but {each} was: if that is the image, give this name.")
                if each.name.lower().endswith(NOT_READ):
                    fail(where, f"{lost}, but {each} was, a kind that is not read: save it as JPEG or PNG.")
        there = [str(place) for place in places if self._listing(str(place))]
        mend = "correct the name, move the image, or say where the images lie with images= (--images)"
        fail(where, f"{lost} in {', '.join(there[:4]) or places[0]}: {mend}.")

    def _usual(self, folder: Path) -> list[Path]:
        """The folders inside a folder that have one of the usual names, capitals aside."""
        names = sorted(name for name in self._listing(str(folder)) if name.lower() in OTHER_PLACES)
        return [folder / name for name in sorted(names, key=lambda name: OTHER_PLACES.index(name.lower()))]

    def _files(self, folder: Path) -> Iterator[Path]:
        yield from (folder / name for name in sorted(self._listing(str(folder))))

    def _alike(self, path: Path) -> Iterator[Path]:
        names = self._folded_listing(str(path.parent)).get(folded_name(path.name), ())
        yield from (path.with_name(real) for real in names)

    def _listing(self, folder: str) -> frozenset[str]:
        """What a folder holds; nothing, if it is none."""
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))  # noqa: PTH208
            except (OSError, ValueError):  # ValueError: a path that no folder can have
                self._names[folder] = frozenset()
        return self._names[folder]

    def _folded_listing(self, folder: str) -> dict[str, list[str]]:
        """The same by the names without what spellings differ in."""
        if folder not in self._folded:
            found: dict[str, list[str]] = {}
            for name in sorted(self._listing(folder)):
                found.setdefault(folded_name(name), []).append(name)
            self._folded[folder] = found
        return self._folded[folder]


def folded_name(name: str) -> str:
    """A file's name without what two spellings may differ in: Unicode's form, capitals, a web address's escapes."""
    return composed(urllib.parse.unquote(name)).casefold()
