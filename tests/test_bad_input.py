"""The worst that someone feeds the course: one clear sentence and nothing half written, or else it works.

What a module's own tests say already is not said again: bad lines, boxes and images in each of the four formats in
test_annotations.py; archives and downloads in test_download.py; a cfg's faults and darknet's weights cut anywhere in
test_darknet.py; a training's folder that gives no detector, and photographs that do not open, in test_detection.py.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from reference import ANCHORS, ROOT, detector_of, heads_that_see, iou, random_case

from data.make_smears import coco_json
from yolo_helpers.anchors import DATA, Heads
from yolo_helpers.annotations import Annotation, AnnotationError, read_annotations
from yolo_helpers.commands import main
from yolo_helpers.darknet import save_weights
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.detection import yolo_eval
from yolo_helpers.loss import yolo_loss
from yolo_helpers.model import body_of_heads
from yolo_helpers.run_folder import BEST, HISTORY, NETWORK, SETTINGS, STATE, load_detector, write_run
from yolo_helpers.smear import write_smears
from yolo_helpers.targets import preprocess_true_boxes
from yolo_helpers.training import Stage, train

SHAPE = (64, 96)
HEADS = Heads(SHAPE, ANCHORS, 3)


def small_body(inputs, num_anchors, num_classes):
    """Six convolutions: what is tested here is what goes into the network."""
    x, heads = inputs, []
    for size in (8, 2, 2):
        x = keras.layers.Conv2D(4, size, strides=size, use_bias=False)(x)
        x = keras.layers.LeakyReLU(negative_slope=0.1)(keras.layers.BatchNormalization()(x))
        heads.insert(0, keras.layers.Conv2D(num_anchors * (5 + num_classes), 1)(x))
    return body_of_heads(inputs, heads, num_anchors, num_classes)


def new_body(num_classes=3):
    return small_body(keras.Input((*SHAPE, 3)), 3, num_classes)


@pytest.fixture(autouse=True)
def small_and_eager(monkeypatch):
    """Tracing a network to run it once would take most of the time."""
    monkeypatch.setattr("yolo_helpers.start.micro_yolo_body", small_body)
    tf.config.run_functions_eagerly(True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Even though the `tf.config.experimental_run_functions_eagerly`")
        yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    """Six photographs with boxes, in keras-yolo3's text format."""
    return write_smears(tmp_path_factory.mktemp("smears"), 6, SHAPE, seed=3).parent


@pytest.fixture
def folder(smears, tmp_path):
    """A copy to spoil, in a folder whose name has a space, a percent sign, parentheses and letters beyond ASCII."""
    return shutil.copytree(smears, tmp_path / "my data (é) 50%20ü")


def training(folder, *more):
    """`python -m yolo_helpers train`; @ in an argument stands for the folder."""
    plain = [
        "train",
        "--start",
        "micro",
        "--train",
        "@/annotations.txt",
        "--folder",
        "@/out",
        "--input-shape",
        *map(str, SHAPE),
    ]
    plain += ["--epochs", "1", "--batch-size", "2"]
    main([str(argument).replace("@", str(folder)) for argument in (*plain, *more)])


