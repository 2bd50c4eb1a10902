"""What each annotation tool writes, by the path that a person gives: read as the tool meant it, or refused rightly."""

import os
import shutil
import unicodedata
import warnings
from pathlib import Path
from typing import NamedTuple

import exports as by
import numpy as np
import pytest
from exports import NAMES, PICTURES, picture, put
from PIL import Image

from yolo_helpers.annotations import AnnotationError, read_annotations, read_splits
from yolo_helpers.commands import main


class Refused(NamedTuple):
    """One sentence that has all the words, "|" between those of which one is enough."""

    words: str


class Told(NamedTuple):
    """Read with a warning that has all the words."""

    words: str


def right(annotations, names, stems):
    """The pictures are those, each with its own boxes in order; a picture is known by its size."""
    assert [name for name in names if name != "_background_"] == NAMES
    stem_of, found = {size: stem for stem, (size, _) in PICTURES.items()}, {}
    for one in annotations:
        with Image.open(one.image_path) as image:
            found[stem_of[image.size]] = one
    assert ("".join(sorted(found)), len(annotations)) == (stems, len(stems))
    for stem, one in found.items():
        assert [names[number] for number in one.classes] == [name for name, *_ in PICTURES[stem][1]]
        boxes = np.reshape([box for _, *box in PICTURES[stem][1]], (-1, 4))
        np.testing.assert_allclose(one.boxes, boxes, atol=1e-3)


def told(read, *args, **options):
    """What a reader returned, None if it refused; and all that it said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = read(*args, **options)
        except AnnotationError as error:
            assert "\n" not in str(error) and str(error).endswith("."), error
            return None, str(error)
    return result, " ".join(str(warning.message) for warning in caught)


def after(build, change):
    """A builder, with a change to what it wrote."""
    return by.named(lambda root: (build(root), change(root)), f"{build.__name__}-{change.__name__}")


def mac(root):
    """What a Mac puts into a folder and a zip: "._" files beside the files and in __MACOSX, and .DS_Store."""
    for file in [file for file in root.rglob("*") if file.is_file()]:
        for folder in (file.parent, root / "__MACOSX" / file.parent.relative_to(root)):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"._{file.name}").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    (root / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")


def packed(root):
    """A zip of it, beside it."""
    shutil.make_archive(str(root.parent / "packed"), "zip", root)


def too_deep(root):
    """Unpacked into a folder of the zip's own name, which it has inside already."""
    root.rename(root.with_name("zip"))
    root.mkdir()
    root.with_name("zip").rename(root / root.name)


def class_2(root):
    put(root / "labels/train/a.txt", "2 0.5 0.5 0.1 0.1\n")


def tracks(root):
    """CVAT's "Ultralytics YOLO Detection Track": a sixth field on the lines of objects that are followed."""
    put(root / "labels/train/a.txt", by.yolo("a") + " 7\n")


def rotated(root):
    """A rotated box in CVAT's COCO: an attribute, and in `bbox` the box as it is before the rotation."""
    file = root / "annotations/instances_default.json"
    put(file, file.read_text(encoding="utf-8").replace('"rotation": 0.0', '"rotation": 30.0', 1))


def elsewhere(name):
    """The pictures in another folder, under these names."""

    def change(root):
        for number, stem in enumerate("abc"):
            picture(root.parent / "photos" / name.format(stem=stem, number=number), stem)

    return by.named(change, name)


