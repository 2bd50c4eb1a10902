"""Each diagnosis finds the fault that was put in, and nothing where there is none."""

import dataclasses
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from reference import ANCHORS, ROOT

from yolo_helpers.anchors import DATA, Heads
from yolo_helpers.annotations import read_annotations
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.diagnosis import compare_weights, find_not_finite, find_scaling, find_without_gradient
from yolo_helpers.loss import YoloLoss, identity_loss
from yolo_helpers.model import micro_yolo_body, output_convolutions
from yolo_helpers.training_model import create_model

HEADS = Heads((64, 96), ANCHORS, 3)
X, Y = np.random.default_rng(0).normal(size=(2, 8, 3)).astype(np.float32)


@pytest.fixture
def body():
    keras.utils.set_random_seed(0)
    return micro_yolo_body(keras.Input((64, 96, 3)), 3, 3)


@pytest.fixture
def model(body):
    model = create_model(body, HEADS.input_shape, HEADS.anchors, 3, loss_layer=YoloLoss(HEADS.anchors, 3))
    model.compile("adam", loss={"yolo_loss": identity_loss})
    return model


@pytest.fixture(scope="module")
def annotations():
    return read_annotations(DATA / "smears" / "annotations.txt")[0][:3]


# Variables without gradient


def test_the_training_model_reaches_all_and_stays_as_it_is(model, annotations):
    before = [ops.convert_to_numpy(variable) for variable in (*model.variables, *model.metrics_variables)]
    found = find_without_gradient(model, *YoloDataset(annotations, HEADS)[0])
    assert found == ([], [], len(model.trainable_variables))
    assert str(found) == f"All {found.trainable} trainable variables have a gradient."
    for variable, old in zip((*model.variables, *model.metrics_variables), before, strict=True):
        np.testing.assert_array_equal(variable, old)


def test_a_layer_before_a_rounding_gets_none_and_frozen_ones_are_not_asked():
    model = keras.Sequential([
        keras.Input((3,)),
        layers.Dense(4, name="before"),
        layers.Lambda(lambda x: ops.cast(ops.cast(x, "int32"), "float32"), name="whole"),
        layers.Dense(2, name="behind"),
        layers.Dense(1, name="frozen", trainable=False),
    ])  # fmt: skip
    model.compile("sgd", "mse")
    found = find_without_gradient(model, X, Y[:, :1], sample_weight=np.ones(8))
    paths = [variable.path for variable in model.layers[0].trainable_variables]
    assert (found.paths, found.trainable) == (paths, 4)
    assert str(found).splitlines()[:2] == [
        "2 of 4 trainable variables have no gradient:",
        f"  {paths[0].rpartition('/')[0]}: kernel, bias",
    ]


def test_variables_of_one_name_are_told_apart():
    class Two(layers.Layer):
        def build(self, shape):
            self.first, self.second = (self.add_weight(shape=(3, 3), name="w") for _ in range(2))

        def call(self, x):
            return ops.stop_gradient(x @ self.first) + x @ self.second

    model = keras.Sequential([keras.Input((3,)), Two()])
    model.compile("sgd", "mse")
    found = find_without_gradient(model, X, Y)
    assert len(found.paths) == 1 and found.trainable == 2


def test_after_an_error_the_model_is_as_it_was():
    model = keras.Sequential([keras.Input((3,)), layers.BatchNormalization()])
    model.compile("sgd", "mse")
    before = model.get_weights()
    with pytest.raises(Exception, match="shape"):
        find_without_gradient(model, X, Y[:, :2])
    for new, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_gradient_of_zero_is_told_apart():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, activation="relu"), layers.Dense(1)])
    model.layers[0].bias.assign([-1e6, -1e6])
    model.compile("sgd", "mse")
    found = find_without_gradient(model, X, Y[:, :1])
    assert found.paths == [] and len(found.zero) == 3  # the last bias is reached
    assert "a gradient of 0 for this batch" in str(found)


def test_what_keras_says_of_no_gradient_at_all_names_the_same_variables():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Lambda(lambda x: ops.argmax(x, -1))])
    model.compile("sgd", lambda y_true, y_pred: ops.cast(y_pred, "float32"), run_eagerly=True)
    with pytest.raises(ValueError, match="No gradients provided"):
        model.train_on_batch(X, Y[:, 0])
    found = find_without_gradient(model, X, Y[:, 0])
    assert len(found.paths) == found.trainable == 2


def test_what_cannot_be_asked_for_gradients():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="call compile first"):
        find_without_gradient(model, X, Y)
    model.trainable = False
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has no trainable variable"):
        find_without_gradient(model, X, Y[:, :1])


# Photographs whose loss is not finite


