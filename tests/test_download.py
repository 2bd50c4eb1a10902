"""The blood-cell photographs: fetched once and whole, or not at all and with one sentence that says why."""

import errno
import hashlib
import http.server
import io
import os
import threading
import zipfile
from pathlib import Path

import pytest

from yolo_helpers.download import BCCD_DIGEST, DownloadError, fetch_bccd, fetch_file, folder_digest

FILES = {
    "Annotations/one.xml": b"<annotation/>",
    "ImageSets/Main/train.txt": b"one\n",
    "JPEGImages/one.jpg": bytes(range(256)) * 2000,
}


def packed(files=FILES, top="BCCD_Dataset-d272fb14/BCCD/", more=(), compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("BCCD_Dataset-d272fb14/README.md", "not a part of the data")
        for name, content in files.items():
            archive.writestr(top + name, content)
        for name in more:
            archive.writestr(name, b"planted")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder_digest(folder)


@pytest.fixture
def server():
    """A server on this computer; what it answers is put into its `reply`, or into `promised` if it breaks off."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked += 1
            if self.path != "/data.zip":
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(self.server.promised or len(self.server.reply)))
            self.end_headers()
            self.wfile.write(self.server.reply)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.reply, server.promised, server.asked = packed(), 0, 0
        server.url = f"http://127.0.0.1:{server.server_port}/data.zip"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_fetched_once_and_kept(server, digest, tmp_path, capfd):
    folder = fetch_bccd(tmp_path / "cache", server.url, digest)
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == FILES
    assert f"{len(server.reply) / 1e6:.1f} of {len(server.reply) / 1e6:.1f} MB" in capfd.readouterr().err
    assert fetch_bccd(tmp_path / "cache", server.url, digest) == folder == tmp_path / "cache" / "BCCD"
    assert server.asked == 1
    assert list((tmp_path / "cache").iterdir()) == [folder]


def test_a_folder_that_holds_it_is_used_without_a_network(digest, tmp_path):
    for name, content in FILES.items():
        (tmp_path / "BCCD" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "BCCD" / name).write_bytes(content)
    assert fetch_bccd(tmp_path, "http://127.0.0.1:1/nobody", digest) == tmp_path / "BCCD"


@pytest.mark.parametrize("name", list(FILES))
def test_a_kept_file_that_was_changed_is_noticed(server, digest, tmp_path, name):
    folder = fetch_bccd(tmp_path, server.url, digest)
    (folder / name).write_bytes(FILES[name][:-1])
    with pytest.raises(DownloadError, match="BCCD is not the data set as published: delete or rename it"):
        fetch_bccd(tmp_path, server.url, digest)


def leads_outside(server):
    server.reply = packed(more=["BCCD_Dataset-d272fb14/BCCD/Annotations/../../../../evil.txt"])


def absolute(server):
    server.reply = packed(more=["/BCCD/Annotations/evil.txt"])


def backslashes(server):
    server.reply = packed(more=["BCCD\\Annotations\\..\\..\\..\\evil.txt"])


def drive(server):
    server.reply = packed(more=["C:\\Annotations\\evil.txt"])


def other_content(server):
    server.reply = packed(FILES | {"Annotations/one.xml": b"<other/>"})


def a_file_more(server):
    server.reply = packed(FILES | {"Annotations/two.xml": b"<annotation/>"})


def nothing_of_it(server):
    server.reply = packed({}, more=["other/file.txt"])


def not_an_archive(server):
    server.reply = b"<html>log in first</html>"


def damaged(server):
    content = bytearray(packed())
    content[len(content) // 2] ^= 255
    server.reply = bytes(content)


def damaged_and_compressed(server):
    """As GitHub packs it; what zlib then says is not one of zipfile's own errors."""
    content = bytearray(packed(compression=zipfile.ZIP_DEFLATED))
    at = content.index(b"one.jpg") + len(b"one.jpg")
    content[at : at + 8] = b"\xff" * 8
    server.reply = bytes(content)


def cut_off_unnoticed(server):
    """The server promises no more than it sends."""
    server.reply = packed()[:-30]


def a_dot_among_the_names(server):
    """A name with no parts leads nowhere, and is left out; the rest is not what was expected."""
    server.reply = packed({}, more=[".", "BCCD/Annotations/one.xml"])


def cut_off(server):
    server.promised, server.reply = len(server.reply), server.reply[:100_000]


def moved_away(server):
    server.url += ".old"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (leads_outside, "holds the path .*evil.txt', which leads outside: not unpacked"),
        (absolute, "holds the path '/BCCD/Annotations/evil.txt', which leads outside: not unpacked"),
        (backslashes, "which leads outside: not unpacked"),
        (drive, "which leads outside: not unpacked"),
        (other_content, "did not give the photographs that were expected"),
        (a_file_more, "did not give the photographs that were expected"),
        (nothing_of_it, "did not give the photographs that were expected"),
        (not_an_archive, "did not give a whole zip archive"),
        (damaged, "did not give a whole zip archive"),
        (damaged_and_compressed, "did not give a whole zip archive"),
        (cut_off_unnoticed, "did not give a whole zip archive"),
        (a_dot_among_the_names, "did not give the photographs that were expected"),
        (cut_off, "was cut off after 100000 of .* bytes|could not be fetched"),
        (moved_away, r"could not be fetched \(Not Found\)"),
    ],
)
def test_what_goes_wrong_is_said_and_leaves_nothing(server, digest, tmp_path, fault, sentence):
    fault(server)
    with pytest.raises(DownloadError, match=sentence) as error:
        fetch_bccd(tmp_path / "a" / "cache", server.url, digest)
    assert "\n" not in str(error.value)
    assert list(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a" / "cache"]


def test_without_a_network_the_sentence_says_how_to_go_on(digest, tmp_path):
    with pytest.raises(DownloadError, match="without a network, go on with what the course brings, or put it into"):
        fetch_bccd(tmp_path, "http://127.0.0.1:1/data.zip", digest)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fill", "words"),
    [("pathlib.Path.open", "could not be fetched"), ("zipfile.ZipFile.extractall", "not be unpacked")],
)
def test_a_full_disk_is_said_and_leaves_nothing(server, digest, tmp_path, monkeypatch, fill, words):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fill, full)
    sentence = rf"{words} \(No space left on device\): make room for .*cache, or name another folder\.$"
    with pytest.raises(DownloadError, match=sentence) as error:
        fetch_bccd(tmp_path / "cache", server.url, digest)
    assert "\n" not in str(error.value) and not list((tmp_path / "cache").iterdir())


