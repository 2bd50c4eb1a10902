"""The six ways: the lesson and the package hold the same code, and each gives the loss of `yolo_loss`."""

import ast

import keras
import nbformat
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yolo_helpers import six_ways
from yolo_helpers.anchors import DATA, default_anchors, grid_shapes
from yolo_helpers.loss import yolo_loss
from yolo_helpers.six_ways import WAYS, fit_arguments

LESSON = DATA.parent / "notebooks" / "further" / "ways_six_compared.ipynb"
SHAPE, ANCHORS = (64, 96), default_anchors(3)
SETTINGS = {"anchors": ANCHORS.tolist(), "num_classes": 3}


def functions(source):
    """Functions and methods of a source by name, without docstrings, decorators and hints, as text to compare."""
    found = {}
    for owner in [module := ast.parse(source), *(node for node in module.body if isinstance(node, ast.ClassDef))]:
        for node in owner.body:
            if isinstance(node, ast.FunctionDef):
                node.returns, node.decorator_list = None, []
                for argument in node.args.args:
                    argument.annotation = None
                if ast.get_docstring(node) is not None:
                    node.body = node.body[1:]
                found[f"{getattr(owner, 'name', '')}.{node.name}".strip(".")] = ast.unparse(node)
    return found


def test_the_lesson_teaches_what_the_package_holds():
    cells = nbformat.read(LESSON, as_version=4).cells
    taught = functions("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    held = functions((DATA.parent / "yolo_helpers" / "six_ways.py").read_text(encoding="utf-8"))
    # For saving, the package's classes take and give more; that is all that may differ.
    both = {name for name in taught.keys() & held.keys() if not name.endswith("__init__")}
    assert {make.__name__ for make in WAYS.values()} <= both
    assert {"Endpoint.call", "HeadLoss.call", "ComputeLossModel.compute_loss", "TrainStepModel.train_step"} <= both
    assert {name: taught[name] for name in both} == {name: held[name] for name in both}


@pytest.fixture(scope="module")
def batch():
    random = np.random.default_rng(3)
    image = random.uniform(size=(5, *SHAPE, 3)).astype("float32")
    labels = [np.zeros((5, *grid, 3, 8), "float32") for grid in grid_shapes(SHAPE, 3)]
    for number in range(5):
        for label in labels:
            row, column, k = (random.integers(side) for side in label.shape[1:4])
            label[number, row, column, k] = [*random.uniform(0.2, 0.8, 4), 1, 0, 1, 0]
    return image, labels


def body():
    keras.utils.set_random_seed(1)
    pixels = keras.Input((*SHAPE, 3))
    patches = [keras.layers.AveragePooling2D(stride)(pixels) for stride in (32, 16, 8)]
    return keras.Model(pixels, [keras.layers.Conv2D(24, 1, kernel_regularizer="l2")(patch) for patch in patches])


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_loss_with_weights_and_penalty(batch, way):
    image, labels = batch
    network = body()
    losses = ops.convert_to_numpy(yolo_loss([*network(image), *labels], **SETTINGS))[:, 0]
    model, loss = WAYS[way](network, SETTINGS)
    model.compile(loss=loss, run_eagerly=True)
    weights = np.array([0, 1, 2, 0.5, 1], "float32")
    for sample_weight in (None, weights):
        if way == "endpoint layer" and sample_weight is not None:
            continue  # add_loss cannot see the weights, as lesson ways_six_compared says
        found = model.evaluate(
            **fit_arguments(way, image, labels),
            batch_size=2,
            sample_weight=sample_weight,
            verbose=0,
            return_dict=True,
        )
        expected = (losses * (1 if sample_weight is None else sample_weight)).mean() + float(sum(network.losses))
        assert found["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("way", ["compute_loss", "train_step"])
def test_sample_weights_that_a_dataset_yields_count_as_those_given_as_arrays(batch, way):
    image, labels = batch
    weights = np.array([0, 1, 2, 0.5, 1], "float32")
    model, loss = WAYS[way](body(), SETTINGS)
    model.compile(loss=loss, run_eagerly=True)
    fed = fit_arguments(way, image, labels)
    arrays = model.evaluate(**fed, sample_weight=weights, batch_size=5, verbose=0, return_dict=True)["loss"]
    yielded = tf.data.Dataset.from_tensors((fed["x"], fed["y"], weights))
    assert model.evaluate(yielded, verbose=0, return_dict=True)["loss"] == pytest.approx(arrays, rel=1e-6)


@pytest.mark.parametrize("head", range(3))
def test_a_head_alone_must_be_told_the_input_shape(batch, head):
    image, labels = batch
    outputs = body()(image)
    empty = [label if number == head else np.zeros_like(label) for number, label in enumerate(labels)]
    silent = [output if number == head else ops.zeros_like(output) - 1e4 for number, output in enumerate(outputs)]
    alone = six_ways.HeadLoss(SETTINGS, head, SHAPE).call(labels[head], outputs[head])
    np.testing.assert_allclose(alone, yolo_loss([*silent, *empty], **SETTINGS), rtol=1e-5)