@pytest.mark.parametrize("targets", ["y_true", "boxes"])
def test_healthy_photographs_have_no_fault(body, annotations, targets):
    found = find_not_finite(body, YoloDataset(annotations, HEADS, batch_size=2, targets=targets))
    assert found == (3, [], []) and str(found) == "The loss of each of the 3 photographs is finite."


def test_a_refused_photograph_is_named_and_the_others_are_looked_at(body, annotations):
    wrong = dataclasses.replace(annotations[1], classes=annotations[1].classes + 3)
    data = YoloDataset([annotations[0], wrong, annotations[2]], HEADS, batch_size=2, augment=True)
    (fault,) = find_not_finite(body, data).faults
    assert fault.photograph == wrong.image_path and fault.reason.startswith("box 0: expected a class from 0 to 2")


def test_a_flat_box_in_labels_of_ones_own(model, annotations):
    (image, *labels), zeros = YoloDataset(annotations, HEADS)[0]
    slot = next(tuple(slot) for slot in np.argwhere(labels[2][..., 4] > 0) if slot[0] == 1)
    labels[2][slot][3] = 0
    found = find_not_finite(model, [((image, *labels), zeros)])
    (fault,) = found.faults
    assert (fault.photograph, fault.terms) == (1, ["wh"]) and np.isinf(model.predict_on_batch([image, *labels])[1])
    assert f"height 0 in its labels, y_true_2{[int(i) for i in slot[1:]]}" in str(found)


@pytest.mark.parametrize(
    ("bias", "words"),
    [(1e25, "a raw size of 1e+25, whose exp is infinite"), (-1e25, "are finite, and their loss is not")],
)
def test_raw_outputs_that_overflow(model, body, annotations, bias, words):
    for convolution in output_convolutions(body):
        convolution.bias.assign([bias] * 24)
    found = find_not_finite(model, YoloDataset(annotations, HEADS))
    assert found.faults and all("wh" in fault.terms and words in fault.reason for fault in found.faults)


def test_weights_that_are_not_finite_come_first(model, annotations):
    kernel = model.trainable_variables[0]
    kernel.assign(kernel * np.nan)
    found = find_not_finite(model, YoloDataset(annotations, HEADS))
    assert found == (0, [kernel.path], []) and "load weights from before" in str(found)


def test_a_model_without_the_loss_is_refused(annotations):
    with pytest.raises(ValueError, match="is no training model"):
        find_not_finite(keras.Sequential([keras.Input((3,)), layers.Dense(1)]), [])
    subclassed = keras.Model()
    subclassed.built = True
    for other in (subclassed, keras.Sequential([keras.Input((3,)), layers.Dense(1)])):
        with pytest.raises(ValueError, match="is no training model"):
            find_not_finite(other, YoloDataset(annotations, HEADS))


def test_half_precision_has_a_finite_loss_too(annotations):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = micro_yolo_body(keras.Input((64, 96, 3)), 3, 3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert find_not_finite(half, YoloDataset(annotations, HEADS)) == (3, [], [])


# Arrays of a file


def two_layers(classes, name="head"):
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, name="first"), layers.Dense(classes, name=name)])


@pytest.mark.parametrize("ending", [".weights.h5", ".keras", ".h5"])
def test_the_arrays_of_a_file_are_counted_as_keras_wrote_them(tmp_path, ending):
    keras.utils.set_random_seed(0)
    model, file = two_layers(2), tmp_path / f"model{ending}"
    model.compile("adam", "mse")
    model.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0)  # so the optimiser's arrays are in the file too
    model.save_weights(file) if ending == ".weights.h5" else model.save(file)
    found = compare_weights(model, file)
    assert len(found.taken) == 4 and found.not_taken == found.not_in_file == []
    assert str(found) == f"The model has 4 of the 4 arrays in model{ending}."

    fresh = two_layers(2, name="other")
    fresh.layers[0].set_weights(model.layers[0].get_weights())
    found = compare_weights(fresh, file)
    assert sorted(shape for _, shape in found.not_taken) == [(2,), (8, 2)]
    other = [("/".join(path.split("/")[-2:]), shape) for path, shape in found.not_in_file]
    assert other == [("other/kernel", (8, 2)), ("other/bias", (2,))]


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize("turned", [False, True])
def test_half_precision_rounds_what_it_takes(tmp_path, half, turned):
    def make(dtype):
        return keras.Sequential([keras.Input((3,)), layers.Dense(2, dtype=dtype), layers.BatchNormalization()])

    saved, model = (make(dtype) for dtype in (half, "float32")[:: 1 if turned else -1])
    saved.save_weights(tmp_path / "saved.weights.h5")
    assert compare_weights(model, tmp_path / "saved.weights.h5").not_taken
    model.load_weights(tmp_path / "saved.weights.h5")
    found = compare_weights(model, tmp_path / "saved.weights.h5")
    assert len(found.taken) == 6 and found.not_taken == found.not_in_file == []


