"""The reader's photographs come from anywhere to this disk: whole and once, or not at all and with one sentence."""

import io
import os
import re
import shutil
import sys
import time
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from exports import coco2017, put, roboflow
from PIL import Image
from test_download import Quiet, serving
from test_exports import ROWS, mac, right

from yolo_helpers import photographs
from yolo_helpers.annotations import read_annotations, read_splits
from yolo_helpers.files import storing
from yolo_helpers.photographs import bring_photographs, list_photographs
from yolo_helpers.smear import draw_smear

EXPORTS = [
    pytest.param(build, expected, id=build.__name__)
    for build, paths, expected, *options in ROWS
    if "." in paths.split() and isinstance(expected, dict) and not options
]
READ = Path.read_bytes  # which a test may make slow
PARTS = {"train": "ab", "val": "c", "test": "d"}


def contents(folder):
    """Every file of a folder by its name; what the package notes for itself is none of them."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != photographs.ORIGIN)
    return {path.relative_to(folder).as_posix(): READ(path) for path in files}


def zipped(folder, archive, top=""):
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, top + path.relative_to(folder).as_posix())
    return archive


def reads(path, expected=None):
    parts, names = read_splits(path)
    assert list(parts) == list(expected or PARTS)
    for part, stems in (expected or PARTS).items():
        right(parts[part], names, stems)


def refused(source, folder, *words):
    with pytest.raises(ValueError) as error:
        bring_photographs(source, folder)
    assert "\n" not in str(error.value) and str(error.value).endswith("."), error.value
    assert all(word in str(error.value) for word in words), error.value


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


@pytest.fixture
def export(tmp_path):
    roboflow("yolo")(tmp_path / "export")
    return tmp_path / "export"


def test_nothing_given_draws_sixty_of_another_microscope_once(work, capsys):
    path = bring_photographs("", work)
    annotations, names = read_annotations(path)
    assert len(annotations) == 60 and len(names) == 3
    # Both have the same colours for the same things, but for the lamp.
    ours = np.mean([draw_smear(np.random.default_rng([0, i]))[0].mean((0, 1)) for i in range(20)], 0)
    theirs = np.mean([np.asarray(Image.open(a.image_path)).mean((0, 1)) for a in annotations], 0)
    np.testing.assert_allclose(theirs / ours, [0.6, 0.95, 0.5], rtol=0.05)
    before = {each: each.stat().st_mtime_ns for each in path.parent.iterdir()}
    assert bring_photographs("", work) == path
    assert before == {each: each.stat().st_mtime_ns for each in path.parent.iterdir()}
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.parametrize("top", ["", "my data/"])
@pytest.mark.parametrize(("build", "expected"), EXPORTS)
def test_a_zip_of_what_a_tool_wrote_reads_like_it(tmp_path, work, build, expected, top):
    build(tmp_path / "export")
    reads(bring_photographs(zipped(tmp_path / "export", tmp_path / "My export.zip", top), work), expected)


def test_what_a_mac_adds_is_left_out(export, work, tmp_path):
    before = contents(export)
    mac(export)
    assert contents(bring_photographs(zipped(export, tmp_path / "a.zip"), work)) == before


class Raw(zipfile.ZipInfo):
    """A member whose name is written as these bytes, without a word on their encoding."""

    def __init__(self, name):
        super().__init__("name")
        self.raw = name

    def _encodeFilenameFlags(self):
        return self.raw, 0


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("größe/é.jpg".encode(), "größe/é.jpg"),  # macOS
        ("größe/é.jpg".encode("cp437"), "größe/é.jpg"),  # Windows of the west
        (b"photos\\a.jpg", "photos/a.jpg"),  # .NET of old
        ("写真.jpg".encode("shift-jis"), None),  # cannot be known, and is kept apart from others
    ],
)
def test_names_in_other_encodings_are_kept(work, tmp_path, written, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(Raw(written), b"one")
        packed.writestr("other.jpg", b"two")
    names = contents(bring_photographs(tmp_path / "a.zip", work))
    assert sorted(names.values()) == [b"one", b"two"] and (name is None or names[name] == b"one")


def test_the_same_zip_is_unpacked_once_and_another_of_its_name_anew(export, work, tmp_path, capsys):
    folder = bring_photographs(zipped(export, tmp_path / "a.zip"), work)
    assert folder == work / "a"
    (folder / "mine.txt").write_text("a note of the reader", encoding="utf-8")
    assert bring_photographs(tmp_path / "a.zip", work) == folder and (folder / "mine.txt").exists()
    put(export / "notes.txt", "new")
    assert bring_photographs(zipped(export, tmp_path / "a.zip"), work) == folder
    assert contents(folder) == contents(export)
    assert capsys.readouterr().out.count("\n") == 3


def test_a_cut_while_unpacking_leaves_nothing_and_a_crash_nothing_that_counts(export, work, tmp_path, monkeypatch):
    archive = zipped(export, tmp_path / "a.zip")
    extract, done = zipfile.ZipFile.extract, []

    def cut(*given):
        done.append(given)
        if len(done) == 3:
            raise KeyboardInterrupt
        return extract(*given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(zipfile.ZipFile, "extract", cut)
        bring_photographs(archive, work)
    assert not list(work.iterdir())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        done.clear()
        patch.setattr(zipfile.ZipFile, "extract", cut)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if the computer had been turned off
        bring_photographs(archive, work)
    assert contents(work)
    assert contents(bring_photographs(archive, work)) == contents(export)
    assert [path.name for path in work.iterdir()] == ["a"]


def test_a_folder_of_the_readers_own_is_not_replaced(export, work, tmp_path):
    put(work / "a" / "mine.txt", "mine")
    refused(zipped(export, tmp_path / "a.zip"), work, str(work / "a"), "in the way")
    assert contents(work) == {"a/mine.txt": b"mine"}


def flagged(content, bit):
    """An archive of one member, in whose two headers a flag is set."""
    content = bytearray(content)
    content[6] |= bit
    content[content.index(b"PK\1\2") + 8] |= bit
    return bytes(content)


def simple(name="a.jpg", content=b"photograph" * 100):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (simple("../evil.jpg"), "outside"),
        (simple("a/../../evil.jpg"), "outside"),
        (simple("/evil.jpg"), "outside"),
        (simple("..\\evil.jpg"), "outside"),
        (simple("C:\\evil.jpg"), "outside"),
        (flagged(simple(), 1), "password"),
        (simple()[:-30], "no whole zip archive"),
        (simple().replace(b"photograph", b"photograqh", 1), "no whole zip archive"),
        (b"<!DOCTYPE html><html>log in</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"", "0 bytes"),
    ],
)
def test_a_zip_that_is_none_is_refused_and_leaves_nothing(work, tmp_path, content, words):
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", work, "a.zip", words)
    assert not list(work.iterdir()) and sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "work"]


def small_disk(monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=free))


def test_a_zip_larger_than_the_free_disk_is_refused(work, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.jpg", bytes(3_000_000))
    small_disk(monkeypatch, 2_000_000)
    refused(tmp_path / "a.zip", work, "3 MB", "2 MB")
    assert not list(work.iterdir())


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.rar", "a.7z"])
def test_other_archives_are_refused(work, tmp_path, name):
    (tmp_path / name).write_bytes(b"anything")
    refused(tmp_path / name, work, name, "zip")
    refused(f"http://127.0.0.1:1/{name}", work, name, "zip")


def test_where_nothing_is_the_current_folder_is_named(work, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused("photos/data.yaml", work, str(Path("photos", "data.yaml")), str(tmp_path))


def test_a_file_in_the_place_of_the_folder_is_one_sentence(tmp_path):
    (tmp_path / "work").write_bytes(b"")
    refused("", tmp_path / "work", str(tmp_path / "work"))


@pytest.fixture
def site():
    """A server of one archive: it keeps what was asked, and breaks off after each of `cuts` bytes."""

    class Handler(Quiet):
        def do_GET(self):
            asked = self.headers["Range"]
            self.server.asked.append((self.path, asked))
            body = self.server.body
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            if start and start >= len(body):
                return self.send_error(416)
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(self.server.promised or len(body) - start))
            self.end_headers()
            self.wfile.write(body[start:][: self.server.cuts.pop(0) if self.server.cuts else None])

    with serving(Handler) as server:
        server.asked, server.cuts, server.promised = [], [], 0
        server.url = f"http://127.0.0.1:{server.server_port}/export.zip"
        yield server


@pytest.fixture
def archive(export, tmp_path):
    put(export / "large.txt", "x" * 1_500_000)
    return zipped(export, tmp_path / "export.zip").read_bytes()


def test_an_address_is_fetched_and_unpacked_once(site, archive, export, work, capsys):
    site.body = archive
    folder = bring_photographs(site.url, work)
    assert contents(folder) == contents(export) and list(work.iterdir()) == [folder]
    assert "1 of 1 MB" in capsys.readouterr().err
    assert bring_photographs(site.url, work) == folder and len(site.asked) == 1
    other = bring_photographs(f"{site.url}?of=another%20one größe", work)  # as it may stand in the address bar
    assert other != folder and contents(other) == contents(folder)
    assert site.asked[1][0] == "/export.zip?of=another%20one%20gr%C3%B6%C3%9Fe"


def test_what_is_in_the_way_is_said_before_anything_is_fetched(site, archive, work):
    site.body = archive
    folder = bring_photographs(site.url, work)
    (folder / photographs.ORIGIN).unlink()  # so that it is the reader's own
    site.asked.clear()
    refused(site.url, work, str(folder), "in the way")
    assert site.asked == []


def test_what_broke_off_goes_on(site, archive, export, work):
    site.body, site.cuts = archive, [500_000, 500_000, 0]
    refused(site.url, work, "broke off after 1,000,000", "run this again")
    site.asked.clear()
    assert contents(bring_photographs(site.url, work)) == contents(export)
    assert [asked for _, asked in site.asked] == ["bytes=1000000-"] and len(list(work.iterdir())) == 1


def test_an_archive_that_changed_after_it_broke_off_is_never_a_mixture(site, archive, export, work):
    site.body, site.cuts = archive, [500_000, 0]
    refused(site.url, work, "broke off")
    site.body = archive[:400_000] + b"y" * 200_000 + archive[600_000:]
    refused(site.url, work, "no whole zip archive")
    assert not list(work.iterdir())
    site.body = archive
    assert contents(bring_photographs(site.url, work)) == contents(export)


@pytest.mark.parametrize("host", ["drive.google.com", "www.dropbox.com", "github.com", "my.university.edu"])
def test_a_web_page_in_place_of_the_archive_is_said(site, work, monkeypatch, host):
    site.body = b"<!DOCTYPE html><title>Sign in</title>"
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.setattr("urllib.request._opener", None)
    refused(f"http://{host}/data.zip", work, host, "web page")
    assert not list(work.iterdir())


def test_an_archive_that_has_no_room_is_not_fetched(site, archive, work, monkeypatch):
    site.body = archive
    small_disk(monkeypatch, 1_000_000)
    refused(site.url, work, "announces", "1,000,000")
    assert not list(work.iterdir())


@pytest.mark.parametrize("url", ["http://[/a.zip", "http://a:b/a.zip", "https://", "http://127.0.0.1:1/a.zip"])
def test_an_address_that_leads_nowhere_is_one_sentence(work, url):
    refused(url, work, url)
    assert not list(work.iterdir())


@pytest.fixture
def clock(monkeypatch):
    """Time stands still unless a test moves it, in seconds."""
    now = types.SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(time, "perf_counter", lambda: now.seconds)
    return now


class Opened(list):
    """The files that were opened, each of which took so many seconds."""

    takes = 0.04


@pytest.fixture
def slow(monkeypatch, export, clock):
    """The folder of the export lies on a drive that takes 40 ms to open a file; what was opened there is kept."""
    opened = Opened()
    for file in export.rglob("*.*"):
        os.utime(file, (1e9, 1e9))

    def wait(function):
        def slowly(path, *to):
            if path.is_relative_to(export):
                opened.append(path)
                clock.seconds += opened.takes
            return function(path, *to)

        return slowly

    monkeypatch.setattr(Path, "read_bytes", wait(READ))
    monkeypatch.setattr(shutil, "copyfile", wait(shutil.copyfile))
    monkeypatch.setattr(photographs, "_is_same_disk", lambda *_: False)
    return opened


@pytest.mark.parametrize("given", [".", "data.yaml"])
def test_a_slow_folder_is_copied_once(export, slow, work, capsys, given):
    path = bring_photographs(export / given, work)
    copy = work / "copied" / "export"
    assert path == copy / given and contents(copy) == contents(export)
    reads(path)
    said = capsys.readouterr().out
    there, here = re.findall(r"takes ([\d.]+) ms", said)
    assert float(there) >= 40 > float(here) and str(copy) in said and said.count("\n") == 1
    slow.clear()
    assert bring_photographs(export / given, work) == path and not slow


def test_what_changed_there_is_brought_after_it(export, slow, work):
    folder = bring_photographs(export, work)
    first, second, *_ = sorted(export.rglob("*.jpg"))
    first.unlink()
    Image.new("RGB", (7, 7)).save(second)
    os.utime(second, (1.5e9, 1.5e9))
    put(export / "new folder" / "notes.txt", "new")
    slow.clear()
    assert bring_photographs(export, work) == folder and contents(folder) == contents(export)
    assert sorted(path.name for path in slow) == sorted([second.name, "notes.txt"])


def test_a_cut_while_copying_goes_on(export, slow, work, monkeypatch):
    for number in range(60):
        put(export / "notes" / f"{number}.txt", str(number))
    copyfile = shutil.copyfile

    def cut(file, target):
        copyfile(file, target)
        if len(slow) > 50:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copyfile", cut)
        bring_photographs(export, work)
    had = len(contents(work))
    assert had > 10 and not list(work.rglob(".writing-*"))
    slow.clear()
    assert contents(bring_photographs(export, work)) == contents(export)
    assert len(slow) == len(contents(export)) - had


def test_paths_from_the_root_lead_to_the_copy(export, slow, work):
    text = (export / "data.yaml").read_text(encoding="utf-8")
    put(export / "data.yaml", f"path: {export}\n{text.replace('../', '')}")
    annotations, _ = read_annotations(export / "data.yaml")
    put(export / "list.txt", "".join(f"{a.image_path.absolute()}\n" for a in annotations))
    before = contents(export)
    for given in ("data.yaml", "list.txt"):
        found, names = read_annotations(bring_photographs(export / given, work))
        right(found, names, "abcd")
        assert all(a.image_path.is_relative_to(work) for a in found)
    assert contents(export) == before


def test_photographs_outside_the_folder_of_the_file_ask_for_the_folder_around(export, slow, work, tmp_path):
    shutil.rmtree(export)
    coco2017()(export)
    refused(export / "annotations" / "instances_train2017.json", work, "instances_train2017.json", "around")
    assert not list(work.iterdir())
    reads(bring_photographs(export, work), {"train": "ab", "val": "c"})
    put(export / "train2017" / "list.txt", "".join(f"{p} 6,9,66,45,1\n" for p in export.glob("val2017/*.jpg")))
    put(export / "train2017" / "classes.txt", "cat\ndog\n")
    refused(export / "train2017" / "list.txt", work, "list.txt", "around")


def test_where_opening_is_fast_or_a_copy_would_lie_on_the_same_disk_nothing_is_copied(export, slow, work, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(photographs, "_is_same_disk", lambda *_: True)
        for given in (export, str(export / "data.yaml")):
            assert bring_photographs(given, work) == Path(given)
        assert not slow
    slow.takes = 0.015
    assert bring_photographs(export, work) == export and slow
    assert not list(work.iterdir())


def test_a_photograph_of_any_size_is_judged_by_the_way_to_it(tmp_path, work, clock, monkeypatch):
    """Decoding it would take a second, on whichever disk."""
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (6, 4)).save(tmp_path / "photos" / "a.png")
    decode = Image.open

    def slowly(*given, **options):
        clock.seconds += 1
        return decode(*given, **options)

    monkeypatch.setattr(Image, "open", slowly)
    monkeypatch.setattr(photographs, "_is_same_disk", lambda *_: False)
    assert bring_photographs(tmp_path / "photos", work) == tmp_path / "photos"


def test_what_has_no_room_is_not_copied(export, slow, work, monkeypatch):
    put(export / "film.mp4", "x" * 3_000_000)
    small_disk(monkeypatch, 2_000_000)
    refused(export, work, "3 MB", "2 MB")
    assert not contents(work)


@pytest.fixture
def colab(monkeypatch, tmp_path):
    """Colab's two dialogues: what the reader chooses lies in `chosen`, and `drive` appears once it is mounted."""
    said = types.SimpleNamespace(chosen={}, drive={}, mounted=[])

    def upload():
        for name, content in said.chosen.items():
            Path(name).write_bytes(content)
        return said.chosen

    def mount(place):
        said.mounted.append(place)
        if said.drive is None:
            raise RuntimeError("mount failed")
        for name, content in said.drive.items():
            (tmp_path / "drive" / "MyDrive").mkdir(parents=True, exist_ok=True)
            (tmp_path / "drive" / "MyDrive" / name).write_bytes(content)

    module = types.ModuleType("google.colab")
    module.files = types.SimpleNamespace(upload=upload)
    module.drive = types.SimpleNamespace(mount=mount)
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", module)
    monkeypatch.setattr(photographs, "DRIVE", tmp_path / "drive")
    return said