def content(folder):
    """Every file below a folder and its bytes, without TensorBoard's logs, to which lines are added."""
    files = (path for path in folder.rglob("*") if path.is_file() and "tensorboard" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def lines(folder):
    return (folder / "annotations.txt").read_text(encoding="utf-8").splitlines()


def write_lines(folder, new):
    (folder / "annotations.txt").write_text("".join(line + "\n" for line in new), encoding="utf-8")


# ------------------------------------------------------------------------------------------------- what is refused

# Each spoils the folder, and returns what the command line is told in addition.


def a_box_of_four(folder):
    first, second, *others = lines(folder)
    write_lines(folder, [first, second + " 1,2,3,4", *others])


def a_class_too_many(folder):
    (folder / "classes.txt").write_text("red\nwhite\n", encoding="utf-8")


def nothing_there(folder):
    return ["--train", "@/gone.txt"]


def an_empty_file(folder):
    write_lines(folder, [])


def an_empty_folder(folder):
    (folder / "empty").mkdir()
    return ["--train", "@/empty"]


def photographs_alone(folder):
    for path in folder.glob("*.txt"):
        path.unlink()
    return ["--train", "@"]


def no_categories(folder):
    (folder / "coco.json").write_text(coco_json([("smear_0000.png", SHAPE, [], [])], []), encoding="utf-8")
    return ["--train", "@/coco.json"]


def half_a_character(folder):
    """JSON can spell what no file, screen or terminal can show."""
    text = coco_json([("smear_0000.png", SHAPE, [[1, 2, 3, 4]], [0])], ["\ud800"])
    (folder / "coco.json").write_text(text, encoding="utf-8")
    return ["--train", "@/coco.json"]


def a_hair_of_a_box(folder):
    """Its width is positive, and yet in float32 a part of the input of width 0, of which the loss takes the log."""
    write_lines(folder, [*lines(folder)[:-1], "smear_0005.png 0,0,1e-42,5,0"])


def one_photograph(folder):
    write_lines(folder, lines(folder)[:1])


def one_twice(folder):
    write_lines(folder, [*lines(folder), lines(folder)[0]])


def damaged_photograph(change, *more):
    def fault(folder):
        """By this seed it is not in the first batch, from which on TensorFlow makes pages of an error."""
        path = folder / "smear_0005.png"
        path.write_bytes(change(path.read_bytes()))
        return ["--validation", "@/annotations.txt", "--batch-size", "1", "--seed", "0", *more]

    return fault


def spoilt(content):
    """The end is there, and what the picture is decoded from is not."""
    middle = len(content) // 2
    return content[:middle] + b"U" * 500 + content[middle + 500 :]


def few_bits(folder):
    """As a microscope stores them."""
    Image.fromarray(np.full(SHAPE, 4095, np.uint16)).save(folder / "smear_0005.png")
    return damaged_photograph(whole)(folder)


def no_multiple_of_32(folder):
    return ["--input-shape", "100", "96"]


def anchors(text, *more):
    def fault(folder):
        (folder / "anchors.txt").write_text(text, encoding="utf-8")
        return ["--anchors", "@/anchors.txt", *more]

    return fault


def a_run(change, num_classes=3):
    """The folder of a training whose weights are changed, or are those of a network with other classes."""

    def fault(folder):
        write_run(folder / "run", new_body(), HEADS, ["Platelets", "RBC", "WBC"], {})
        new_body(num_classes=num_classes).save_weights(folder / "run" / BEST)
        (folder / "run" / BEST).write_bytes(change((folder / "run" / BEST).read_bytes()))
        return ["--start", "@/run"]

    return fault


def weights_apart(folder):
    new_body().save_weights(folder / "a.weights.h5")
    return ["--start", "@/a.weights.h5"]


def darknet_weights(change, name="a.weights", cfg="a.cfg"):
    def fault(folder):
        (folder / cfg).write_bytes((DATA / "smears.cfg").read_bytes())
        (folder / name).write_bytes(change((DATA / "smears.weights").read_bytes()))
        return ["--start", f"@/{name}"]

    return fault


def two_cfgs(folder):
    (folder / "b.cfg").write_bytes((DATA / "smears.cfg").read_bytes())
    return darknet_weights(whole, cfg="c.cfg")(folder)


def options(*more):
    return lambda folder: more


def whole(content):
    return content


REFUSED = {
    "a box of four numbers": (a_box_of_four, r"annotations.txt, line 2: found '1,2,3,4' with 4 fields, expected five"),
    "a class too many": (
        a_class_too_many,
        r"annotations.txt, line \d: found class 2, expected 0 to 1, since there are",
    ),
    "no such file": (nothing_there, r"gone.txt: there is no such file or folder"),
    "an empty file": (an_empty_file, r"annotations.txt: no images in it, expected keras-yolo3's text"),
    "an empty folder": (an_empty_folder, r"empty: the format is not clear, found a folder with 0 images and no known"),
    "photographs without boxes": (photographs_alone, r"20ü: the format is not clear, found a folder with 6 images"),
    "no categories": (no_categories, r"coco.json: no class in it: expected an object with a name"),
    "half a character": (half_a_character, r"coco.json: found '\\ud800' as the name of a class, expected a text"),
    "a hair of a box": (a_hair_of_a_box, r"annotations.txt, line 6: found .* a box without area"),
    "one photograph": (one_photograph, r"need at least two photographs, found 1: add some, or give .*--validation"),
    "a photograph twice": (one_twice, r"line 7: smear_0000.png is already in .*line 1: keep one, with all its boxes"),
    "photograph of zero bytes": (damaged_photograph(lambda b: b""), r"line 6: .*smear_0005.png: .*the file is empty"),
    "no photograph": (
        damaged_photograph(lambda b: b"text"),
        r"line 6: .*smear_0005.png: .* not an image.*: replace it",
    ),
    "half a photograph": (
        damaged_photograph(lambda b: b[: len(b) // 2]),
        r"line 6: .*smear_0005.png: the image does not open \(.*cut off.*\): replace it, or leave it out",
    ),
    "a photograph damaged in its middle": (damaged_photograph(spoilt), r"smear_0005.png: the image does not open"),
    "a photograph damaged in its middle, two workers": (
        damaged_photograph(spoilt, "--workers", "2"),
        r"smear_0005.png: the image does not open",
    ),
    "a photograph damaged in its middle, two processes": (
        damaged_photograph(spoilt, "--processes", "2"),
        r"smear_0005.png: the image does not open",
    ),
    "a photograph that was not downloaded": (
        damaged_photograph(lambda b: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        r"line 6: .*smear_0005.png: .*Git LFS.*git lfs pull",
    ),
    "12 bits in 16": (few_bits, r"smear_0005.png: .*its largest value is 4095 of 65535.*12 bits.*save"),
    "input of 100 x 96": (no_multiple_of_32, r"input_shape .* needs multiples of 32, found \(100, 96\)"),
    "three anchors": (
        anchors("1,2, 3,4, 5,6"),
        r"anchors.txt: found 3 anchors, expected 9, since the network of --start has 3 heads",
    ),
    "half an anchor": (anchors("1,2, 3"), r"anchors.txt: anchors are pairs of positive numbers"),
    "a start that is not there": (
        options("--start", "@/gone"),
        r"gone: there is no such file .* nor a published network.* give one of yolo-fastest, .* smears, or a path",
    ),
    "a start that is no network": (options("--start", "@"), r"holds 0 .cfg and 0 .weights, and no settings.json"),
    "weights without their settings": (
        weights_apart,
        r"a.weights.h5: give the folder of a training, with best.weights.h5",
    ),
    "a run with weights of another network": (
        a_run(whole, num_classes=5),
        r"run: .*best.weights.h5 do not make a detector .*: copy them again",
    ),
    "a run with weights of zero bytes": (
        a_run(lambda b: b""),
        r"run: .*best.weights.h5 do not make a detector .*: copy them again",
    ),
    "a run with half the weights": (
        a_run(lambda b: b[: len(b) // 2]),
        r"run: .*best.weights.h5 do not make a detector .*: copy them again",
    ),
    "a run with weights but a byte": (
        a_run(lambda b: b[:-1]),
        r"run: .*best.weights.h5 do not make a detector .*: copy them again",
    ),
    "a run with no weights": (
        a_run(lambda b: b"<html>log in</html>"),
        r"run: .*best.weights.h5 do not make a detector .*: copy them again",
    ),
    "half darknet's weights": (
        darknet_weights(lambda b: b[:-2]),
        r"a.weights: expected \d+ numbers .*nothing was loaded",
    ),
    "darknet's weights of another network": (
        darknet_weights(lambda b: b[:-400]),
        r"a.weights: expected \d+ numbers .* found \d+; nothing was loaded: build the body from this file's cfg",
    ),
    "darknet's weights without a cfg": (
        darknet_weights(whole, cfg="elsewhere"),
        r"a.weights: its cfg is not beside it: put it there as a.cfg",
    ),
    "darknet's weights and two cfgs": (two_cfgs, r"a.weights: its cfg is not beside it: put it there as a.cfg"),
    "weights of an unknown kind": (darknet_weights(lambda b: b"PK" + b, name="a.pt"), r"a.pt: expected \d+ numbers"),
}


@pytest.mark.parametrize(("fault", "sentence"), REFUSED.values(), ids=REFUSED)
def test_training_refuses_in_one_sentence_and_leaves_nothing_half_written(folder, fault, sentence):
    more = fault(folder) or []
    before = content(folder)
    with pytest.raises(ValueError, match=sentence) as error:
        training(folder, *more)
    assert type(error.value) in (AnnotationError, ValueError)
    assert "\n" not in str(error.value) and str(error.value).endswith(".") and len(str(error.value)) < 700
    after = content(folder)
    # A training that stops in its first epoch has written what it is made of, and the same command begins anew.
    for name in (SETTINGS, NETWORK, "classes.txt", "train.txt", "validation.txt"):
        after.pop(f"out/{name}", None)
    assert after == before


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--batch-size", "0"], "--batch-size: expected a whole number from 1 on, found 0"),
        (["--seed", "-1"], "--seed: expected a whole number from 0 on, found -1"),
        (["--learning-rate", "nan"], "--learning-rate: expected a number above 0, found nan"),
        (["--epochs", "0"], "--epochs and --frozen-epochs are both 0, so that nothing would be trained"),
        (["--test", "a", "b", "c"], "take one path, and for Pascal VOC a split file after it"),
    ],
)
def test_options_that_cannot_be_are_refused_at_once(folder, capsys, more, sentence):
    before = content(folder)
    with pytest.raises(SystemExit):
        training(folder, *more)
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert content(folder) == before


def test_the_shell_shows_the_sentence_alone(folder):
    a_box_of_four(folder)
    path = folder / "annotations.txt"
    command = [sys.executable, "-m", "yolo_helpers.training", "--train", path, "--folder", folder / "out"]
    variables = os.environ | {"PYTHONUTF8": "1"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, encoding="utf-8")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(f"error: {path}, line 2: found '1,2,3,4'")
    assert "Traceback" not in done.stderr and not (folder / "out").exists()


@pytest.mark.parametrize(
    ("module", "encoding", "shown"),
    [
        ("yolo_helpers", "ascii", r"\xdcbung, \u732b"),
        ("yolo_helpers.training", "cp1252", r"Übung, \u732b"),
    ],
)
def test_a_name_that_the_output_cannot_hold_ends_nothing(folder, module, encoding, shown):
    """The training ends for another reason, after it has printed the names and before it takes long."""
    (folder / "classes.txt").write_text("Übung\n猫\nWBC\n", encoding="utf-8")
    command = [sys.executable, "-m", module, *["train"] * (module == "yolo_helpers")]
    command += [
        "--start",
        "micro",
        "--train",
        folder / "annotations.txt",
        "--folder",
        folder / "猫",
        "--input-shape",
        "64",
        "96",
    ]
    (folder / "猫").mkdir()
    (folder / "猫" / STATE).touch()  # a training lies there already
    variables = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, encoding=encoding)
    assert f"classes: {shown}, WBC" in done.stdout
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("error: ") and r"\u732b" in sentence and "holds a training already" in sentence


def test_names_of_any_alphabet_go_through_a_training_and_nothing_else_is_said(folder):
    """On a console that has not all of the letters; stderr holds the course's own sentences alone."""
    (folder / "classes.txt").write_text("Übung\n猫\nWBC\n", encoding="utf-8")
    command = [sys.executable, "-m", "yolo_helpers", "train", "--train", folder / "annotations.txt"]
    command += ["--test", folder / "annotations.txt", "--folder", folder / "猫"]
    command += ["--input-shape", "32", "32", "--epochs", "1", "--batch-size", "2"]
    removed = {"TF_CPP_MIN_LOG_LEVEL", "PYTHONWARNINGS"}
    variables = {name: value for name, value in os.environ.items() if name not in removed}
    variables |= {"PYTHONIOENCODING": "cp437", "LC_ALL": "C"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, encoding="cp437")
    assert done.returncode == 0, done.stderr
    assert r"boxes: Übung" in done.stdout and r"\u732b" in done.stdout.splitlines()[-1]
    assert all(line.startswith("warning: ") for line in done.stderr.splitlines()) and "Glyph" not in done.stderr
    assert load_detector(folder / "猫")[2] == ["Übung", "猫", "WBC"]
    assert "猫" in json.loads((folder / "猫" / "test.json").read_text(encoding="utf-8"))["AP50"]


def batches(annotations, **more):
    return YoloDataset(annotations, HEADS, **{"batch_size": 2, **more})


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"batch_size": 0}, "batch_size: expected a whole number from 1 on, found 0"),
        ({"annotations": []}, "The data set is empty"),
    ],
    ids=["no photographs in a batch", "empty"],
)
def test_a_data_set_that_cannot_be_is_refused_when_it_is_made(smears, more, sentence):
    with pytest.raises(ValueError, match=sentence):
        batches(**{"annotations": read_annotations(smears / "annotations.txt")[0], **more})


