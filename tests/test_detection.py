"""Detection against the original's numbers, TensorFlow's suppression, planted boxes and darknet's detections."""

import json
import os
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from reference import ANCHORS, GROCERY, MASKS, ROOT, detector_of, heads_that_see, needs_grocery, oracle_case

from yolo_helpers import detection
from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import get_classes
from yolo_helpers.boxes import box_iou
from yolo_helpers.commands import main
from yolo_helpers.darknet import build_body, save_weights
from yolo_helpers.detection import BLOCK, detect, suppress, yolo_eval
from yolo_helpers.images import open_image
from yolo_helpers.model import inference_model, micro_yolo_body, yolo_head
from yolo_helpers.run_folder import BEST, NETWORK, SETTINGS, load_detector, write_run


@pytest.mark.parametrize("number", [0, 1, 2])
def test_detections_are_the_originals(number):
    case = oracle_case(number)
    boxes, scores, classes = yolo_eval(
        [output[:1] for output in case["output"]],
        case["anchors"],
        case["num_classes"],
        case["image_shape"],
        max_boxes=20,
        score_threshold=0.3,
        iou_threshold=0.45,
        anchor_mask=case["mask"],
    )
    theirs = case["eval_boxes"][:, [1, 0, 3, 2]]
    ours_order = np.lexsort((scores, classes))
    their_order = np.lexsort((case["eval_scores"], case["eval_classes"]))
    np.testing.assert_array_equal(classes[ours_order], case["eval_classes"][their_order])
    np.testing.assert_allclose(scores[ours_order], case["eval_scores"][their_order], rtol=1e-4)
    np.testing.assert_allclose(boxes[ours_order], theirs[their_order], atol=0.5)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.one_of(st.integers(0, 40), st.integers(BLOCK - 1, 3 * BLOCK)),
    most=st.one_of(st.integers(1, 20), st.integers(20, 3 * BLOCK)),
    limit=st.sampled_from([0.3, 0.5]),
)
def test_suppression_is_tensorflows(seed, count, most, limit):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, rng.choice([60, 300]), (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (count, 2))], 1).astype(np.float32)
    scores = rng.permutation(count).astype(np.float32)
    expected = tf.image.non_max_suppression(boxes, scores, most, limit).numpy()
    np.testing.assert_array_equal(suppress(boxes, scores, most, limit), expected)


@pytest.mark.parametrize("image_shape", [(96, 128), (480, 640), (333, 500), (101, 57)])
def test_what_the_heads_say_comes_back_in_pixels_of_the_photograph(image_shape):
    height, width = image_shape
    planted = [[0.1, 0.2, 0.4, 0.6], [0.55, 0.5, 0.9, 1]] * np.array([width, height, width, height])
    planted = np.column_stack([planted, [2, 0]])
    boxes, scores, classes = yolo_eval(heads_that_see(planted, image_shape), ANCHORS, 3, image_shape)
    assert classes.tolist() == [0, 2] and (scores > 0.99).all()
    np.testing.assert_allclose(boxes, np.array(planted)[::-1, :4], atol=0.02 * max(image_shape))
    assert box_iou(boxes, np.array(planted)[::-1, :4]).diagonal().min() > 0.97


@pytest.mark.parametrize("threshold", [0, 0.01, 0.3, 0.9])
def test_boxes_and_scores_are_those_of_the_formula_of_the_loss(threshold):
    rng = np.random.default_rng(0)
    heads = [rng.normal(0, 3, (1, 3 * 2**k, 4 * 2**k, 24)).astype(np.float32) for k in range(3)]
    heads[1][0, 0, 0] *= 100  # more than exp allows
    expected = []
    for head, mask in zip(heads, MASKS[9], strict=True):
        xy, wh, confidence, probability = map(np.array, yolo_head(head, ANCHORS[mask], 3, (96, 128)))
        corners = np.concatenate([xy - wh / 2, xy + wh / 2], -1).clip(-1e6, 1e6) * (128, 96, 128, 96)
        scores = confidence * probability
        expected += [(*corners[slot[:-1]], slot[-1], scores[slot]) for slot in zip(*np.nonzero(scores >= threshold))]
    # A photograph as large as the input, and no suppression.
    boxes, scores, classes = yolo_eval(heads, ANCHORS, 3, (96, 128), 10**4, threshold, iou_threshold=1)
    assert len(boxes) == len(expected)
    pair = np.column_stack([boxes, classes, scores]), np.array(expected)
    pair = [each[np.abs(each[:, :4]).max(1) < 1e5] for each in pair]  # how far beyond does not matter
    ours, theirs = (each[np.lexsort(each.T[[0, 4]])] for each in pair)  # by class, then from left to right
    assert 10 < len(theirs) < len(expected)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_max_boxes_counts_per_class():
    planted = [[x, y, x + 12, y + 14, c] for c, y in ((0, 10), (1, 60)) for x in (5, 35, 65, 95)]
    _, _, classes = yolo_eval(heads_that_see(planted, (96, 128)), ANCHORS, 3, (96, 128), max_boxes=3)
    assert np.bincount(classes).tolist() == [3, 3]


