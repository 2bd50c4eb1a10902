"""Draw README.md's picture, data/course.png: what a trained detector finds, and the graph that it was trained with.

    python -m data.make_picture [FILE]

It trains the miniature network on generated smears for about a minute. The picture is not the same byte for byte on
every machine, since training rounds differently from one processor to another.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from yolo_helpers.anchors import DATA, Heads, box_sizes, get_anchors, kmeans_anchors
from yolo_helpers.annotations import read_annotations
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.detection import Detections, detect
from yolo_helpers.graph import show_graph
from yolo_helpers.loss import identity_loss
from yolo_helpers.model import inference_model, micro_yolo_body
from yolo_helpers.plots import show_boxes
from yolo_helpers.smear import CLASS_NAMES, draw_smear, write_smears
from yolo_helpers.training_model import create_model

INPUT_SHAPE = (96, 128)  # small, so that training is short
SHOWN_SHAPE = (288, 384)  # the same kind of picture, drawn larger: the network is shown it scaled down
EPOCHS = 16


def train_detector(pictures: int, epochs: int) -> tuple[keras.Model, np.ndarray]:
    """Train the miniature network on generated smears.

    Args:
        pictures: how many to draw.
        epochs: how often to go through them.

    Returns:
        The inference model, and its heads.
    """
    keras.utils.set_random_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        photographs, _ = read_annotations(write_smears(folder, pictures, INPUT_SHAPE, seed=1))
        anchors = kmeans_anchors(box_sizes(photographs, INPUT_SHAPE), get_anchors(DATA / "yolo_anchors.txt"))
        heads = Heads(INPUT_SHAPE, anchors, len(CLASS_NAMES))
        data = YoloDataset(photographs, heads)
        body = micro_yolo_body(keras.Input((*INPUT_SHAPE, 3)), 3, len(CLASS_NAMES))
        model = create_model(body, INPUT_SHAPE, anchors, len(CLASS_NAMES))
        schedule = keras.optimizers.schedules.CosineDecay(5e-3, epochs * len(data), alpha=0.01)
        model.compile(optimizer=keras.optimizers.Adam(schedule), loss={"yolo_loss": identity_loss})
        model.fit(data, epochs=epochs, shuffle=False, verbose=1 if sys.stdout.isatty() else 2)
    return inference_model(body, INPUT_SHAPE), heads


def draw_picture(image: np.ndarray, found: Detections, path: Path) -> None:
    """Write the picture as a PNG file.

    Args:
        image: (h, w, 3) uint8, a smear.
        found: what the detector says about it.
        path: the file.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 3.8), dpi=80, width_ratios=(1, 2.4), layout="constrained")
    show_boxes(image, *found[::2], CLASS_NAMES, ax=left, title="an unseen smear, and what the detector finds")
    show_graph("training", mark=["yolo_loss"], ax=right, title="the graph it was trained with")
    beside = path.with_name(f".{path.name}.part")
    figure.savefig(beside, format="png", metadata={"Software": None})
    os.replace(beside, path)


def main() -> None:
    """Train, detect and draw; the file's name may be given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=DATA / "course.png")
    path = parser.parse_args().file
    detector, heads = train_detector(pictures=240, epochs=EPOCHS)
    image = draw_smear(np.random.default_rng(6), SHOWN_SHAPE)[0]
    (found,) = detect(detector, [Image.fromarray(image)], heads, score_threshold=0.5)
    draw_picture(image, found, path)
    print(f"wrote {path.name}: {len(found.boxes)} boxes, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