def test_what_is_uploaded_is_unpacked(colab, export, archive, work, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    colab.chosen = {"my photos.zip": archive}
    for _ in range(2):
        folder = bring_photographs("upload", "work")
        assert Path.cwd() == tmp_path and contents(folder) == contents(export)
    assert sorted(tmp_path.iterdir()) == sorted([*before, work])


@pytest.mark.parametrize("chosen", [{}, {"a.jpg": b""}, {"a.zip": b"", "b.zip": b""}])
def test_an_upload_of_anything_else_is_said(colab, work, chosen):
    colab.chosen = chosen
    refused("upload", work, "zip", *chosen)
    assert not list(work.iterdir())


def test_upload_elsewhere_is_said(work):
    refused("upload", work, "Colab")


@pytest.mark.parametrize("seen_from", ["root", "current folder"])
def test_the_drive_is_mounted_if_it_is_not(colab, export, archive, work, tmp_path, monkeypatch, seen_from):
    monkeypatch.chdir(tmp_path)
    colab.drive = {"a.zip": archive}
    source = (tmp_path if seen_from == "root" else Path()) / "drive" / "MyDrive" / "a.zip"
    for _ in range(2):
        assert contents(bring_photographs(str(source), work)) == contents(export)
    assert colab.mounted == [str(tmp_path / "drive")]
    refused(source.with_name("b.zip"), work, "b.zip")


def test_a_drive_that_is_not_permitted_is_said(colab, work, tmp_path):
    colab.drive = None
    refused(tmp_path / "drive" / "MyDrive" / "a.zip", work, "mount failed")


def test_elsewhere_nothing_is_mounted(work):
    refused("/content/drive/MyDrive/a.zip", work, "no such file")


def test_photographs_are_listed_from_a_file_or_from_folders_within(tmp_path):
    (tmp_path / "in" / "side").mkdir(parents=True)
    for name in ("b.png", "in/side/a.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no photograph")
    assert sorted(list_photographs(tmp_path)) == [tmp_path / "b.png", tmp_path / "in" / "side" / "a.jpg"]
    assert list_photographs(bring_photographs(tmp_path / "b.png", tmp_path / "work")) == [tmp_path / "b.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no photographs in this folder"):
        list_photographs(tmp_path / "empty")


@pytest.mark.parametrize(("denied", "is_source"), [("mine/a.jpg", True), ("work/a/b.jpg", False), (".", False)])
def test_where_reading_is_not_allowed_no_room_is_asked_for(tmp_path, work, denied, is_source):
    """What lies elsewhere is only read; the folder, what is in it and what is around it is written to."""
    with pytest.raises(ValueError) as error, storing(work, ValueError):
        raise PermissionError(13, "denied", str(tmp_path / denied))
    assert str(tmp_path / denied) in str(error.value) and (str(work) in str(error.value)) != is_source