def test_an_archive_that_never_ends_is_given_up(server, digest, tmp_path, monkeypatch):
    monkeypatch.setattr("yolo_helpers.download.MAX_BYTES", 100_000)
    with pytest.raises(DownloadError, match="holds more than"):
        fetch_bccd(tmp_path, server.url, digest)
    assert not list(tmp_path.iterdir())


def test_a_single_file_is_fetched_once_checked_and_kept(server, tmp_path):
    sha256 = hashlib.sha256(server.reply).hexdigest()
    path = fetch_file(tmp_path, server.url, sha256)
    assert path == tmp_path / "data.zip" and path.read_bytes() == server.reply
    assert fetch_file(tmp_path, server.url, sha256) == path and server.asked == 1
    with pytest.raises(DownloadError, match="data.zip is not the file as published"):
        fetch_file(tmp_path, server.url, "0" * 64)
    with pytest.raises(DownloadError, match="did not give the file that was expected"):
        fetch_file(tmp_path / "other", server.url, "0" * 64)
    cut_off(server)
    with pytest.raises(DownloadError, match="was cut off after 100000 of|could not be fetched"):
        fetch_file(tmp_path / "other", server.url, sha256)
    assert not list((tmp_path / "other").iterdir())


def test_the_digest_in_the_package_is_that_of_the_published_files():
    """Where a copy of the data set lies beside the project; its photographs are not a part of it."""
    copy = Path(__file__).resolve().parents[2] / "shared" / "data" / "bccd" / "BCCD"
    if not copy.is_dir():
        pytest.skip(f"needs the BCCD photographs, {copy}")
    assert folder_digest(copy) == BCCD_DIGEST
