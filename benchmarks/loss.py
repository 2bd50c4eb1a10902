"""The cost of the loss: forward and gradient, ours beside keras-yolo3's formula, written as the original writes it.

    python benchmarks/loss.py [--batch 16] [--size 416] [--classes 80] [--repeats 15]

The original's way: masks over all slots, and the ignore mask one image at a time, in a loop that selects the true
boxes of the image and collects the results in a growing array. XLA refuses that loop in training (lesson 03b), so the
original has no column with XLA, and ours with XLA is set against the original without it. They are run in turns on the
same inputs, so that whatever else the machine does meets all. The values are compared before anything is timed.
"""

import argparse
import os
import platform
import sys
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import tensorflow as tf

from yolo_helpers.anchors import default_anchor_mask, default_anchors
from yolo_helpers.loss import box_iou, yolo_loss
from yolo_helpers.model import yolo_head
from yolo_helpers.targets import preprocess_true_boxes

BOXES = (1, 20, 100)


def original_loss(args, anchors, num_classes, ignore_thresh=0.5):
    """keras-yolo3's formula (commit e6598d1), re-stated: all terms over all slots, one number for the batch."""
    heads = len(args) // 2
    input_shape = tf.shape(args[0])[1:3] * 32
    total = 0.0
    for output, y_true, mask in zip(args[:heads], args[heads:], default_anchor_mask(len(anchors)), strict=True):
        grid, raw, pred_xy, pred_wh = yolo_head(output, anchors[mask], num_classes, input_shape, calc_loss=True)
        pred_boxes = tf.concat([pred_xy, pred_wh], -1)
        has_object = y_true[..., 4:5]
        cells = tf.cast(tf.shape(output)[2:0:-1], tf.float32)
        true_xy = y_true[..., 0:2] * cells - grid
        true_wh = tf.math.log(y_true[..., 2:4] * tf.cast(input_shape[::-1], tf.float32) / anchors[mask])
        true_wh = tf.where(has_object > 0, true_wh, tf.zeros_like(true_wh))  # the log of an empty slot is -inf
        scale = 2 - y_true[..., 2:3] * y_true[..., 3:4]
        spared = one_image_at_a_time(pred_boxes, y_true, ignore_thresh)

        bce = tf.nn.sigmoid_cross_entropy_with_logits
        confidence = bce(labels=has_object, logits=raw[..., 4:5])
        for term in (
            has_object * scale * bce(labels=true_xy, logits=raw[..., 0:2]),
            has_object * scale * 0.5 * tf.square(true_wh - raw[..., 2:4]),
            has_object * confidence + (1 - has_object) * confidence * spared,
            has_object * bce(labels=y_true[..., 5:], logits=raw[..., 5:]),
        ):
            total += tf.reduce_sum(term) / tf.cast(tf.shape(output)[0], tf.float32)
    return total


def one_image_at_a_time(pred_boxes, y_true, ignore_thresh):
    """The original's ignore mask, (B, h, w, 3, 1): 1 where no true box is overlapped by `ignore_thresh`."""
    batch = tf.shape(y_true)[0]

    def of_image(b, spared):
        boxes = tf.boolean_mask(y_true[b, ..., 0:4], tf.cast(y_true[b, ..., 4], tf.bool))
        best = tf.reduce_max(box_iou(pred_boxes[b][..., None, :], boxes), axis=-1)
        return b + 1, spared.write(b, tf.cast(best < ignore_thresh, tf.float32))

    growing = tf.TensorArray(tf.float32, size=1, dynamic_size=True)
    _, spared = tf.while_loop(lambda b, _: b < batch, of_image, [0, growing])
    return spared.stack()[..., None]


def random_batch(batch, size, num_classes, boxes):
    """Raw outputs, and targets of `boxes` boxes an image with sides of 8 to 300 pixels."""
    rng = np.random.default_rng(boxes)
    sides = np.exp(rng.uniform(np.log(8), np.log(300), (batch, boxes, 2)))
    centres = rng.uniform(0, size, (batch, boxes, 2))
    classes = rng.integers(0, num_classes, (batch, boxes, 1))
    true_boxes = np.concatenate([centres - sides / 2, centres + sides / 2, classes], -1)
    y_true = preprocess_true_boxes(true_boxes, (size, size), default_anchors(3), num_classes)
    outputs = [rng.normal(size=(*target.shape[:3], 3 * (5 + num_classes))).astype(np.float32) for target in y_true]
    return [tf.constant(x) for x in outputs], [tf.constant(x) for x in y_true]


def step_of(loss, num_classes, jit_compile):
    """A function that computes the mean loss of a batch and its gradient for the outputs."""

    @tf.function(jit_compile=jit_compile)
    def step(outputs, y_true):
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            value = tf.reduce_mean(loss([*outputs, *y_true], default_anchors(3), num_classes))
        return value, [tf.convert_to_tensor(gradient) for gradient in tape.gradient(value, outputs)]

    return step


def seconds(step, outputs, y_true):
    start = time.perf_counter()
    value, _ = step(outputs, y_true)
    value.numpy()
    return time.perf_counter() - start


def copy_seconds(tensors, repeats=5):
    """The floor: time to read the outputs and the targets once and to write the gradient, by plain copies."""
    arrays = [tensor.numpy() for tensor in tensors]
    targets = [np.empty_like(array) for array in arrays]
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for array, target in zip(arrays, targets, strict=True):
            np.copyto(target, array)
        times.append(time.perf_counter() - start)
    return np.median(times)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("batch", 16), ("size", 416), ("classes", 80), ("repeats", 15)):
        parser.add_argument(f"--{name}", type=int, default=default, help="(default: %(default)s)")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; TensorFlow {tf.__version__}, Keras {keras.__version__}; batch "
        f"{options.batch}, {options.size} x {options.size}, {options.classes} classes; milliseconds, median of "
        f"{options.repeats} (least to most)\n"
    )
    print("| boxes an image | the original's way | ours | ratio | ours, XLA | ratio | copying the tensors once |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for boxes in BOXES:
        outputs, y_true = random_batch(options.batch, options.size, options.classes, boxes)
        steps = [
            step_of(original_loss, options.classes, False),
            step_of(yolo_loss, options.classes, False),
            step_of(yolo_loss, options.classes, True),
        ]
        (expected, gradients), *others = [step(outputs, y_true) for step in steps]
        for value, ours in others:
            np.testing.assert_allclose(value, expected, rtol=1e-5)
            for one, other in zip(ours, gradients, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        times = np.array([[seconds(step, outputs, y_true) for step in steps] for _ in range(options.repeats)]) * 1000
        original, plain, xla = np.median(times, axis=0)
        shown = [f"{np.median(t):.0f} ({t.min():.0f} to {t.max():.0f})" for t in times.T]
        floor = copy_seconds([*outputs, *y_true]) * 1000
        print(
            f"| {boxes} | {shown[0]} | {shown[1]} | {original / plain:.1f} | {shown[2]} | {original / xla:.1f} "
            f"| {floor:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
