"""Write data/recorded/parity.json: the loss of keras-yolo3's own code beside ours, for the batches of the reference.

The reference (tests/parity) holds made-up batches with what the original code, unmodified, computed for them.

    KERAS_BACKEND=tensorflow python -m data.recorded.record_parity
"""

import numpy as np
import tensorflow as tf

from tests.reference import ROOT, oracle_case
from yolo_helpers.files import write_json
from yolo_helpers.loss import yolo_loss

RECORD = ROOT / "data" / "recorded" / "parity.json"


def compare(number: int) -> dict:
    """One batch of the reference: the original's loss, ours, and how far the gradients are apart.

    Args:
        number: 0, 1 or 2.

    Returns:
        name, original, ours, gradient_difference and gradient_largest, both over all raw outputs.
    """
    case = oracle_case(number)
    outputs = [tf.constant(output) for output in case["output"]]
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        losses = yolo_loss(
            [*outputs, *case["y_true"]], case["anchors"], case["num_classes"], case["ignore_thresh"], case["mask"]
        )
        loss = tf.reduce_mean(losses)
    apart = [np.abs(ours - its).max() for ours, its in zip(tape.gradient(loss, outputs), case["grad"], strict=True)]
    height, width = case["input_shape"]
    return {
        "name": f"{height} x {width}, {case['heads']} heads, {case['num_classes']} classes",
        "original": float(case["loss"]),
        "ours": float(loss),
        "gradient_difference": float(max(apart)),
        "gradient_largest": float(max(np.abs(gradient).max() for gradient in case["grad"])),
    }


if __name__ == "__main__":
    source = "keras-yolo3 e6598d1 (MIT), unmodified, on tf_keras 2.21; made-up batches"
    write_json(RECORD, {"source": source, "cases": [compare(number) for number in range(3)]})
    print(f"wrote {RECORD.relative_to(ROOT)}")
