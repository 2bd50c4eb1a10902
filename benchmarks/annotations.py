"""Reading a data set's annotations, all checks included, beside what no reader can save.

    python -m benchmarks.annotations [--photographs 5000] [--boxes 10] [--turns 5]

Yardstick: the files of the format parsed (json, ElementTree, or split and float) and the header of every photograph
opened by Pillow, and nothing else. Floor: the headers alone. Each turn does all of it once, one after another, so that
the files are in the system's memory; a mounted drive is slower by what it takes to open a file.
"""

import functools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from benchmarks.table import Row, run
from data.make_smears import coco_json, text_lines, voc_xml, yolo_label
from yolo_helpers.annotations import read_annotations

NAMES = ["cat", "dog", "bird"]
SIZE = (120, 160)


def write(folder: Path, photographs: int, boxes: int) -> dict[str, Path]:
    """A data set in each format, and the path of each."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    Image.effect_noise(SIZE[::-1], 50).convert("RGB").save(folder / "one.jpg")
    photograph = (folder / "one.jpg").read_bytes()
    entries = []
    for number in range(photographs):
        corners = rng.integers(0, 60, (boxes, 2))
        found = np.hstack([corners, corners + rng.integers(5, 60, (boxes, 2))]).tolist()
        entries.append((f"{number:05d}.jpg", SIZE, found, rng.integers(0, 3, boxes).tolist()))
        (folder / "images" / entries[-1][0]).write_bytes(photograph)
    for name in ("voc", "labels", "labelme"):
        (folder / name).mkdir()
    for entry in entries:
        stem = Path(entry[0]).stem
        (folder / "voc" / f"{stem}.xml").write_text(voc_xml(entry, NAMES), encoding="utf-8")
        (folder / "labels" / f"{stem}.txt").write_text(yolo_label(entry), encoding="utf-8")
        (folder / "labelme" / f"{stem}.json").write_text(labelme_json(entry), encoding="utf-8")
    (folder / "classes.txt").write_text("\n".join(NAMES), encoding="utf-8")
    (folder / "annotations.txt").write_text(text_lines(entries, "images/"), encoding="utf-8")
    (folder / "coco.json").write_text(coco_json(entries, NAMES), encoding="utf-8")
    paths = {"text": "annotations.txt", "voc": "voc", "coco": "coco.json", "yolo": ".", "labelme": "labelme"}
    return {format: folder / path for format, path in paths.items()}


def labelme_json(entry) -> str:
    """labelme's form of one image."""
    name, (height, width), boxes, classes = entry
    shapes = [
        {"label": NAMES[number], "points": [box[:2], box[2:]], "shape_type": "rectangle"}
        for box, number in zip(boxes, classes, strict=True)
    ]
    content = {"shapes": shapes, "imagePath": f"../images/{name}", "imageHeight": height, "imageWidth": width}
    return json.dumps(content)


def parse(format: str, path: Path) -> None:
    """The files of a format, taken apart by the standard library."""
    if format == "text":
        for line in path.read_text(encoding="utf-8").splitlines():
            [[float(number) for number in box.split(",")] for box in line.split()[1:]]
    elif format == "yolo":
        for file in (path / "labels").iterdir():
            text = file.read_text(encoding="utf-8")
            [[float(number) for number in line.split()] for line in text.splitlines()]
    elif format == "coco":
        json.loads(path.read_text(encoding="utf-8"))
    else:
        for file in path.iterdir():
            text = file.read_text(encoding="utf-8")
            ElementTree.fromstring(text) if format == "voc" else json.loads(text)


def headers(folder: Path) -> None:
    """The size of every photograph."""
    for path in folder.iterdir():
        with Image.open(path) as image:
            _ = image.size


def milliseconds(what: Callable[[], object]) -> float:
    begun = time.perf_counter()
    what()
    return 1000 * (time.perf_counter() - begun)


def measure(photographs: int = 5000, boxes: int = 10, turns: int = 5) -> Iterator[Row]:
    """The lines of the table: one a format.

    Args:
        photographs: how many.
        boxes: on each.
        turns: samples of each figure.
    """
    with tempfile.TemporaryDirectory() as made:
        for format, path in write(Path(made), photographs, boxes).items():
            samples = []
            for _ in range(turns):
                opened = milliseconds(functools.partial(headers, Path(made, "images")))
                parsed = milliseconds(functools.partial(parse, format, path))
                samples.append(
                    (milliseconds(functools.partial(read_annotations, path, format)), parsed + opened, opened)
                )
            yield Row(f"{photographs} photographs, {format}", "ms", *np.array(samples).T)


if __name__ == "__main__":
    run(measure, __doc__)