def test_more_objects_than_a_head_takes_are_said_with_the_photograph(smears, tmp_path):
    """As grids; the boxes form takes any number, see below. In the second batch, where TensorFlow wraps the error."""
    annotations = read_annotations(smears / "annotations.txt")[0]
    places = np.array([[x, y, x + 7, y + 7] for x in range(0, 96, 8) for y in range(0, 64, 8)], np.float32)
    boxes = np.concatenate([places, places + [0, 0, 4, 20]]).clip(0, [96, 64, 96, 64]).astype(np.float32)
    annotations[3] = Annotation(annotations[3].image_path, boxes, np.zeros(len(boxes), int))
    with pytest.raises(ValueError, match=r"smear_0003.png: image 1 has \d+ objects in the head of stride 8") as error:
        train(new_body(), batches(annotations), [Stage(1, 1e-3)], tmp_path, verbose=0)
    assert "\n" not in str(error.value) and not (tmp_path / STATE).exists()


# ----------------------------------------------------------------------------------- what a training left is damaged


@pytest.fixture(scope="module")
def trained(smears, tmp_path_factory):
    """A folder with the data and a training of one epoch."""
    folder = shutil.copytree(smears, tmp_path_factory.mktemp("trained") / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("yolo_helpers.start.micro_yolo_body", small_body)
        tf.config.run_functions_eagerly(True)
        training(folder)
        tf.config.run_functions_eagerly(False)
    return folder


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (STATE, r"state.json: damaged \(JSONDecodeError.*\): copy it again, or train into another folder"),
        (SETTINGS, r"settings.json: damaged \(JSONDecodeError.*\): copy it again, or train into another folder"),
        ("state-0001.weights.h5", r"state-0001.weights.h5: .*\(it is cut off, or not a file of Keras' weights\): copy"),
    ],
)
def test_a_training_cut_off_is_not_gone_on_with(trained, tmp_path, name, sentence):
    folder = shutil.copytree(trained, tmp_path / "copy")
    path = folder / "out" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = content(folder)
    with pytest.raises(ValueError, match=sentence) as error:
        training(folder, "--resume", "--epochs", "2")
    assert "\n" not in str(error.value) and content(folder) == before


