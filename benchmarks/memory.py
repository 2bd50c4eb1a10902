"""How much memory a training takes: the most that a process ever held, for each batch size, frozen and not.

    python -m benchmarks.memory [--batch 2 8] [--size 416] [--body tiny]

Every figure is a process of its own, since a process seldom gives memory back. On a CPU, of all memory (resident set);
what a GPU would take of its own is another number, and not measured here.
"""

import argparse
import os
import resource
import subprocess
import sys


def measure(body_name: str, size: int, batch: int, frozen: bool) -> None:
    """Three steps in this process; prints gigabytes."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import numpy as np

    from yolo_helpers.anchors import default_anchors, grid_shapes
    from yolo_helpers.loss import identity_loss
    from yolo_helpers.model import BODIES
    from yolo_helpers.training import freeze
    from yolo_helpers.training_model import create_model

    body = BODIES[body_name](keras.Input((size, size, 3)), 3, 3)
    heads = len(body.outputs)
    freeze(body, frozen)
    model = create_model(body, (size, size), default_anchors(heads), 3)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss={"yolo_loss": identity_loss})
    images = np.zeros((batch, size, size, 3), np.uint8)
    y_true = [np.zeros((batch, *grid, 3, 8), np.float32) for grid in grid_shapes((size, size), heads)]
    for _ in range(3):
        model.train_on_batch((images, *y_true), np.zeros((batch, 1), np.float32))
    unit = 2**30 if sys.platform == "darwin" else 2**20  # bytes there, kilobytes elsewhere
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--body", default="tiny")
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--batch", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--one", nargs=2, metavar=("BATCH", "FROZEN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.body, options.size, int(options.one[0]), options.one[1] == "True")
        sys.exit()
    print(f"{options.body} body at {options.size} x {options.size}, on the CPU\n")
    print("| batch | frozen body, GiB | all trained, GiB |")
    print("| --- | --- | --- |")
    for batch in options.batch:
        most = []
        for frozen in (True, False):
            command = [sys.executable, "-m", "benchmarks.memory", "--body", options.body, "--size", str(options.size)]
            command += ["--one", str(batch), str(frozen)]
            most.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(f"| {batch} | {most[0]:.1f} | {most[1]:.1f} |", flush=True)
