"""Files: listed, and written whole or not at all, with one sentence if that fails."""

import contextlib
import json
import os
import re
import shutil
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

TRAINING = {"settings.json", "network.json"}  # which every training leaves in its folder


def list_files(folder: Path, suffixes: Iterable[str], recursive: bool = False) -> list[Path]:
    """The files of a folder in alphabetical order, without hidden ones (such as macOS' `._photo.jpg`).

    Args:
        folder: where to look.
        suffixes: endings to keep, in small letters with their dot; capitals in a file's name do not count.
        recursive: look into the folders inside the folder too, but not into those of trainings.
    """
    return [Path(path) for path in sorted(_walk(folder, suffixes, recursive), key=lambda path: path.split(os.sep))]  # noqa: PTH206


def holds_files(folder: Path, suffixes: Iterable[str], recursive: bool = False) -> bool:
    """Whether `list_files` would list any."""
    return next(_walk(folder, suffixes, recursive), None) is not None


def _walk(folder: Path, suffixes: Iterable[str], recursive: bool) -> Iterator[str]:
    endings, folders = tuple(suffixes), [str(folder)] if folder.is_dir() else []
    for place in folders:
        try:
            entries = [entry for entry in os.scandir(place) if not entry.name.startswith(".")]
        except OSError as error:  # what lies there must not be missed in silence
            raise OSError(
                f"{place}: the folder cannot be read ({error.strerror}): permit it, or move it away."
            ) from error
        names = {entry.name for entry in entries}
        if names >= TRAINING and place != str(folder):
            continue  # its pictures and lists are none of the data set beside which somebody trained
        for entry in entries:
            if entry.name.lower().endswith(endings) and entry.is_file():
                yield entry.path
            elif recursive and entry.is_dir(follow_symlinks=False):  # a link may lead round in a circle
                folders.append(entry.path)


def name_within(file: Path, folder: Path) -> str:
    """A file's name seen from a folder, without suffix and with / between: what ties an image to its label file.

    >>> name_within(Path("data/images/train/a.b.jpg"), Path("data/images"))
    'train/a.b'
    """
    return "/".join((*file.parts[len(folder.parts) : -1], file.stem))


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A path to write to, beside the file; what stands there takes the file's place once it is complete.

    Args:
        path: the file, in a folder that exists.

    Yields:
        A path in the same folder, hidden and with the same suffix.

    Raises:
        OSError: if it cannot be written. The file is as it was then, and nothing lies beside it.
    """
    path = Path(path)
    beside = path.with_name(f".writing-{path.name}")
    try:
        yield beside
        _replace(beside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            discard(beside)
        if not isinstance(error, OSError):
            raise
        raise _not_written(path, error) from error


def discard(path: Path) -> None:
    """Removes a file, or a folder with all in it, so that its room is free at once.

    Raises:
        OSError: if it is not there, or cannot be removed.
    """
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_symlink():  # what it leads to stays
            continue
        # A mounted Google Drive moves what is removed into its bin, where it keeps its room: an empty file has none.
        with contextlib.suppress(OSError):
            os.truncate(file, 0)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _not_written(path: Path, error: OSError) -> OSError:
    reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
    return OSError(
        f"{path} could not be written ({reason}), and is as it was: make room there, or choose another place."
    )


def _replace(source: Path, target: Path) -> None:
    """`os.replace`, tried again for a second: a drive in the network, or a virus scanner, may just hold the file."""
    for pause in (0.1, 0.3, 0.6):
        try:
            return os.replace(source, target)
        except OSError:
            time.sleep(pause)
    return os.replace(source, target)


@contextlib.contextmanager
def filling(folder: Path | str) -> Iterator[Path]:
    """An empty folder to fill, beside the one that is meant; it takes that one's place once all is in it.

    Args:
        folder: that need not exist. What it held is gone then.

    Yields:
        A hidden folder beside it.

    Raises:
        OSError: if it cannot be written. The folder is as it was then, and nothing lies beside it; after a crash not
            once this is called again.
    """
    folder = Path(folder)
    beside, before = (folder.with_name(f".{doing}-{folder.name}") for doing in ("writing", "leaving"))
    try:
        if before.exists() and not folder.exists():  # of a crash between the two moves
            _replace(before, folder)
        for path in (beside, before):
            if path.exists():
                discard(path)
        beside.mkdir(parents=True)
        try:
            yield beside
            if folder.exists():
                _replace(folder, before)
            try:
                _replace(beside, folder)
            except OSError:
                if before.exists():
                    _replace(before, folder)
                raise
        finally:
            for path in (beside, before):
                if path.exists():
                    discard(path)
    except OSError as error:
        raise _not_written(folder, error) from error


@contextlib.contextmanager
def storing(folder: Path, kind: type[ValueError]) -> Iterator[None]:
    """Says in one sentence what hinders to read or write in a folder. What the network does is none of it.

    Args:
        folder: in which things are kept.
        kind: of the error that is raised for an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # it is a sentence already
            raise kind(str(error)) from error
        place = Path(error.filename or folder)
        mend = f"make room in {folder} and allow writing there, or name another folder"
        one, other = place.absolute(), folder.absolute()
        if not (one.is_relative_to(other) or other.is_relative_to(one)):  # the source of what is kept
            mend = f"allow reading {place}"
        raise kind(f"{place} could not be read or written ({error.strerror or error}): {mend}.") from error


