"""The reader's photographs, on this computer's own disk: drawn, fetched, uploaded, unpacked or copied, as need be."""

import contextlib
import hashlib
import os
import re
import shutil
import statistics
import sys
import time
import urllib.parse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from yolo_helpers.annotations import survey
from yolo_helpers.archive import MB, unpack
from yolo_helpers.download import fetch_archive
from yolo_helpers.files import filling, list_files, other_kind, replacing, storing
from yolo_helpers.images import IMAGE_SUFFIXES
from yolo_helpers.progress import progress
from yolo_helpers.smear import GREEN_LAMP, write_smears

SLOW = 0.02  # seconds to open a photograph from which on a copy is made; Google Drive takes 0.2 on Colab
DRIVE = Path("/content/drive")  # where Colab mounts it
ORIGIN = ".origin"  # in a folder that was made here: the file that says from what
OTHER_ARCHIVES = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".rar", ".7z")
WITH_PATHS = (".txt", ".yaml", ".yml", ".data", ".json")
# How to get the file itself from sites that show a page about it.
OF_SITES = {
    "drive.google.com": "on Colab give its path below /content/drive, elsewhere download it and give the file",
    "dropbox.com": "end the address in dl=1",
    "github.com": "give the address behind the button Download raw file, or Download ZIP for a whole repository",
}


class PhotographsError(ValueError):
    """The photographs could not be had; the message says why, and what to do."""


def bring_photographs(source: str | Path, folder: str | Path) -> Path:
    """The reader's photographs, on this computer's own disk. Prints one line that says what was done.

    What was done before, and is whole, is not done again.

    Args:
        source: "" for 60 drawn ones, as another microscope shows them; the address of a zip archive; a zip archive; a
            folder; a file that describes a data set, such as data.yaml; a photograph; or "upload" for Colab's dialogue.
            What lies below /content/drive, where Colab mounts Google Drive, is mounted.
        folder: for what is drawn, fetched, unpacked or copied, on the own disk. What lies on another disk is copied if
            it takes more than 20 ms to open a photograph there.

    Returns:
        What `read_annotations` or `look` reads.

    Raises:
        ValueError: nothing is there, it cannot be had, or the disk has no room for it.
    """
    folder, name = Path(folder), str(source).strip()
    with storing(folder, PhotographsError):
        folder.mkdir(parents=True, exist_ok=True)
        if name == "":
            path, done = _draw(folder / "drawn")
        elif re.match("https?://", name, re.IGNORECASE):
            path, done = _fetch(name, folder)
        elif name == "upload":
            path, done = _unpack(_upload(folder / ".uploaded"), folder)
        else:
            path, done = _take(Path(name).expanduser(), folder)
    print(done)
    return path


def _draw(folder: Path) -> tuple[Path, str]:
    path = folder / "annotations.txt"
    if path.exists():  # it is written last
        return path, "No photographs were given: those drawn before are taken."
    write_smears(folder, 60, seed=40, lamp=GREEN_LAMP)
    return path, "No photographs were given: 60 were drawn, as another microscope shows them."


def _fetch(url: str, folder: Path) -> tuple[Path, str]:
    try:
        address = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise PhotographsError(f"{url} is no address ({error}): correct it.") from error
    name = PurePosixPath(urllib.parse.unquote(address.path))
    _refuse_others(name)
    digest = hashlib.sha256(url.encode()).hexdigest()[:8]  # as two addresses may end alike
    target = folder / f"{re.sub(r'[^0-9A-Za-z_.]+', '-', name.stem)[:60]}-{digest}"
    archive = target.with_name(f"{target.name}.zip")
    if _origin(target) == url:
        return target, f"{url} was fetched before, and is unpacked in {target}."
    _check_own(target, url)
    if not archive.exists():
        fetch_archive(url, archive)
    try:
        with archive.open("rb") as file:
            kind, _ = other_kind(file.read(1024)) or ("", "")
        if kind == "a web page":
            host = address.hostname or ""
            mends = (mend for site, mend in OF_SITES.items() if f".{host}".endswith(f".{site}"))
            mend = next(mends, "give the address of the file itself, or download it and give the file")
            raise PhotographsError(f"{url} gave a web page in place of a zip archive: {mend}.")
        count = _unpack_whole(archive, target, url, url)
    except ValueError:
        archive.unlink()
        raise
    archive.unlink()
    return target, f"{url}: fetched, {count:,} files unpacked into {target}."