def test_thresholds_and_nothing_found():
    heads = heads_that_see([[10, 10, 50, 60, 1]], (96, 128))
    boxes, scores, classes = yolo_eval([head - 20 for head in heads], ANCHORS, 3, (96, 128))
    assert boxes.shape == (0, 4) and scores.shape == (0,) and classes.shape == (0,)


@pytest.mark.parametrize("wrong", [slice(0, 2), slice(0, 3)])
def test_heads_that_do_not_fit_are_said(wrong):
    heads = [np.concatenate([head] * 2) for head in heads_that_see([[10, 10, 50, 60, 1]], (96, 128))][wrong]
    with pytest.raises(ValueError, match="Expected 3 heads of one photograph, found heads of shape"):
        yolo_eval(heads, ANCHORS, 3, (96, 128))


def test_detect_looks_at_photographs_of_any_size_in_batches():
    """The boxes are those of one 64 x 128 photograph."""
    detector = detector_of(heads_that_see([[20, 10, 60, 50, 1], [-20, 20, 30, 60, 2]], (64, 128)))
    photos = [Image.new("RGB", (128, 64)), Image.new("RGB", (256, 128)), Image.new("RGB", (128, 64))]
    small, large, again = detect(detector, photos, Heads((64, 128), ANCHORS, 3), batch_size=2)
    assert small.classes.tolist() in ([1, 2], [2, 1])
    np.testing.assert_allclose(large.boxes, 2 * small.boxes, atol=0.1)
    np.testing.assert_array_equal(small.boxes, again.boxes)
    assert small.boxes.min() == 0  # cut off at the border of the photograph
    assert (np.diff(small.scores) <= 0).all()


