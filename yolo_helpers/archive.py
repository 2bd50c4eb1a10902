"""Zip archives: unpacked into one folder and nowhere else, as far as the disk has room."""

import math
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePath, PureWindowsPath

from yolo_helpers.files import other_kind
from yolo_helpers.progress import progress

MB = 10**6
LOCKED = 1  # the bit of a member's flags that says so


class ArchiveError(ValueError):
    """An archive cannot be unpacked; the message names it and the mend."""


def unpack(
    archive: Path,
    folder: Path,
    name: str,
    most: float = math.inf,
    wanted: Callable[[PurePath], bool] = lambda path: True,
) -> int:
    """Unpacks a zip archive, without what macOS adds to one.

    Args:
        archive: the file.
        folder: which exists; what an error leaves in it is the caller's to remove.
        name: that the reader knows the archive by.
        most: bytes that it may unpack to; the room on the disk counts as well.
        wanted: tells of a path inside the archive whether to unpack it.

    Returns:
        How many files were unpacked.

    Raises:
        ArchiveError: it is no zip archive, damaged, locked by a password, too large, or holds a path that leads
            outside.
        OSError: the folder cannot be written to.
    """
    try:
        with _opened(archive) as packed:
            members = []
            for member in packed.infolist():
                path = PureWindowsPath(member.filename)  # takes both / and \, and knows drives
                if path.anchor or ".." in path.parts:
                    outside = f"{name} holds the path {member.filename!r:.200}, which leads outside"
                    raise ArchiveError(f"{outside}: not unpacked.")
                is_folder = not path.parts or re.search(r"[/\\]$", member.filename)
                if is_folder or _is_added_by_macos(path) or not wanted(path):
                    continue
                if member.flag_bits & LOCKED:
                    raise ArchiveError(f"{name} is locked by a password: unpack it yourself, and give the folder.")
                member.filename = path.as_posix()
                members.append(member)
            size, room = sum(member.file_size for member in members), min(most, shutil.disk_usage(folder).free)
            if size > room:
                sizes = f"{name} unpacks to {size / MB:,.0f} MB, where {room / MB:,.0f} MB are allowed or free"
                raise ArchiveError(f"{sizes}: not unpacked.")
            for member in progress(members, "files unpacked"):
                packed.extract(member, folder)
            return len(members)
    except (ArchiveError, OSError):
        raise
    except Exception as error:  # a damaged archive makes zipfile raise nearly anything
        with archive.open("rb") as file:
            content = file.read(1024)
        other = None if content.startswith(b"PK") else other_kind(content)
        found, mend = other or (f"no whole zip archive ({error})", "fetch or pack it again")
        raise ArchiveError(f"{name} is {found}: {mend}.") from error


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive, metadata_encoding="utf-8")  # in which macOS writes names, without saying so
    except UnicodeDecodeError:
        return zipfile.ZipFile(archive)


def _is_added_by_macos(path: PurePath) -> bool:
    return "__MACOSX" in path.parts or path.name == ".DS_Store" or path.name.startswith("._")
