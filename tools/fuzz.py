"""Feeds a reader with files that atheris invents, up to the first that is neither read nor refused in a sentence.

PYTHONPATH=COURSE python -m tools.fuzz READER [--seconds 600]

Atheris changes files at random and keeps those that reach new lines of the package. It is no part of the course's
environment; CONTRIBUTING.md says how to install it into one of its own. What it found once is kept as a test: see
test_darknet.py and test_bad_input.py. A finding lies in the current folder, as crash-…, timeout-… or oom-….
"""

import argparse
import json
import os
import random
import re
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import atheris
import numpy as np
from PIL import Image

with atheris.instrument_imports(include=["yolo_helpers"]):
    from data.make_smears import coco_json, text_lines, voc_xml, yolo_label
    from yolo_helpers.annotations import AnnotationError, read_annotations
    from yolo_helpers.darknet import build_body, load_weights, save_weights

# A network of few numbers, and one of each kind of section.
CFG = """[net]
width=32
height=32
[convolutional]
filters=6
size=3
stride=8
pad=1
batch_normalize=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=6
size=1
activation=linear
[shortcut]
from=-2
[maxpool]
size=2
stride=2
[convolutional]
filters=6
size=1
activation=linear
[yolo]
mask=0
anchors=1,2, 3,4
classes=1
[route]
layers=-3
[upsample]
stride=2
[route]
layers=-1,1
groups=2
group_id=1
[shortcut]
from=1
[convolutional]
filters=6
size=1
activation=linear
[yolo]
mask=1
anchors=1,2, 3,4
classes=1
"""
# What stands in the files of each format: atheris puts whole words in, which it would take long to spell.
WORDS = {
    "text": ["a.png", "b.png", " ", ",", "nan", "1e9", "-1", "\r\n", "\xef\xbb\xbf"],
    "voc": ["<annotation>", "</annotation>", "<object>", "</object>", "<name>", "</name>", "<bndbox>", "</bndbox>"]
    + ["<xmin>", "</xmin>", "<filename>", "</filename>", "a.png", "b.png", "<![CDATA[", "]]>", "<!--", "&#0;", "<?xml"],
    "coco": ['"images"', '"annotations"', '"categories"', '"id"', '"file_name"', '"name"', '"image_id"', '"bbox"']
    + ['"category_id"', '"iscrowd"', '"a.png"', '"b.png"', "NaN", "1e999", "null", "true", '"\\ud800"', "[", "{"],
    "labelme": ['"shapes"', '"label"', '"shape_type"', '"rectangle"', '"polygon"', '"points"', '"imagePath"', '"a.png"']
    + ['"imageWidth"', '"imageHeight"', "NaN", "1e999", "null", '"\\ud800"', "[", "{"],
    "yaml": [
        "train:",
        "val:",
        "test:",
        "names:",
        "nc:",
        "path:",
        "images",
        "labels",
        "- ",
        "{",
        "[",
        "0: ",
        "!!python",
        "&a",
    ]
    + ["*a", "2001-99-99", "null", "~", "|", "#", "..", "\r\n"],
    "data": ["train", "valid", "names", "classes", "=", "list.txt", "obj.names", "data/", "..", "\r\n"],
    "yolo": ["0 0.5 0.5 0.1 0.1", "nan", "-1", "1e9", "\r\n", " ", "."],
    "cfg": ["[net]", "[convolutional]", "[maxpool]", "[route]", "[shortcut]", "[upsample]", "[yolo]", "width=", "from="]
    + ["height=", "channels=", "filters=", "size=", "stride=", "pad=", "batch_normalize=", "activation=", "layers="]
    + ["leaky", "linear", "mask=", "anchors=", "classes=", "nan", "inf", "-1", "999999999", ",", "groups=", "group_id="]
    + ["padding=", "num=", "scale_x_y=", "[region]", "mish", "#", "\r\n", "\0"],
    "weights": ["\0\0\0\0", "\1\0\0\0", "\2\0\0\0", "\xff\xff\xff\xff", "\0\0\xc0\x7f", "\0\0\x80\xff"]
    + ["<html>", "<!DOCTYPE", "version https://git-lfs", "PK\3\4", "data.pkl", "\x89HDF", '{"', "404: ", "[net]"],
}


NUMBERS = [b"0", b"-1", b"1", b"2", b"3", b"7", b"64", b"1e9", b"999999999", b"nan", b"inf", b"9" * 400, b"0.5", b"x"]


def change(content: bytes, most: int, seed: int) -> bytes:
    """A file with one change: a number, a line, or whatever atheris finds worth trying."""
    rng = random.Random(seed)
    lines, numbers = content.split(b"\n"), list(re.finditer(rb"\d+(?:\.\d+)?", content))
    kind = rng.choice(["number", "copy", "remove", "any"])
    if kind == "number" and numbers:
        start, end = rng.choice(numbers).span()
        content = content[:start] + rng.choice(NUMBERS) + content[end:]
    elif kind in ("copy", "remove"):
        at = rng.randrange(len(lines))
        lines[at : at + 1] = [lines[at], rng.choice(lines)] if kind == "copy" else []
        content = b"\n".join(lines)
    else:
        content = atheris.Mutate(content, most)
    return content[:most]


