"""Generated smears: average precision after one minute of `fit` from random weights, and what three settings are worth.

    python -m benchmarks.smears [--seconds 60] [--repeats 1]

Each training has the same pictures and the same time, TensorFlow's tracing included. The learning rate falls
along a cosine over that time. Average precision is that on 100 pictures that were not learnt from, with the last
weights.
"""

import argparse
import math
import os
import platform
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from yolo_helpers.anchors import Heads, box_sizes, default_anchors, kmeans_anchors
from yolo_helpers.annotations import read_annotations
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.evaluation import evaluate
from yolo_helpers.loss import YoloLoss, identity_loss
from yolo_helpers.model import inference_model, micro_yolo_body
from yolo_helpers.smear import write_smears
from yolo_helpers.training_model import create_model

SHAPE, COUNT, BATCH, RATE = (192, 256), 320, 8, 5e-3
VARIANTS = {
    "as the package has it": {},
    "objectness bias 0": {"bias": 0.0},
    "BatchNormalization momentum 0.99": {"momentum": 0.99},
    "COCO's anchors": {"fitted": False},
    "ignore mask of the own head": {"across_heads": False},
}


class InTime(keras.callbacks.Callback):
    """Lets the learning rate fall along a cosine over a given time, and stops then."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.steps = seconds, 0

    def on_train_begin(self, logs=None):
        self.begun = time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        part = min((time.monotonic() - self.begun) / self.seconds, 1)
        self.model.optimizer.learning_rate.assign(RATE * (0.01 + 0.99 * (1 + math.cos(math.pi * part)) / 2))

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.model.stop_training = time.monotonic() - self.begun > self.seconds


class InMemory(keras.utils.PyDataset):
    """The batches of a data set, made once, in another order every epoch: what is timed is the network."""

    def __init__(self, data):
        super().__init__()
        self.batches, self.rng = [data[i] for i in range(len(data))], np.random.default_rng(0)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_end(self):
        self.rng.shuffle(self.batches)


def run(learn, unseen, class_names, seconds, seed, bias=None, momentum=None, fitted=True, across_heads=True):
    """One training: AP50 of each class, and the number of steps."""
    anchors = default_anchors(3)
    if fitted:
        anchors = kmeans_anchors(box_sizes(learn, SHAPE), anchors)
    heads = Heads(SHAPE, anchors, len(class_names))
    keras.utils.set_random_seed(seed)
    body = micro_yolo_body(keras.Input((*SHAPE, 3)), 3, len(class_names))
    if bias is not None:
        for convolution in body.layers[-3:]:
            convolution.bias.assign(np.full(convolution.bias.shape, bias, np.float32))
    if momentum is not None:
        for layer in body.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = momentum
    layer = YoloLoss(anchors, len(class_names), ignore_across_heads=across_heads)
    model = create_model(body, SHAPE, anchors, len(class_names), loss_layer=layer)
    model.compile(optimizer=keras.optimizers.Adam(RATE), loss={"yolo_loss": identity_loss})
    clock = InTime(seconds)
    data = InMemory(YoloDataset(learn, heads, BATCH))
    model.fit(data, epochs=10_000, callbacks=[clock], shuffle=False, verbose=0)
    return evaluate(inference_model(body, SHAPE), unseen, heads, class_names)["AP50"], clock.steps


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=1, help="trainings of each kind, with another seed each")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; Keras {keras.__version__} on {keras.backend.backend()}; "
        f"{COUNT} pictures of {SHAPE[0]} x {SHAPE[1]}, batch {BATCH}, {options.seconds:g} s each"
    )
    with tempfile.TemporaryDirectory() as folder:
        learn, class_names = read_annotations(write_smears(Path(folder) / "learn", COUNT, SHAPE, seed=1))
        unseen, _ = read_annotations(write_smears(Path(folder) / "unseen", 100, SHAPE, seed=2))
        print(f"\n| | seed | steps | {' | '.join(class_names)} | mean |\n|{' --- |' * (len(class_names) + 4)}")
        for name, variant in VARIANTS.items():
            for seed in range(options.repeats):
                scores, steps = run(learn, unseen, class_names, options.seconds, seed, **variant)
                figures = " | ".join(f"{value:.3f}" for value in scores.values())
                print(f"| {name} | {seed} | {steps} | {figures} |", flush=True)
