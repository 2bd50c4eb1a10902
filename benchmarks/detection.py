"""Detection from JPEG files to boxes: a folder and one photograph, beside the network alone, and where the rest goes.

    python -m benchmarks.detection [--photographs 32] [--repeats 5] [--fastest yolo-fastest-1.1.cfg]

Photographs of 640 x 480 pixels (generated smears, stored as JPEG) go through `detect`, in batches of 8. The yardstick
is the network alone, on batches that are ready: nothing is faster with this network. The parts are measured on one
thread, while `detect` reads photographs as the network looks at those before.

The weights are random, which costs the same time. But a random network is equally unsure everywhere, so its outputs are
spread as a trained one's are, and the threshold is the one that lets 60 boxes of a photograph pass to suppression.
The full network, YOLOv3 itself, looks at a quarter of the photographs.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from benchmarks.dataset import write_photographs
from benchmarks.table import Row, run
from yolo_helpers.anchors import Heads, default_anchors
from yolo_helpers.boxes import letterbox
from yolo_helpers.darknet import build_body, read_cfg
from yolo_helpers.detection import detect, suppress, yolo_eval
from yolo_helpers.images import open_image, place
from yolo_helpers.model import BODIES, inference_model, output_convolutions, yolo_head

PHOTOGRAPH, BATCH, CLASSES, CANDIDATES = (480, 640), 8, 80, 60
SHAPES = {"micro": (192, 256), "tiny": (416, 416), "yolo": (416, 416)}
MOST, IOU = 100, 0.45  # boxes of a class, and their overlap, as `detect` has them


def networks(fastest: str) -> Iterator[tuple[str, keras.Model, Heads]]:
    """The bodies by name, smallest first."""
    for name, shape in SHAPES.items():
        body = BODIES[name](keras.Input((*shape, 3)), 3, CLASSES)
        yield name, body, Heads(shape, default_anchors(len(body.outputs)), CLASSES)
        if name == "micro" and fastest:
            yield Path(fastest).stem, build_body(fastest), read_cfg(fastest)
        elif name == "micro":
            print("Yolo-Fastest is left out: give its cfg as --fastest.", file=sys.stderr)


def spread_outputs(body: keras.Model, images: np.ndarray) -> None:
    """Scales the output convolutions so that raw outputs deviate by 1 from their bias."""
    for convolution, head in zip(output_convolutions(body), body.predict_on_batch(images / np.float32(255))):
        kernel, bias = convolution.get_weights()
        convolution.set_weights([kernel / (head - bias).std(), bias])


def threshold_of(outputs: list[np.ndarray], heads: Heads) -> float:
    """The score that so many boxes of these photographs reach as are wanted."""
    scores = []
    for head, mask in zip(outputs, heads.anchor_mask, strict=True):
        _, _, confidence, probability = yolo_head(head, heads.anchors[mask], heads.num_classes, heads.input_shape)
        scores.append(np.asarray(confidence * probability).ravel())
    wanted = CANDIDATES * len(outputs[0])
    return float(np.partition(np.concatenate(scores), -wanted)[-wanted])


def lines(name: str, body: keras.Model, heads: Heads, paths: list[Path], repeats: int) -> Iterator[Row]:
    """The lines of one network."""
    placement, detector = letterbox(PHOTOGRAPH, heads.input_shape), inference_model(body, heads.input_shape)
    opened = [open_image(path) for path in paths]
    batch = np.stack([place(photo, placement, heads.input_shape) for photo in opened])
    spread_outputs(body, batch[:BATCH])
    parts = [detector.predict_on_batch(batch[start : start + BATCH]) for start in range(0, len(paths), BATCH)]
    outputs = [np.concatenate(head) for head in zip(*parts, strict=True)]
    threshold = threshold_of(outputs, heads)

    def boxes_of(most, iou):
        settings = most, threshold, iou, heads.anchor_mask
        return [
            yolo_eval([head[i : i + 1] for head in outputs], heads.anchors, heads.num_classes, PHOTOGRAPH, *settings)
            for i in range(len(paths))
        ]

    candidates = [
        (found.boxes[found.classes == c], found.scores[found.classes == c])
        for found in boxes_of(10**6, 1)  # nothing is suppressed
        for c in np.unique(found.classes)
    ]
    ways = {
        "folder": lambda: detect(detector, paths, heads, threshold, batch_size=BATCH),
        "network": lambda: [detector.predict_on_batch(batch[i : i + BATCH]) for i in range(0, len(paths), BATCH)],
        "one": lambda: detect(detector, paths[:1], heads, threshold),
        "network, one": lambda: detector.predict_on_batch(batch[:1]),
        "opening the JPEG": lambda: [open_image(path) for path in paths],
        "letterboxing": lambda: [np.asarray(place(photo, placement, heads.input_shape)) for photo in opened],
        "decoding and suppression": lambda: boxes_of(MOST, IOU),
        "suppression alone": lambda: [suppress(*of_class, MOST, IOU) for of_class in candidates],
    }
    seconds = {way: [] for way in ways}
    for _ in range(repeats + 1):
        for way, do in ways.items():
            start = time.perf_counter()
            do()
            seconds[way].append(time.perf_counter() - start)
    folder, network, one, network_one, *rest = (np.array(values[1:]) for values in seconds.values())  # the first traces
    what = f"{name} body, {heads.input_shape[0]} x {heads.input_shape[1]}"
    yield Row(f"{what}: a folder of {len(paths)}", "images/s", len(paths) / folder, len(paths) / network)
    yield Row(f"{what}: one photograph", "ms", 1000 * one, 1000 * network_one)
    for part, values in zip(list(ways)[4:], rest, strict=True):
        yield Row(f"{what}, of a photograph: {part}", "ms", 1000 * values / len(paths), 1000 * network / len(paths))


def measure(photographs: int = 32, repeats: int = 5, fastest: str = "") -> Iterator[Row]:
    """The lines of the table."""
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [annotation.image_path for annotation in write_photographs(Path(folder), photographs)]
        for name, body, heads in networks(fastest):
            yield from lines(name, body, heads, paths[: photographs // 4] if name == "yolo" else paths, repeats)


if __name__ == "__main__":
    run(measure, __doc__)
