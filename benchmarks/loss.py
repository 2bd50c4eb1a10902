"""The cost of the loss: forward and gradient, ours beside keras-yolo3's formula, written as the original writes it.

    python -m benchmarks.loss [--batch 16] [--size 416] [--repeats 15]

For 1, 20 and 100 boxes an image with 80 classes, and for 1, 20 and 1000 classes with 20 boxes. The yardstick is the
original's way: masks over all slots, and the ignore mask one image at a time, in a loop that selects the true boxes of
the image and collects the results in a growing array. XLA refuses that loop in training, so ours with XLA
is set against the original without it. They are run in turns on the same inputs, so that whatever else the machine does
meets all. The values are compared before anything is timed. The floor reads the outputs once and writes as many
numbers, as every loss with a gradient must.
"""

import os
import time
from collections.abc import Iterator

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.table import Row, run
from yolo_helpers.anchors import default_anchor_mask, default_anchors
from yolo_helpers.loss import box_iou, yolo_loss
from yolo_helpers.model import yolo_head
from yolo_helpers.targets import preprocess_true_boxes

CASES = ((1, 80), (20, 80), (100, 80), (20, 1), (20, 20), (20, 1000))  # boxes an image, classes


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
        not_ignored = one_image_at_a_time(pred_boxes, y_true, ignore_thresh)

        bce = tf.nn.sigmoid_cross_entropy_with_logits
        confidence = bce(labels=has_object, logits=raw[..., 4:5])
        for term in (
            has_object * scale * bce(labels=true_xy, logits=raw[..., 0:2]),
            has_object * scale * 0.5 * tf.square(true_wh - raw[..., 2:4]),
            has_object * confidence + (1 - has_object) * confidence * not_ignored,
            has_object * bce(labels=y_true[..., 5:], logits=raw[..., 5:]),
        ):
            total += tf.reduce_sum(term) / tf.cast(tf.shape(output)[0], tf.float32)
    return total


def one_image_at_a_time(pred_boxes, y_true, ignore_thresh):
    """The original's ignore mask, (B, h, w, 3, 1): 1 where no true box is overlapped by `ignore_thresh`."""
    batch = tf.shape(y_true)[0]

    def of_image(b, not_ignored):
        boxes = tf.boolean_mask(y_true[b, ..., 0:4], tf.cast(y_true[b, ..., 4], tf.bool))
        best = tf.reduce_max(box_iou(pred_boxes[b][..., None, :], boxes), axis=-1)
        return b + 1, not_ignored.write(b, tf.cast(best < ignore_thresh, tf.float32))

    growing = tf.TensorArray(tf.float32, size=1, dynamic_size=True)
    _, not_ignored = tf.while_loop(lambda b, _: b < batch, of_image, [0, growing])
    return not_ignored.stack()[..., None]


def random_batch(batch, size, num_classes, boxes):
    """Raw outputs, and `boxes` boxes an image with sides of 8 to 300 pixels, as grids and as they are."""
    rng = np.random.default_rng(boxes)
    sides = np.exp(rng.uniform(np.log(8), np.log(300), (batch, boxes, 2)))
    centres = rng.uniform(0, size, (batch, boxes, 2))
    classes = rng.integers(0, num_classes, (batch, boxes, 1))
    true_boxes = np.concatenate([centres - sides / 2, centres + sides / 2, classes], -1)
    y_true = preprocess_true_boxes(true_boxes, (size, size), default_anchors(3), num_classes)
    outputs = [rng.normal(size=(*target.shape[:3], 3 * (5 + num_classes))).astype(np.float32) for target in y_true]
    return [tf.constant(x) for x in outputs], [tf.constant(x) for x in y_true], [tf.constant(true_boxes, tf.float32)]


def step_of(loss, num_classes, jit_compile):
    """A function that computes the mean loss of a batch and its gradient for the outputs."""

    @tf.function(jit_compile=jit_compile)
    def step(outputs, targets):
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            value = tf.reduce_mean(loss([*outputs, *targets], default_anchors(3), num_classes))
        return value, [tf.convert_to_tensor(gradient) for gradient in tape.gradient(value, outputs)]

    return step


@tf.function
def floor(outputs, _):
    """Reads every output and writes as many numbers."""
    return tf.constant(0), [-output for output in outputs]


def seconds(step, targets, outputs):
    start = time.perf_counter()
    value, _ = step(outputs, targets)
    value.numpy()
    return time.perf_counter() - start


def measure(batch: int = 16, size: int = 416, repeats: int = 15) -> Iterator[Row]:
    """The lines of the table, as they are measured."""
    for boxes, num_classes in CASES:
        outputs, y_true, true_boxes = random_batch(batch, size, num_classes, boxes)
        plain, xla = (step_of(yolo_loss, num_classes, jit_compile) for jit_compile in (False, True))
        calls = {
            "original": (step_of(original_loss, num_classes, False), y_true),
            "targets as grids": (plain, y_true),
            "targets as grids, XLA": (xla, y_true),
            "targets as boxes": (plain, true_boxes),
            "targets as boxes, XLA": (xla, true_boxes),
        }
        expected, gradients = calls["original"][0](outputs, y_true)
        for step, targets in list(calls.values())[1:]:
            value, ours = step(outputs, targets)
            np.testing.assert_allclose(value, expected, rtol=1e-5)
            for one, other in zip(ours, gradients, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        del gradients, ours
        calls["floor"] = (floor, [])
        times = [[seconds(*call, outputs) for call in calls.values()] for _ in range(repeats + 1)]
        original, *ours, least = (np.array(times[1:]) * 1000).T
        for name, values in zip(list(calls)[1:-1], ours, strict=True):
            yield Row(f"loss, boxes {boxes}, classes {num_classes}: {name}", "ms", values, original, least)


if __name__ == "__main__":
    run(measure, __doc__)
