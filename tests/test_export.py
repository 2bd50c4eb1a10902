"""The exported detector, run where the package is not, against the package's own `detect`."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from reference import ANCHORS, write_small_run, write_smear_run

from yolo_helpers import standalone
from yolo_helpers.anchors import DATA, Heads
from yolo_helpers.boxes import box_iou
from yolo_helpers.detection import detect, suppress
from yolo_helpers.export import export_detector
from yolo_helpers.files import filling
from yolo_helpers.model import output_convolutions
from yolo_helpers.run_folder import BEST, load_body, load_detector, write_run
from yolo_helpers.smear import CLASS_NAMES

SMEARS = sorted((DATA / "smears" / "images").glob("*.png"))
# Only what the script may use: Keras and the package are not to be found.
ALONE = """
import runpy, sys
sys.modules.update(keras=None, yolo_helpers=None)
runpy.run_path("detect.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Less sure of itself: of two boxes with 0.9999949, which one is better is a matter of the last digit."""
    folder = write_smear_run(tmp_path_factory.mktemp("trained") / "run")
    body, _, _ = load_body(folder)
    for convolution in output_convolutions(body):
        convolution.bias.assign(convolution.bias - np.tile([0, 0, 0, 0, 4, 0, 0, 0], 3))
    body.save_weights(folder / BEST)
    return folder


@pytest.fixture(scope="module")
def exported(run):
    return export_detector(run)


def pictures(model, count=1):
    """The network's input, as an exported model takes it."""
    with open(model / "model.json", encoding="utf-8") as file:  # noqa: PTH123
        height, width = json.load(file)["input_shape"]
    fitted = [ImageOps.fit(Image.open(path).convert("RGB"), (width, height)) for path in SMEARS[:count]]
    return np.stack([np.asarray(image) for image in fitted])


def saved(model, image):
    loaded = tf.saved_model.load(model / "saved_model")
    return loaded.serve(image)


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def lite(model, image):
    return tf.lite.Interpreter(str(model / "detector.tflite")).get_signature_runner()(image=image)


def test_the_script_alone_finds_what_detect_finds(run, exported, tmp_path):
    """Upright, lying and turned by the camera; bars of half a pixel; larger and smaller than the input; nothing."""
    shutil.copytree(exported, tmp_path / "alone")
    smears = [Image.open(path).convert("RGB") for path in SMEARS[:3]]
    sizes = {"lying.png": (640, 480), "upright.png": (299, 500), "wide.png": (500, 99), "small.png": (100, 80)}
    photos = {name: ImageOps.fit(smears[0], size, Image.Resampling.BICUBIC) for name, size in sizes.items()}
    for name, photo in photos.items():
        photo.save(tmp_path / "alone" / name)
    Image.new("RGB", (512, 384), "white").save(tmp_path / "alone" / "empty.png")
    for orientation in (3, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        smears[1].resize((512, 384)).save(tmp_path / "alone" / f"turned{orientation}.jpg", exif=exif, quality=95)
    names = sorted(path.name for path in (tmp_path / "alone").glob("*.[jp][pn]g"))
    assert len(names) == 8

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, ".", *names],
        cwd=tmp_path / "alone",
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["photo"] for line in said} == {*names} - {"empty.png"}

    detector, heads, class_names = load_detector(run)
    found = detect(detector, [tmp_path / "alone" / name for name in names], heads)
    assert all(len(one.boxes) for one, name in zip(found, names, strict=True) if name != "empty.png")
    overlaps = [box_iou(one.boxes, one.boxes)[np.triu_indices(len(one.boxes), 1)].max(initial=0) for one in found]
    assert 0.1 < max(overlaps) <= 0.45
    for name, (boxes, scores, classes) in zip(names, found, strict=True):
        own = [line for line in said if line["photo"] == name]
        assert sorted(line["class"] for line in own) == sorted(class_names[c] for c in classes)
        for line in own:
            same = [class_names[c] == line["class"] for c in classes]
            apart = np.abs(boxes[same] - line["box"]).max(1)
            assert apart.min() < 1 and abs(scores[same][apart.argmin()] - line["score"]) < 0.01