# -------------------------------------------------------------------------------------------------- a full disk


def no_room(monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=10_000))
    return BEST


def no_room_in_the_middle_of_the_weights(monkeypatch):
    create = h5py.Group.create_dataset

    def full(group, *arguments, **more):
        if "conv2d_2" in group.name:
            raise OSError(errno.ENOSPC, "Can't write data\n, buf = 0x55d0")
        return create(group, *arguments, **more)

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    return BEST


def no_room_in_the_middle_of_the_state(monkeypatch):
    write = Path.write_text

    def full(path, text, **more):
        write(path, text[: len(text) // 2], **more)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(
        Path, "write_text", lambda path, *a, **k: (full if STATE in path.name else write)(path, *a, **k)
    )
    return STATE


@pytest.mark.parametrize("fill", [no_room, no_room_in_the_middle_of_the_weights, no_room_in_the_middle_of_the_state])
def test_a_full_disk_leaves_the_checkpoint_before_and_the_training_goes_on_from_there(trained, tmp_path, fill):
    folder = shutil.copytree(trained, tmp_path / "copy")
    before = content(folder)
    with pytest.MonkeyPatch.context() as patch:
        name = fill(patch)
        with (
            pytest.raises(OSError, match=rf"out.{name} could not be written \(No space left on device") as error,
            pytest.warns(UserWarning, match="^Epoch 2 is not saved"),
        ):
            training(folder, "--resume", "--epochs", "2")
    assert "\n" not in str(error.value) and str(error.value).endswith("make room there, or choose another place.")
    assert "up to epoch 1 of 2" in str(error.value)
    after = content(folder)
    assert after.keys() - {"out/found-0002.png"} == before.keys()  # the picture and the table are small, and whole
    # Where there was room for the weights, they are those of the second epoch, which found as much as the first.
    changed = {f"out/{HISTORY}"} | ({f"out/{BEST}"} if name == STATE else set())
    assert all(after[path] == before[path] for path in before.keys() - changed)
    load_detector(folder / "out")
    training(folder, "--resume", "--epochs", "2")
    assert len((folder / "out" / HISTORY).read_text(encoding="utf-8").splitlines()) == 3
    assert not list((folder / "out").glob(".writing-*"))


def test_darknets_weights_are_whole_or_as_they_were(tmp_path, monkeypatch):
    path = tmp_path / "a.weights"
    save_weights(new_body(), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    body = new_body()
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match=r"a.weights could not be written \(File too large\), and is as it was"):
        save_weights(body, path)
    assert content(tmp_path) == {"a.weights": before}


# ------------------------------------------------------------------------------------------------------ what works

# A bright block on a dark ground, as a person sees it. The input of 64 x 96 shows it at 0.8 of its size, without bars.
SEEN = np.full((80, 120), 30, np.uint8)
SEEN[20:50, 30:90] = 220
BOX, PLACED = [30, 20, 90, 50], [24, 16, 72, 40]


def grey(folder):
    Image.fromarray(SEEN).save(folder / "a.png")
    return "a.png"


def named(name):
    def make(folder):
        Image.fromarray(SEEN).save(folder / name)
        return name

    return make


def converted(mode, name):
    def make(folder):
        Image.fromarray(SEEN).convert("RGB").convert(mode).save(folder / name)
        return name

    return make


def sixteen_bits(suffix, order):
    def make(folder):
        Image.fromarray((SEEN.astype(np.uint16) * 257).astype(order + "u2")).save(folder / f"a{suffix}")
        return f"a{suffix}"

    return make


def bilevel(folder):
    Image.fromarray(SEEN > 100).save(folder / "a.png")
    return "a.png"


def called(name, kind):
    def make(folder):
        Image.fromarray(SEEN).save(folder / name, format=kind)
        return name

    return make


def appended(folder):
    """As telephones do with a few seconds around the photograph."""
    Image.fromarray(SEEN).save(folder / "a.jfif", format="JPEG")
    with (folder / "a.jfif").open("ab") as file:
        file.write(b"\0\0\0\x18ftypmp42" + bytes(2000))
    return "a.jfif"


def transparent(folder):
    """The block shines through: dark itself, and transparent, so that the white behind it is seen."""
    pixels = np.zeros((*SEEN.shape, 4), np.uint8)
    pixels[..., 3] = np.where(SEEN > 100, 0, 255)
    Image.fromarray(pixels).save(folder / "a.png")
    return "a.png"


def animated(folder):
    frames = [Image.fromarray(SEEN), Image.fromarray(255 - SEEN)]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:])
    return "a.gif"


