"""Download: published networks and photographs (BCCD), fetched once, checked and kept; what broke off goes on."""

import hashlib
import http.client
import shutil
import string
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from yolo_helpers.archive import MB, ArchiveError, unpack
from yolo_helpers.files import storing


class Published(NamedTuple):
    """A file as it was published: its address, its SHA-256 in hexadecimal digits, and its size in bytes."""

    url: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The last part of the address, under which it is kept."""
        return self.url.rsplit("/", 1)[-1]


class Network(NamedTuple):
    """The two files of a network that darknet trained, for `yolo_helpers.darknet`."""

    cfg: Published
    weights: Published


# All were trained on COCO, with the classes of data/coco_classes.txt, and are in the public domain. Yolo-Fastest 1.1 is
# by dog-qiuqiu; YOLOv3 by its author, who lists the files on https://pjreddie.com/darknet/yolo.
FASTEST = (
    "https://raw.githubusercontent.com/dog-qiuqiu/Yolo-Fastest/96a2900d163196c396e73f3fdab04ca4dd9a2f70"
    "/ModelZoo/yolo-fastest-1.1_coco"
)
DARKNET = "https://raw.githubusercontent.com/pjreddie/darknet/f6afaabcdf85f77e7aff2ec55c020c0e297c77f9/cfg"
OFFICIAL = "https://data.pjreddie.com/files"
NETWORKS: dict[str, Network] = {
    "yolo-fastest": Network(
        Published(
            f"{FASTEST}/yolo-fastest-1.1.cfg",
            "f6df5775c1e862998cf69046eba9265be3ae84dfe8b2caab7529823f0795bf70",
            9_685,
        ),
        Published(
            f"{FASTEST}/yolo-fastest-1.1.weights",
            "1c445c42bbd6df63edea2cc69f99667b5650d663ca11e34b116240740cd42890",
            1_384_268,
        ),
    ),
    "yolo-fastest-xl": Network(
        Published(
            f"{FASTEST}/yolo-fastest-1.1-xl.cfg",
            "c458427acc4fbeabceff4528ef7b65b066c0308ce599460f8ba299eba63abad3",
            9_696,
        ),
        Published(
            f"{FASTEST}/yolo-fastest-1.1-xl.weights",
            "fac5fb41786c1f38f04972a658443b189f48720d7d117f9a044100e98a35b0c5",
            3_693_964,
        ),
    ),
    "tiny": Network(
        Published(
            f"{DARKNET}/yolov3-tiny.cfg",
            "84eb7a675ef87c906019ff5a6e0effe275d175adb75100dcb47f0727917dc2c7",
            1_915,
        ),
        Published(
            f"{OFFICIAL}/yolov3-tiny.weights",
            "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c",
            35_434_956,
        ),
    ),
    "yolov3": Network(
        Published(
            f"{DARKNET}/yolov3.cfg",
            "22489ea38575dfa36c67a90048e8759576416a79d32dc11e15d2217777b9a953",
            8_342,
        ),
        Published(
            f"{OFFICIAL}/yolov3.weights",
            "523e4e69e1d015393a1b0a441cef1d9c7659e3eb2d7e15f793f060a21b32f297",
            248_007_048,
        ),
    ),
    "spp": Network(
        Published(
            f"{DARKNET}/yolov3-spp.cfg",
            "7a4ec2d7427340fb12059f2b0ef76d6fcfcac132cc287cbbf0be5e3abaa856fd",
            8_606,
        ),
        Published(
            f"{OFFICIAL}/yolov3-spp.weights",
            "87a1e8c85c763316f34e428f2295e1db9ed4abcec59dd9544f8052f50de327b4",
            252_209_544,
        ),
    ),
}
# 364 photographs 640x480 with Pascal VOC annotations, MIT licence: https://github.com/Shenggan/BCCD_Dataset
BCCD_URL = "https://github.com/Shenggan/BCCD_Dataset/archive/d272fb14.zip"
BCCD_DIGEST = "debd2d76b13c300a3999f96a08cbe9ada5f231c3f882f9877a65a01a695872d1"
PARTS = ("Annotations", "ImageSets", "JPEGImages")
CACHE = Path.home() / ".cache" / "yolo_helpers"
MAX_BYTES = 200 * MB  # an archive, packed or unpacked, that is larger is not the one that was asked for
CHUNK = 1 << 16


class DownloadError(ValueError):
    """What was asked for could not be had; the message says why, and what to do."""


class _BrokenOffError(DownloadError):
    """A reply ended before its end."""


def fetch_network(name: str, folder: str | Path = CACHE) -> tuple[Path, Path]:
    """The cfg and the weights of a published network, fetched if they are not there yet.

    What breaks off goes on by itself as long as more arrives. If none does, or after Ctrl-C, what came stays in the
    folder, with .part behind its name, and the next call goes on from there.

    Args:
        name: one of `NETWORKS`.
        folder: where they are kept, or a folder that holds them already; it may be read-only then.

    Returns:
        The paths of cfg and weights, for `build_body` and `load_weights`.

    Raises:
        DownloadError: if one of them cannot be fetched, or is not what was published. Nothing that was not checked is
            ever found under its name.
    """
    if name not in NETWORKS:
        raise DownloadError(f"{name!r} is none of the published networks: choose one of {', '.join(NETWORKS)}.")
    folder, (cfg, weights) = Path(folder), NETWORKS[name]
    with storing(folder, DownloadError):
        missing = [file for file in (cfg, weights) if not _is_kept(file, folder)]
        while missing:
            names = " and ".join(file.name for file in missing)
            _fetch_file(missing[0], folder, f"put {names} into {folder}, or give the path of the weights")
            del missing[0]
    return folder / cfg.name, folder / weights.name


def fetch_bccd(folder: str | Path = CACHE, url: str = BCCD_URL, digest: str = BCCD_DIGEST) -> Path:
    """The folder BCCD with its `Annotations`, `ImageSets` and `JPEGImages`, fetched if it is not there yet.

    Args:
        folder: where it is kept, or a folder that holds it already.
        url: of the zip archive of the repository.
        digest: what `folder_digest` must give for it. The files are checked, not the archive: GitHub packs that anew
            when asked, and promises the same files of a commit, but not the same packing. So no half of one archive
            can be completed with the half of another, and what breaks off begins anew.

    Returns:
        The path of BCCD; its annotations are read by `read_annotations(path / "Annotations", split=…)`.

    Raises:
        DownloadError: if it cannot be fetched, is cut off, is not what it should be, or holds a path that leads
            outside. Nothing is left behind then.
    """
    folder = Path(folder)
    kept = folder / "BCCD"
    with storing(folder, DownloadError):
        if kept.is_dir():
            if folder_digest(kept) != digest:
                raise DownloadError(
                    f"{kept} is not the data set as published: delete or rename it, then run this again."
                )
            return kept
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="fetching-") as beside:
            archive = Path(beside) / "archive.zip"
            mend = "without a network, go on with what the course brings, or put it into a folder and give its path"
            _download(url, archive, None, MAX_BYTES, mend)
            unpacked = Path(beside) / "unpacked"
            unpacked.mkdir()
            try:
                unpack(archive, unpacked, url, MAX_BYTES, lambda path: bool(set(path.parts) & set(PARTS)))
            except ArchiveError as error:
                raise DownloadError(str(error)) from error
            found = next((p.parent for p in sorted(unpacked.rglob(PARTS[0])) if p.parent.name == "BCCD"), unpacked)
            if folder_digest(found) != digest:
                raise DownloadError(f"{url} did not give the photographs that were expected (SHA-256 differs).")
            found.replace(kept)
    return kept


def fetch_archive(url: str, archive: Path) -> None:
    """Fetches a file of which only the address is known, as far as the disk has room.

    What breaks off goes on as in `fetch_network`. Whether it still fits to what came before, only the check sums inside
    an archive tell.

    Args:
        url: its address, as a browser shows it or as it is sent.
        archive: the path that it gets once all of it has come.

    Raises:
        DownloadError: it cannot be fetched, or the disk has no room for it.
    """
    sent = urllib.parse.quote(url, safe=string.punctuation)
    part = archive.with_name(f"{archive.name}.part")
    with storing(archive.parent, DownloadError):
        archive.parent.mkdir(parents=True, exist_ok=True)
        room = _size(part) + shutil.disk_usage(archive.parent).free
        _download_on(sent, part, None, room, "correct the address, or fetch it with a browser and give the file")
        part.replace(archive)


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files in `Annotations`, `ImageSets` and `JPEGImages` of a folder."""
    total = hashlib.sha256()
    paths = (path for part in PARTS for path in (folder / part).rglob("*") if path.is_file())
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in paths):
        total.update(f"{_sha256(path)}  {name}\n".encode())
    return total.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_kept(file: Published, folder: Path) -> bool:
    path = folder / file.name
    if not path.exists():
        return False
    if _sha256(path) != file.sha256:
        raise DownloadError(
            f"{path} is not the file as published (SHA-256 differs): delete or rename it, then run this again."
        )
    return True


