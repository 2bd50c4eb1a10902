"""How much memory a training takes: what `count_memory` counts, beside the most that a process came to hold.

    python -m benchmarks.memory [--batch 2 8] [--size 416] [--body tiny] [--record]

Measured is the peak of the resident set in three steps, less what the same process held before the first. Each is a
process of its own, since a process seldom gives memory back. With one image of 32 x 32, the first row, next to nothing
is there but the weights, what belongs to them, and what TensorFlow takes for itself, such as the traced graph, which is
not counted. What a row has more than the first is the layers' outputs and their gradients. On a CPU under Linux, in
float32; what a GPU would take of its own is another number, and not measured here.

`--record` writes data/recorded/memory.json, which lesson 04 shows.
"""

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.table import machine
from yolo_helpers.anchors import DATA
from yolo_helpers.files import write_json

RECORD = DATA / "recorded" / "memory.json"
SMALL = 32  # pixels of the side of an image whose outputs do not count


def measure(body_name: str, size: int, batch: int, frozen: bool) -> None:
    """Three steps in this process; prints bytes: what is counted for all layers, by part, and what was measured."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import numpy as np

    from yolo_helpers.anchors import default_anchors, grid_shapes
    from yolo_helpers.loss import identity_loss
    from yolo_helpers.memory import count_memory
    from yolo_helpers.model import BODIES
    from yolo_helpers.training import freeze
    from yolo_helpers.training_model import create_model

    body = BODIES[body_name](keras.Input((size, size, 3)), 3, 3)
    heads, counted = len(body.outputs), count_memory(body, batch, "float32")
    freeze(body, frozen)
    model = create_model(body, (size, size), default_anchors(heads), 3)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss={"yolo_loss": identity_loss})
    images = np.zeros((batch, size, size, 3), np.uint8)
    y_true = [np.zeros((batch, *grid, 3, 8), np.float32) for grid in grid_shapes((size, size), heads)]
    before = _now()
    for _ in range(3):
        model.train_on_batch((images, *y_true), np.zeros((batch, 1), np.float32))
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([counted, peak - before]))


def _now() -> int:
    """Bytes that this process holds, on Linux."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def in_a_process(body: str, size: int, batch: int, frozen: bool) -> list:
    """What `measure` prints in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--body", body, "--size", str(size)]
    command += ["--one", str(batch), str(frozen)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--body", default="tiny")
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--batch", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--record", action="store_true", help="write data/recorded/memory.json")
    parser.add_argument("--one", nargs=2, metavar=("BATCH", "FROZEN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.body, options.size, int(options.one[0]), options.one[1] == "True")
        sys.exit()
    print(f"{machine()}; {options.body} body, float32, GB\n")
    print("| input | batch | counted | measured, all trained | measured, frozen body |")
    print("| --- | --- | --- | --- | --- |")
    rows = []
    for size, batch in [(SMALL, 1), *((options.size, batch) for batch in options.batch)]:
        counted, measured = in_a_process(options.body, size, batch, frozen=False)
        _, frozen = in_a_process(options.body, size, batch, frozen=True)
        rows.append({"size": size, "batch": batch, "counted": counted, "measured": measured, "frozen": frozen})
        cells = " | ".join(f"{number / 1e9:.2f}" for number in (sum(counted.values()), measured, frozen))
        print(f"| {size} x {size} | {batch} | {cells} |", flush=True)
    if options.record:
        record = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": machine(),
            "command": "python -m benchmarks.memory --record",
            "body": options.body,
            "precision": "float32",
            "unit": "bytes; measured, frozen: the peak of the resident set in three steps, less what was held before",
            "rows": rows,
        }
        write_json(RECORD, record)
