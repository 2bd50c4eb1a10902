"""Export: a trained detector as files that need neither this package nor Keras.

ONNX is left out, since Keras writes it with packages that the course does not install (`model.export(format="onnx")`).
"""

import contextlib
import logging
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from yolo_helpers.anchors import Heads
from yolo_helpers.files import filling, write_json, write_text
from yolo_helpers.images import GREY
from yolo_helpers.model import inference_model, with_heads, yolo_head
from yolo_helpers.run_folder import ABOUT, EXPORT, load_body, stored

PLACE = (
    "RGB, turned upright; shrunk or enlarged (bilinear) until it just fits into input_shape (height, width), sides "
    "rounded to whole pixels; in the middle, grey around it"
)
Tensor = Any  # of Keras while a model is built


def export_detector(folder: str | Path, score_threshold: float | None = None) -> Path:
    """Writes the detector of a training as a SavedModel and for TFLite, with a script that uses it.

    Both take `image`, (B, h, w, 3) uint8: photographs on the network's input. They return `boxes`, (B, N, 4) float32:
    corners in pixels of the input; and `scores`, (B, N, C) float32: objectness times class probability. Non-maximum
    suppression is left to whoever reads these, and `detect.py` has it (`yolo_helpers.standalone`).

    Args:
        folder: of a training that has ended an epoch.
        score_threshold: least score of a box, for `detect.py`; when None that of an earlier export, else 0.3.

    Returns:
        The folder `export` in it, which holds `saved_model`, `detector.tflite`, `classes.txt`, `model.json` and
        `detect.py`.

    Raises:
        ValueError: if the folder holds no detector, or `export` in it something else than an export; if Keras computes
            with another library than TensorFlow.
        OSError: if it cannot be written; an earlier export is as it was then.
    """
    folder = Path(folder)
    out = folder / EXPORT
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"The export needs TensorFlow, and Keras computes with {keras.backend.backend()}: call it again in a "
            "Python started with KERAS_BACKEND=tensorflow, which reads the same folder."
        )
    if out.exists() and not (out / ABOUT).is_file():
        raise ValueError(f"{out} holds something else than an exported detector: rename it.")
    if score_threshold is None:
        (score_threshold,) = stored(out / ABOUT, ["score_threshold"]) if out.exists() else (0.3,)
    model, heads, class_names = _decoding_model(folder)
    about = {
        "input_shape": list(heads.input_shape),
        "classes": class_names,
        "photograph": PLACE,
        "grey": "#{:02x}{:02x}{:02x}".format(*GREY),
        "score_threshold": score_threshold,
        "iou_threshold": 0.45,
    }
    with filling(out) as beside:
        _write_models(model, beside)
        write_text(beside / "classes.txt", "\n".join(class_names) + "\n")
        write_json(beside / ABOUT, about)
        shutil.copyfile(Path(__file__).with_name("standalone.py"), beside / "detect.py")
    return out


def _decoding_model(folder: Path) -> tuple[keras.Model, Heads, list[str]]:
    """Photographs in, boxes and scores out; computes in float32, whatever the training did."""
    body, heads, class_names = load_body(folder)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        detector = inference_model(with_heads(body, None, heads.input_shape), heads.input_shape)
        boxes, scores = _decode(detector.outputs, heads)
        return keras.Model(detector.input, {"boxes": boxes, "scores": scores}), heads, class_names
    finally:
        keras.config.set_dtype_policy(policy)


def _decode(outputs: list[Tensor], heads: Heads) -> tuple[Tensor, Tensor]:
    """The boxes (B, N, 4) in pixels of the input and scores (B, N, C) of all heads."""
    pixels = np.array(heads.input_shape[::-1] * 2, np.float32)
    boxes, scores = [], []
    for raw, mask in zip(outputs, heads.anchor_mask, strict=True):
        xy, wh, confidence, probability = yolo_head(raw, heads.anchors[mask], heads.num_classes, heads.input_shape)
        corners = ops.concatenate([xy - wh / 2, xy + wh / 2], axis=-1) * pixels
        slots = math.prod(corners.shape[1:4])
        boxes.append(ops.reshape(corners, (-1, slots, 4)))
        scores.append(ops.reshape(confidence * probability, (-1, slots, heads.num_classes)))
    # A raw size of 89 is infinite after exp; a billion pixels are as good, and have an area.
    return ops.clip(ops.concatenate(boxes, axis=1), -1e9, 1e9), ops.concatenate(scores, axis=1)


def _write_models(model: keras.Model, folder: Path) -> None:
    import tensorflow as tf

    try:
        with _quiet():
            model.export(folder / "saved_model", format="tf_saved_model", verbose=False)
            tflite = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model")).convert()
    except tf.errors.OpError as error:  # of a drive that is full, say
        raise OSError(error.message) from error
    (folder / "detector.tflite").write_bytes(tflite)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what Keras and TensorFlow say of their own work, past Python too, on stderr itself."""
    logger = logging.getLogger("tensorflow")
    level, stderr = logger.level, os.dup(2)
    logger.setLevel(logging.ERROR)
    try:
        # Keras 3.8 prints, whatever `verbose` is.
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        logger.setLevel(level)