def turned(orientation, stored):
    def make(folder):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(stored)).save(folder / "a.jpg", exif=exif)
        return "a.jpg"

    return make


def one_pixel(folder):
    Image.new("L", (1, 1), 220).save(folder / "a.png")
    return "a.png"


def wide(folder):
    pixels = np.full((100, 20_000), 30, np.uint8)
    pixels[:, 5000:15_000] = 220
    Image.fromarray(pixels).save(folder / "a.png")
    return "a.png"


# What is written, the box as a person sees it, and where it lies on the network's input.
WORKS = {
    "greyscale": (grey, BOX, PLACED),
    "CMYK": (converted("CMYK", "a.jpg"), BOX, PLACED),
    "palette": (converted("P", "a.png"), BOX, PLACED),
    "black and white": (bilevel, BOX, PLACED),
    "16 bits": (sixteen_bits(".png", "<"), BOX, PLACED),
    "16 bits, a TIFF, big-endian": (sixteen_bits(".tif", ">"), BOX, PLACED),
    "WebP called JPEG": (called("a.jpg", "WEBP"), BOX, PLACED),
    "a film appended": (appended, BOX, PLACED),
    "transparent": (transparent, BOX, PLACED),
    "animated": (animated, BOX, PLACED),
    "upside down": (turned(3, SEEN[::-1, ::-1]), BOX, PLACED),
    "camera turned left": (turned(6, np.rot90(SEEN)), BOX, PLACED),
    "camera turned right": (turned(8, np.rot90(SEEN, -1)), BOX, PLACED),
    "a pixel": (one_pixel, [0, 0, 1, 1], [16, 0, 80, 64]),
    # 96 pixels wide, and so half a pixel high, which becomes one; its place in the middle ends in a half.
    "20 000 pixels wide": (wide, [5000, 0, 15_000, 100], [24, 31.5, 72, 32.5]),
    "space": (named("a b.png"), BOX, PLACED),
    "%20": (named("a%20b.png"), BOX, PLACED),
    "parentheses": (named("a (1).png"), BOX, PLACED),
    "beyond ASCII": (named("größe 画.png"), BOX, PLACED),
    "a formula": (named("$a_b$.png"), BOX, PLACED),
}