def test_the_scripts_lines_are_json_with_names_as_they_are(run, exported, tmp_path):
    """Where Python writes ASCII by itself."""
    shutil.copytree(exported, tmp_path / "alone")
    about = json.loads((exported / "model.json").read_text(encoding="utf-8"))
    names = ["Spatz", "größe", "写真"]
    (tmp_path / "alone" / "model.json").write_text(json.dumps(about | {"classes": names}), encoding="utf-8")
    photo = os.fsencode("ä ") + (b"\xff.png" if sys.platform == "linux" else b".png")  # of a disk that knows bytes only
    shutil.copyfile(SMEARS[0], tmp_path / "alone" / os.fsdecode(photo))
    done = subprocess.run(
        [sys.executable, "detect.py", ".", photo],
        cwd=tmp_path / "alone",
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        check=True,
    )
    said = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    assert {line["photo"] for line in said} == {os.fsdecode(photo)} and {line["class"] for line in said} == {*names}
    assert all(name.encode() in done.stdout for name in names)


def test_the_script_is_short_and_imports_nothing_of_the_course(exported):
    text = (exported / "detect.py").read_text(encoding="utf-8")
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert modules == {"json", "sys", "pathlib", "numpy", "PIL", "tensorflow"}
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) <= 45 and max(map(len, lines)) <= 79


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 60), limit=st.floats(0.1, 0.9))
def test_the_scripts_suppression_is_the_packages(seed, count, limit):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 40, (count, 2))], 1)
    scores = rng.integers(0, 20, count) / 20  # some are equal
    likely = np.flatnonzero(scores >= 0.3)
    expected = likely[suppress(boxes[likely], scores[likely], count, limit)]
    np.testing.assert_array_equal(np.array(standalone.suppress(boxes, scores, 0.3, limit), int), expected)


