"""data/ is what data/make_smears.py makes, and its four annotation formats say the same."""

import hashlib
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image, features

from yolo_helpers.annotations import get_classes, read_annotations
from yolo_helpers.smear import CLASS_NAMES

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
SOURCES = {"text": "annotations.txt", "voc": "voc", "coco": "coco.json", "yolo": "."}
# Files of data/ that make_smears.py does not write.
OTHERS = ("README.md", "course.png", "make_", "__pycache__", "recorded", "smears.cfg", "smears.weights")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    subprocess.run([sys.executable, "-m", "data.make_smears", folder], cwd=ROOT, check=True)
    return folder


def files(folder):
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    return {name for name in found if not name.startswith(OTHERS)}


def test_the_program_writes_every_file(made):
    assert files(made) == files(DATA)
    assert len(files(made)) > 20


def test_text_files_come_out_byte_for_byte(made):
    for name in files(made):
        if not name.endswith(".png"):
            assert (made / name).read_bytes() == (DATA / name).read_bytes(), name


def test_pictures_come_out_pixel_for_pixel(made):
    names = [name for name in files(made) if name.endswith(".png")]
    assert len(names) == 8
    for name in names:
        assert (np.asarray(Image.open(made / name)) == np.asarray(Image.open(DATA / name))).all(), name


def test_pictures_come_out_byte_for_byte(made):
    here = PIL.__version__, features.version("zlib_ng"), platform.machine()
    if here != ("11.3.0", "2.2.4", "x86_64"):
        pytest.skip(f"another zlib packs PNG files into other bytes: this is Pillow, zlib-ng, processor {here}")
    for name in files(made):
        assert (made / name).read_bytes() == (DATA / name).read_bytes(), name


def test_the_pictures_take_a_few_hundred_kilobytes():
    assert sum(path.stat().st_size for path in DATA.rglob("smears/**/*") if path.is_file()) < 600_000


@pytest.mark.parametrize("format", SOURCES)
@pytest.mark.parametrize("given", [True, False], ids=["format given", "format recognised"])
def test_all_formats_say_the_same(format, given):
    expected, _ = read_annotations(DATA / "smears" / "annotations.txt", "text", CLASS_NAMES)
    found, names = read_annotations(DATA / "smears" / SOURCES[format], format if given else None)
    assert names == list(CLASS_NAMES)
    assert [a.image_path for a in found] == [a.image_path for a in expected]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.boxes, b.boxes, rtol=0, atol=1e-4)
        assert (a.classes == b.classes).all()
        assert a.boxes.dtype == np.float32 and a.classes.dtype == np.int64
    assert sum(len(a.boxes) for a in found) == 132
    assert set(np.concatenate([a.classes for a in found])) == {0, 1, 2}


def test_class_lists():
    assert get_classes(DATA / "smear_classes.txt") == list(CLASS_NAMES)
    voc, coco = get_classes(DATA / "voc_classes.txt"), get_classes(DATA / "coco_classes.txt")
    assert (len(voc), voc[0], voc[-1]) == (20, "aeroplane", "tvmonitor")
    assert (len(coco), coco[0], coco[16], coco[-1]) == (80, "person", "dog", "toothbrush")


def test_anchors():
    def read(name):
        return [float(number) for number in (DATA / name).read_text(encoding="utf-8").split(",")]

    assert read("yolo_anchors.txt") == [10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326]
    assert read("tiny_yolo_anchors.txt") == [10, 14, 23, 27, 37, 58, 81, 82, 135, 169, 344, 319]


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("coco", "33c77761e124cc74911346865e3bc1219b87c2db7d0f106e3376bf5ef3785933"),
        ("voc", "7d877f185c807bc51b4cfb4f4202fc0b4e1c6724b782ba245fe36f8d254f0ad7"),
    ],
    ids=["coco", "voc"],
)
def test_class_lists_are_darknets(name, sha256):
    """By the digest of the names in darknet's own list."""
    names = get_classes(DATA / f"{name}_classes.txt")
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == sha256