def _fetch_file(file: Published, folder: Path, mend: str) -> None:
    """Puts a published file into a folder, once all of it has come and is what it should be."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{file.name}.part"
    while not _is_kept(file, folder):  # another process may have been faster
        if _size(part) < file.size:
            _download_on(file.url, part, file.size, file.size, mend)
        elif _sha256(part) != file.sha256:
            raise _useless(part, f"{file.url} did not give the file that was published (SHA-256 differs)")
        else:
            part.replace(folder / file.name)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _useless(part: Path, why: str) -> DownloadError:
    part.unlink(missing_ok=True)
    return DownloadError(f"{why}: what had come was deleted, so run this again, and it begins anew.")


def _download_on(url: str, part: Path, size: int | None, most: int, mend: str) -> None:
    """`_download`, and again after it broke off, as long as more arrives."""
    while True:
        done = _size(part)
        try:
            return _download(url, part, size, most, mend)
        except _BrokenOffError:
            if _size(part) == done:
                raise


def _download(url: str, part: Path, size: int | None, most: int, mend: str) -> None:
    """Writes what lies at `url` into a file, behind what lies there already.

    Every byte is written to its own place and nothing is cut off before, so an answer that begins anew, or another
    process that fetches the same, spoils nothing.

    Args:
        url: where it lies.
        part: the file.
        size: bytes of the whole; None if only the server knows.
        most: bytes that it may be.
        mend: what to do if the server cannot be reached or has something else.
    """
    done = _size(part)
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
        reply = urllib.request.urlopen(request, timeout=30)
    except (OSError, http.client.HTTPException, ValueError) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or error
        if getattr(error, "code", None) == 416:
            raise _useless(part, f"{url} has nothing behind byte {done:,} ({reason})") from error
        again = f"run this again to go on after {done:,} bytes, or " if done else ""
        raise DownloadError(f"{url} could not be fetched ({reason}): {again}{mend}.") from error
    with reply:
        start = done if reply.status == 206 else 0
        announced = reply.headers["Content-Length"] or ""
        total = start + int(announced) if announced.isdecimal() else size
        whole, found = size or total or 0, reply.headers["Content-Range"]
        if start and found != f"bytes {start}-{whole - 1}/{whole}":
            raise _useless(part, f"{url} was asked for what follows byte {start:,} of {whole:,} and gave {found!r}")
        if size and total != size:
            raise DownloadError(f"{url} announces {total:,} bytes where {size:,} were published: not fetched; {mend}.")
        if total and total > most:
            raise DownloadError(f"{url} announces {total:,} bytes, and {most:,} are the most: not fetched; {mend}.")
        part.touch()
        with part.open("r+b") as file:
            file.seek(start)
            again = "run this again, and it goes on from there" if size else "run this again"
            for piece in _pieces(reply, url, start, total, again):
                if file.tell() + len(piece) > most:
                    break
                file.write(piece)
            else:
                file.truncate()  # of an older and longer file, what lay behind
                return
    raise _useless(part, f"{url} gives more than the {most:,} bytes that were expected or have room")


def _pieces(reply: http.client.HTTPResponse, url: str, done: int, total: int | None, mend: str) -> Iterator[bytes]:
    """The body of a reply, piece by piece; says on stderr how far it is, whenever another megabyte has come."""
    shown, reason = False, "the connection ended"
    what, of = url.split("://")[-1], f" of {total // MB}" if total else ""
    what = f"{what.rsplit('/', 1)[-1]} from {what.split('/')[0]}"
    try:
        while piece := reply.read1(CHUNK):  # which, unlike read, loses nothing if it breaks
            before, done = done, done + len(piece)
            if done // MB > before // MB:
                shown = True
                print(f"\rfetching {what}: {done // MB}{of} MB", end="", file=sys.stderr, flush=True)
            yield piece
        if total is None or done >= total:
            return
    except (OSError, http.client.HTTPException) as error:
        reason = error
    finally:
        if shown:
            print(file=sys.stderr)
    of = f" of {total:,}" if total else ""
    raise _BrokenOffError(f"{url} broke off after {done:,}{of} bytes ({reason}): {mend}.")