class Watched:
    """A detector that finds nothing, and notes how many photographs it is given."""

    input_shape = (None, 32, 32, 3)

    def __init__(self, opened):
        self.opened, self.sizes, self.opened_so_far = opened, [], []

    def predict_on_batch(self, batch):
        time.sleep(0.05)  # time enough to open them all
        self.sizes.append(len(batch))
        self.opened_so_far.append(len(self.opened))
        return np.full((len(batch), 1, 1, 18), -9, np.float32)


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(0, 8, []), (1, 8, [1]), (8, 8, [8]), (9, 8, [5, 5]), (7, 3, [3, 3, 3]), (12, 2, [2] * 6), (3, 1, [1] * 3)],
)
def test_batches_have_one_size_and_few_photographs_are_read_ahead(count, batch_size, sizes, tmp_path, monkeypatch):
    paths = [tmp_path / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        photograph(path, (64 + number, 64))
    opened = []
    monkeypatch.setattr(detection, "open_image", lambda path: opened.append(path) or open_image(path))
    detector = Watched(opened)
    found = detect(detector, paths, Heads((32, 32), ANCHORS[6:], 1), batch_size=batch_size)
    assert len(found) == count and detector.sizes == sizes and sorted(opened) == sorted(paths)
    for number, so_far in enumerate(detector.opened_so_far, start=1):
        assert so_far <= (number + 1) * sizes[0]


def test_of_two_damaged_photographs_the_first_is_said(tmp_path):
    paths = [photograph(tmp_path / f"{number}.png") for number in range(9)]
    for number in (4, 6):
        (tmp_path / f"{number}.png").write_bytes(b"no image")
    detector = Watched([])
    with pytest.raises(ValueError, match=r"4\.png: the image does not open"):
        detect(detector, paths, Heads((32, 32), ANCHORS[6:], 1), batch_size=3)
    assert detector.sizes == [3]


# What a training left


MASK = [[0, 2, 1], [3, 4, 5], [8, 7, 6]]  # another order than darknet's


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A folder as a training leaves it, with an untrained network."""
    folder = tmp_path_factory.mktemp("training")
    keras.utils.set_random_seed(0)
    body = micro_yolo_body(keras.Input((64, 96, 3)), 3, 2)
    body.save_weights(folder / BEST)
    write_run(folder, body, Heads((64, 96), ANCHORS, 2, MASK), ["cat", "dog"], {})
    return folder, body


def test_a_detector_is_loaded_with_its_anchors_and_names(training):
    folder, body = training
    detector, heads, class_names = load_detector(folder)
    np.testing.assert_array_equal(heads.anchors, ANCHORS)
    assert (heads.input_shape, heads.num_classes, heads.anchor_mask) == ((64, 96), 2, MASK)
    assert class_names == ["cat", "dog"]
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    for ours, theirs in zip(detector(image), inference_model(body, (64, 96))(image), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (SETTINGS, lambda content: None, "holds no settings.json: give the folder"),
        (BEST, lambda content: None, "holds no best.weights.h5: give the folder of a training that has ended an"),
        (SETTINGS, lambda content: content[:40], "do not make a detector .*copy them again"),
        (
            SETTINGS,
            lambda content: content.replace(b"anchors", b"boxes"),
            "do not make a detector .KeyError: 'anchors'",
        ),
        (NETWORK, lambda content: None, "holds no network.json: give the folder"),
        (NETWORK, lambda content: content[:400], "do not make a detector"),
        (NETWORK, lambda content: b"{}", "do not make a detector"),
        (SETTINGS, lambda content: b"[]", "do not make a detector"),
        (SETTINGS, lambda content: content.replace(b"dog", b'dog", "cow'), "do not make a detector"),
        (BEST, lambda content: content[: len(content) // 2], "do not make a detector"),
        (BEST, lambda content: b"no weights", "do not make a detector"),
    ],
)
def test_a_folder_that_is_no_training_is_said_in_one_sentence(training, tmp_path, name, change, message):
    folder = tmp_path / "copy"
    shutil.copytree(training[0], folder)
    content = change((folder / name).read_bytes())
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_detector(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


# The command line


@pytest.fixture
def planted(monkeypatch):
    """Lets the command line load a detector that sees two boxes, given in pixels of a photograph of 128 x 96."""
    heads = heads_that_see([[20, 10, 60, 50, 1], [70, 20, 110, 80, 0]], (96, 128), num_classes=2)
    loaded = detector_of(heads), Heads((96, 128), ANCHORS, 2), ["cat", "dog"]
    monkeypatch.setattr("yolo_helpers.commands.load_detector", lambda folder: loaded)
    return ["detect", "--folder", "training"]


def photograph(path, size=(128, 96)):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, "grey").save(path)
    return str(path)


def test_each_photograph_gets_a_picture_and_a_list(planted, tmp_path, capsys):
    single = photograph(tmp_path / "single.png", (256, 192))
    for name in ("a.png", "a.jpg", "B.JPG"):
        photograph(tmp_path / "folder" / name)
    (tmp_path / "folder" / "a.txt").write_text("no photograph", encoding="utf-8")
    out = tmp_path / "out"
    assert main([*planted, single, str(tmp_path / "folder"), "--out", str(out)]) == 0
    names = {"single.png", "a.png", "a.jpg", "B.JPG"}
    assert {path.name for path in out.iterdir()} == {name + end for name in names for end in (".png", ".json")}
    for name, scale in (("single.png", 2), ("a.jpg", 1)):
        content = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        assert content["photo"] == (single if scale == 2 else str(tmp_path / "folder" / name))
        boxes = {found["class"]: found["box"] for found in content["objects"]}
        np.testing.assert_allclose(boxes["dog"], np.array([20, 10, 60, 50]) * scale, atol=0.1 * scale)
        np.testing.assert_allclose(boxes["cat"], np.array([70, 20, 110, 80]) * scale, atol=0.1 * scale)
        assert len(content["objects"]) == 2 and all(0.99 < found["score"] <= 1 for found in content["objects"])
        with Image.open(out / f"{name}.png") as picture:
            pixels = np.asarray(picture.convert("RGB").resize((512, 384), Image.Resampling.NEAREST)).astype(int)
        coloured = (
            (np.ptp(pixels, axis=-1) > 40).reshape(96, 4, 128, 4).any((1, 3))
        )  # by pixels of a 128 x 96 photograph
        assert coloured[30, 19:22].any() and coloured[49:52, 40].any() and coloured[50, 69:72].any()
        assert not coloured[30, 30:50].any()
    printed = capsys.readouterr()
    assert printed.out == f"4 of 4 photographs: pictures and boxes are in {out}\n"
    assert printed.err.endswith("\r4 of 4 photographs\n")


def test_the_threshold_is_the_least_score(planted, tmp_path):
    path = photograph(tmp_path / "a.png")
    assert main([*planted, path, "--out", str(tmp_path / "out"), "--threshold", "1"]) == 0
    assert json.loads((tmp_path / "out" / "a.png.json").read_text(encoding="utf-8"))["objects"] == []


def test_a_photograph_that_cannot_be_read_is_said_and_the_others_go_on(training, tmp_path):
    """As a reader starts it, on a computer without a display."""
    for name in ("a.png", "c.png"):
        photograph(tmp_path / "photos" / name)
    (tmp_path / "photos" / "b.png").write_bytes(b"no image")
    arguments = ["--folder", str(training[0]), str(tmp_path / "photos"), str(tmp_path / "missing.jpg")]
    variables = {name: value for name, value in os.environ.items() if name != "DISPLAY"} | {"MPLBACKEND": "TkAgg"}
    command = [sys.executable, "-m", "yolo_helpers.detection", *arguments, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and "b.png: the image does not open" in errors[0] and "missing.jpg" in errors[1]
    assert done.stdout.startswith("2 of 4 photographs")
    names = [f"{name}.png{end}" for name in "ac" for end in (".json", ".png")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def test_results_are_whole_or_as_they_were(planted, tmp_path, monkeypatch):
    path = photograph(tmp_path / "a.png")
    assert main([*planted, path, "--out", str(tmp_path / "out")]) == 0
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}

    def full(figure, file, **settings):
        file.write_bytes(b"half a picture")
        raise OSError("No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(OSError, match="No space"):
        main([*planted, path, "--out", str(tmp_path / "out"), "--threshold", "1"])
    assert {name: (tmp_path / "out" / name).read_bytes() for name in before} == before


def test_faulty_arguments_are_said_before_anything_is_written(planted, tmp_path, capsys):
    one, other = photograph(tmp_path / "one" / "a.png"), photograph(tmp_path / "other" / "a.png")
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "out")]
    with pytest.raises(ValueError, match="2 photographs are called a.png"):
        main([*planted, one, other, *out])
    with pytest.raises(ValueError, match="empty: no photographs in this folder"):
        main([*planted, str(tmp_path / "empty"), *out])
    with pytest.raises(ValueError, match="choose another --out"):
        main([*planted, one, "--out", str(tmp_path / "one")])
    for wrong in (
        [*planted, one, "--threshold", "30"],
        ["detect", "--cfg", "net.cfg", one],
        [*planted, one, "--weights", "w"],
        ["detect", one],
    ):
        with pytest.raises(SystemExit):
            main([*wrong, *out])
    assert "found 30" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# Darknet's networks


@needs_grocery
def test_a_network_of_darknets_finds_what_darknet_finds(tmp_path):
    arguments = [
        "detect",
        f"--cfg={GROCERY}/yolov3-tiny-aix2022.cfg",
        f"--weights={GROCERY}/yolov3-tiny-aix2022.weights",
    ]
    arguments += [f"--classes={GROCERY}/yolohw.names", "--threshold=0.24", f"--out={tmp_path}", str(GROCERY / "images")]
    assert main(arguments) == 0
    names = get_classes(GROCERY / "yolohw.names")
    photos = json.loads((GROCERY / "reference_detections.json").read_bytes())["images"]
    assert len(photos) == 3
    for photo, reference in photos.items():
        found = json.loads((tmp_path / f"{photo}.json").read_text(encoding="utf-8"))["objects"]
        expected = reference["detections"]
        assert sorted(one["class"] for one in found) == sorted(names[one["cls"]] for one in expected)
        for one in expected:
            # A class may stand twice on a photograph: the one with the nearest score is meant.
            same = [other for other in found if other["class"] == names[one["cls"]]]
            nearest = min(same, key=lambda other: abs(other["score"] - one["prob"]))
            assert abs(nearest["score"] - one["prob"]) < 0.02
            np.testing.assert_allclose(nearest["box"], one["xyxy_px"], atol=3)


CFG = """
[net]
height=64
width=64

[convolutional]
filters=4
size=32
stride=32
activation=leaky
batch_normalize=1

[convolutional]
filters=7
size=1
activation=linear

[yolo]
mask=1
anchors=10,10, 20,20
classes=2
"""


def test_darknets_files_that_do_not_fit_are_said(tmp_path):
    cfg, weights, names = (tmp_path / name for name in ("net.cfg", "net.weights", "net.names"))
    cfg.write_text(CFG, encoding="utf-8")
    save_weights(build_body(cfg), weights)
    path = photograph(tmp_path / "photos" / "a.png")
    arguments = [
        "detect",
        f"--cfg={cfg}",
        f"--weights={weights}",
        f"--classes={names}",
        path,
        f"--out={tmp_path / 'out'}",
    ]

    names.write_text("cat\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"net.names: found 1 names, expected 2 as in .*net.cfg"):
        main(arguments)
    names.write_text("cat\ndog\n", encoding="utf-8")
    assert main(arguments) == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.png.json", "a.png.png"]
    heads_cut_off = weights.read_bytes()[: -4 * (7 + 7 * 4)]
    weights.write_bytes(heads_cut_off)
    with pytest.raises(ValueError, match="holds the first 1 convolutions, no trained heads"):
        main(arguments)
