"""The lesson ways_six_compared: seconds for a step of training with each, and for the first, which traces the graph.

    python -m benchmarks.six_ways [--repeats 5] [--record]

The micro body, photographs of 192 x 256, batch 8. The ways take turns, so that a busy minute of the machine hits all.
`--record` writes data/recorded/six_ways.json, which that lesson shows.
"""

import argparse
import datetime
import json
import logging
import os
import platform
import statistics
import tempfile
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from yolo_helpers.anchors import DATA, Heads, default_anchors
from yolo_helpers.annotations import read_annotations
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.model import micro_yolo_body
from yolo_helpers.six_ways import WAYS, fit_arguments
from yolo_helpers.smear import write_smears

SHAPE, BATCH, STEPS = (192, 256), 8, 20
RECORD = DATA / "recorded" / "six_ways.json"
logging.getLogger("tensorflow").setLevel("ERROR")  # several models in a row make TensorFlow warn of retracing


def make(way, image, labels, settings):
    """A function that trains for some epochs of one step and returns the seconds of each step."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((*SHAPE, 3))
    body = micro_yolo_body(pixels, 3, settings["num_classes"])
    scaled = keras.Model(pixels, body(keras.layers.Rescaling(1 / 255)(pixels)))
    model, loss = WAYS[way](scaled, settings)
    model.compile(keras.optimizers.Adam(1e-3), loss=loss)
    clock = Clock()

    def steps(count):
        clock.seconds = []
        fed = fit_arguments(way, image, labels)
        model.fit(**fed, batch_size=BATCH, epochs=count, shuffle=False, verbose=0, callbacks=[clock])
        return clock.seconds

    return steps


class Clock(keras.callbacks.Callback):
    """Notes how long each batch takes."""

    def on_train_batch_begin(self, batch, logs=None):
        self.begun = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.perf_counter() - self.begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help=f"rounds of {STEPS} steps for each way")
    parser.add_argument("--record", action="store_true", help="write data/recorded/six_ways.json")
    options = parser.parse_args()
    anchors = default_anchors(3)
    with tempfile.TemporaryDirectory() as folder:
        smears, class_names = read_annotations(write_smears(folder, BATCH, SHAPE, seed=1))
        (image, *labels), _ = YoloDataset(smears, Heads(SHAPE, anchors, len(class_names)), BATCH)[0]
    settings = {"anchors": anchors.tolist(), "num_classes": len(class_names)}

    trainers, first, later = {}, {}, {way: [] for way in WAYS}
    for way in WAYS:
        print(f"{way}: the first step …", end=" ", flush=True)
        trainers[way] = make(way, image, labels, settings)
        first[way] = trainers[way](1)[0]
        print(f"{first[way]:.1f} s")
    for turn in range(options.repeats):
        print(f"round {turn + 1} of {options.repeats}", flush=True)
        for way, steps in trainers.items():
            later[way].append(statistics.median(steps(STEPS)))

    words = f"{platform.machine()}, {os.cpu_count()} cores; TensorFlow {tf.__version__}, Keras {keras.__version__}"
    what = f"micro body, batch {BATCH} of {SHAPE[0]} x {SHAPE[1]}"
    print(f"\n{datetime.date.today()}, {words}; {what}; median of {options.repeats} rounds of {STEPS} steps\n")
    print("| | first step, s | a step, ms (least to most) |\n| --- | --- | --- |")
    for way in WAYS:
        ms = [1000 * seconds for seconds in later[way]]
        print(f"| {way} | {first[way]:.1f} | {statistics.median(ms):.0f} ({min(ms):.0f} to {max(ms):.0f}) |")
    if options.record:
        record = {
            "date": str(datetime.date.today()),
            "hardware": words.split(";")[0],
            "versions": words.split("; ")[1],
            "command": f"python -m benchmarks.six_ways --repeats {options.repeats} --record",
            "what": what,
            "milliseconds": {  # median, least and most of the rounds
                way: [round(1000 * value) for value in (statistics.median(times), min(times), max(times))]
                for way, times in later.items()
            },
        }
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