@pytest.mark.parametrize(("make", "box", "placed"), WORKS.values(), ids=WORKS)
def test_an_unusual_photograph_is_learnt_and_detected_as_it_is_seen(tmp_path, monkeypatch, make, box, placed):
    """Through a text file with a byte order mark and Windows' line ends, since none of these should matter."""
    name = make(tmp_path)
    line = f"{name} {','.join(map(str, box))},0\r\n"
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + line.encode())
    (annotation,), _ = read_annotations(tmp_path / "a.txt", class_names=["block $x^$"])
    assert annotation.boxes.tolist() == [box]
    pixels, boxes = YoloDataset([annotation], Heads(SHAPE, ANCHORS, 1)).sample(0)
    np.testing.assert_allclose(boxes, [[*placed, 0]], atol=1e-3)
    x0, y0, x1, y1 = placed
    row, column = int((y0 + y1 - 1) / 2), int((x0 + x1) / 2)
    bright = pixels[..., 1] > 170
    assert np.flatnonzero(bright[row]).tolist() == list(range(x0, x1))
    if y1 - y0 > 1:
        assert np.flatnonzero(bright[:, column]).tolist() == list(range(y0, y1))

    # A network that sees the block where it lies on the input: the file must say where it lies on the photograph.
    detector = detector_of(heads_that_see([[*placed, 0]], SHAPE, SHAPE, num_classes=1))
    loaded = detector, Heads(SHAPE, ANCHORS, 1), ["block $x^$"]
    monkeypatch.setattr("yolo_helpers.commands.load_detector", lambda folder: loaded)
    assert main(["detect", "--folder", "x", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / f"{name}.json").read_text(encoding="utf-8"))
    assert found["photo"] == str(tmp_path / name)
    (block,) = found["objects"]
    side = max(box)
    assert block["class"] == "block $x^$"
    np.testing.assert_allclose(block["box"], box, atol=0.02 * side)
    with Image.open(tmp_path / "out" / f"{name}.png") as picture:
        picture.load()


