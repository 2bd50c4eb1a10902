"""What the benchmarks set ours against does what it says: their timings are not tested."""

import keras
import numpy as np
import pytest
from reference import oracle_case

from benchmarks import dataset, loss, step
from benchmarks.table import Row


@pytest.mark.parametrize("number", [0, 2])  # the tiny case has the original's own masks
def test_the_original_formula_is_restated_rightly(number):
    case = oracle_case(number)
    arguments = case["anchors"], case["num_classes"], case["ignore_thresh"]
    found = loss.original_loss([*case["output"], *case["y_true"]], *arguments)
    assert float(found) == pytest.approx(case["loss"], rel=1e-5)


def test_the_originals_way_keeps_its_boxes_on_the_cells(tmp_path):
    """A cell is darker and redder than what surrounds it; so are the boxes that come with the changed photograph."""
    annotation = dataset.write_photographs(tmp_path, 1)[0]
    rng = np.random.default_rng(0)
    for _ in range(4):
        pixels, boxes = dataset.original_sample(annotation, rng)
        assert pixels.shape == (416, 416, 3) and 0 <= pixels.min() <= pixels.max() <= 1
        inside = np.zeros((416, 416), bool)
        for x0, y0, x1, y1 in boxes[:, :4].astype(int):
            inside[y0:y1, x0:x1] = True
        spread = pixels.max(-1) - pixels.min(-1)
        assert spread[inside].mean() > 1.5 * spread[~inside].mean()


def test_lines_of_the_data_set(tmp_path):
    rows = list(dataset.measure(photographs=3, repeats=1, workers=2))
    assert [row.what.split(": ")[1] for row in rows] == [
        "grids, 1 thread",
        "grids, 2 threads",
        "boxes, 1 thread",
        "boxes, 2 threads",
    ]
    assert all((row.ours > 0).all() and (row.floor > 0).all() for row in rows)


def test_operations_of_a_convolution_counted_by_hand():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(5, 3, padding="same")(inputs)
    x = keras.layers.Conv2D(7, 1, strides=2)(x)
    first, second = 8 * 8 * 5 * 3 * 3 * 3, 4 * 4 * 7 * 5  # multiplications
    assert step.step_operations(keras.Model(inputs, x)) == 2 * first * 2 + 2 * second * 3


def test_a_ratio_above_one_is_faster_in_either_unit():
    assert Row("", "ms", np.array([2.0, 3, 4]), np.array([6.0])).ratio == 2
    assert Row("", "images/s", np.array([30.0]), np.array([10.0, 15, 16])).ratio == 2
    assert Row("a", "ms", np.array([2.0, 3, 40]), np.array([120.0])).cells() == [
        "a",
        "3.0 (2.0 to 40.0)",
        "ms",
        "120 (120 to 120)",
        "40.00",
        "",
    ]
