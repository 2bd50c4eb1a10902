"""Networks and photographs: fetched once and whole, or not at all and with one sentence that says why."""

import contextlib
import errno
import hashlib
import http.server
import io
import os
import re
import sys
import threading
import urllib.request
import zipfile

import numpy as np
import pytest
from reference import SHARED

from yolo_helpers.download import (
    BCCD_DIGEST,
    NETWORKS,
    DownloadError,
    Network,
    Published,
    fetch_bccd,
    fetch_network,
    folder_digest,
)

FILES = {
    "Annotations/one.xml": b"<annotation/>",
    "ImageSets/Main/train.txt": b"one\n",
    "JPEGImages/one.jpg": bytes(range(256)) * 5000,
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


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(handler):
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server():
    """A server on this computer; what it answers is put into its `reply`, or into `promised` if it breaks off."""

    class Handler(Quiet):
        def do_GET(self):
            self.server.asked += 1
            if self.path != "/data.zip":
                return self.send_error(404)
            self.send_response(200)
            if self.server.promised is not None:
                self.send_header("Content-Length", str(self.server.promised or len(self.server.reply)))
            self.end_headers()
            self.wfile.write(self.server.reply)

    with serving(Handler) as server:
        server.reply, server.promised, server.asked = packed(), 0, 0
        server.url = f"http://127.0.0.1:{server.server_port}/data.zip"
        yield server


def test_fetched_once_and_kept(server, digest, tmp_path, capfd):
    folder = fetch_bccd(tmp_path / "cache", server.url, digest)
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == FILES
    assert "1 of 1 MB" in capfd.readouterr().err
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
        (not_an_archive, "is a web page"),
        (damaged, "is no whole zip archive"),
        (damaged_and_compressed, "is no whole zip archive"),
        (cut_off_unnoticed, "is no whole zip archive"),
        (a_dot_among_the_names, "did not give the photographs that were expected"),
        (cut_off, "broke off after 100,000 of 1,280,.* bytes.*: run this again"),
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


@pytest.mark.parametrize("fill", ["pathlib.Path.open", "zipfile.ZipFile.extract"])
def test_a_full_disk_is_said_and_leaves_nothing(server, digest, tmp_path, monkeypatch, fill):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fill, full)
    sentence = r"\(No space left on device\): make room in .*cache.* another folder\.$"
    with pytest.raises(DownloadError, match=sentence) as error:
        fetch_bccd(tmp_path / "cache", server.url, digest)
    assert "\n" not in str(error.value) and not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(("promised", "sentence"), [(0, "announces 1,28"), (None, "gives more than")])
def test_an_archive_that_never_ends_is_given_up(server, digest, tmp_path, monkeypatch, promised, sentence):
    monkeypatch.setattr("yolo_helpers.download.MAX_BYTES", 100_000)
    server.promised = promised
    with pytest.raises(DownloadError, match=sentence):
        fetch_bccd(tmp_path, server.url, digest)
    assert not list(tmp_path.iterdir())


CONTENT = {"small.cfg": b"[net]\nwidth=32\n", "small.weights": np.random.default_rng(0).bytes(2_500_000)}
HALF = 1_000_000


@pytest.fixture
def network(monkeypatch):
    """A server of a network named small, and what makes it misbehave; it keeps each Range that it was asked for."""

    class Handler(Quiet):
        def do_GET(self):
            name, asked = self.path.rsplit("/", 1)[-1], self.headers["Range"]
            self.server.asked.append((name, asked))
            if name not in self.server.content:
                return self.send_error(404)
            body = self.server.content[name]
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
            if start and start >= len(body):
                return self.send_error(416)
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", self.server.ranges.format(start, len(body) - 1, len(body)))
            if self.server.announce:
                self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            cut = self.server.cuts.pop(0) if self.server.cuts and name == "small.weights" else None
            self.wfile.write(body[start:][:cut])
            self.server.meanwhile(name)

    with serving(Handler) as server:
        server.asked, server.cuts, server.content = [], [], dict(CONTENT)
        server.ranges, server.announce, server.meanwhile = "bytes {}-{}/{}", True, lambda name: None
        server.at = f"http://127.0.0.1:{server.server_port}/files"
        publish(monkeypatch, server.at)
        yield server