# Each changes the folder, and returns the names of the classes and how many photographs there are.


def crlf_and_bom(folder):
    for name in ("annotations.txt", "classes.txt"):
        path = folder / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    return ["Platelets", "RBC", "WBC"], 6


def one_class(folder):
    (folder / "classes.txt").write_text("cell\n", encoding="utf-8")
    write_lines(folder, [f"smear_000{i}.png 1,2,30,40,0" for i in range(6)])
    return ["cell"], 6


def a_class_without_boxes(folder):
    with (folder / "classes.txt").open("a", encoding="utf-8") as file:
        file.write("größe 画\n")
    return ["Platelets", "RBC", "WBC", "größe 画"], 6


def a_copy_under_another_name(folder):
    shutil.copy(folder / "smear_0000.png", folder / "again.png")
    write_lines(folder, [*lines(folder), lines(folder)[0].replace("smear_0000", "again")])
    return ["Platelets", "RBC", "WBC"], 7


def many_boxes(folder):
    """Far more than in any other photograph, so that the others are padded to as many."""
    boxes = " ".join(f"{x},{y},{x + 5},{y + 6},{(x + y) % 3}" for x in range(0, 90, 3) for y in range(0, 56, 3))
    write_lines(folder, [*lines(folder)[:-1], f"smear_0005.png {boxes}"])
    return ["Platelets", "RBC", "WBC"], 6


@pytest.mark.parametrize(
    "make", [crlf_and_bom, one_class, a_class_without_boxes, a_copy_under_another_name, many_boxes]
)
def test_an_unusual_data_set_is_learnt(folder, capsys, make):
    names, count = make(folder)
    training(folder, "--test", "@/annotations.txt")
    printed = capsys.readouterr().out
    assert f"{count - 1} photographs to learn from, 1 for validation, {count} for the test" in printed
    detector, _, class_names = load_detector(folder / "out")
    assert class_names == names and detector.output_shape[0][-1] == 3 * (5 + len(names))
    header, row = (folder / "out" / HISTORY).read_text(encoding="utf-8").splitlines()
    loss = float(row.split(",")[header.split(",").index("loss")])
    assert 0 < loss < np.inf
    scores = json.loads((folder / "out" / "test.json").read_text(encoding="utf-8"))["AP50"]
    boxed = {names[int(box.split(",")[4])] for line in lines(folder) for box in line.lstrip("\ufeff").split()[1:]}
    assert {name for name in names if np.isfinite(scores[name])} == boxed


def test_where_no_validation_photograph_has_an_object_the_latest_weights_are_kept(smears, tmp_path):
    """AP50 is not a number then, and no epoch better than another."""
    annotations = read_annotations(smears / "annotations.txt")[0]
    empty = [Annotation(a.image_path, np.zeros((0, 4), np.float32), np.zeros(0, int)) for a in annotations[:2]]
    body = new_body()
    history = train(body, batches(annotations), [Stage(2, 1e-2)], tmp_path, batches(empty), evaluate_every=1, verbose=0)
    assert np.isnan(history["val_AP50"]).all() and len(history["val_AP50"]) == 2
    best = new_body()
    best.load_weights(tmp_path / BEST)
    assert all(np.array_equal(one, other) for one, other in zip(best.get_weights(), body.get_weights(), strict=True))


# ----------------------------------------------------------------------------------------------- whatever comes along

any_bytes = st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))