def test_tflite_says_the_same_and_photographs_do_not_depend_on_each_other(exported):
    both = saved(exported, pictures(exported, 2))
    assert both["boxes"].shape == (2, 3024, 4) and both["scores"].shape == (2, 3024, 3)
    assert both["boxes"].dtype == both["scores"].dtype == tf.float32
    one, light = saved(exported, pictures(exported)), lite(exported, pictures(exported))
    for name, values in light.items():
        assert np.std(values) > 0.01
        np.testing.assert_allclose(values, one[name], rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(both[name][:1], one[name], rtol=1e-4, atol=1e-3)


def test_a_body_trained_in_half_precision_is_exported_in_full(run, exported, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half_run = write_smear_run(tmp_path / "run")
        shutil.copyfile(run / BEST, half_run / BEST)
        assert load_detector(half_run)[0].outputs[0].dtype == "float16"
        half = export_detector(half_run)
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    expected = saved(exported, pictures(exported))
    for found in (saved(half, pictures(half)), lite(half, pictures(half))):
        for name, values in expected.items():
            assert found[name].dtype == np.float32
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-3)


def test_one_class_two_heads_and_sizes_beyond_what_exp_allows(tmp_path):
    """Of the coarse head every slot says the same, so that its boxes are known by hand."""
    inputs = keras.Input((64, 96, 3))
    pool = [keras.layers.AveragePooling2D(stride)(inputs) for stride in (32, 16)]
    heads = [keras.layers.Conv2D(18, 1, kernel_initializer="zeros")(x) for x in pool]
    body = keras.Model(inputs, heads)
    bias = np.zeros((3, 6), np.float32)
    bias[2, 2] = 100  # width of the third anchor
    bias[:, 4:] = [2, 1]
    body.layers[-2].bias.assign(bias.ravel())
    anchors = ANCHORS[:6]
    write_run(tmp_path / "run", body, Heads((64, 96), anchors, 1), ["bird"], {"train": []})
    body.save_weights(tmp_path / "run" / BEST)
    out = export_detector(tmp_path / "run")
    image = np.zeros((1, 64, 96, 3), np.uint8)
    for found in (saved(out, image), lite(out, image)):
        boxes, scores = np.array(found["boxes"]), np.array(found["scores"])
        assert boxes.shape == (1, 2 * 3 * 3 + 4 * 6 * 3, 4) and scores.shape == (1, 90, 1)
        assert np.isfinite(boxes).all() and boxes[0, 2, 2] - boxes[0, 2, 0] > 1e8
        slot = 3 * (3 * 1 + 2)  # row 1, column 2, first anchor of the coarse head
        width, height = anchors[3]
        centre = np.array([2.5 * 32, 1.5 * 32])
        expected = [*(centre - (width / 2, height / 2)), *(centre + (width / 2, height / 2))]
        np.testing.assert_allclose(boxes[0, slot], expected, rtol=1e-5)
        np.testing.assert_allclose(scores[0, slot], 1 / (1 + np.exp(-2)) / (1 + np.exp(-1)), rtol=1e-5)


def test_the_papers_beside_the_model(exported):
    assert (exported / "classes.txt").read_text(encoding="utf-8").split() == list(CLASS_NAMES)
    about = json.loads((exported / "model.json").read_text(encoding="utf-8"))
    assert about["classes"] == list(CLASS_NAMES) and about["input_shape"] == [192, 256]


@pytest.fixture
def small_run(tmp_path):
    return write_small_run(tmp_path / "run")


def test_a_second_export_takes_the_place_of_the_first(small_run):
    out = export_detector(small_run)
    (out / "left.txt").touch()
    assert export_detector(small_run) == out and not (out / "left.txt").exists()
    assert not [path.name for path in small_run.iterdir() if path.name.startswith(".")]


def test_a_threshold_stays_until_another_is_given(small_run):
    found = []
    for threshold in (None, 0.45, None, 0.0, None):
        about = export_detector(small_run, threshold) / "model.json"
        found.append(json.loads(about.read_text(encoding="utf-8"))["score_threshold"])
    assert found == [0.3, 0.45, 0.45, 0, 0]


@pytest.mark.parametrize("error", [tf.errors.ResourceExhaustedError(None, None, "No space left"), OSError(28, "full")])
def test_an_export_that_fails_leaves_the_earlier_one_as_it_was(error, small_run, monkeypatch):
    def fails(model, folder, **settings):
        folder.mkdir()
        (folder / "half").touch()
        raise error

    out = export_detector(small_run)
    before = {path: path.read_bytes() for path in small_run.rglob("*") if path.is_file()}
    monkeypatch.setattr(keras.Model, "export", fails)
    with pytest.raises(OSError, match=r"export .*No space left"):
        export_detector(small_run)
    assert {path: path.read_bytes() for path in small_run.rglob("*") if path.is_file()} == before
    assert out.is_dir()


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    """The new one cannot be moved into its place, so the old one returns."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").touch()
    move = os.replace

    def blocked(source, target):
        if os.fspath(source).endswith(".writing-out"):
            raise PermissionError(13, "held")
        move(source, target)

    monkeypatch.setattr(os, "replace", blocked)
    with pytest.raises(OSError, match="out could not be written"), filling(tmp_path / "out") as beside:
        (beside / "new.txt").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["out", "out/old.txt"]


def test_what_cannot_be_exported_is_said(small_run, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="settings.json"):
        export_detector(tmp_path)
    mine = small_run / "export"
    mine.mkdir()
    (mine / "thesis.txt").touch()
    with pytest.raises(ValueError, match=re.escape(str(mine))):
        export_detector(small_run)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="jax"):
        export_detector(small_run)
