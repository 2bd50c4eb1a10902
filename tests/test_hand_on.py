"""What is handed on of a training: all that is needed, nothing of this computer, and a page that stands alone."""

import base64
import errno
import html.parser
import json
import os
import re
import shlex
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from reference import ANCHORS, ROOT, write_small_run, write_smear_run

from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import Annotation, read_annotations, write_lines
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.detection import detect
from yolo_helpers.evaluation import evaluate
from yolo_helpers.files import write_json
from yolo_helpers.hand_on import hand_on
from yolo_helpers.run_folder import BEST, HISTORY, NETWORK, SETTINGS, TEST, load_detector, read_history
from yolo_helpers.smear import write_smears
from yolo_helpers.training import Stage, train

HEADS = Heads((64, 96), ANCHORS, 3)
NAMES = ["<script>alert('x')</script>", 'R&D "quoted"', "größe"]
ALWAYS = {BEST, SETTINGS, NETWORK, "classes.txt", "page.html"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short training of one convolution a head, as it leaves its folder, and its history."""
    place = tmp_path_factory.mktemp("handed on")
    photographs = read_annotations(write_smears(place / "own-photographs", 6, (64, 96), seed=3))[0]
    inputs = keras.Input((64, 96, 3))
    body = keras.Model(inputs, [keras.layers.Conv2D(24, s, s)(inputs) for s in (32, 16, 8)])
    data, validation = (YoloDataset(part, HEADS, batch_size=2) for part in (photographs[:4], photographs[4:]))
    history = train(body, data, [Stage(3, 1e-3)], place / "my run", validation, NAMES, evaluate_every=1, verbose=0)
    write_lines(place / "my run" / "test.txt", photographs[:2])
    detector, heads, names = load_detector(place / "my run")
    write_json(place / "my run" / TEST, evaluate(detector, photographs[:2], heads, names))
    (place / "my run" / "tensorboard").mkdir()
    (place / "my run" / "tensorboard" / "events").touch()
    return place / "my run", history


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and the texts."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.texts.append(text.strip())

    def pictures(self):
        return [attributes for tag, attributes in self.tags if tag == "img"]


def names_in(path):
    with zipfile.ZipFile(path) as file:
        return {name.partition("/")[2] for name in file.namelist()}


def test_the_zip_holds_all_and_nothing_of_this_computer(trained):
    folder, _ = trained
    path = hand_on(folder)
    assert path == folder / "detector.zip"
    pictures = {"history.png", *(f"found-{epoch:04d}.png" for epoch in (1, 2, 3))}
    assert names_in(path) == ALWAYS | {HISTORY, TEST} | pictures
    paths = [os.fsencode(folder.parent), b"own-photographs"]
    with zipfile.ZipFile(path) as file:
        assert {name.partition("/")[0] for name in file.namelist()} == {"my run"}
        assert not [name for name in file.namelist() if any(each in file.read(name) for each in paths)]
    assert paths[0] in (folder / "train.txt").read_bytes()


def test_what_is_the_readers_own_is_neither_written_over_nor_packed(tmp_path):
    folder = write_small_run(tmp_path / "birds")
    (tmp_path / "birds.zip").write_bytes(b"photographs")
    for name in ("look.png", "my history.png"):
        (folder / name).write_bytes(b"a picture")
    for _ in range(2):  # the second time there is a zip already, which is not packed
        assert names_in(hand_on(folder)) == ALWAYS
    assert (tmp_path / "birds.zip").read_bytes() == b"photographs"


def test_the_unpacked_zip_is_a_detector(trained, tmp_path):
    folder, _ = trained
    with zipfile.ZipFile(hand_on(folder)) as file:
        file.extractall(tmp_path)
    (ours, heads, names), (theirs, *same) = load_detector(folder), load_detector(tmp_path / "my run")
    assert names == same[1] == NAMES and heads.anchor_mask == same[0].anchor_mask
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    picture = next((folder.parent / "own-photographs").rglob("*.png"))
    (one,), (other,) = detect(ours, [picture], heads, 0.001), detect(theirs, [picture], same[0], 0.001)
    assert len(one.boxes)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)


def test_the_page_stands_alone_and_shows_the_pictures(trained):
    folder, _ = trained
    hand_on(folder)
    page = Page(folder / "page.html")
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe"}
    addresses = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    shown = [base64.b64decode(address.removeprefix("data:image/png;base64,"), validate=True) for address in addresses]
    names = ["history.png", "found-0001.png", "found-0003.png"]
    assert shown == [(folder / name).read_bytes() for name in names]
    alt = [picture["alt"] for picture in page.pictures()]
    assert all(alt) and len({*alt}) == 3


def test_the_page_says_what_the_files_say(trained):
    folder, history = trained
    hand_on(folder)
    texts = Page(folder / "page.html").texts
    scores = json.loads((folder / TEST).read_text(encoding="utf-8"))
    judged, _ = read_annotations(folder / "test.txt")
    counts = np.bincount(np.concatenate([a.classes for a in judged]), minlength=3).tolist()
    for name, count in zip((*NAMES, "mean"), (*counts, sum(counts)), strict=True):
        row = texts.index(name)
        assert texts[row + 1 : row + 4] == [str(count), *(f"{scores[kind][name]:.3f}" for kind in ("AP50", "AP"))]
    assert any(re.findall(r"\d+", text)[:2] == ["2", str(sum(counts))] for text in texts)
    assert "4 for training, 2 for validation" in texts and "3" in texts
    assert f"{max(history['val_AP50']):.3f}" in texts


def luminance(colour):
    """Of #rrggbb, as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_the_page_is_readable_by_day_and_by_night(trained):
    folder, _ = trained
    hand_on(folder)
    themes = re.findall(r":root \{(.*?)\}", (folder / "page.html").read_text(encoding="utf-8"))
    assert len(themes) == 2
    papers = []
    for theme in themes:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", theme))
        papers.append(luminance(colours["paper"]))
        for text in ("ink", "grey"):
            low, high = sorted([luminance(colours[text]), papers[-1]])
            assert (high + 0.05) / (low + 0.05) >= 4.5
    assert papers[1] < 0.1 < 0.9 < papers[0]


def test_without_history_test_and_export_the_rest_is_handed_on(tmp_path):
    folder = write_smear_run(tmp_path / "run")
    assert read_history(folder) == {}
    assert names_in(hand_on(folder)) == ALWAYS
    assert Page(folder / "page.html").pictures() == []


def test_a_class_without_a_true_box_has_no_number(trained, tmp_path):
    folder = write_smear_run(tmp_path / "run", ["a", "b", "c"])
    scores = {"a": 0.5, "b": float("nan"), "c": 1.0, "mean": 0.75}
    write_json(folder / TEST, {"AP50": scores, "AP": scores})
    hand_on(folder)
    texts = Page(folder / "page.html").texts
    assert texts[texts.index("b") + 1] == texts[texts.index("b") + 2] == "no box" and "nan" not in texts


def test_the_boxes_are_counted_without_their_photographs(tmp_path):
    folder = write_smear_run(tmp_path / "run", ["a", "b", "c"])
    scores = dict.fromkeys(["a", "b", "c", "mean"], 0.5)
    write_json(folder / TEST, {"AP50": scores, "AP": scores})
    gone = [Annotation(tmp_path / "my, gone.jpg", np.ones((n, 4)), np.full(n, 2), (9, 9)) for n in (0, 1200)]
    write_lines(folder / "test.txt", gone)
    hand_on(folder)
    texts = Page(folder / "page.html").texts
    assert [texts[texts.index(name) + 1] for name in ("a", "b", "c", "mean")] == ["0", "0", "1,200", "1,200"]
    (folder / "test.txt").write_text("a.jpg 1,2,3\n", encoding="utf-8")
    with pytest.raises(ValueError, match="test.txt, line 1: found '1,2,3'"):
        hand_on(folder)


def test_the_history_read_is_the_one_written(trained, tmp_path):
    folder, history = trained
    assert read_history(folder) == history
    for damaged in ("", "epoch,loss\n", "epoch,loss\n1,2,3\n", "epoch,loss\n1,two\n"):
        (tmp_path / HISTORY).write_text(damaged, encoding="utf-8")
        with pytest.raises(ValueError, match=rf"{HISTORY}: damaged .*copy it again, or take it away"):
            read_history(tmp_path)


def test_json_holds_names_as_they_are(trained, tmp_path):
    folder, _ = trained
    for name in NAMES:
        assert name.replace('"', '\\"') in (folder / SETTINGS).read_text(encoding="utf-8")
    content = {"größe": ["写真 \U0001f600", "\udcff.png", "\\", float("inf")]}
    write_json(tmp_path / "a.json", content)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == content


def test_a_folder_without_weights_and_a_full_disk_are_said(trained, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="holds no settings.json: give the folder of a training that has ended"):
        hand_on(tmp_path)
    folder, _ = trained
    path = hand_on(folder)
    before = path.read_bytes()
    write = zipfile.ZipFile.write

    def fails(file, source, name):
        if source.name == "page.html":
            raise OSError(errno.ENOSPC, "full")
        write(file, source, name)

    monkeypatch.setattr(zipfile.ZipFile, "write", fails)
    with pytest.raises(OSError, match=r"detector.zip could not be written \(No space left"):
        hand_on(folder)
    assert path.read_bytes() == before
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_command_does_both_and_tensorflow_keeps_quiet(tmp_path):
    """As in a notebook, where TensorFlow says more than elsewhere, which it tells by sys.ps1."""
    folder = write_small_run(tmp_path / "run")
    code = f"""
import runpy, sys
sys.ps1, sys.argv = ">", ["yolo_helpers", "export", "--folder", {str(folder)!r}, "--threshold", "0.375"]
runpy.run_module("yolo_helpers", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    first, second = done.stdout.splitlines()
    assert first.endswith(str(folder / "export")) and second.endswith(str(folder / "detector.zip"))
    exported = {"classes.txt", "model.json", "detect.py", "detector.tflite", "saved_model/saved_model.pb"}
    assert {f"export/{name}" for name in exported} <= names_in(folder / "detector.zip")
    assert json.loads((folder / "export" / "model.json").read_text(encoding="utf-8"))["score_threshold"] == 0.375
    commands = [shlex.split(text) for text in Page(folder / "page.html").texts if text.startswith("python ")]
    assert len(commands) == 2 and commands[0][commands[0].index("--threshold") + 1] == "0.375"
