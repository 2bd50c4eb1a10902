"""Real blood cells: what the start, the augmentation and the ignore mask are worth, one training each, side by side.

    YOLO_BCCD=FOLDER python -m benchmarks.bccd [--epochs 60] [--only NAME …] [--record]

FOLDER holds BCCD, or it is fetched there. Each training has the same photographs, network, anchors, number of steps and
seed. Average precision is that on the 72 test photographs, with the weights that were best on the 87 for validation.
`--record` adds the runs to data/recorded/bccd_cpu.json.
"""

import argparse
import datetime
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from yolo_helpers.anchors import Heads, box_sizes, default_anchors, kmeans_anchors
from yolo_helpers.annotations import read_annotations
from yolo_helpers.darknet import load_weights
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.download import fetch_bccd
from yolo_helpers.evaluation import evaluate
from yolo_helpers.files import write_json
from yolo_helpers.model import inference_model, micro_yolo_body
from yolo_helpers.run_folder import BEST
from yolo_helpers.training import Stage, train

INPUT_SHAPE, BATCH, RATE, SEED = (192, 256), 8, 5e-3, 0
ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT / "data" / "recorded"
RUNS = {
    "from the smear network": {},
    "not augmented": {"augment": False},
    "from random weights": {"pretrained": False},
    "ignore mask of the own head": {"across_heads": False},
}


class Unchanged(YoloDataset):
    """Shuffled as for training, but every photograph is letterboxed and nothing else."""

    def sample(self, i):
        self.augment = False
        try:
            return super().sample(i)
        finally:
            self.augment = True


def run(
    parts: dict,
    class_names: list,
    epochs: int,
    augment: bool = True,
    pretrained: bool = True,
    across_heads: bool = True,
    anchors: np.ndarray | None = None,
) -> dict:
    """One training, judged on the test photographs.

    Args:
        parts: the annotations of 'train', 'val' and 'test'.
        class_names: in order.
        epochs: the same for all runs.
        augment, pretrained, across_heads: what the runs differ in.
        anchors: (9, 2); fitted from the original's when None.

    Returns:
        minutes of `fit` with all that happens within it, test_AP50 of each class, and the history, a row an epoch.
    """
    if anchors is None:
        anchors = kmeans_anchors(box_sizes(parts["train"], INPUT_SHAPE), default_anchors(3))
    keras.utils.set_random_seed(SEED)
    body = micro_yolo_body(keras.Input((*INPUT_SHAPE, 3)), 3, len(class_names))
    if pretrained:
        load_weights(body, ROOT / "data" / "smears.weights")
    heads = Heads(INPUT_SHAPE, anchors, len(class_names))
    kind = YoloDataset if augment else Unchanged
    data = kind(parts["train"], heads, BATCH, augment=True, seed=SEED)
    validation = YoloDataset(parts["val"], heads, BATCH)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        stages = [Stage(epochs, RATE)]
        how = {"ignore_across_heads": across_heads, "verbose": 2}
        history = train(body, data, stages, folder, validation, class_names, **how)
        seconds = time.monotonic() - begun
        body.load_weights(Path(folder) / BEST)
    scores = evaluate(inference_model(body, INPUT_SHAPE), parts["test"], heads, class_names)
    rows = [{k: round(v, 4) for k, v in zip(history, row) if v is not None} for row in zip(*history.values())]
    return {
        "minutes": round(seconds / 60, 1),
        "epochs": epochs,
        "test_AP50": {name: round(value, 3) for name, value in scores["AP50"].items()},
        "history": rows,
    }


def read_parts(folder: str, count: int | None = None) -> tuple[dict, list[str]]:
    """The annotations of 'train', 'val' and 'test', the first `count` of each, and the names of the classes."""
    bccd = fetch_bccd(folder)
    parts, class_names = {}, None
    for part in ("train", "val", "test"):
        split = bccd / "ImageSets" / "Main" / f"{part}.txt"
        parts[part], class_names = read_annotations(
            bccd / "Annotations", class_names=class_names, split=split, zero_area="skip"
        )
        parts[part] = parts[part][:count]
    return parts, class_names


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    if "YOLO_BCCD" not in os.environ:
        print("The blood cells are not a part of the course: YOLO_BCCD=FOLDER says where they are, or are fetched to.")
        sys.exit()
    parts, class_names = read_parts(os.environ["YOLO_BCCD"])
    path = RECORDED / "bccd_cpu.json"
    command = f"YOLO_BCCD=FOLDER python -m benchmarks.bccd --epochs {options.epochs}"
    before = json.loads(path.read_text(encoding="utf-8")) if options.record and path.exists() else {}
    record = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, no GPU, other programs running beside it",
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "numpy": np.__version__,
            keras.backend.backend(): __import__(keras.backend.backend()).__version__,
        },
        "data": "Shenggan/BCCD_Dataset at commit d272fb14: its own train (205), val (87) and test (72) photographs",
        "command": command,
        # Runs of another command do not stand beside these.
        "runs": before["runs"] if before.get("command") == command else {},
    }
    for name in options.only:
        print(f"== {name}", flush=True)
        record["runs"][name] = run(parts, class_names, options.epochs, **RUNS[name])
        if options.record:
            write_json(path, record)
    print(f"\n{record['hardware']}\n\n| {options.epochs} epochs | minutes | {' | '.join(class_names)} | mean |")
    print("| --- | --- |" + " --- |" * (len(class_names) + 1))
    for name in options.only:
        result = record["runs"][name]
        print(f"| {name} | {result['minutes']} | {' | '.join(str(v) for v in result['test_AP50'].values())} |")
