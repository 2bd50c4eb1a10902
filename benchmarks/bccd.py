"""Real blood cells: what the start, the augmentation and the ignore mask are worth, one training each, side by side.

    YOLO_BCCD=FOLDER python -m benchmarks.bccd [--epochs 60] [--only NAME …] [--record]

FOLDER holds BCCD, or it is fetched there. Each training has the same photographs, network, anchors, number of steps and
seed. Average precision is that on the 72 test photographs, with the weights that were best on the 87 for validation.
`--record` adds the runs to data/recorded/bccd_cpu.json.

On a GPU the full network can be trained as well, on JAX for instance; `--record` then writes bccd_gpu.json:

    KERAS_BACKEND=jax YOLO_BCCD=FOLDER python -m benchmarks.bccd --body yolo --input-shape 416 416 --bfloat16 \
        --epochs 200 --batch-size 16 --learning-rate 1e-3 --workers 8 [--record]
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
from yolo_helpers.model import BODIES, inference_model
from yolo_helpers.run_folder import BEST
from yolo_helpers.training import Stage, train

INPUT_SHAPE, RATE, SEED = (192, 256), 5e-3, 0
ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT / "data" / "recorded"
FROM_RANDOM = "from random weights"
RUNS = {
    "from the smear network": {},
    "not augmented": {"augment": False},
    FROM_RANDOM: {"pretrained": False},
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
    options: argparse.Namespace,
    augment: bool = True,
    pretrained: bool = True,
    across_heads: bool = True,
    anchors: np.ndarray | None = None,
) -> dict:
    """One training, judged on the test photographs.

    Args:
        parts: the annotations of 'train', 'val' and 'test'.
        class_names: in order.
        options: of the command line; they are the same for all runs.
        augment, pretrained, across_heads: what the runs differ in.
        anchors: (9, 2); fitted from the original's when None.

    Returns:
        minutes of `fit` with all that happens within it, test_AP50 of each class, and the history, a row an epoch.
    """
    input_shape = tuple(options.input_shape)
    if anchors is None:
        anchors = kmeans_anchors(box_sizes(parts["train"], input_shape), default_anchors(3))
    keras.utils.set_random_seed(SEED)
    body = BODIES[options.body](keras.Input((*input_shape, 3)), 3, len(class_names))
    if pretrained:
        load_weights(body, ROOT / "data" / "smears.weights")
    heads = Heads(input_shape, anchors, len(class_names))
    kind = YoloDataset if augment else Unchanged
    data = kind(parts["train"], heads, options.batch_size, augment=True, seed=SEED, workers=options.workers)
    validation = YoloDataset(parts["val"], heads, options.batch_size, workers=options.workers)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        stages = [Stage(options.epochs, options.learning_rate)]
        how = {"ignore_across_heads": across_heads, "verbose": 2}
        history = train(body, data, stages, folder, validation, class_names, **how)
        seconds = time.monotonic() - begun
        body.load_weights(Path(folder) / BEST)
    scores = evaluate(inference_model(body, input_shape), parts["test"], heads, class_names)
    rows = [{k: round(v, 4) for k, v in zip(history, row) if v is not None} for row in zip(*history.values())]
    return {
        "minutes": round(seconds / 60, 1),
        "epochs": options.epochs,
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


def gpu() -> str | None:
    """The name of the GPU that Keras computes on, None without one."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return device.device_kind if device.platform == "gpu" else None
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU") if found else None


def plain_command(epochs: int) -> str:
    """The command line without further options."""
    return f"YOLO_BCCD=FOLDER python -m benchmarks.bccd --epochs {epochs}"


def command_of(options: argparse.Namespace, usual: argparse.Namespace) -> str:
    """The command line of these options, without those that stand as usual and without --only and --record."""
    backend = keras.backend.backend()
    words = [*([] if backend == "tensorflow" else [f"KERAS_BACKEND={backend}"]), plain_command(options.epochs)]
    for name in ("body", "input_shape", "batch_size", "learning_rate", "workers", "bfloat16", "photographs"):
        value = getattr(options, name)
        if value != getattr(usual, name):
            values = [] if value is True else value if isinstance(value, list) else [value]
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return " ".join(words)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--body", choices=("micro", "yolo"), default="micro")
    parser.add_argument("--input-shape", type=int, nargs=2, default=list(INPUT_SHAPE), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=RATE)
    parser.add_argument("--workers", type=int, default=1, help="threads that read photographs; the result is the same")
    parser.add_argument("--bfloat16", action="store_true", help="compute in bfloat16, keep the weights in float32")
    parser.add_argument("--photographs", type=int, metavar="N", help="the first N of each part: does the script run?")
    parser.add_argument("--only", nargs="+", choices=RUNS, help=f"the yolo body has {FROM_RANDOM!r} alone")
    parser.add_argument("--record", action="store_true")
    usual, options = parser.parse_args([]), parser.parse_args()
    names = options.only or (list(RUNS) if options.body == "micro" else [FROM_RANDOM])
    if options.body != "micro" and names != [FROM_RANDOM]:
        sys.exit(f"The smear network is a micro body: with --body {options.body} the one run is {FROM_RANDOM!r}.")
    device, command = gpu(), command_of(options, usual)
    if options.record and options.photographs:
        sys.exit("--record is for all photographs: leave out --photographs.")
    if options.record and not device and command != plain_command(options.epochs):
        sys.exit("Without a GPU, --record is for TensorFlow without further options: nothing is recorded.")
    if "YOLO_BCCD" not in os.environ:
        print("The blood cells are not a part of the course: YOLO_BCCD=FOLDER says where they are, or are fetched to.")
        sys.exit()
    parts, class_names = read_parts(os.environ["YOLO_BCCD"], options.photographs)
    path = RECORDED / ("bccd_gpu.json" if device else "bccd_cpu.json")
    before = json.loads(path.read_text(encoding="utf-8")) if options.record and path.exists() else {}
    beside = "" if device else ", no GPU, other programs running beside it"
    record = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "hardware": f"{f'{device}; ' if device else ''}{platform.machine()}, {os.cpu_count()} cores{beside}",
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
    for name in names:
        print(f"== {name}", flush=True)
        record["runs"][name] = run(parts, class_names, options, **RUNS[name])
        if options.record:
            write_json(path, record)
    print(f"\n{record['hardware']}\n\n| {options.epochs} epochs | minutes | {' | '.join(class_names)} | mean |")
    print("| --- | --- |" + " --- |" * (len(class_names) + 1))
    for name in names:
        result = record["runs"][name]
        print(f"| {name} | {result['minutes']} | {' | '.join(str(v) for v in result['test_AP50'].values())} |")
