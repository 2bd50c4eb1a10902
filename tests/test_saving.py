"""The inference model outlives the process: saved, loaded again and exported, it says the same."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from yolo_helpers.model import inference_model, micro_yolo_body

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)


# Called directly: `predict` would trace each network to run it once.


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    return inference_model(micro_yolo_body(keras.Input((64, 96, 3)), 3, 3), (64, 96))


def assert_says_the_same(heads, detector):
    for ours, theirs in zip(heads, detector(IMAGES), strict=True):
        assert np.std(theirs) > 0.01
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_saved_as_keras_and_loaded_with_safe_mode_on(detector, tmp_path):
    """Safe mode refuses a file that brings code of its own, as the training model with its lambda does."""
    detector.save(tmp_path / "detector.keras")
    again = keras.saving.load_model(tmp_path / "detector.keras", safe_mode=True)
    assert again.input.dtype == "uint8"
    assert_says_the_same(again(IMAGES), detector)


def test_exported_for_tensorflow_without_keras(detector, tmp_path):
    detector.export(tmp_path / "detector", format="tf_saved_model", verbose=False)
    again = tf.saved_model.load(tmp_path / "detector")
    heads = again.serve(tf.constant(IMAGES))
    assert_says_the_same([head.numpy() for head in heads], detector)