TWO, THREE, ALL = {"train": "ab", "val": "c"}, {"train": "ab", "val": "c", "test": "d"}, {"train": "abc"}
THREE_FOLDERS, NO_B = {"train": "ab" + "d", "val": "c"}, {"train": "ac"}
TASK, PROJECT = {"train": "ab", "valid": "c"}, {"Train": "ab", "Validation": "c", "Test": "d"}
DEFAULT, TWICE = {"default": "abc"}, {"Train": "ab", "Validation": "ac"}
PHOTOS, MAIN = {"images": "../photos"}, {"split": "ImageSets/Main/default.txt"}
NO_PICTURES = Refused("picture|photograph|image images")
NAMES_OF_COCO8 = "names:\n  0: cat\n  1: dog"
BARE_CVAT, BARE_VOC = by.cvat_yolo(TASK, pictures=False), by.cvat_voc(DEFAULT, pictures=False)
BARE_STUDIO = by.label_studio("yolo", pictures=False)
MEDIA = "..\\..\\label-studio\\media\\upload\\4\\{}"
LISTED = ("images/train #", "train.txt #")
# What a tool wrote, the paths that a person gives, what comes of it; then options, whose values are paths too.
ROWS = [
    (by.cvat_yolo(TASK), ". obj.data", TWO),
    (by.cvat_yolo(TASK), "train.txt obj_train_data", "ab"),
    (by.cvat_yolo(TASK, "day 1/"), ". obj.data", TWO),
    (by.cvat_yolo(TASK, "day 1/"), "train.txt obj_train_data", "ab"),
    (by.cvat_yolo(TASK, prefix=""), ". obj.data", TWO),
    (by.cvat_yolo(PROJECT), ". obj.data", THREE),
    (by.cvat_yolo(PROJECT), "Validation.txt obj_Validation_data", "c"),
    (BARE_CVAT, ". obj.data train.txt", NO_PICTURES),
    (after(BARE_CVAT, elsewhere("frame_{number:06}.PNG")), ". obj.data", TWO, PHOTOS),
    (by.cvat_ultralytics(TWO), ". data.yaml", TWO),
    (by.cvat_ultralytics(PROJECT), ". data.yaml", THREE),
    (by.cvat_ultralytics(TWO, prefix=""), ". data.yaml", TWO),
    (by.cvat_ultralytics(TWO, prefix="./"), ". data.yaml", TWO),
    (by.cvat_coco(DEFAULT), ". annotations/instances_default.json", ALL),
    (by.cvat_coco(PROJECT), ".", THREE),
    (by.cvat_coco(PROJECT), "annotations/instances_Train.json", "ab"),
    (by.cvat_voc(DEFAULT), ".", ALL),
    (by.cvat_voc(DEFAULT), "Annotations", "abc"),
    (by.cvat_voc(DEFAULT), ".", "abc", MAIN),
    (by.cvat_voc(PROJECT, "day 1/"), ".", THREE),
    (BARE_VOC, ".", NO_PICTURES),
    (after(BARE_VOC, elsewhere("{stem}.png")), ".", ALL, PHOTOS),
    (by.roboflow("yolo"), ". data.yaml", THREE),
    (by.roboflow("yolo"), "train train/images", {"train": "ab"}),
    (by.roboflow("yolo", TASK), ". data.yaml", TWO),
    *[(by.roboflow(kind), ".", THREE) for kind in ("coco", "voc", "darknet", "keras")],
    *[(by.roboflow(kind), "train", "ab") for kind in ("coco", "voc", "darknet", "keras")],
    (by.roboflow("coco"), "train/_annotations.coco.json", "ab"),
    (by.roboflow("keras"), "train/_annotations.txt", "ab"),
    (by.ultralytics(), ". data.yaml", TWO),
    (by.ultralytics(where="yolo/coco8.yaml", data="datasets/coco8"), "yolo/coco8.yaml", TWO),
    (by.ultralytics("../datasets/coco8 #", "/content/data #"), ". data.yaml", TWO),
    (by.ultralytics("path: ../datasets/coco8", ""), ". data.yaml", TWO),
    (by.ultralytics("test: #", "test: images/test #"), ". data.yaml", THREE),
    (by.ultralytics("val:", "validation:"), ". data.yaml", TWO),
    (by.ultralytics(NAMES_OF_COCO8, "names:\n- cat  # small\n- 'dog'"), ". data.yaml", TWO),
    (by.ultralytics(NAMES_OF_COCO8, 'nc: 2\nnames: ["cat",\n  dog]  # two'), ". data.yaml", TWO),
    (by.ultralytics(*LISTED), ". data.yaml", TWO),
    (by.ultralytics("images/train #", "\n  - images/train\n  - images/test #"), ". data.yaml", THREE_FOLDERS),
    (by.ultralytics("images/train #", "[images/train, images/test] #"), ". data.yaml", THREE_FOLDERS),
    (by.ultralytics("# Classes", "nc: 3"), ". data.yaml", Refused("data.yaml nc 3 2")),
    (by.ultralytics("1: dog", "2: dog"), ". data.yaml", Refused("data.yaml names 1")),
    (after(by.ultralytics(), class_2), ". data.yaml", Refused("train/a.txt 2 names")),
    (by.ultralytics("images/val", "images/train"), ". data.yaml", Told("train val a.jpg|images/train")),
    (by.label_studio("yolo"), ".", ALL),
    (BARE_STUDIO, ".", NO_PICTURES),
    (after(BARE_STUDIO, elsewhere("9a1b2c3d-{stem}.png")), ".", ALL, PHOTOS),
    (after(BARE_STUDIO, elsewhere("{stem}.png")), ".", Refused("9a1b2c3d-"), PHOTOS),
    (by.label_studio("coco"), ". result.json", ALL),
    (by.label_studio("coco", file_name="images\\{}"), ". result.json", ALL),
    (by.label_studio("coco", file_name=MEDIA), ". result.json", ALL),
    (by.label_studio("coco", file_name="images\\1/{}"), ".", ALL),
    (by.label_studio("voc"), ".", NO_B),
    (by.label_studio("json"), "tasks.json", Refused("tasks.json YOLO COCO")),
    (by.label_studio("json_min"), "tasks.json", Refused("tasks.json YOLO COCO")),
    (by.labelimg("voc"), ".", NO_B),
    (by.labelimg("yolo"), ".", ALL),
    (by.labelimg("createml"), ". photos.json", Refused("CreateML YOLO")),
    (by.makesense("yolo"), ".", ALL),
    (by.makesense("yolo", names=""), ".", Refused("names classes.txt")),
    (by.makesense("voc"), ".", NO_B),
    (by.makesense("coco"), ". labels_my-project-name_2024-05-06-07-08-09.json", NO_B),
    (by.labelme(), ".", ALL),
    (by.labelme(data=True), ".", ALL),
    (by.labelme(image_path="photos\\{}.jpg", pictures="photos"), ".", ALL),
    *[(by.labelme(shape), ".", Refused(f".json {shape}")) for shape in ("circle", "line", "point")],
    (by.labelme_examples("coco"), ". annotations.json", ALL),
    (by.labelme_examples("voc"), ".", ALL),
    (by.coco2017(), ".", TWO),
    (by.coco2017(), "annotations/instances_val2017.json", "c"),
    (by.coco2017(), "annotations/captions_train2017.json", Refused("captions_train2017.json instances")),
    (by.fiftyone("coco"), ". labels.json", ALL),
    (by.fiftyone("voc"), ".", ALL),
    (by.fiftyone("yolov4"), ". images.txt data", ALL),
    (by.fiftyone("yolov5", TWO), ". dataset.yaml", TWO),
    # Where an export contradicts itself, or has been on another computer.
    (after(by.cvat_ultralytics(TWO), tracks), ".", Refused("train/a.txt 6|six")),
    (after(by.cvat_coco(DEFAULT), rotated), ".", Told("instances_default.json rotated|rotation")),
    (by.cvat_voc(TWICE), ".", Told("a.png|a.xml Train|train Val|val")),
    (after(by.roboflow("yolo"), too_deep), ".", THREE),
    (after(by.coco2017(), too_deep), ".", TWO),
    *[(after(by.roboflow(kind), mac), ".", THREE) for kind in ("yolo", "coco", "voc", "darknet", "keras")],
    (after(by.cvat_yolo(TASK), mac), ".", TWO),
    (after(by.labelimg("yolo"), mac), ".", ALL),
    (after(by.labelme(), mac), ".", ALL),
    (by.ultralytics(*LISTED, line="images\\train\\{stem}.jpg"), "data.yaml", TWO),
    (
        by.ultralytics(*LISTED, line="C:\\me\\data\\images\\train\\{stem}.jpg"),
        "data.yaml",
        TWO,
    ),
    (
        by.ultralytics(*LISTED, line="/home/me/data/images/train/{stem}.jpg"),
        "data.yaml",
        TWO,
    ),
]


