"""Photographs a second from JPEG files to batches, ours beside keras-yolo3's generator, on this machine in one run.

    python -m benchmarks.dataset [--photographs 96] [--repeats 7] [--workers 2]

Photographs of 640 x 480 pixels (generated smears, stored as JPEG) become batches of 16 at 416 x 416: decoded, resized
and moved at random, mirrored, coloured, and their boxes made into targets for 80 classes. The yardstick does what
keras-yolo3 (commit e6598d1) does for each photograph, in our own words: the whole photograph resized with the bicubic
filter to 0.25 to 2 times the input, then hue, saturation and brightness as decimal numbers, by Matplotlib's
`rgb_to_hsv` and `hsv_to_rgb`; one thread, as its `fit_generator` has it. Ours is `YoloDataset` with `augment=True`. All
take turns. The floor is decoding alone, on one thread.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from PIL import Image

from benchmarks.table import Row, run
from yolo_helpers.anchors import Heads, default_anchors
from yolo_helpers.annotations import Annotation
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.images import GREY, open_image
from yolo_helpers.smear import draw_smear
from yolo_helpers.targets import preprocess_true_boxes

SHAPE, CLASSES, BATCH = (416, 416), 80, 16


def write_photographs(folder: Path, count: int) -> list[Annotation]:
    """Smears of 640 x 480 pixels as JPEG files, and their boxes."""
    annotations = []
    for i in range(count):
        pixels, boxes, classes = draw_smear(np.random.default_rng(i), (480, 640))
        Image.fromarray(pixels).save(folder / f"{i}.jpg", quality=90)
        annotations.append(Annotation(folder / f"{i}.jpg", np.asarray(boxes, np.float32), np.asarray(classes)))
    return annotations


def original_sample(annotation: Annotation, rng: np.random.Generator):
    """One photograph in keras-yolo3's way: (h, w, 3) from 0 to 1, and its boxes (N, 5)."""
    image = Image.open(annotation.image_path)
    height, width = SHAPE
    aspect = width / height * rng.uniform(0.7, 1.3) / rng.uniform(0.7, 1.3)
    scale = rng.uniform(0.25, 2)
    size = (scale * width, scale * width / aspect) if aspect >= 1 else (scale * height * aspect, scale * height)
    size = tuple(max(1, int(side)) for side in size)
    resized = image.resize(size, Image.Resampling.BICUBIC)
    offset = [int(rng.random() * (full - side)) for full, side in zip((width, height), size, strict=True)]
    canvas = Image.new("RGB", (width, height), GREY)
    canvas.paste(resized, tuple(offset))
    flip = rng.random() < 0.5
    if flip:
        canvas = canvas.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    hsv = rgb_to_hsv(np.asarray(canvas) / 255.0)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-0.1, 0.1)) % 1
    for channel in (1, 2):
        factor = rng.uniform(1, 1.5)
        hsv[..., channel] *= factor if rng.random() < 0.5 else 1 / factor
    pixels = hsv_to_rgb(np.clip(hsv, 0, 1))

    boxes = annotation.boxes * np.tile(np.array(size) / image.size, 2) + np.tile(offset, 2)
    if flip:
        boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    boxes = np.clip(boxes, 0, [width, height, width, height])
    visible = (boxes[:, 2:] - boxes[:, :2] > 1).all(1)
    return pixels, np.column_stack([boxes, annotation.classes])[visible]


def check_original(annotation: Annotation) -> None:
    """Raises unless the boxes of `original_sample` lie on its cells, which are redder than what surrounds them."""
    rng = np.random.default_rng(0)
    for _ in range(4):
        pixels, boxes = original_sample(annotation, rng)
        inside = np.zeros(SHAPE, bool)
        for x0, y0, x1, y1 in boxes[:, :4].astype(int):
            inside[y0:y1, x0:x1] = True
        redness = pixels.max(-1) - pixels.min(-1)
        if not redness[inside].mean() > 1.5 * redness[~inside].mean():
            raise AssertionError("The yardstick moves boxes otherwise than pixels: nothing is timed.")


def original_batches(annotations: list[Annotation]):
    """An epoch of keras-yolo3's generator, on one thread. Its loop over boxes is ours: it costs the original more."""
    rng = np.random.default_rng(0)
    for start in range(0, len(annotations), BATCH):
        images, boxes = zip(*(original_sample(a, rng) for a in annotations[start : start + BATCH]), strict=True)
        padded = np.zeros((len(boxes), max(map(len, boxes)), 5))
        for row, found in zip(padded, boxes, strict=True):
            row[: len(found)] = found
        yield [np.array(images), *preprocess_true_boxes(padded, SHAPE, default_anchors(3), CLASSES)]


def our_batches(annotations: list[Annotation], targets: str, workers: int):
    """An epoch of `YoloDataset`, on as many threads as Keras would be told to use."""
    data = YoloDataset(annotations, Heads(SHAPE, default_anchors(3), CLASSES), BATCH, augment=True, targets=targets)
    if workers == 1:
        return map(data.__getitem__, range(len(data)))
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(data.__getitem__, range(len(data))))


def rate(batches, count: int) -> float:
    """Photographs a second over one epoch."""
    start = time.perf_counter()
    for _ in batches():
        pass
    return count / (time.perf_counter() - start)


def measure(photographs: int = 96, repeats: int = 7, workers: int = 2) -> Iterator[Row]:
    """The lines of the table, as they are measured."""
    with tempfile.TemporaryDirectory() as folder:
        annotations = write_photographs(Path(folder), photographs)
        check_original(annotations[0])
        ways = {
            "original": lambda: original_batches(annotations),
            "grids, 1 thread": lambda: our_batches(annotations, "y_true", 1),
            f"grids, {workers} threads": lambda: our_batches(annotations, "y_true", workers),
            "boxes, 1 thread": lambda: our_batches(annotations, "boxes", 1),
            f"boxes, {workers} threads": lambda: our_batches(annotations, "boxes", workers),
            "floor": lambda: (open_image(a.image_path) for a in annotations),
        }
        rates = [[rate(way, photographs) for way in ways.values()] for _ in range(repeats + 1)]
    original, *ours, most = np.array(rates[1:]).T  # the first round fills caches
    for name, values in zip(list(ways)[1:-1], ours, strict=True):
        yield Row(f"photographs from JPEG to batches: {name}", "images/s", values, original, most)


if __name__ == "__main__":
    run(measure, __doc__)
