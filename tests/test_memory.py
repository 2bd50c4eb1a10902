"""Counted memory: against numbers counted by hand, and beside those that were measured."""

import json

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

from benchmarks import memory
from yolo_helpers.memory import count_memory
from yolo_helpers.model import BODIES, yolo_body
from yolo_helpers.plots import show_memory


def small_body():
    inputs = keras.Input((32, 64, 3))  # 6144 numbers
    x = keras.layers.ZeroPadding2D(((1, 0), (1, 0)))(inputs)  # 33 x 65 x 3 = 6435
    x = keras.layers.Conv2D(4, 3, strides=2, use_bias=False)(x)  # 16 x 32 x 4 = 2048; 3 * 9 * 4 = 108 weights
    x = keras.layers.BatchNormalization()(x)  # 2048; 8 trained, 8 not
    x = keras.layers.LeakyReLU()(x)  # 2048
    return keras.Model(inputs, keras.layers.Conv2D(18, 1)(x))  # 16 x 32 x 18 = 9216; 4 * 18 + 18 = 90 weights


OUTPUTS, LARGEST, TRAINED, NOT_TRAINED = 6144 + 6435 + 3 * 2048 + 9216, 9216, 108 + 8 + 90, 8


@pytest.mark.parametrize("batch", [1, 5])
def test_a_small_body_counted_by_hand(batch):
    assert count_memory(small_body(), batch, "float32") == {
        "weights": 4 * (TRAINED + NOT_TRAINED),
        "their gradients": 4 * TRAINED,
        "Adam's moments": 8 * TRAINED,
        "layers' outputs": 4 * batch * OUTPUTS,
        "outputs' gradients": 4 * batch * 2 * LARGEST,
    }


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_halves_the_outputs_and_keeps_a_copy_of_the_weights(precision):
    counted = count_memory(small_body(), 3, precision)
    assert counted["layers' outputs"] == 2 * 3 * OUTPUTS and counted["outputs' gradients"] == 2 * 3 * 2 * LARGEST
    assert counted["weights"] == 4 * (TRAINED + NOT_TRAINED) + 2 * TRAINED
    assert counted["their gradients"] == 4 * TRAINED


def test_adams_moments_are_those_that_keras_makes():
    body = small_body()
    adam = keras.optimizers.Adam()
    adam.build(body.trainable_variables)
    made = sum(4 * int(np.prod(variable.shape)) for variable in adam.variables if len(variable.shape))
    assert count_memory(body, 1)["Adam's moments"] == made


def test_the_record_shows_what_is_counted_and_how_far_off_it_is():
    record = json.loads(memory.RECORD.read_text(encoding="utf-8"))
    base, *rows = record["rows"]
    for row in (base, *rows):
        body = BODIES[record["body"]](keras.Input((row["size"], row["size"], 3)), 3, 3)
        assert row["counted"] == count_memory(body, row["batch"], record["precision"])
        row["total"] = sum(row["counted"].values())
    for row in rows:  # what grows with the image, without what TensorFlow takes for its own
        grown = row["measured"] - base["measured"]
        assert grown == pytest.approx(row["total"] - base["total"], rel=0.15)


def test_the_full_network_fits_into_a_t4_in_half_precision():
    body = yolo_body(keras.Input((416, 416, 3)), 3, 80)
    assert sum(count_memory(body, 16, "mixed_float16").values()) < 0.8 * 15e9
    assert sum(count_memory(body, 64, "float32").values()) > 16e9


def test_the_picture_has_the_numbers():
    parts = {"a": {"x": 10**9, "y": 2 * 10**9}, "b": {"y": 4 * 10**9}}
    ax = show_memory(parts, 16 * 10**9, {"b": 5 * 10**9})
    ends = {round(bar.get_y() + bar.get_height() / 2): bar.get_x() + bar.get_width() for bar in ax.patches}
    assert ends == {0: 3, 1: 4}
    assert [(*line.get_xdata(), line.get_ydata()[0]) for line in ax.lines if line.get_marker() == "D"] == [(5, 1)]
    assert [line.get_xdata() for line in ax.lines if line.get_marker() != "D"] == [[16, 16]]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(set(names)) == len(names) and {"x", "y", "measured", "16 GB"} == set(names)
    plt.close("all")
