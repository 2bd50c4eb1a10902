"""Loss, training and detection on whichever backend Keras runs: TensorFlow, JAX or PyTorch.

`make test-jax` runs this file where TensorFlow is not installed; run on TensorFlow, it starts itself on the others it
finds.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from darknet_files import HEADER, fastest, plain_darknet, random_weights
from keras import ops
from PIL import Image
from reference import (
    ANCHORS,
    MASKS,
    ROOT,
    heads_that_see,
    oracle_case,
    plain_terms,
    random_boxes,
    random_case,
)

from benchmarks import devices
from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import read_annotations
from yolo_helpers.darknet import Header, build_body, load_weights, save_weights
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.detection import detect, yolo_eval
from yolo_helpers.loss import TRUE_BOXES_AT_ONCE, YoloLoss, identity_loss, yolo_loss
from yolo_helpers.model import FusedBatchNormalization, micro_yolo_body
from yolo_helpers.run_folder import BEST, HISTORY, NETWORK, SETTINGS, STATE, load_detector
from yolo_helpers.smear import CLASS_NAMES, write_smears
from yolo_helpers.targets import preprocess_true_boxes
from yolo_helpers.training import Stage, train
from yolo_helpers.training_model import create_model

BACKEND = keras.backend.backend()
# By the imports above. Later Keras itself imports it, where it is installed, to seed and to save.
TENSORFLOW_IMPORTED = "tensorflow" in sys.modules
SHAPE = (64, 64)
HEADS = Heads(SHAPE, ANCHORS, 3)
# PyTorch runs as written. Without jit, JAX compiles every operation by itself, ten seconds a case, so few are tried.
COMPILED = [False] if BACKEND == "torch" else [False, True]
FASTEST = COMPILED[-1]
# NumPy says it where it takes a tensor of PyTorch for an array, which it cannot when the tensor lies on a GPU.
pytestmark = pytest.mark.filterwarnings("error:__array_wrap__:DeprecationWarning")
if BACKEND == "jax":  # XLA reads it at the first computation: compiling takes most of the time, and this a third of it
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


def test_the_fused_normalisation():
    """Against NumPy in double precision: what it returns in training, and its moving averages."""
    rng = np.random.default_rng(0)
    images = (rng.normal(0, 3, (3, 4, 5, 6)) + np.linspace(-30, 30, 6)).astype(np.float32)
    layer = FusedBatchNormalization(momentum=0.9, epsilon=1e-5)
    outputs = ops.convert_to_numpy(layer(ops.convert_to_tensor(images), training=True))
    mean, variance = images.mean((0, 1, 2), np.float64), images.var((0, 1, 2), np.float64)
    np.testing.assert_allclose(outputs, (images - mean) / np.sqrt(variance + 1e-5), rtol=1e-3, atol=1e-4)
    for variable, new, before in ((layer.moving_mean, mean, 0), (layer.moving_variance, variance, 1)):
        np.testing.assert_allclose(ops.convert_to_numpy(variable), 0.9 * before + 0.1 * new, rtol=1e-4)


def loss_and_gradient(outputs, y_true, *arguments, compiled):
    """The loss of each image (B, 1), and the gradient of their sum with respect to each output."""

    def loss_of(outputs):
        return yolo_loss([*outputs, *y_true], *arguments)

    outputs = [ops.convert_to_tensor(output) for output in outputs]
    if BACKEND == "jax":
        import jax

        def total(outputs):
            loss = loss_of(outputs)
            return ops.sum(loss), loss

        step = jax.grad(total, has_aux=True)
        gradients, loss = (jax.jit(step) if compiled else step)(outputs)
    elif BACKEND == "torch":
        for output in outputs:
            output.requires_grad_()
        loss = loss_of(outputs)
        loss.sum().backward()
        gradients = [output.grad for output in outputs]
    else:
        import tensorflow as tf

        def step(outputs):
            with tf.GradientTape() as tape:
                tape.watch(outputs)
                loss = loss_of(outputs)
            return tape.gradient(loss, outputs), loss

        gradients, loss = (tf.function(step, jit_compile=True) if compiled else step)(outputs)
    return ops.convert_to_numpy(loss), [ops.convert_to_numpy(gradient) for gradient in gradients]


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow is the backend")
def test_the_package_does_not_import_tensorflow():
    assert not TENSORFLOW_IMPORTED


@pytest.mark.parametrize(("number", "compiled"), sorted({(0, FASTEST), (1, FASTEST), (2, FASTEST), (1, False)}))
def test_loss_and_gradient_are_the_originals(number, compiled):
    case = oracle_case(number)
    arguments = case["anchors"], case["num_classes"], case["ignore_thresh"], case["mask"]
    loss, gradients = loss_and_gradient(case["output"], case["y_true"], *arguments, compiled=compiled)
    assert loss.shape == (len(case["boxes"]), 1)
    assert loss.mean() == pytest.approx(case["loss"], rel=1e-5)
    for gradient, expected in zip(gradients, case["grad"], strict=True):
        np.testing.assert_allclose(gradient / len(loss), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_more_boxes_than_are_compared_at_once():
    outputs, y_true, *arguments = random_case(2, SHAPE, boxes=60)
    assert max(int(target[..., 4].sum()) for target in y_true) > len(outputs[0]) * TRUE_BOXES_AT_ONCE
    loss, _ = loss_and_gradient(outputs, y_true, *arguments, compiled=FASTEST)
    terms = plain_terms(outputs, y_true, *arguments, 0.5, MASKS[9])
    np.testing.assert_allclose(loss[:, 0], sum(terms.values()), rtol=1e-5)


def test_boxes_have_the_loss_and_gradient_of_their_grids():
    true_boxes = random_boxes(np.random.default_rng(2), SHAPE, boxes=60)
    outputs, y_true, *arguments = random_case(2, SHAPE, true_boxes=true_boxes)
    assert sum(target[..., 4].sum() for target in y_true) < 120  # some share a slot
    loss, gradients = loss_and_gradient(outputs, y_true, *arguments, compiled=FASTEST)
    same, same_gradients = loss_and_gradient(outputs, [true_boxes], *arguments, compiled=FASTEST)
    np.testing.assert_allclose(same, loss, rtol=1e-5)
    for one, other in zip(same_gradients, gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("compiled", COMPILED)
def test_the_gradient_is_the_slope_of_a_plain_loop(compiled):
    outputs, y_true, *arguments = random_case(1, (32, 32), batch=1, boxes=6)
    arguments.append(0.3)  # ignore_thresh
    loss, gradients = loss_and_gradient(outputs, y_true, *arguments, compiled=compiled)
    outputs = [output.astype(float) for output in outputs]

    def plain_loss():
        return sum(term[0] for term in plain_terms(outputs, y_true, *arguments, MASKS[9]).values())

    assert loss[0, 0] == pytest.approx(plain_loss(), rel=1e-5)
    for output, gradient in zip(outputs, gradients, strict=True):
        slopes = np.zeros_like(output)
        for at, value in np.ndenumerate(output):
            for sign in (1, -1):
                output[at] = value + sign * 1e-5
                slopes[at] += sign * plain_loss() / 2e-5
            output[at] = value
        np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-4)
    # An empty slot's confidence has no slope where the ignore mask spares it, and only there.
    assert any((gradient.reshape(target.shape)[..., 4] == 0).any() for gradient, target in zip(gradients, y_true))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    photographs = read_annotations(write_smears(tmp_path_factory.mktemp("smears"), 4, SHAPE, seed=1))[0]
    return YoloDataset(photographs, HEADS, batch_size=2)


def eight_convolutions(inputs, dropout=0.0):
    x, heads = keras.layers.Dropout(dropout)(inputs) if dropout else inputs, []
    for stride in (2, 4, 8, 16, 32):
        x = keras.layers.Conv2D(16, 3, strides=2, padding="same")(x)
        x = keras.layers.LeakyReLU(0.1)(keras.layers.BatchNormalization(momentum=0.9)(x))
        if stride >= 8:
            heads.insert(0, keras.layers.Conv2D(24, 1)(x))
    return keras.Model(inputs, heads)


def go_on(data, folder, seed, **settings):
    """Trains a new body, or goes on with what lies in the folder."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((*SHAPE, 3))
    # Tracing a body of the package for TensorFlow takes long, and test_training.py does it already.
    body = eight_convolutions(inputs) if BACKEND == "tensorflow" else micro_yolo_body(inputs, 3, 3)
    return body, train(body, data, [Stage(3, 5e-3)], folder, data, CLASS_NAMES, verbose=0, **settings)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A training of three epochs, and beside its folder what would lie there had it been killed after the first."""
    folder = tmp_path_factory.mktemp("training") / "whole"

    def copy(epoch, logs):
        if epoch == 1:
            shutil.copytree(folder, folder.with_name("killed"))

    callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=copy)]
    body, history = go_on(data, folder, 0, callbacks=callbacks)
    return body, history, folder


def test_training_lowers_the_loss_and_leaves_a_checkpoint(whole):
    _, history, folder = whole
    assert history["loss"][-1] < 0.85 * history["loss"][0]
    assert len(history["val_loss"]) == 3 and np.isfinite(history["val_AP50"][-1])
    state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    made_of = {SETTINGS, NETWORK, "classes.txt", "train.txt", "validation.txt"}
    left = {BEST, state["weights"], STATE, HISTORY, "found-0003.png", *made_of}
    assert {path.name for path in folder.iterdir()} == left
    assert [row["loss"] for row in state["history"]] == history["loss"]


@pytest.mark.skipif(BACKEND == "tensorflow", reason="test_checkpoint.py does it")
def test_half_precision_and_dropout_go_on_as_they_were(data, tmp_path):
    class Cut(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def run(folder, seed=0, **settings):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((*SHAPE, 3))
        body = eight_convolutions(inputs, dropout=0.5)
        return train(body, data, [Stage(3, 5e-3)], folder, verbose=0, **settings)

    keras.config.set_dtype_policy("mixed_float16")
    try:
        whole = run(tmp_path / "whole")
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", callbacks=[Cut()])
        assert run(tmp_path / "cut", seed=7, resume=True) == whole
    finally:
        keras.config.set_dtype_policy("float32")
    detector, heads, _ = load_detector(tmp_path / "whole")
    (found,) = detect(detector, [data.annotations[0].image_path], heads, 0)
    assert detector.outputs[0].dtype == "float16" and found.boxes.dtype == np.float32 and len(found.boxes)


def test_a_killed_training_goes_on_as_if_it_had_not_been(data, whole):
    body, history, folder = whole
    again, resumed = go_on(data, folder.with_name("killed"), 7, resume=True)
    np.testing.assert_allclose(resumed["loss"], history["loss"], rtol=1e-5)
    for one, other in zip(again.get_weights(), body.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_photograph_that_is_damaged_ends_the_training_in_a_sentence_and_leaves_the_checkpoint(tmp_path, workers):
    """In its middle and meanwhile, so that it is met where the batches are made."""
    photographs = read_annotations(write_smears(tmp_path / "smears", 4, SHAPE, seed=1))[0]
    folder, damaged = tmp_path / "out", photographs[-1].image_path
    before = {}

    def damage(epoch, logs):
        if epoch == 1:
            before.update((path.name, path.read_bytes()) for path in folder.iterdir())
            content = damaged.read_bytes()
            damaged.write_bytes(content[: len(content) // 2] + b"U" * 500 + content[len(content) // 2 + 500 :])

    data = YoloDataset(photographs, HEADS, batch_size=2, workers=workers)
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=damage)]
    body = eight_convolutions(keras.Input((*SHAPE, 3)))
    with pytest.raises(ValueError, match=r"smear_0003\.png: the image does not open") as error:
        train(body, data, [Stage(3, 5e-3)], folder, callbacks=callbacks, verbose=0)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    assert STATE in before and {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_detection_gives_back_what_the_heads_see():
    planted, shape = np.array([[275, 160, 450, 333, 0], [50, 60, 210, 200, 2]]), (333, 500)
    heads = heads_that_see(planted, shape)
    image = keras.Input((96, 128, 3), dtype="uint8")
    outputs = [
        keras.layers.Lambda(lambda x, head=head: ops.repeat(head, ops.shape(x)[0], axis=0))(image) for head in heads
    ]
    found = detect(keras.Model(image, outputs), [Image.new("RGB", shape[::-1])] * 3, HEADS, batch_size=2)
    found.append(yolo_eval([ops.convert_to_tensor(head) for head in heads], ANCHORS, 3, shape))
    for boxes, scores, classes in found:
        order = np.argsort(classes)
        assert classes[order].tolist() == [0, 2] and (scores > 0.99).all()
        np.testing.assert_allclose(boxes[order], planted[:, :4], atol=3)


def test_depthwise_convolutions_of_darknets_files(tmp_path):
    text, image = fastest(1), np.random.default_rng(0).random((96, 64, 3), np.float32)
    content = random_weights(text)
    (tmp_path / "net.cfg").write_text(text, encoding="utf-8")
    (tmp_path / "net.weights").write_bytes(content)
    body = build_body(tmp_path / "net.cfg")
    load_weights(body, tmp_path / "net.weights")
    for head, expected in zip(body.predict_on_batch(image[None]), plain_darknet(text, content, image), strict=True):
        np.testing.assert_allclose(head[0].transpose(2, 0, 1), expected, rtol=0, atol=1e-5 * expected.std())
    save_weights(body, tmp_path / "again.weights", Header(*HEADER))
    assert (tmp_path / "again.weights").read_bytes() == content


def test_the_loss_layer_survives_saving(tmp_path):
    outputs, y_true, *arguments = random_case(10, SHAPE)
    inputs = [keras.Input(x.shape[1:]) for x in (*outputs, *y_true)]
    model = keras.Model(inputs, YoloLoss(*arguments, ignore_thresh=0.6)(inputs))
    model.compile(loss={"yolo_loss": identity_loss})
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    logged = again.evaluate([*outputs, *y_true], np.zeros((len(outputs[0]), 1)), verbose=0, return_dict=True)
    terms = plain_terms(outputs, y_true, *arguments, 0.6, MASKS[9])
    expected = {name: term.mean() for name, term in terms.items()}
    assert logged.pop("loss") == pytest.approx(sum(expected.values()), rel=1e-5)
    # On JAX Keras cannot update a layer's metrics (keras issue 21639).
    assert logged == pytest.approx({} if BACKEND == "jax" else expected, rel=1e-5)


PARALLEL = {"tensorflow": "TensorFlow: MirroredStrategy, 2 devices", "jax": "JAX: DataParallel, 2 devices"}


@pytest.mark.skipif(BACKEND not in PARALLEL, reason="PyTorch has neither in Keras")
def test_two_devices_take_the_step_of_one(tmp_path):
    trained = {}
    for name in (devices.ALONE[BACKEND], PARALLEL[BACKEND]):
        (tmp_path / name).mkdir()
        trained[name], _ = devices.trained(name, ["layer", "boxes"], tmp_path / name)
    alone, parallel = trained.values()
    for form in alone:
        entry = devices.compare(parallel[form], alone[form])
        assert entry["verdict"] == "equal" and entry["difference"] < 1e-5


def test_a_network_in_bfloat16_does_not_round_its_targets():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        body = eight_convolutions(keras.Input((*SHAPE, 3)))
        models = [create_model(body, SHAPE, ANCHORS, 3, targets=kind) for kind in ("y_true", "boxes")]
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(body.outputs[0].dtype) == "bfloat16"
    image = np.random.default_rng(0).integers(0, 256, (2, *SHAPE, 3), dtype=np.uint8)
    boxes = random_boxes(np.random.default_rng(2), SHAPE, boxes=20)
    rounded = ops.convert_to_numpy(ops.cast(ops.cast(boxes, "bfloat16"), "float32"))
    of_grids = models[0].predict_on_batch((image, *preprocess_true_boxes(boxes, SHAPE, ANCHORS, 3)))
    of_boxes, of_rounded = (models[1].predict_on_batch((image, corners)) for corners in (boxes, rounded))
    assert of_grids.dtype == np.float32 and np.isfinite(of_grids).all()
    np.testing.assert_allclose(of_boxes, of_grids, rtol=1e-6)
    assert not np.allclose(of_rounded, of_grids, rtol=1e-5)


@pytest.mark.skipif(BACKEND != "jax", reason="it measures JAX")
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["gpu", "--small", "--record"], "run with --small"),
        (["gpu", "--record"], "no GPU here"),
        (["bccd_gpu", "micro", "--record", "bccd_gpu"], "training on a GPU"),
    ],
)
def test_nothing_measured_on_a_cpu_is_recorded_as_a_gpus(arguments, why):
    record = ROOT / "data" / "recorded" / f"{arguments[0]}.json"
    before = record.read_bytes() if record.exists() else None
    command = [sys.executable, "-m", f"benchmarks.{arguments[0]}", *arguments[1:]]
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True)
    assert run.returncode == 1 and why in run.stderr and len(run.stderr.splitlines()) == 1 and not run.stdout
    assert (record.read_bytes() if record.exists() else None) == before


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the run on TensorFlow starts the others")
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend(backend):
    """In the environment that `make test` sets up for it, or where it is installed beside TensorFlow."""
    python = ROOT / f".venv-{backend}" / "bin" / "python"
    if not python.exists():
        if importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed here (make test sets .venv-jax up)")
        python = sys.executable
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", __file__]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