def publish(monkeypatch, at):
    files = (Published(f"{at}/{name}", hashlib.sha256(b).hexdigest(), len(b)) for name, b in CONTENT.items())
    monkeypatch.setitem(NETWORKS, "small", Network(*files))


def left(folder):
    """What lies in a folder that is not what was published under its name."""
    return sorted(p.name for p in folder.iterdir() if CONTENT.get(p.name) != p.read_bytes())


def refused(folder, words):
    with pytest.raises(DownloadError, match=words) as error:
        fetch_network("small", folder)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_a_network_is_fetched_once_checked_and_kept(network, tmp_path, capfd):
    folder = tmp_path / "a" / "cache"
    assert fetch_network("small", folder) == (folder / "small.cfg", folder / "small.weights")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    shown = capfd.readouterr().err
    assert "\r" in shown and "1 of 2 MB" in shown and "2 of 2 MB\n" in shown and "small.cfg" not in shown
    assert fetch_network("small", folder) == (folder / "small.cfg", folder / "small.weights")
    assert network.asked == [("small.cfg", None), ("small.weights", None)] and not capfd.readouterr().err


def test_a_whole_cache_may_be_read_only_and_needs_no_network(monkeypatch, tmp_path):
    publish(monkeypatch, "http://127.0.0.1:1")
    for name, content in CONTENT.items():
        (tmp_path / name).write_bytes(content)

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    for what in ("mkdir", "touch", "unlink", "replace"):  # root, who may run the tests, is denied nothing by chmod
        monkeypatch.setattr(f"pathlib.Path.{what}", denied)
    assert fetch_network("small", tmp_path) == (tmp_path / "small.cfg", tmp_path / "small.weights")
    assert left(tmp_path) == []


def test_what_lies_under_the_name_and_is_not_the_file_is_left_alone(network, tmp_path):
    (tmp_path / "small.weights").write_bytes(b"mine")
    refused(tmp_path, r"small\.weights is not the file as published.*delete or rename it")
    assert (tmp_path / "small.weights").read_bytes() == b"mine" and not network.asked


@pytest.mark.parametrize("announce", [True, False])
def test_what_broke_off_goes_on_by_itself(network, tmp_path, announce):
    network.cuts, network.announce = [HALF, HALF, None], announce
    fetch_network("small", tmp_path)
    assert left(tmp_path) == []
    assert [asked for _, asked in network.asked] == [None, None, f"bytes={HALF}-", f"bytes={2 * HALF}-"]


def test_what_stays_broken_goes_on_with_the_next_call(network, tmp_path, capfd):
    network.cuts = [HALF, 0]
    refused(tmp_path, r"small\.weights broke off after 1,000,000 of 2,500,000 bytes .*run this again")
    assert left(tmp_path) == ["small.weights.part"]
    assert (tmp_path / "small.weights.part").read_bytes() == CONTENT["small.weights"][:HALF]
    network.asked.clear(), capfd.readouterr()
    fetch_network("small", tmp_path)
    assert network.asked == [("small.weights", f"bytes={HALF}-")] and left(tmp_path) == []
    assert "2 of 2 MB" in (shown := capfd.readouterr().err) and "1 of 2 MB" not in shown


def test_after_ctrl_c_the_next_call_goes_on(network, tmp_path, monkeypatch):
    class Impatient(io.StringIO):
        def write(self, text):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sys, "stderr", Impatient())
        fetch_network("small", tmp_path)
    had = (tmp_path / "small.weights.part").stat().st_size
    network.asked.clear()
    fetch_network("small", tmp_path)
    assert HALF / 2 < had <= HALF and network.asked == [("small.weights", f"bytes={had}-")] and left(tmp_path) == []