@contextlib.contextmanager
def failure_warned() -> Iterator[None]:
    """For what long work can do without: where it cannot be written, that is a warning and no error."""
    try:
        yield
    except OSError as error:
        warnings.warn(str(error), stacklevel=3)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all, see `replacing`."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, content) -> None:
    """Writes a JSON file whole or not at all, see `replacing`; umlauts as they are, in UTF-8."""
    # A file's name that is no text has surrogates, which UTF-8 lacks; with a backslash they are JSON all the same.
    text = json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")
    write_text(path, text.decode("utf-8"))


# How files begin that are often found under the name of another: what they are, and the mend.
BEGINNINGS = (
    (
        rb"\s*<(!doctype|html|head|\?xml)",
        "a web page",
        "download the file itself and not the page about it, on GitHub by the button for the raw file",
    ),
    (rb"version https://git-lfs", "a pointer of Git LFS in place of the file", "run git lfs pull where it was cloned"),
    (rb'\s*\{\s*"|\d{3}: ', "a server's answer in place of the file", "mend the address, and fetch it again"),
    (rb"PK\x03\x04.{,200}data\.pkl|\x80[\x02-\x05]", "a file of PyTorch's", "give one of the format that is expected"),
    (rb"PK\x03\x04.{,200}(config|metadata)\.json", "a model of Keras'", "read it with keras.models.load_model"),
    (rb"PK\x03\x04|\x1f\x8b|BZh|7z\xbc\xaf|Rar!|\xfd7zXZ", "a packed archive", "unpack it, and give what lies in it"),
    (rb"\x89HDF", "an HDF5 file, as Keras writes weights", "if it is one, let its name end in .weights.h5"),
    (rb'.{8}\{"|.{4}TFL3|\x08[\x01-\x0f]\x12', "a model of another library", "give one of the format that is expected"),
)


def other_kind(content: bytes) -> tuple[str, str] | None:
    """What a file is that should have been another, as far as its beginning tells.

    Args:
        content: the file, or its beginning.

    Returns:
        What it is, and what to do about it, as parts of a sentence; None where nothing is known against it.

    >>> other_kind(b"<!DOCTYPE html>")[0], other_kind(b"[net]")
    ('a web page', None)
    """
    if not content.strip(b"\0"):
        return f"{len(content)} bytes{', all of them zero' if content else ''}", "fetch it again, since that broke off"
    for pattern, kind, mend in BEGINNINGS:
        if re.match(pattern, content[:1024], re.IGNORECASE | re.DOTALL):
            return kind, mend
    return None
