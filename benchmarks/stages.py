"""Two stages against all layers at once, at equal learning rates: generated smears of another microscope.

    python -m benchmarks.stages [--record]

The micro network with the weights of data/smears.weights, all but its heads, learns from 56 smears with a greener lamp.
Either its heads alone for a quarter of the epochs and then all layers, or all layers from the first step. Number of
epochs, learning rate (the highest; each stage lowers its own by a cosine), photographs and seed are the same. AP50 with
the last weights on 24 other smears; and the seconds that a step takes, frozen and not. `--record` writes
data/recorded/stages.json.
"""

import argparse
import datetime
import os
import platform
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from yolo_helpers.anchors import DATA, Heads, box_sizes, default_anchors, kmeans_anchors
from yolo_helpers.annotations import read_annotations, split_annotations
from yolo_helpers.darknet import load_weights
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.evaluation import evaluate
from yolo_helpers.files import write_json
from yolo_helpers.loss import identity_loss
from yolo_helpers.model import inference_model, micro_yolo_body
from yolo_helpers.smear import GREEN_LAMP, write_smears
from yolo_helpers.training import Stage, freeze, train
from yolo_helpers.training_model import create_model

SHAPE, FROZEN, EPOCHS = (192, 256), 4, 16
RATES, SEEDS = (1e-3, 3e-3, 1e-2), (0, 1)


def ways(rate: float) -> dict[str, list[Stage]]:
    """The stages of each way at a learning rate."""
    return {
        "frozen first": [Stage(FROZEN, rate, frozen=True), Stage(EPOCHS - FROZEN, rate)],
        "all at once": [Stage(EPOCHS, rate)],
    }


def run(learn: list, others: list, names: list[str], stages: list[Stage], seed: int) -> float:
    """AP50 on the others, a mean over the classes, after one training."""
    anchors = kmeans_anchors(box_sizes(learn, SHAPE), default_anchors(3))
    heads = Heads(SHAPE, anchors, len(names))
    keras.utils.set_random_seed(seed)
    body = micro_yolo_body(keras.Input((*SHAPE, 3)), 3, len(names))
    load_weights(body, DATA / "smears.weights", but_heads=True)
    data = YoloDataset(learn, heads, batch_size=8, augment=True, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        train(body, data, stages, folder, class_names=names, verbose=0)
    return evaluate(inference_model(body, SHAPE), others, heads, names)["AP50"]["mean"]


def seconds_a_step(learn: list, names: list[str], frozen: bool, steps: int = 30) -> float:
    """The quickest of some steps of eight photographs."""
    heads = Heads(SHAPE, default_anchors(3), len(names))
    body = micro_yolo_body(keras.Input((*SHAPE, 3)), 3, len(names))
    freeze(body, frozen)
    model = create_model(body, SHAPE, heads.anchors, len(names))
    model.compile("adam", loss={"yolo_loss": identity_loss})
    batch, taken = YoloDataset(learn, heads, batch_size=8)[0], []
    for _ in range(steps):
        begun = time.perf_counter()
        model.train_on_batch(*batch)
        taken.append(time.perf_counter() - begun)
    return min(taken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        photographs, names = read_annotations(write_smears(Path(folder), 80, seed=11, lamp=GREEN_LAMP))
        learn, others = split_annotations(photographs, 0.3, seed=1)
        seconds = {name: seconds_a_step(learn, names, frozen) for name, frozen in (("frozen", True), ("all", False))}
        print(seconds, flush=True)
        for seed in SEEDS:
            for rate in RATES:
                for way, stages in ways(rate).items():
                    keras.backend.clear_session()
                    ap50 = run(learn, others, names, stages, seed)
                    runs.append({"way": way, "learning_rate": rate, "seed": seed, "AP50": round(ap50, 3)})
                    print(runs[-1], flush=True)
    if options.record:
        record = {
            "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {"python": platform.python_version(), "keras": keras.__version__, "tensorflow": tf.__version__},
            "data": f"{len(learn)} generated smears to learn from, {len(others)} others",
            "command": "python -m benchmarks.stages --record",
            "seconds_a_step": {name: round(value, 4) for name, value in seconds.items()},
            "epochs": EPOCHS,
            "epochs_frozen": FROZEN,
            "runs": runs,
        }
        write_json(DATA / "recorded" / "stages.json", record)