@pytest.fixture(scope="module")
def two_photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    (folder / "voc").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (100, 80)).save(folder / name)
    (folder / "classes.txt").write_text("cat\ndog\n", encoding="utf-8")
    return folder


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(["t.txt", "voc/a.xml", "c.json", "a.txt"]), content=any_bytes)
def test_any_file_is_read_or_refused_in_a_sentence(two_photographs, kind, content):
    """Files that were right and then damaged are in test_annotations.py, and tools/fuzz.py invents others."""
    (two_photographs / kind).write_bytes(content)
    path = {"voc/a.xml": two_photographs / "voc", "a.txt": two_photographs}.get(kind, two_photographs / kind)
    try:
        found, _ = read_annotations(path, "yolo" if kind == "a.txt" else None)
    except AnnotationError as error:
        assert "\n" not in str(error) and str(error).endswith(".") and str(two_photographs) in str(error)
    else:
        assert found
    finally:
        (two_photographs / kind).unlink()


# Small and large, on borders, and what is no number; as float32, in which the targets are computed.
side = st.sampled_from([0.0, 16, 32, 64, 96, -1, 1e-45, 1e-7, 3e38, -3e38, np.inf, -np.inf, np.nan]) | st.floats(
    -50, 150
)
any_box = st.tuples(side, side, side, side, st.sampled_from([0, 1, 2, 3, -1, 0.5, np.nan]) | st.integers(0, 2))


@settings(max_examples=150, deadline=None)
@given(st.lists(any_box, max_size=4))
def test_any_boxes_are_written_or_refused_and_the_loss_of_what_is_written_is_a_number(boxes):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        boxes = np.array(boxes, np.float32).reshape(1, -1, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no overflow passes by
        try:
            y_true = preprocess_true_boxes(boxes, SHAPE, ANCHORS, 3)
        except ValueError as error:
            assert str(error).startswith("image 0, box ") and "\n" not in str(error)
            return
    slots = sum(int(target[..., 4].sum()) for target in y_true)
    real = boxes[0][boxes[0].any(-1)]
    assert (len(real) > 0) <= slots <= len(real)
    assert all(np.isfinite(target).all() for target in y_true)
    heads = [np.zeros((*target.shape[:3], 24), np.float32) for target in y_true]
    loss = [float(yolo_loss([*heads, *targets], ANCHORS, 3)[0, 0]) for targets in (y_true, [boxes])]
    assert 0 < loss[0] < np.inf
    np.testing.assert_allclose(loss[1], loss[0], rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([1, 30, 100, 1e3, 1e6]), across=st.booleans())
def test_loss_and_gradient_of_any_outputs_are_numbers(seed, spread, across):
    """An output of 89 is a box of infinite size, and one of -104 a box of none."""
    outputs, y_true, anchors, num_classes = random_case(seed)
    rng = np.random.default_rng(seed)
    heads = [tf.constant(rng.normal(0, spread, output.shape), tf.float32) for output in outputs]
    with tf.GradientTape() as tape:
        tape.watch(heads)
        loss = yolo_loss([*heads, *y_true], anchors, num_classes, ignore_across_heads=across)
    assert np.isfinite(loss).all() and (np.asarray(loss) > 0).all()
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(loss, heads))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([1, 30, 100, 1e3, 1e30]),
    broken=st.sampled_from([[], [np.nan], [np.inf, -np.inf]]),
    threshold=st.sampled_from([0, 0.3, 0.9]),
    shape=st.sampled_from([SHAPE, (480, 640), (1, 1), (3, 20_000)]),
)
def test_whatever_the_heads_say_boxes_lie_on_the_photograph(seed, spread, broken, threshold, shape):
    rng = np.random.default_rng(seed)
    heads = [rng.normal(0, spread, (1, h, w, 24)).astype(np.float32) for h, w in ((2, 3), (4, 6), (8, 12))]
    for head in heads:
        for value in broken:
            head[rng.random(head.shape) < 0.1] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        boxes, scores, classes = yolo_eval(heads, ANCHORS, 3, shape, score_threshold=threshold)
    assert np.isfinite(boxes).all() and (boxes[:, 2:] >= boxes[:, :2]).all()
    assert ((scores >= threshold) & (scores <= 1)).all() and np.isin(classes, [0, 1, 2]).all()
    assert np.bincount(classes, minlength=3).max() <= 20
    for c in range(3):
        mine = boxes[classes == c]
        for i, box in enumerate(mine):
            assert all(iou(box.astype(float), other.astype(float)) <= 0.5 + 1e-4 for other in mine[:i])
