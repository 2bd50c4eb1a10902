"""A whole training step on the processor: images a second, and how busy the processor is.

    python -m benchmarks.step [--body tiny] [--size 416] [--batch 8] [--repeats 7]

The yardstick is what a large float32 matrix product reaches on this machine in the same run: the images a second that
this rate would do, if a step were nothing but its convolutions. Their floating-point operations are counted from their
shapes, two for a multiplication with its addition: once forward, twice backward (once for the kernels, once for what
went in, which the first layer does not need). Everything else counts as nothing: normalisation, activation, pooling,
loss, optimiser. The step without the loss has the mean square of the heads in its place, and tells what the loss costs.
"""

import os
import time
from collections.abc import Iterator

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from benchmarks.table import Row, run
from yolo_helpers.anchors import default_anchors
from yolo_helpers.loss import identity_loss
from yolo_helpers.model import BODIES, inference_model
from yolo_helpers.targets import preprocess_true_boxes
from yolo_helpers.training_model import create_model

SIDE, CLASSES, BOXES = 3072, 20, 20  # of the matrices; of the heads; an image


class MeanSquare(keras.layers.Layer):
    """Stands in place of the loss: the mean square of the heads, (B, 1)."""

    def call(self, heads):
        return sum(ops.mean(ops.square(head), (1, 2, 3)) for head in heads)[:, None]


def step_operations(body: keras.Model) -> float:
    """Floating-point operations of one image, forward and backward, in convolutions alone.

    Counted so, the body of YOLOv3 at 416 x 416 with 80 classes has 65.86e9 forward, which is what darknet prints.
    """
    total = 0
    for number, layer in enumerate(layer for layer in body.layers if isinstance(layer, keras.layers.Conv2D)):
        rows, columns, filters = layer.output.shape[1:]
        forward = 2 * rows * columns * filters * int(np.prod(layer.kernel.shape[:3]))
        total += forward * (2 if number == 0 else 3)
    return total


def measure(body: str = "tiny", size: int = 416, batch: int = 8, repeats: int = 7) -> Iterator[Row]:
    """The lines of the table."""
    shape = (size, size)
    rng = np.random.default_rng(0)
    sides = rng.uniform(8, size / 2, (batch, BOXES, 2))
    centres = rng.uniform(0, size, (batch, BOXES, 2))
    labels = rng.integers(0, CLASSES, (batch, BOXES, 1))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2, labels], -1).astype(np.float32)
    image = rng.integers(0, 256, (batch, *shape, 3), dtype=np.uint8)
    zeros = np.zeros((batch, 1), np.float32)

    steps = {}
    for name in ("targets as grids", "targets as boxes", "without the loss"):
        network = BODIES[body](keras.Input((*shape, 3)), 3, CLASSES)
        anchors = default_anchors(len(network.outputs))
        if name == "without the loss":
            detector = inference_model(network, shape)
            model, inputs = keras.Model(detector.input, MeanSquare()(detector.outputs)), image
        elif name == "targets as boxes":
            model, inputs = create_model(network, shape, anchors, CLASSES, targets="boxes"), (image, boxes)
        else:
            model = create_model(network, shape, anchors, CLASSES)
            inputs = (image, *preprocess_true_boxes(boxes, shape, anchors, CLASSES))
        model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=identity_loss)
        model.optimizer.build(model.trainable_variables)
        inputs = tf.nest.map_structure(tf.constant, inputs)
        steps[name] = lambda model=model, inputs=inputs: model.train_on_batch(inputs, zeros)

    matrix = tf.random.normal((SIDE, SIDE))
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)))
    steps["matrix product"] = lambda: product().numpy()
    seconds = {name: [] for name in steps}
    for _ in range(repeats + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    operations = step_operations(network)
    rates = {name: batch / np.array(values[2:]) for name, values in seconds.items()}  # the first trace and warm up
    most = 2 * SIDE**3 / batch * rates.pop("matrix product") / operations
    for name, values in rates.items():
        yield Row(f"training step, {body} body, {size} x {size}, batch {batch}: {name}", "images/s", values, most)


if __name__ == "__main__":
    run(measure, __doc__, body=BODIES)