def _upload(folder: Path) -> Path:
    if not on_colab():
        raise PhotographsError('"upload" is for Colab: elsewhere give the path of a folder or a zip archive.')
    from google.colab import files

    with filling(folder) as beside:
        with contextlib.chdir(beside):
            files.upload()  # which saves in the current folder
        names = [path.name for path in beside.iterdir()]
        if len(names) != 1 or not names[0].lower().endswith(".zip"):
            given = ", ".join(sorted(names)[:5]) or "nothing"
            raise PhotographsError(f"{given} was uploaded, expected one zip archive with photographs and annotations.")
    return folder / names[0]


def _take(path: Path, folder: Path) -> tuple[Path, str]:
    """What lies on a disk, or on Google Drive."""
    mount_drive(path)
    if not path.exists():
        there = f"there is no such file or folder, seen from the current folder {Path.cwd()}"
        raise PhotographsError(f"{path}: {there}: correct the path, or give all of it from the root on.")
    if path.is_dir():
        return _near(path, folder)
    if path.suffix.lower() == ".zip":
        return _unpack(path, folder)
    _refuse_others(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return path, f"{path} is read where it lies."
    return _near(path, folder)


def list_photographs(path: str | Path) -> list[Path]:
    """The photograph that a path names, or all in a folder and in those inside it.

    Args:
        path: of a file or a folder.

    Raises:
        ValueError: if there is none.
    """
    path = Path(path)
    found = list_files(path, IMAGE_SUFFIXES, recursive=True) if path.is_dir() else [path]
    if not found:
        raise PhotographsError(f"{path}: no photographs in this folder, expected {', '.join(IMAGE_SUFFIXES)}.")
    return found


def mount_drive(path: Path) -> None:
    """Mounts Google Drive, on Colab and for a path on it, if that is not done yet.

    Args:
        path: what lies there, or is going to.

    Raises:
        ValueError: if it is not permitted.
    """
    if not on_colab() or not path.absolute().is_relative_to(DRIVE) or (DRIVE / "MyDrive").exists():
        return
    from google.colab import drive

    try:
        drive.mount(str(DRIVE))
    except Exception as error:  # Colab names no kinds
        reason = " ".join(str(error).split())
        raise PhotographsError(f"Google Drive was not mounted ({reason}): run this again, and permit it.") from error


def on_colab() -> bool:
    """Whether this runs on Colab."""
    return "google.colab" in sys.modules


def _refuse_others(path: PurePosixPath | Path) -> None:
    if path.suffix.lower() in OTHER_ARCHIVES:
        raise PhotographsError(f"{path.name} is no zip archive: unpack it and give the folder, or pack it as zip.")


def _unpack(archive: Path, folder: Path) -> tuple[Path, str]:
    target, about = folder / archive.stem, archive.stat()
    origin = f"{archive.name} of {about.st_size} bytes, changed at {about.st_mtime_ns}"
    if _origin(target) == origin:
        return target, f"{archive} was unpacked before, in {target}."
    count = _unpack_whole(archive, target, str(archive), origin)
    return target, f"{archive}: {count:,} files unpacked into {target}."


def _unpack_whole(archive: Path, target: Path, name: str, origin: str) -> int:
    _check_own(target, name)
    with filling(target) as beside:
        count = unpack(archive, beside, name)
        (beside / ORIGIN).write_text(origin, encoding="utf-8")
    return count


def _origin(folder: Path) -> str:
    """From what a folder was made here; "" if it was not."""
    marker = folder / ORIGIN
    return marker.read_text(encoding="utf-8") if marker.is_file() else ""


def _check_own(target: Path, name: str) -> None:
    """Refuses to replace a folder that was not made here."""
    if target.exists() and not _origin(target):
        raise PhotographsError(f"{target} is in the way of {name}: rename or move it, or give it as the photographs.")


def _near(path: Path, folder: Path) -> tuple[Path, str]:
    """The path itself; or that of its copy, if opening files there is slow."""
    place = path if path.is_dir() else path.parent
    name = str(place.resolve())
    copy = folder / "copied" / place.resolve().name
    copied = copy / path.relative_to(place)
    if _origin(copy) == name:
        count = _copy(place, copy)
        _check_inside(path, copied, copy)
        return copied, f"{place} was copied to {copy} before; {count:,} files were new or changed."
    if _is_same_disk(place, folder):
        return path, f"{path} is read where it lies."
    photographs = list_files(place, IMAGE_SUFFIXES, recursive=True)
    if not photographs and path.is_dir():
        return path, f"{path} is read where it lies."
    few = photographs[:: len(photographs) // 5 or 1][:5] or [path]
    there = _seconds_to_open(few)
    if there < SLOW:
        return path, f"{path} is read where it lies, as it takes only {1000 * there:.2g} ms to open a file there."
    if not photographs:
        raise PhotographsError(f"{path}: no photographs are in its folder: give the folder that is around all.")
    _check_own(copy, name)
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    (copy / ORIGIN).write_text(name, encoding="utf-8")
    _copy(place, copy)
    _check_inside(path, copied, copy)
    here = _seconds_to_open([copy / each.relative_to(place) for each in few])
    rate = f"a photograph takes {1000 * there:.0f} ms to open there, {60 / there:.0f} of them a minute in every epoch"
    return copied, f"{place}: {rate}; copied to {copy}, where it takes {1000 * here:.2g} ms."


def _is_same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _seconds_to_open(paths: Sequence[Path]) -> float:
    """How long it takes to read a file, without decoding it, which takes as long anywhere."""
    seconds = []
    for path in paths:
        begun = time.perf_counter()
        path.read_bytes()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def _copy(place: Path, copy: Path) -> int:
    """Makes a copy equal to a folder again, and returns how many files were new or changed.

    Several are copied at a time, since a mounted drive lets each wait.
    """
    files = [(file, copy / file.relative_to(place)) for file in list_files(place, [""], recursive=True)]
    for stale in set(list_files(copy, [""], recursive=True)) - {target for _, target in files}:
        stale.unlink()
    changed = [(file, target) for file, target in files if not _is_copied(file, target)]
    size, room = sum(file.stat().st_size for file, _ in changed), shutil.disk_usage(copy).free
    if size > room:
        sizes = f"{size / MB:,.0f} MB to copy, where {room / MB:,.0f} MB are free in {copy.parent}"
        raise PhotographsError(f"{place}: {sizes}: give a folder that holds the data set alone, or make room.")
    roots = str(place.absolute()), str(copy.absolute())
    pool = ThreadPoolExecutor(16)
    try:
        jobs = [pool.submit(_copy_file, file, target, *roots) for file, target in changed]
        for job in progress(jobs, "files copied"):
            job.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return len(changed)


def _is_copied(file: Path, target: Path) -> bool:
    # Some disks keep times to two seconds. A size says nothing, where paths were changed in a copied text.
    return target.exists() and abs(file.stat().st_mtime - target.stat().st_mtime) <= 2


def _copy_file(file: Path, target: Path, root: str, new_root: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as beside:
        shutil.copyfile(file, beside)
        if file.suffix.lower() in WITH_PATHS:  # those that begin at the root would lead back to the slow disk
            whole = re.escape(os.fsencode(root)) + rb"(?=[/\\\"'\s]|$)"
            beside.write_bytes(re.sub(whole, lambda _: os.fsencode(new_root), beside.read_bytes()))
        os.utime(beside, (time.time(), file.stat().st_mtime))


def _check_inside(path: Path, copied: Path, copy: Path) -> None:
    inside = copy.resolve()
    for annotations in survey(copied).parts.values():
        for annotation in annotations:
            if not annotation.image_path.resolve().is_relative_to(inside):
                lost = f"it names {annotation.image_path}, which is not in its folder and was not copied"
                raise PhotographsError(f"{path}: {lost}: give the folder that is around all.")
