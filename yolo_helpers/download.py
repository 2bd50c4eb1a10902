"""Download: the public blood-cell photographs (BCCD) and darknet's official weights, fetched once, checked and kept."""

import errno
import hashlib
import http.client
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath

# 364 photographs 640x480 with Pascal VOC annotations, MIT licence: https://github.com/Shenggan/BCCD_Dataset
BCCD_URL = "https://github.com/Shenggan/BCCD_Dataset/archive/d272fb14.zip"
BCCD_DIGEST = "debd2d76b13c300a3999f96a08cbe9ada5f231c3f882f9877a65a01a695872d1"
# YOLOv3-tiny as its author trained it on COCO's 80 classes, in the public domain: https://pjreddie.com/darknet/yolo
TINY_WEIGHTS_URL = "https://data.pjreddie.com/files/yolov3-tiny.weights"
TINY_WEIGHTS_SHA256 = "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c"
PARTS = ("Annotations", "ImageSets", "JPEGImages")
CACHE = Path.home() / ".cache" / "yolo_helpers"
MAX_BYTES = 200_000_000  # an archive, packed or unpacked, that is larger is not the one that was asked for
CHUNK = 1 << 16


class DownloadError(ValueError):
    """The photographs could not be had; the message says why, and what to do."""


def fetch_bccd(folder: str | Path = CACHE, url: str = BCCD_URL, digest: str = BCCD_DIGEST) -> Path:
    """The folder BCCD with its `Annotations`, `ImageSets` and `JPEGImages`, fetched if it is not there yet.

    Args:
        folder: where it is kept, or a folder that holds it already.
        url: of the zip archive of the repository.
        digest: what `folder_digest` must give for it. The files are checked, not the archive: GitHub packs that anew
            when asked, and promises the same files of a commit, but not the same packing.

    Returns:
        The path of BCCD; its annotations are read by `read_annotations(path / "Annotations", split=…)`.

    Raises:
        DownloadError: if it cannot be fetched, is cut off, is not what it should be, or holds a path that leads
            outside. Nothing is left behind then.
    """
    folder = Path(folder)
    kept = folder / "BCCD"
    if kept.is_dir():
        if folder_digest(kept) != digest:
            raise DownloadError(f"{kept} is not the data set as published: delete or rename it, then run this again.")
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetching-") as beside:
        archive = Path(beside) / "archive.zip"
        _fetch(url, archive)
        unpacked = Path(beside) / "unpacked"
        _unpack(archive, unpacked, url)
        found = next((p.parent for p in sorted(unpacked.rglob(PARTS[0])) if p.parent.name == "BCCD"), unpacked)
        if folder_digest(found) != digest:
            raise DownloadError(f"{url} did not give the photographs that were expected (SHA-256 differs).")
        found.replace(kept)
    return kept


def fetch_file(folder: str | Path = CACHE, url: str = TINY_WEIGHTS_URL, sha256: str = TINY_WEIGHTS_SHA256) -> Path:
    """A file, fetched if it is not there yet; darknet's official weights of YOLOv3-tiny when nothing else is said.

    Args:
        folder: where it is kept, under the last part of its address, or a folder that holds it already.
        url: where it lies.
        sha256: its SHA-256, in hexadecimal digits.

    Returns:
        The path of the file.

    Raises:
        DownloadError: if it cannot be fetched, or is not what it should be. Nothing is left behind then.
    """
    kept = Path(folder) / url.rsplit("/", 1)[-1]
    if kept.is_file():
        if hashlib.sha256(kept.read_bytes()).hexdigest() != sha256:
            raise DownloadError(f"{kept} is not the file as published: delete or rename it, then run this again.")
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="fetching-") as beside:
        fetched = Path(beside) / kept.name
        _fetch(url, fetched)
        if hashlib.sha256(fetched.read_bytes()).hexdigest() != sha256:
            raise DownloadError(f"{url} did not give the file that was expected (SHA-256 differs).")
        fetched.replace(kept)
    return kept


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files in `Annotations`, `ImageSets` and `JPEGImages` of a folder."""
    total = hashlib.sha256()
    paths = (path for part in PARTS for path in (folder / part).rglob("*") if path.is_file())
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in paths):
        total.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n".encode())
    return total.hexdigest()


def _fetch(url: str, path: Path) -> None:
    """Writes what lies at `url` into a file, and says how far it is."""
    name = url.split("://")[-1].split("/")[0]
    try:
        with urllib.request.urlopen(url, timeout=30) as reply, path.open("wb") as file:
            total, done = int(reply.headers.get("Content-Length") or 0), 0
            while chunk := reply.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                of = f" of {total / 1e6:.1f}" if total else ""
                print(f"\rfetching from {name}: {done / 1e6:.1f}{of} MB", end="", file=sys.stderr, flush=True)
                if done > MAX_BYTES:
                    raise DownloadError(f"{url} holds more than {MAX_BYTES // 10**6} MB: not fetched further.")
        print(file=sys.stderr)
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or error
        mend = "without a network, go on with what the course brings, or put it into a folder and give its path"
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EFBIG):
            reason, mend = error.strerror, f"make room for {path.parent.parent}, or name another folder"
        raise DownloadError(f"{url} could not be fetched ({reason}): {mend}.") from error
    if total and done < total:
        raise DownloadError(f"{url} was cut off after {done} of {total} bytes: run this again.")


def _unpack(archive: Path, target: Path, url: str) -> None:
    """Unpacks the files of the data set, if no name in the archive leads outside of it."""
    try:
        with zipfile.ZipFile(archive) as packed:
            members = packed.infolist()
            for member in members:
                path = PurePosixPath(member.filename.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or ":" in str(path).split("/")[0]:
                    raise DownloadError(f"{url} holds the path {member.filename!r}, which leads outside: not unpacked.")
            if sum(member.file_size for member in members) > MAX_BYTES:
                raise DownloadError(f"{url} unpacks to more than {MAX_BYTES // 10**6} MB: not unpacked.")
            packed.extractall(target, [m for m in members if set(PurePosixPath(m.filename).parts) & set(PARTS)])
    except DownloadError:
        raise
    except OSError as error:
        mend = f"make room for {archive.parent.parent}, or name another folder"
        raise DownloadError(f"{url} could not be unpacked ({error.strerror or error}): {mend}.") from error
    except Exception as error:  # a damaged archive makes zipfile raise nearly anything
        raise DownloadError(f"{url} did not give a whole zip archive ({error}): run this again.") from error