def test_a_whole_part_is_only_checked(network, tmp_path):
    (tmp_path / "small.weights.part").write_bytes(CONTENT["small.weights"])
    fetch_network("small", tmp_path)
    assert network.asked == [("small.cfg", None)] and left(tmp_path) == []


def test_a_server_without_ranges_begins_anew_and_spoils_nothing(network, tmp_path):
    network.ranges, network.cuts = "", [HALF, HALF // 2, None]
    refused(tmp_path, r"broke off after 500,000 of 2,500,000 bytes")
    assert (tmp_path / "small.weights.part").read_bytes() == CONTENT["small.weights"][:HALF]
    fetch_network("small", tmp_path)
    assert left(tmp_path) == []


def other_content(network):
    network.content["small.weights"] = CONTENT["small.weights"][::-1]
    return "did not give the file that was published"


def other_range(network):
    network.ranges = "bytes 7-{1}/{2}"
    return "was asked for what follows byte 1,000,000 of 2,500,000 and gave 'bytes 7-2499999/2500000'"


def shorter_than_the_part(network):
    network.content["small.weights"] = CONTENT["small.weights"][:HALF]
    return "has nothing behind byte 1,000,000"


def more_than_announced(network):
    network.announce, network.ranges = False, ""
    network.content["small.weights"] = CONTENT["small.weights"] * 2
    return "gives more than the 2,500,000 bytes"


@pytest.mark.parametrize("fault", [other_content, other_range, shorter_than_the_part, more_than_announced])
def test_a_part_that_cannot_become_the_file_is_deleted_and_the_next_call_begins_anew(network, tmp_path, fault):
    (tmp_path / "small.weights.part").write_bytes(CONTENT["small.weights"][:HALF])
    refused(tmp_path, fault(network) + ".*: what had come was deleted, so run this again")
    assert list(tmp_path.iterdir()) == [tmp_path / "small.cfg"]
    network.content, network.ranges = dict(CONTENT), "bytes {}-{}/{}"
    network.asked.clear()
    fetch_network("small", tmp_path)
    assert network.asked == [("small.weights", None)] and left(tmp_path) == []


@pytest.mark.parametrize("content", [CONTENT["small.weights"] + b"more", b"<html>log in first</html>"])
def test_another_length_is_refused_before_it_is_fetched(network, tmp_path, content):
    network.content["small.weights"] = content
    (tmp_path / "small.weights.part").write_bytes(CONTENT["small.weights"][:8])
    network.ranges = ""
    refused(tmp_path, f"announces {len(content):,} bytes where 2,500,000 were published")
    assert (tmp_path / "small.weights.part").read_bytes() == CONTENT["small.weights"][:8]


@pytest.mark.parametrize("at", ["http://127.0.0.1:1", "http://nowhere.invalid"])
def test_without_a_network_the_sentence_names_all_that_is_missing_and_where_to_put_it(monkeypatch, tmp_path, at):
    publish(monkeypatch, at)
    folder = tmp_path / "cache"
    refused(folder, rf"could not be fetched.*put small\.cfg and small\.weights into {folder}, or give the path")
    assert not list(folder.iterdir())
    (folder / "small.cfg").write_bytes(CONTENT["small.cfg"])
    (folder / "small.weights.part").write_bytes(CONTENT["small.weights"][:HALF])
    refused(folder, rf"run this again to go on after 1,000,000 bytes, or put small\.weights into {folder}")
    assert left(folder) == ["small.weights.part"]


def test_a_file_that_moved_away_is_said(network, tmp_path):
    del network.content["small.weights"]
    refused(tmp_path, rf"small\.weights could not be fetched \(Not Found\): put small\.weights into {tmp_path}")
    assert left(tmp_path) == []


@pytest.mark.parametrize("code", ["ENOSPC", "EACCES", "EROFS"])
@pytest.mark.parametrize("what", ["mkdir", "touch", "replace"])
def test_a_folder_that_takes_nothing_is_said(network, tmp_path, monkeypatch, code, what):
    def full(*_, **__):
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr(f"pathlib.Path.{what}", full)
    refused(tmp_path, rf"{os.strerror(getattr(errno, code))}.*{tmp_path}.*another folder")
    assert {path.suffix for path in tmp_path.iterdir()} <= {".part"}


def test_a_disk_that_becomes_full_is_said_and_what_came_goes_on(network, tmp_path):
    resource = pytest.importorskip("resource")  # not on Windows
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, most))
    try:
        refused(tmp_path, rf"File too large\): make room in {tmp_path}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    network.asked.clear()
    fetch_network("small", tmp_path)
    assert network.asked == [("small.weights", f"bytes={HALF}-")] and left(tmp_path) == []


def test_another_process_may_be_faster(network, tmp_path):
    def put_there(name):
        (tmp_path / "theirs").write_bytes(CONTENT[name])
        (tmp_path / "theirs").replace(tmp_path / name)
        (tmp_path / f"{name}.part").unlink(missing_ok=True)

    network.announce, network.meanwhile = False, put_there  # without a length the reply ends after that only
    fetch_network("small", tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in CONTENT} == CONTENT
    assert len(network.asked) == 2


def test_a_file_in_the_place_of_the_folder_is_said(network, tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    refused(tmp_path / "cache", "cache could not be read or written")


def test_the_proxy_of_the_environment_is_asked(network, tmp_path, monkeypatch):
    publish(monkeypatch, "http://nowhere.invalid")
    monkeypatch.setattr(urllib.request, "_opener", None)  # which keeps the proxies of its first call
    monkeypatch.setenv("http_proxy", network.at.removesuffix("/files"))
    fetch_network("small", tmp_path)
    assert left(tmp_path) == [] and len(network.asked) == 2


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(DownloadError, match=r"'yolov9'.*choose one of yolo-fastest, yolo-fastest-xl, tiny"):
        fetch_network("yolov9")


def bytes_of_weights(cfg):
    """20 for the header and 4 for each number: kernels, a bias a filter, and three more where it is normalised."""
    channels, numbers = [], 0
    _, *layers = re.findall(r"^\[(\w+)\]([^\[]*)", cfg, re.MULTILINE)
    for kind, text in layers:
        options = dict(re.findall(r"^(\w+) *= *(.*)", text, re.MULTILINE))
        before = channels[-1] if channels else 3
        if kind == "convolutional":
            filters, groups = int(options["filters"]), int(options.get("groups", 1))
            numbers += filters * (before // groups * int(options["size"]) ** 2 + 1 + 3 * ("batch_normalize" in options))
            before = filters
        elif kind == "route":
            before = sum(channels[int(layer)] for layer in options["layers"].split(","))
        channels.append(before)
    return 20 + 4 * numbers


@pytest.mark.parametrize("name", list(NETWORKS))
def test_the_table_is_that_of_the_published_files(name):
    """Where copies of the files lie beside the project; the length of the weights follows from the cfg."""
    cfg, weights = NETWORKS[name]
    copies = {path.name: path.read_bytes() for path in (SHARED / "data").glob("*/**/yolo*.[cw]*")}
    if cfg.name not in copies:
        pytest.skip(f"needs {cfg.name} below {SHARED / 'data'}")
    for file in (cfg, weights):
        if file.name in copies:
            assert (file.sha256, file.size) == (hashlib.sha256(copies[file.name]).hexdigest(), len(copies[file.name]))
    assert weights.size == bytes_of_weights(copies[cfg.name].decode())


def test_the_digest_in_the_package_is_that_of_the_published_files():
    """Where a copy of the data set lies beside the project; its photographs are not a part of it."""
    copy = SHARED / "data" / "bccd" / "BCCD"
    if not copy.is_dir():
        pytest.skip(f"needs the BCCD photographs, {copy}")
    assert folder_digest(copy) == BCCD_DIGEST
