"""Files: listed, and written whole or not at all, with one sentence if that fails."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def list_files(folder: Path, suffixes: Iterable[str], pattern: str = "*") -> list[Path]:
    """The files of a folder in alphabetical order, without hidden ones (such as macOS' `._photo.jpg`).

    Args:
        folder: where to look.
        suffixes: endings to keep, in small letters with their dot; capitals in a file's name do not count.
        pattern: as `Path.glob` takes it; "**/*" for folders inside the folder too.
    """
    found = (p for p in folder.glob(pattern) if p.suffix.lower() in suffixes and not p.name.startswith("."))
    return sorted(p for p in found if p.is_file())


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
        os.replace(beside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        raise OSError(
            f"{path} could not be written ({reason}), and is as it was: make room there, or choose another place."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all, see `replacing`."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, content) -> None:
    """Writes a JSON file whole or not at all, see `replacing`."""
    write_text(path, json.dumps(content, indent=1))