def test_arrays_skipped_by_name_in_keras_2(tmp_path):
    tf_keras = pytest.importorskip("tf_keras")

    def make(classes):
        parts = [tf_keras.Input((4,)), tf_keras.layers.Dense(8, name="first")]
        return tf_keras.Sequential([*parts, tf_keras.layers.Dense(classes, name=f"head_{classes}")])

    make(2).save_weights(tmp_path / "old.h5")
    model = make(3)
    model.load_weights(tmp_path / "old.h5", by_name=True)
    found = compare_weights(model, tmp_path / "old.h5")
    assert [name.split("/")[-1] for name, _ in found.not_taken] == ["bias:0", "kernel:0"] or len(found.not_taken) == 1
    assert ("head_3/kernel:0", (8, 3)) in found.not_in_file


def test_files_without_weights_are_refused(tmp_path):
    (tmp_path / "text.h5").write_text("version https://git-lfs")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as file:
        file.writestr("config.json", "{}")
    for name, words in (("none.h5", "there is no such file"), ("text.h5", "of another kind"), ("other.keras", "kind")):
        with pytest.raises(ValueError, match=words):
            compare_weights(two_layers(2), tmp_path / name)


# Scaling

LOSSES = {
    "row": (lambda t, p: ops.sum((t - p) ** 2, -1), (1, 1, 1, 1)),
    "mean": (lambda t, p: ops.mean((t - p) ** 2), (1, 1, 2, 2)),
    "sum": (lambda t, p: ops.sum((t - p) ** 2), (2, 2, 1, 1)),
    "objects": (lambda t, p: ops.sum(t * p**2) / ops.sum(t), (1, 1, np.nan, np.nan)),  # the second replica has none
}


def compiled(loss):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Dense(3)])
    model.compile("adam", loss, run_eagerly=True)
    return model


def test_one_device_alone_gets_the_batch_and_a_sentence():
    (device,) = tf.config.list_logical_devices("CPU")
    found = find_scaling(lambda: compiled(LOSSES["sum"][0]), X, Y)
    assert found.batch == (2, 2) and found.replicas is None
    assert "a sum over the batch" in str(found) and "set_logical_device_configuration" in str(found)


def test_two_replicas():
    """In a process of its own, since devices are configured before TensorFlow computes anything."""
    code = (
        "import tensorflow as tf\n"
        'processor = tf.config.list_physical_devices("CPU")[0]\n'
        "tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)\n"
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_diagnosis import *\n"
        "for name, (loss, _) in LOSSES.items():\n"
        "    y = np.float32(np.arange(8) < 4)[:, None] if name == 'objects' else Y\n"
        "    found = find_scaling(lambda: compiled(loss), X, y)\n"
        "    print(name, *found.batch, *found.replicas, str(found).splitlines()[-1], sep='|')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    for line, (name, (_, expected)) in zip(done.stdout.splitlines(), LOSSES.items(), strict=True):
        said, *factors, verdict = line.split("|")
        assert said == name
        np.testing.assert_allclose([float(factor) for factor in factors], expected, atol=0.01)
        verdicts = {
            "row": "right",
            "mean": "twice as long on two",
            "sum": "grows with the batch",
            "objects": "not finite",
        }
        assert verdicts[name] in verdict


def test_two_models_of_other_shapes_on_two_replicas():
    code = (
        "import keras, numpy as np, tensorflow as tf\n"
        'processor = tf.config.list_physical_devices("CPU")[0]\n'
        "tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)\n"
        "from yolo_helpers.diagnosis import find_scaling\n"
        "def build():\n"
        "    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(width)])\n"
        "    model.compile('sgd', 'mse')\n"
        "    return model\n"
        "for width in (2, 5):\n"
        "    print(find_scaling(build, np.ones((4, 3)), np.ones((4, width))).replicas)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["Factors(loss=1.0, step=1.0)"] * 2


def test_an_odd_batch_and_a_model_without_weights_are_refused():
    with pytest.raises(ValueError, match="an even number of images"):
        find_scaling(lambda: None, X[:3], Y[:3])
    with pytest.raises(ValueError, match="begin it with an Input"):
        find_scaling(lambda: keras.Sequential([layers.Dense(1)]), X, Y)


def test_nothing_to_train_and_nothing_to_reduce_are_refused():
    def build(trainable):
        layer = layers.Dense(3, kernel_initializer="zeros", trainable=trainable)
        model = keras.Sequential([keras.Input((3,)), layer])
        model.compile("sgd", "mse")
        return model

    with pytest.raises(ValueError, match="has nothing to train"):
        find_scaling(lambda: build(False), X, Y)
    with pytest.raises(ValueError, match="The loss is 0"):
        find_scaling(lambda: build(True), X, 0 * Y)
