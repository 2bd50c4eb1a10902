"""The full YOLOv3 on real blood cells on a GPU: a training of some minutes, and how busy the chip was.

    KERAS_BACKEND=jax YOLO_BCCD=FOLDER python -m benchmarks.bccd_gpu yolov3.cfg --minutes 4.75 --record bccd_gpu_long

FOLDER holds BCCD, or it is fetched there. What is given first is what the training starts from, as `train --start` has
it: a cfg means random weights. Compiling and all else counts. An epoch is thirty-two passes over the 205 photographs,
so that what it begins and ends with takes less: processes start anew in each. The learning rate falls along a cosine
over the time that is left after the first epoch. Average precision is that on the 72 test photographs, with the weights
that were best on the 87 for validation. `--record NAME` writes data/recorded/NAME.json. `--small` trains two passes of
four photographs at 64 x 64: does the script run?
"""

import argparse
import contextlib
import datetime
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from benchmarks.bccd import RECORDED, read_parts
from benchmarks.table import machine
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.device import find_device
from yolo_helpers.evaluation import evaluate
from yolo_helpers.files import write_json
from yolo_helpers.model import inference_model
from yolo_helpers.run_folder import BEST
from yolo_helpers.start import start_from
from yolo_helpers.training import Stage, train

SEED, RATE, WORKERS = 0, 1e-3, os.cpu_count() or 1
FULL = {"input_shape": (384, 512), "batch": 32, "passes": 32, "photographs": None, "evaluate_every": 4}
SMALL = {"input_shape": (64, 64), "batch": 2, "passes": 2, "photographs": 4, "evaluate_every": 2}
AT_THE_END = 20  # seconds kept for the last weights and the test photographs


class Timed(keras.callbacks.Callback):
    """Sets the learning rate by the time that is gone, ends the training in time, and notes when epochs ended."""

    def __init__(self, end: float):
        super().__init__()
        self.end, self.ends = end, []

    def on_epoch_begin(self, epoch, logs=None):
        rate = RATE / 10  # a first epoch in which the normalisations find their averages
        if self.ends:
            gone = (time.monotonic() - self.ends[0]) / (self.end - self.ends[0])
            rate = RATE * (0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, gone))) / 2)
        self.model.optimizer.learning_rate = rate

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(time.monotonic())
        takes = self.ends[-1] - self.ends[-2] if epoch else 0.0
        figures = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        print(f"epoch {epoch + 1}: {takes:.2f} s, {figures}", flush=True)
        self.model.stop_training = self.ends[-1] + takes > self.end


@contextlib.contextmanager
def watched(path: Path):
    """Writes NVIDIA's own figures to a file twice a second: seconds of the clock, use in per cent, watts."""
    ask = ["nvidia-smi", "--query-gpu=utilization.gpu,power.draw", "--format=csv,noheader,nounits", "-lms", "500"]
    try:
        watch = subprocess.Popen(ask, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:  # a rehearsal without a GPU
        yield
        return
    stamp = "import sys, time\nfor line in sys.stdin: print(time.monotonic(), line, sep=', ', end='', flush=True)"
    with path.open("w", encoding="utf-8") as file:
        stamped = subprocess.Popen([sys.executable, "-c", stamp], stdin=watch.stdout, stdout=file)
        try:
            yield
        finally:
            watch.terminate()
            watch.wait()
            stamped.wait()


def use_of_the_chip(path: Path, begin: float, end: float) -> list[list[float]]:
    """Rows of seconds since `begin`, per cent and watts, as `watched` wrote them."""
    if not path.exists():
        return []
    rows = [[float(cell) for cell in line.split(",")] for line in path.read_text(encoding="utf-8").splitlines()]
    return [[round(at - begin, 1), use, watts] for at, use, watts in rows if begin <= at <= end]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", help="as train --start takes it")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--record", metavar="NAME")
    options = parser.parse_args()
    began, device = time.monotonic(), find_device()
    if options.record and (options.small or not device.is_gpu):
        sys.exit("--record is for the full training on a GPU: nothing is recorded.")
    if "YOLO_BCCD" not in os.environ:
        print("The blood cells are not a part of the course: YOLO_BCCD=FOLDER says where they are, or are fetched to.")
        sys.exit()
    size = SMALL if options.small else FULL
    parts, class_names = read_parts(os.environ["YOLO_BCCD"], size["photographs"])
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(SEED)
    chosen = start_from(options.start, parts["train"], class_names, size["input_shape"])
    # Processes: among as many threads, Python lets them read no more than among four (benchmarks/README.md).
    data = YoloDataset(
        parts["train"] * size["passes"], chosen.heads, size["batch"], augment=True, seed=SEED, targets="boxes",
        workers=WORKERS, use_multiprocessing=True, max_queue_size=2 * WORKERS,
    )  # fmt: skip
    # 87 is three times 29: batches of one size, for which the network is compiled once.
    validation = YoloDataset(parts["val"], chosen.heads, 29, targets="boxes", workers=3)
    timed = Timed(began + 60 * options.minutes - AT_THE_END)
    with tempfile.TemporaryDirectory() as folder, watched(Path(folder) / "use.csv"):
        begun = time.monotonic()
        # More epochs than there is time for; the only checkpoint is that at the end.
        epochs = 10_000
        history = train(
            chosen.body, data, [Stage(epochs, RATE, decay=False)], Path(folder) / "run", validation, class_names,
            evaluate_every=size["evaluate_every"], save_every=epochs, callbacks=[timed], box_loss="ciou",
            new_layers=chosen.new_layers, verbose=0,
        )  # fmt: skip
        ended = time.monotonic()
        use = use_of_the_chip(Path(folder) / "use.csv", timed.ends[0], timed.ends[-1])
        if (Path(folder) / "run" / BEST).exists():  # not where time ran out before the first AP50
            chosen.body.load_weights(Path(folder) / "run" / BEST)
    scores = evaluate(inference_model(chosen.body, chosen.heads.input_shape), parts["test"], chosen.heads, class_names)
    names = ("loss", "val_loss", "val_AP50")
    rows = [
        {"seconds": round(at - begun, 1)}
        | {name: round(history[name][i], 4) for name in names if history.get(name) and history[name][i] is not None}
        for i, at in enumerate(timed.ends)
    ]
    record = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "device": str(device),
        "machine": machine(),
        "data": "Shenggan/BCCD_Dataset at commit d272fb14: its own train (205), val (87) and test (72) photographs",
        "command": f"KERAS_BACKEND={keras.backend.backend()} YOLO_BCCD=FOLDER python -m benchmarks.bccd_gpu "
        f"{Path(options.start).name} --minutes {options.minutes:g} --record {options.record}",
        "start": chosen.description.replace(str(Path(options.start)), Path(options.start).name),
        "parameters": chosen.body.count_params(),
        "input_shape": list(chosen.heads.input_shape),
        "batch": size["batch"],
        "photographs_an_epoch": len(data) * size["batch"],
        "seconds_of_the_training": round(ended - begun, 1),
        "test_AP50": {name: round(value, 3) for name, value in scores["AP50"].items()},
        "test_AP": {name: round(value, 3) for name, value in scores["AP"].items()},
        "epochs": rows,
        "use_of_the_chip": use,
    }
    if options.record:
        write_json(RECORDED / f"{options.record}.json", record)
    print(json.dumps({name: value for name, value in record.items() if name not in ("epochs", "use_of_the_chip")}))
    print(json.dumps(rows[-3:]), len(rows), "epochs;", len(use), "samples of use, mean", end=" ")
    print(round(sum(row[1] for row in use) / max(1, len(use)), 1))
