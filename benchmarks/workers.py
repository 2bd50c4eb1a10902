"""Photographs a second by the number of threads, and of processes, that make the batches, on this machine in one run.

    YOLO_BCCD=FOLDER python -m benchmarks.workers [--threads 1 2 4 8 16] [--processes 4 16]

FOLDER holds BCCD, or it is fetched there. Its 205 photographs of 640 x 480 pixels are read twice, changed at random,
and put together in batches of 16 at 416 x 416. Processes are forks, as Keras' `use_multiprocessing=True` makes them,
and hand their batches over as there.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.bccd import read_parts
from benchmarks.table import machine
from yolo_helpers.anchors import Heads, default_anchors
from yolo_helpers.dataset import YoloDataset

SHAPE, BATCH, REPEATS = (416, 416), 16, 3


def make(index: int):
    """One batch."""
    return DATA[index]


def rate(workers: Executor) -> list[float]:
    """Photographs a second of each round; a first round, in which processes start, does not count."""
    rates = []
    with workers:
        for _ in range(1 + REPEATS):
            begun = time.perf_counter()
            made = sum(len(zeros) for _, zeros in workers.map(make, range(len(DATA))))
            rates.append(made / (time.perf_counter() - begun))
    return rates[1:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--processes", type=int, nargs="+", default=[4, 16])
    options = parser.parse_args()
    if "YOLO_BCCD" not in os.environ:
        raise SystemExit("The blood cells are not a part of the course: YOLO_BCCD=FOLDER says where they are.")
    parts, class_names = read_parts(os.environ["YOLO_BCCD"])
    heads = Heads(SHAPE, default_anchors(3), len(class_names))
    DATA = YoloDataset(parts["train"] * 2, heads, BATCH, augment=True, targets="boxes")  # forks have it from here
    fork = multiprocessing.get_context("fork")
    print(f"{machine()}\n\n| | photographs a second |\n| --- | --- |")
    for what, counts, pool in (
        ("threads", options.threads, ThreadPoolExecutor),
        ("processes", options.processes, lambda count: ProcessPoolExecutor(count, mp_context=fork)),
    ):
        for count in counts:
            of = rate(pool(count))
            print(f"| {what}: {count} | {statistics.median(of):.0f} ({min(of):.0f} to {max(of):.0f}) |", flush=True)
