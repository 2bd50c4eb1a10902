"""The networks: the original's sizes, the map from heads to strides, and what a body starts with."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import ANCHORS, MASKS, decode

from yolo_helpers.anchors import grid_shapes
from yolo_helpers.model import (
    BODIES,
    FusedBatchNormalization,
    inference_model,
    micro_yolo_body,
    tiny_yolo_body,
    yolo_body,
    yolo_head,
)


@pytest.mark.parametrize(
    ("build", "num_classes", "parameters"),
    [
        (yolo_body, 20, 61_678_657),
        (yolo_body, 80, 62_001_757),
        (tiny_yolo_body, 20, 8_720_134),
        (tiny_yolo_body, 80, 8_858_734),
    ],
)
def test_parameters_are_the_originals(build, num_classes, parameters):
    body = build(keras.Input((None, None, 3)), 3, num_classes)
    assert body.count_params() == parameters


def test_the_full_body_has_the_originals_layers():
    body = yolo_body(keras.Input((416, 416, 3)), 3, 80)
    assert len(body.layers) == 252
    assert sum(int(np.prod(weight.shape)) for weight in body.trainable_weights) == 61_949_149
    # The first 185 layers are Darknet-53: the last of them ends the stage of stride 32, the next begins a head.
    assert isinstance(body.layers[184], keras.layers.Add) and body.layers[184].output.shape == (None, 13, 13, 1024)
    backbone = {layer.name for layer in body.layers[:185]}
    assert not any(isinstance(layer, keras.layers.UpSampling2D) for layer in body.layers[:185])
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in body.layers[:185]) == 52
    assert [layer.output.shape[-1] for layer in body.layers[-3:]] == [255] * 3 and len(backbone) == 185
    for layer in body.layers[-3:]:
        assert layer.use_bias


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("shape", [(64, 96), (96, 32)])
def test_heads_have_the_grids_of_their_strides(name, shape):
    body = BODIES[name](keras.Input((*shape, 3)), 3, 4)
    heads = len(body.outputs)
    expected = [(None, *grid, 27) for grid in grid_shapes(shape, heads)]
    assert [head.shape for head in body.outputs] == expected
    assert heads == (2 if name == "tiny" else 3)


def test_micro_is_small_and_any_size_of_image_will_do():
    body = micro_yolo_body(keras.Input((None, None, 3)), 3, 3)
    assert 2e5 < body.count_params() < 5e5
    assert [head.shape for head in body(np.zeros((2, 64, 32, 3), np.float32))] == [
        (2, 2, 1, 24),
        (2, 4, 2, 24),
        (2, 8, 4, 24),
    ]


def test_an_untrained_slot_says_one_per_cent():
    body = micro_yolo_body(keras.Input((64, 64, 3)), 3, 2)
    for convolution in body.layers[-3:]:
        bias = np.asarray(convolution.bias).reshape(3, 7)
        np.testing.assert_allclose(1 / (1 + np.exp(-bias[:, 4])), 0.01, rtol=1e-5)
        assert not np.delete(bias, 4, axis=1).any()


def test_yolo_head_decodes_slot_by_slot():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(2, 2, 3, 24)).astype(np.float32)
    anchors = ANCHORS[MASKS[9][0]]
    xy, wh, confidence, probability = (np.asarray(x) for x in yolo_head(raw, anchors, 3, (64, 96)))
    slots = raw.reshape(2, 2, 3, 3, 8)
    for b, j, i, k in np.ndindex(2, 2, 3, 3):
        expected = decode(slots[b, j, i, k].astype(float), i, j, anchors[k], (2, 3), (64, 96))
        found = np.concatenate([xy[b, j, i, k] - wh[b, j, i, k] / 2, xy[b, j, i, k] + wh[b, j, i, k] / 2])
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(confidence[..., 0], 1 / (1 + np.exp(-slots[..., 4])), rtol=1e-5)
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-slots[..., 5:])), rtol=1e-5)


def test_the_inference_model_scales_pixels_and_shares_weights():
    body = micro_yolo_body(keras.Input((32, 32, 3)), 3, 2)
    detector = inference_model(body, (32, 32))
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    body.layers[-1].bias.assign_add(np.ones(21, np.float32))
    for ours, plain in zip(detector(image), body(image / np.float32(255)), strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("trainable", [True, False])
def test_the_fused_normalisation_is_that_of_keras(training, trainable, policy):
    """Outputs, gradients and moving averages; in half precision up to the rounding of what it returns."""
    rng = np.random.default_rng(0)
    images, weights = (rng.normal(2, 3, (3, 4, 5, 6)).astype(np.float32) for _ in range(2))
    found = []
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization):
        layer = kind(momentum=0.9, epsilon=1e-5, trainable=trainable, dtype=policy)
        layer.build(images.shape)
        for variable, (low, high) in zip(layer.variables, [(0.5, 2), (-1, 1), (-2, 2), (1, 3)], strict=True):
            variable.assign(np.linspace(low, high, 6))
        x = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=training)
            total = tf.reduce_sum(tf.cast(outputs, "float32") * weights)
        gradients = tape.gradient(total, [x, layer.gamma.value, layer.beta.value])
        found.append([outputs, *gradients, *layer.variables])
    for ours, keras_own in zip(*found, strict=True):
        close = {"rtol": 1e-4, "atol": 1e-5} if policy == "float32" else {"rtol": 2e-3, "atol": 1e-2}
        np.testing.assert_allclose(np.asarray(ours), np.asarray(keras_own), **close)
    moved = not np.allclose(found[0][-2], np.linspace(-2, 2, 6))
    assert moved == (training and trainable)