@pytest.mark.parametrize(
    ("build", "path", "expected", "options"),
    [
        pytest.param(build, path, expected, *(options or [{}]), id=f"{build.__name__}: {path}")
        for build, paths, expected, *options in ROWS
        for path in paths.split()
    ],
)
def test_what_a_tool_wrote(tmp_path, build, path, expected, options):
    build(tmp_path / "export")
    path = tmp_path / "export" / path
    options = {name: tmp_path / "export" / value for name, value in options.items()}
    one, said = told(read_annotations, path, **options)
    if isinstance(expected, str):
        assert one, said
        return right(*one, expected)
    parts, said = told(read_splits, path, **options)
    if isinstance(expected, Told | Refused):
        assert (one is None, parts is None) == (isinstance(expected, Refused),) * 2, said
        plain = said.replace(str(tmp_path), "").replace(os.sep, "/")
        assert all(any(word in plain for word in words.split("|")) for words in expected.words.split()), said
        return None
    assert parts, said
    assert list(parts[0]) == list(expected)
    for part, stems in expected.items():
        right(parts[0][part], parts[1], stems)
        right(*(read_annotations(path, split=part, **options) if len(expected) > 1 else one), stems)
    return None


NFC, NFD = (unicodedata.normalize(form, "Grüße.jpg") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("format", ["text", "voc", "coco", "yolo"])
@pytest.mark.parametrize(
    ("lies", "said"),
    [("a.JPG", "a.jpg"), ("A.jpg", "a.jpg"), (NFD, NFC), ("my photo.jpg", "my%20photo.jpg"), ("a%20b.jpg", "a b.jpg")],
    ids=["capital suffix", "capital", "NFD", "escaped", "unescaped"],
)
def test_a_name_spelt_otherwise_is_found(tmp_path, format, lies, said):
    picture(tmp_path / ("JPEGImages" if format == "voc" else "images") / lies, "c")
    put(tmp_path / "classes.txt", "cat\ndog\n")
    path = {"text": tmp_path / "train.txt", "coco": tmp_path / "coco.json"}.get(format, tmp_path)
    if format == "text":
        put(path, f"images/{said} 6,9,66,45,1\n")
    elif format == "coco":
        put(path, by.coco({"c": said}))
    elif format == "voc":
        put(tmp_path / "Annotations" / f"{Path(said).stem}.xml", by.voc("c", said))
    else:
        put(tmp_path / "labels" / f"{Path(said).stem}.txt", by.yolo("c"))
    found, message = told(read_annotations, path, class_names=NAMES)
    assert found, message
    right(*found, "c")


@pytest.mark.parametrize(
    ("build", "path", "status"),
    [
        (by.cvat_yolo(TASK), ".", 0),
        (BARE_CVAT, ".", 1),
        (by.roboflow("yolo"), "data.yaml", 0),
        (by.roboflow("coco"), ".", 0),
        (by.ultralytics("# Classes", "nc: 3"), "data.yaml", 1),
        (by.label_studio("json"), "tasks.json", 1),
        (by.labelme(), ".", 0),
        (by.coco2017(), ".", 0),
    ],
)
def test_look_says_whether_a_training_would_start(tmp_path, monkeypatch, build, path, status):
    build(tmp_path / "export")
    monkeypatch.chdir(tmp_path)  # where the picture is written
    assert main(["look", str(tmp_path / "export" / path)]) == status


@pytest.mark.parametrize(
    ("build", "path", "validation", "sizes"),
    [
        (by.coco2017(), ".", [], (2, 1, 0)),
        (by.coco2017(), ".", ["--validation", "annotations/instances_train2017.json"], (2, 2, 0)),
        (by.roboflow("yolo"), "data.yaml", [], (2, 1, 1)),
        (after(by.roboflow("yolo"), packed), "../packed.zip", [], (2, 1, 1)),
        (after(by.roboflow("yolo"), packed), "train", ["--validation", "../packed.zip"], (2, 4, 0)),
    ],
)
def test_the_command_line_uses_the_parts(tmp_path, monkeypatch, capsys, build, path, validation, sizes):
    build(tmp_path / "export")
    given = []
    monkeypatch.setattr("yolo_helpers.commands.train", lambda body, data, *more, **_: given.extend([data, more[2]]))
    monkeypatch.setattr("yolo_helpers.commands.read_weights", lambda *_: None)  # no training, so no best weights
    monkeypatch.setattr("yolo_helpers.commands.judge_test", lambda *_: {"AP50": {"cat": 0.0}})
    monkeypatch.chdir(tmp_path / "export")
    (tmp_path / "run").mkdir()
    main(
        [
            "train",
            "--start",
            "micro",
            "--train",
            path,
            *validation,
            "--folder",
            str(tmp_path / "run"),
            "--input-shape",
            "32",
            "32",
        ]
    )
    assert [len(data.annotations) for data in given] == list(sizes[:2])
    assert not given[1].augment
    counts = "{} photographs to learn from, {} for validation, {} for the test".format(*sizes)
    assert counts in capsys.readouterr().out.splitlines()
