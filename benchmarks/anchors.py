"""Real blood cells: anchors fitted from the original's nine, and from these scaled to the input, one training each.

    YOLO_BCCD=FOLDER python -m benchmarks.anchors [--epochs 60] [--record]

The original's anchors are for an input of 416 x 416. k-means keeps each anchor in its head, so the start decides which
head gets which boxes. All else is as in bccd.py: photographs, micro network from random weights, steps and seed.
`--record` writes data/recorded/anchors.json.
"""

import argparse
import datetime
import os
import platform
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.bccd import INPUT_SHAPE, RECORDED, read_parts, run
from yolo_helpers.anchors import STRIDES, anchor_iou, box_sizes, default_anchor_mask, default_anchors, kmeans_anchors
from yolo_helpers.files import write_json

SIDE = 416  # of the input that the original's anchors are meant for
STARTS = {"as they are": 1.0, "scaled to the input": INPUT_SHAPE[1] / SIDE}


def boxes_of_heads(sizes: np.ndarray, classes: np.ndarray, anchors: np.ndarray, names: list[str]) -> dict:
    """Boxes of each class whose best anchor is in the head of a stride."""
    best = anchor_iou(sizes, anchors).argmax(1)
    return {
        str(stride): dict(zip(names, np.bincount(classes[np.isin(best, mask)], minlength=len(names)).tolist()))
        for stride, mask in zip(STRIDES, default_anchor_mask(len(anchors)), strict=True)
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--photographs", type=int, metavar="N", help="the first N of each part: does the script run?")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    if "YOLO_BCCD" not in os.environ:
        sys.exit("The blood cells are not a part of the course: YOLO_BCCD=FOLDER says where they are, or are fetched.")
    parts, names = read_parts(os.environ["YOLO_BCCD"], options.photographs)
    sizes = box_sizes(parts["train"], INPUT_SHAPE)
    classes = np.concatenate([annotation.classes for annotation in parts["train"]])
    record = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, other programs running beside it",
        "versions": {"python": platform.python_version(), "keras": keras.__version__, "tensorflow": tf.__version__},
        "data": "Shenggan/BCCD_Dataset at commit d272fb14: its own train (205), val (87) and test (72) photographs",
        "command": f"YOLO_BCCD=FOLDER python -m benchmarks.anchors --epochs {options.epochs} --record",
        "runs": {},
    }
    for name, scale in STARTS.items():
        anchors = kmeans_anchors(sizes, default_anchors(3) * scale)
        result = {
            "anchors": anchors.astype(float).round(1).tolist(),
            "mean_best_iou": round(float(anchor_iou(sizes, anchors).max(1).mean()), 3),
            "boxes_of_heads": boxes_of_heads(sizes, classes, anchors, names),
        }
        trained = run(parts, names, options.epochs, pretrained=False, anchors=anchors)
        record["runs"][name] = result | {"minutes": trained["minutes"], "test_AP50": trained["test_AP50"]}
        print(name, record["runs"][name], flush=True)
        if options.record:
            write_json(RECORDED / "anchors.json", record)
