"""Real blood cells: what a training starts from, and how many photographs it needs.

    YOLO_BCCD=FOLDER python -m benchmarks.start [--starts yolo-fastest micro] [--photographs 20 50 100 205] …

FOLDER holds BCCD, or it is fetched there. Each training is what `python -m yolo_helpers train --start …` does, with the
same number of batches for any number of photographs; these are drawn from the set's own part for training by the seed.
The last weights are judged on the set's 72 photographs for the test; those for validation are not used. `--record`
writes data/recorded/start.json after each training, in place of an earlier one of the same start, count and seed.
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

from benchmarks.bccd import read_parts
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.evaluation import evaluate
from yolo_helpers.files import write_json
from yolo_helpers.model import inference_model
from yolo_helpers.start import start_from
from yolo_helpers.training import train

RECORD = Path(__file__).resolve().parents[1] / "data" / "recorded" / "start.json"


def run(parts: dict, class_names: list, start: str, count: int, seed: int, options: argparse.Namespace) -> dict:
    """One training, judged on the test photographs.

    Args:
        parts: the annotations of 'train' and 'test'.
        class_names: in order.
        start: as `start_from` takes it.
        count: photographs to learn from.
        seed: of the draw, the weights and the augmentation.
        options: of the command line.

    Returns:
        Settings, minutes of the training with all that happens within it, and test_AP50 of each class.
    """
    keras.utils.set_random_seed(seed)
    drawn = np.random.default_rng(seed).permutation(len(parts["train"]))[:count]
    photographs = [parts["train"][i] for i in sorted(drawn)]
    begun = time.monotonic()
    chosen = start_from(start, photographs, class_names, options.input_shape)
    heads = chosen.heads
    data = YoloDataset(photographs, heads, 8, augment=True, seed=seed, targets="boxes")
    epochs = max(1, round(options.steps / len(data)))
    stages = chosen.stages(len(data), epochs)
    with tempfile.TemporaryDirectory() as folder:
        how = {"save_every": epochs, "box_loss": "ciou", "new_layers": chosen.new_layers, "verbose": 0}
        train(chosen.body, data, stages, folder, class_names=class_names, **how)
    minutes = (time.monotonic() - begun) / 60
    scores = evaluate(inference_model(chosen.body, heads.input_shape), parts["test"], heads, class_names)
    return {
        "start": start,
        "photographs": count,
        "seed": seed,
        "steps": epochs * len(data),
        "input_shape": list(heads.input_shape),
        "heads": len(heads.grids),
        "minutes": round(minutes, 1),
        "test_AP50": {name: round(value, 3) for name, value in scores["AP50"].items()},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", nargs="+", default=["yolo-fastest", "micro"], help="as train --start takes them")
    parser.add_argument("--photographs", type=int, nargs="+", default=[20, 50, 100, 205])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=520, help="batches of 8 (default: %(default)s)")
    parser.add_argument("--input-shape", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    if "YOLO_BCCD" not in os.environ:
        print("The blood cells are not a part of the course: YOLO_BCCD=FOLDER says where they are, or are fetched to.")
        sys.exit()
    parts, class_names = read_parts(os.environ["YOLO_BCCD"])
    shape = " --input-shape {} {}".format(*options.input_shape) if options.input_shape else ""
    record = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {
            "keras": keras.__version__,
            keras.backend.backend(): __import__(keras.backend.backend()).__version__,
        },
        "data": "Shenggan/BCCD_Dataset at commit d272fb14: 205 photographs to learn from, 72 for the test",
        "command": f"python -m benchmarks.start --steps {options.steps}{shape} --record",
    }
    for seed in options.seeds:
        for count in options.photographs:
            for start in options.starts:
                result = run(parts, class_names, start, count, seed, options)
                print(json.dumps(result), flush=True)
                if options.record:
                    same = ("start", "photographs", "seed")
                    # Read anew each time: another command may be adding runs of its own.
                    before = json.loads(RECORD.read_text(encoding="utf-8"))["runs"] if RECORD.exists() else []
                    others = [one for one in before if any(one[name] != result[name] for name in same)]
                    write_json(RECORD, record | {"runs": [*others, result]})