def annotation_reader(format: str, folder: Path) -> tuple[bytes, Callable[[bytes], None]]:
    """The file to begin with, and a function that reads one as the annotations of two photographs."""
    (folder / "images").mkdir()
    entries = [("a.png", (80, 100), [[1, 2, 30, 40], [50, 60, 100, 80]], [0, 1]), ("b.png", (80, 100), [], [])]
    for name, *_ in entries:
        Image.new("RGB", (100, 80)).save(folder / "images" / name)
    (folder / "classes.txt").write_text("cat\ndog\n", encoding="utf-8")
    name, seed = {
        "text": ("annotations.txt", text_lines(entries, "images/")),
        "voc": ("voc/a.xml", voc_xml(entries[0], ["cat", "dog"])),
        "coco": ("coco.json", coco_json(entries, ["cat", "dog"])),
        "yolo": ("labels/a.txt", yolo_label(entries[0])),
        "labelme": ("labelme/a.json", labelme_json(entries[0])),
        "yaml": ("data.yaml", "path: .\ntrain: images\nval: list.txt\nnc: 2\nnames:\n  0: cat\n  1: dog\n"),
        "data": ("obj.data", "classes = 2\ntrain = data/list.txt\nvalid = list.txt\nnames = obj.names\n"),
    }[format]
    if format in ("yaml", "data"):
        (folder / "labels").mkdir()
        (folder / "labels" / "a.txt").write_text(yolo_label(entries[0]), encoding="utf-8")
        (folder / "list.txt").write_text("images/a.png\n", encoding="utf-8")
        (folder / "obj.names").write_text("cat\ndog\n", encoding="utf-8")
    path = folder / name
    path.parent.mkdir(exist_ok=True)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            place = {"voc": path.parent, "labelme": path.parent, "yolo": folder}.get(format, path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # what is doubtful is said, and read
                found, names = read_annotations(place)
        except (AnnotationError, OSError) as error:  # a folder of the system that the file names may not be readable
            assert "\n" not in str(error) and len(str(error)) < 2000
            return
        "".join(names).encode()  # no half characters
        for annotation in found:
            low, high = annotation.boxes[:, :2], annotation.boxes[:, 2:]
            assert np.isfinite(high).all() and (high > low).all() and (low >= 0).all()
            assert ((annotation.classes >= 0) & (annotation.classes < len(names))).all()

    return seed.encode(), read


def labelme_json(entry: tuple) -> str:
    """labelme's form of one image."""
    name, (height, width), boxes, classes = entry
    shapes = [
        {"label": ["cat", "dog"][number], "points": [box[:2], box[2:]], "shape_type": "rectangle"}
        for box, number in zip(boxes, classes, strict=True)
    ]
    return json.dumps({"shapes": shapes, "imagePath": name, "imageHeight": height, "imageWidth": width})


def darknet_reader(kind: str, folder: Path) -> tuple[bytes, Callable[[bytes], None]]:
    """The file to begin with, and a function that reads one as darknet's cfg, or as weights for CFG."""
    cfg, weights = folder / "net.cfg", folder / "net.weights"
    cfg.write_text(CFG, encoding="utf-8")
    body = build_body(cfg)
    save_weights(body, weights)
    path = cfg if kind == "cfg" else weights
    seed = path.read_bytes()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            if kind == "cfg":
                build_body(path)
            else:
                load_weights(body, path)
        except ValueError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error) and len(str(error)) < 2000

    return seed, read


def main() -> None:
    """Runs until something is found or the time is up; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=WORDS)
    parser.add_argument("--seconds", type=int, default=600, help="(default: %(default)s)")
    options = parser.parse_args()
    warnings.simplefilter("error", RuntimeWarning)  # an overflow is a finding, too
    with tempfile.TemporaryDirectory() as made:
        folder, corpus = Path(made) / "data", Path(made) / "corpus"
        folder.mkdir(), corpus.mkdir()
        make = darknet_reader if options.reader in ("cfg", "weights") else annotation_reader
        seed, read = make(options.reader, folder)
        (corpus / "seed").write_bytes(seed)
        words = (word.encode("latin-1") for word in WORDS[options.reader])
        lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in words]
        (Path(made) / "words").write_text("\n".join(lines), encoding="ascii")
        limits = [f"-max_total_time={options.seconds}", "-timeout=20", "-rss_limit_mb=4096", "-max_len=4096"]
        atheris.Setup(
            [sys.argv[0], *limits, f"-dict={made}/words", "-print_final_stats=1", str(corpus)],
            read,
            custom_mutator=change,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
