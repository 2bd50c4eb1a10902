"""Training through the identity loss: what the model is, that it learns, and that it goes on after an interruption."""

import io
import json
import os
import re
import runpy
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import ANCHORS

from yolo_helpers import commands
from yolo_helpers.anchors import DATA, Heads
from yolo_helpers.annotations import read_annotations, split_annotations, three_parts
from yolo_helpers.commands import main
from yolo_helpers.darknet import load_weights
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.device import Device
from yolo_helpers.evaluation import evaluate
from yolo_helpers.loss import identity_loss, yolo_loss
from yolo_helpers.model import micro_yolo_body, tiny_yolo_body
from yolo_helpers.run_folder import BEST, HISTORY, NETWORK, SETTINGS, STATE, load_detector
from yolo_helpers.smear import CLASS_NAMES, write_smears
from yolo_helpers.training import Stage, freeze, train
from yolo_helpers.training_model import create_model

SHAPE = (64, 96)
HEADS = Heads(SHAPE, ANCHORS, 3)


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    path = write_smears(tmp_path_factory.mktemp("smears"), 10, SHAPE, seed=3)
    return read_annotations(path)[0]


def new_body(seed=0, num_classes=3):
    """A body of eight convolutions: what is tested here is the training, not the network."""
    keras.utils.set_random_seed(seed)
    inputs = x = keras.Input((*SHAPE, 3))
    heads = []
    for stride in (2, 4, 8, 16, 32):
        x = keras.layers.Conv2D(16, 3, strides=2, padding="same", kernel_regularizer="l2")(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
        if stride >= 8:
            heads.insert(0, keras.layers.Conv2D(3 * (5 + num_classes), 1)(x))
    return keras.Model(inputs, heads)


def ready(body, learning_rate, **settings):
    """The training model, compiled; Adam's variables are made at once, or TensorFlow would trace the step twice."""
    model = create_model(body, SHAPE, ANCHORS, 3)
    model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss={"yolo_loss": identity_loss}, **settings)
    model.optimizer.build(model.trainable_variables)
    return model


def batches(annotations, **settings):
    return YoloDataset(annotations, HEADS, batch_size=4, **settings)


def equal_weights(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def test_grids_and_boxes_train_alike(smears):
    weights = []
    for targets in ("y_true", "boxes"):
        body = new_body()
        model = create_model(body, SHAPE, ANCHORS, 3, targets=targets)
        model.compile(optimizer=keras.optimizers.SGD(1e-4), loss={"yolo_loss": identity_loss})
        model.fit(batches(smears, targets=targets), epochs=2, shuffle=False, verbose=0)
        weights.append(body.get_weights())
    start = new_body().get_weights()
    moved = max(np.abs(grids - before).max() for grids, before in zip(weights[0], start, strict=True))
    for grids, boxes in zip(*weights, strict=True):
        np.testing.assert_allclose(boxes, grids, rtol=1e-5, atol=1e-5 * moved)
    with pytest.raises(ValueError, match="targets: expected 'y_true' or 'boxes', found 'box'"):
        create_model(body, SHAPE, ANCHORS, 3, targets="box")


def test_the_models_output_is_its_loss(smears):
    body = new_body()
    model = create_model(body, SHAPE, ANCHORS, 3)
    assert model.output_names == ["yolo_loss"] and model.output_shape == (None, 1)
    assert isinstance(model.get_layer("yolo_loss"), keras.layers.Lambda)
    assert [x.dtype for x in model.inputs] == ["uint8", "float32", "float32", "float32"]
    (image, *y_true), _ = batches(smears)[0]
    expected = yolo_loss([*body(image / np.float32(255)), *y_true], ANCHORS, 3)
    np.testing.assert_allclose(model.predict((image, *y_true), verbose=0), expected, rtol=1e-4)


def test_the_target_does_not_matter(smears):
    inputs, zeros = batches(smears)[0]
    body = new_body()
    model = ready(body, 1e-3)
    start, state = body.get_weights(), [np.array(variable) for variable in model.optimizer.variables]
    losses, ends = [], []
    for target in (zeros, zeros + 1e6, zeros + np.nan):
        body.set_weights(start)
        for variable, value in zip(model.optimizer.variables, state, strict=True):
            variable.assign(value)
        model.reset_metrics()
        losses.append(model.train_on_batch(inputs, target))
        ends.append(body.get_weights())
    assert np.isfinite(losses[0]) and losses[0] == losses[1] == losses[2]
    for first, *others in zip(*ends, strict=True):
        assert all(np.array_equal(first, other) for other in others)
    assert not all(np.array_equal(one, other) for one, other in zip(start, ends[0], strict=True))


def test_the_printed_loss_is_the_mean_over_all_photographs_and_the_penalties(smears):
    model = create_model(new_body(), SHAPE, ANCHORS, 3)
    model.compile(loss={"yolo_loss": identity_loss})
    data = batches(smears)  # 4 + 4 + 2 photographs
    per_image = model.predict(data, verbose=0)
    assert per_image.shape == (10, 1)
    penalties = sum(float(loss) for loss in model.losses)
    assert penalties > 0.1
    assert model.evaluate(data, verbose=0) == pytest.approx(per_image.mean() + penalties, rel=1e-4)


def test_it_trains_under_mixed_precision_and_xla(smears):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        body = new_body()
        model = create_model(body, SHAPE, ANCHORS, 3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert body.outputs[0].dtype == "float16"
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss={"yolo_loss": identity_loss}, jit_compile=True)
    model.optimizer.build(model.trainable_variables)
    inputs, zeros = batches(smears)[0]
    first, *_, last = [model.train_on_batch(inputs, zeros) for _ in range(15)]
    assert np.isfinite(last) and last < first
    assert model.predict_on_batch(inputs).dtype == np.float32


def test_the_first_step_under_float16_trains(smears, tmp_path):
    """At Keras' own scale of the loss its gradients would leave float16's range, and it would be skipped."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        body = new_body()
        before = body.get_weights()
        train(body, batches(smears[:4]), [Stage(1, 1e-3, frozen=True)], tmp_path, verbose=0)
        trained = [not np.array_equal(*pair) for pair in zip(before, body.get_weights(), strict=True)]
    finally:
        keras.config.set_dtype_policy("float32")
    assert sum(trained) == 6  # kernel and bias of three convolutions


def test_a_body_that_does_not_fit_is_said():
    with pytest.raises(ValueError, match="need a body with 3 heads of 27 channels, found heads with \\[24, 24, 24\\]"):
        create_model(new_body(), SHAPE, ANCHORS, 4)
    with pytest.raises(ValueError, match="3 heads of 24 channels, found heads with \\[24, 24\\]"):
        create_model(tiny_yolo_body(keras.Input((*SHAPE, 3)), 3, 3), SHAPE, ANCHORS, 3)


def test_the_micro_body_learns_eight_smears_by_heart(smears):
    keras.utils.set_random_seed(0)
    body = micro_yolo_body(keras.Input((*SHAPE, 3)), 3, 3)
    model = ready(body, 5e-3)
    inputs, zeros = YoloDataset(smears[:8], HEADS, batch_size=8)[0]
    losses = [model.train_on_batch(inputs, zeros) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]


def test_frozen_is_all_but_the_output_convolutions(smears):
    body = new_body()
    before = [weight.copy() for weight in body.get_weights()]
    freeze(body, True)
    ready(body, 1e-2, run_eagerly=True).fit(batches(smears), verbose=0)
    trained = {weight.path for weight in body.trainable_weights}
    assert len(trained) == 6  # kernel and bias of three convolutions
    for weight, value in zip(body.weights, before, strict=True):
        assert np.array_equal(weight, value) == (weight.path not in trained)
    freeze(body, False)
    assert len(body.trainable_weights) == 6 + 5 * 4  # and of each block kernel, bias, and two of batch normalisation


class Interruption(keras.callbacks.Callback):
    """Ends the training as a lost connection does, in the middle of an epoch."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.at = (epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt


STAGES = [Stage(2, 1e-2, frozen=True), Stage(3, 1e-3)]


@pytest.fixture(scope="module")
def uninterrupted(smears, tmp_path_factory):
    body = new_body()
    folder = tmp_path_factory.mktemp("whole") / "training"
    data = batches(smears[:8], augment=True, seed=1)
    history = train(body, data, STAGES, folder, batches(smears[8:]), CLASS_NAMES, evaluate_every=2, verbose=0)
    return body, history, folder


def test_a_training_in_two_stages(uninterrupted, smears):
    body, history, folder = uninterrupted
    assert len(history["loss"]) == len(history["val_loss"]) == 5
    assert [value is not None for value in history["val_AP50"]] == [False, True, False, True, True]
    assert json.loads((folder / STATE).read_text(encoding="utf-8"))["history"][0]["loss"] == history["loss"][0]
    pictures = [f"found-{epoch:04d}.png" for epoch in (2, 4, 5)]
    made_of = [SETTINGS, NETWORK, "classes.txt", "train.txt", "validation.txt"]
    written = {BEST, *pictures, HISTORY, "state-0005.weights.h5", STATE, *made_of}
    assert {path.name for path in folder.iterdir()} == written
    new_body(seed=9).load_weights(folder / BEST)


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(uninterrupted, smears, tmp_path):
    """With the step compiled, as it is; test_interruption.py kills trainings at many points, and runs them eagerly."""
    body = new_body()
    settings = {"folder": tmp_path, "validation_data": batches(smears[8:]), "evaluate_every": 2, "verbose": 0}
    data = batches(smears[:8], augment=True, seed=1)
    with pytest.raises(KeyboardInterrupt):
        train(body, data, STAGES, callbacks=[Interruption(2, 1)], **settings)

    again = new_body(seed=7)  # the weights come from the checkpoint
    data = batches(smears[:8], augment=True, seed=1)
    with pytest.raises(ValueError, match="holds a training already"):
        train(again, data, STAGES, **settings)
    history = train(again, data, STAGES, resume=True, **settings)
    assert history == uninterrupted[1]
    assert equal_weights(again, uninterrupted[0])


# The same anchors in another order, and a mask that gives each head the same ones in the same places as before.
TURNED = Heads(SHAPE, ANCHORS[::-1], 3, [[2, 1, 0], [5, 4, 3], [8, 7, 6]])


def test_another_order_of_anchors_is_trained_stopped_gone_on_with_loaded_and_judged_alike(eagerly, smears, tmp_path):
    """The numbers are those of the usual order: a mask forgotten anywhere would give another loss or another AP."""

    def run(folder, heads, callbacks=(), resume=False):
        data, same = (YoloDataset(smears[:4], heads, batch_size=4) for _ in range(2))
        body = new_body(seed=7 if resume else 0)
        return train(
            body, data, [Stage(10, 1e-2)], folder, same, CLASS_NAMES, 5, callbacks=callbacks, resume=resume, verbose=0
        )

    usual = run(tmp_path / "usual", HEADS)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "turned", TURNED, [Interruption(6, 0)])
    with pytest.raises(ValueError, match="has another anchors and another anchor_mask: to go on"):
        run(tmp_path / "turned", HEADS, resume=True)
    assert run(tmp_path / "turned", TURNED, resume=True) == usual
    assert usual["val_AP50"][-1] > 0.005  # ten steps do not teach much; equal to the last digit is what counts
    detector, heads, class_names = load_detector(tmp_path / "turned")
    assert heads.anchor_mask == TURNED.anchor_mask
    again = evaluate(detector, smears[:4], heads, class_names)
    assert again == evaluate(*load_detector(tmp_path / "usual")[:1], smears[:4], HEADS, class_names)
    assert again["AP50"]["mean"] == max(usual["val_AP50"][4], usual["val_AP50"][-1])
    # What a training was made of is there for whoever judges it.
    kept, names = read_annotations(tmp_path / "turned" / "validation.txt")
    assert names == list(CLASS_NAMES) and evaluate(detector, kept, heads, names) == again


ONE_HEAD = Heads(SHAPE, ANCHORS[6:], 3)
KERAS_YOLO3_TINY = Heads(SHAPE, ANCHORS[:6], 3, [[3, 4, 5], [1, 2, 3]])  # anchor 0 has no head, anchor 3 has two


@pytest.mark.parametrize("heads", [ONE_HEAD, KERAS_YOLO3_TINY], ids=["one head", "keras-yolo3's tiny mask"])
@pytest.mark.parametrize("targets", ["y_true", "boxes"])
@pytest.mark.filterwarnings("ignore:.*belongs to no head")
def test_other_numbers_of_heads_are_trained_and_judged(eagerly, smears, tmp_path, heads, targets):
    body = new_body()
    body = keras.Model(body.inputs, body.outputs[: len(heads.grids)])
    data, validation = (YoloDataset(part, heads, batch_size=4, targets=targets) for part in (smears[:4], smears[4:6]))
    history = train(body, data, [Stage(2, 1e-2)], tmp_path, validation, CLASS_NAMES, evaluate_every=1, verbose=0)
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["val_AP50"]).all()
    detector, loaded, class_names = load_detector(tmp_path)
    assert loaded.anchor_mask == heads.anchor_mask and len(detector.outputs) == len(heads.grids)
    scores = evaluate(detector, smears[4:6], loaded, class_names)
    assert scores["AP50"]["mean"] == max(history["val_AP50"])


def test_validation_photographs_must_not_be_augmented(smears, tmp_path):
    with pytest.raises(ValueError, match="augment=False"):
        train(new_body(), batches(smears[:8]), STAGES, tmp_path, batches(smears[8:], augment=True))


class XlaRuntimeError(RuntimeError):
    """As JAX has it."""


class OutOfMemoryError(RuntimeError):
    """As PyTorch has it."""


NO_MEMORY = [
    tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[16,416]\non GPU:0"),
    tf.errors.InternalError(
        None, None, "Failed copying input tensor from CPU:0 to GPU:0: Dst tensor is not initialized."
    ),
    XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4000000000000 bytes."),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    OutOfMemoryError("Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.75 GiB"),
    MemoryError("Unable to allocate 728. TiB for an array"),
    MemoryError(),
]
OTHER = [
    tf.errors.ResourceExhaustedError(None, None, "events.v2; No space left on device"),
    RuntimeError("INTERNAL: cuInit failed"),
]


def test_a_memory_that_is_too_small_is_said_in_one_sentence(eagerly, smears, tmp_path):
    class Failing(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise error

    for error in NO_MEMORY + OTHER:
        for photographs, mends in (
            (smears, ["batch of 4 at 64 x 96", "--batch-size 2"]),
            (smears[:1], ["batch of 1 "]),
        ):
            with pytest.raises(type(error) if error in OTHER else MemoryError) as said:
                train(new_body(), batches(photographs), STAGES, tmp_path, callbacks=[Failing()], verbose=0)
            if error in OTHER:
                assert said.value is error
            else:
                assert re.fullmatch(r"There .*\.", str(said.value)) and "--input-shape" in str(said.value)
                assert all(mend in str(said.value) for mend in mends)
                assert ("--batch-size" in str(said.value)) == (len(mends) == 2) and said.value.__cause__ is error


def test_the_shell_shows_a_sentence_about_memory_alone(monkeypatch):
    def main():
        raise MemoryError("not enough memory")

    monkeypatch.setattr("yolo_helpers.commands.main", main)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    with pytest.raises(SystemExit, match="^error: not enough memory$"):
        runpy.run_module("yolo_helpers", run_name="__main__")


def test_splitting_by_seed(smears):
    train_part, second = split_annotations(smears, 0.3, seed=1)
    assert (len(train_part), len(second)) == (7, 3)
    assert {a.image_path for a in train_part + second} == {a.image_path for a in smears}
    assert [a.image_path for a in split_annotations(smears, 0.3, seed=1)[1]] == [a.image_path for a in second]
    assert len(split_annotations(smears[:2], 0.1, seed=1)[1]) == 1  # fewer than ten photographs: never an empty part
    with pytest.raises(ValueError, match="at least two photographs, found 1"):
        split_annotations(smears[:1], 0.1, seed=1)
    for call in (lambda: split_annotations(smears, 0.3, -1), lambda: three_parts({"train": smears}, -1)):
        with pytest.raises(ValueError, match="SEED.* -1"):
            call()


@pytest.mark.parametrize("given", [{"train": 10}, {"val": 10}, {"test": 3}, {"train": 3}, {"train": 100, "val": 0}])
def test_what_is_missing_of_three_parts_is_cut_from_train(given):
    parts = {name: range(count) for name, count in given.items()}  # numbers in place of annotations
    found, count = three_parts(parts, seed=1), max(given.values())
    assert list(found) == ["train", "val", "test"] and sorted(sum(found.values(), [])) == list(range(count))
    assert all(each == sorted(each) and each for each in found.values())
    assert abs(len(found["val"]) - 0.15 * count) <= 1 and abs(len(found["test"]) - 0.15 * count) <= 1
    assert found == three_parts(parts, seed=1)
    assert count == 3 or found != three_parts(parts, seed=2)


@pytest.mark.parametrize("given", [("train", "val", "test"), ("train", "test"), ("val", "train"), ("test", "val")])
def test_parts_that_the_tool_made_are_kept(given):
    parts = {name: list(range(100 * i, 100 * i + 40 + 20 * (i == 0))) for i, name in enumerate(given)}
    found = three_parts(parts, seed=1)
    assert sorted(sum(found.values(), [])) == sorted(sum(parts.values(), []))
    kept = given if len(given) == 3 else given[1:] if "train" not in given else [n for n in given if n != "train"]
    assert [found[name] for name in kept] == [parts[name] for name in kept]
    assert len(given) == 3 or min(map(len, found.values())) in (6, 9)


@pytest.mark.parametrize("given", [{}, {"train": 2}, {"val": 2}, {"train": 1, "val": 1}, {"train": 1, "val": 50}])
def test_too_few_for_three_parts(given):
    with pytest.raises(ValueError, match=r"photographs.*\.$"):
        three_parts({name: range(count) for name, count in given.items()}, seed=0)
    assert three_parts({"train": [1], "val": [2], "test": [3]}, seed=0) == {"train": [1], "val": [2], "test": [3]}


def test_from_the_command_line(eagerly, tmp_path, capsys):
    """Run eagerly: two stages of two steps each would be traced for longer than a minute."""
    path = write_smears(tmp_path / "smears", 8, SHAPE, seed=4)
    arguments = [
        "train",
        "--train",
        str(path),
        "--test",
        str(path),
        "--start",
        "micro",
        "--folder",
        str(tmp_path / "out"),
        "--batch-size",
        "4",
    ]
    arguments += ["--input-shape", *map(str, SHAPE), "--epochs", "1", "--frozen-epochs", "1"]
    main(arguments)
    printed = capsys.readouterr().out
    assert "7 photographs to learn from, 1 for validation, 8 for the test" in printed
    assert "AP50 on the test photographs: Platelets" in printed
    learnt, _ = read_annotations(tmp_path / "out" / "train.txt")
    counts = np.bincount(np.concatenate([a.classes for a in learnt]), minlength=3)
    boxes = ", ".join(f"{name} {count}" for name, count in zip(CLASS_NAMES, counts, strict=True))
    assert f"train: 7 photographs, 0 without object; boxes: {boxes}" in printed
    settings = json.loads((tmp_path / "out" / "settings.json").read_text(encoding="utf-8"))
    assert settings["classes"] == list(CLASS_NAMES) and len(settings["anchors"]) == 9
    judged, _ = read_annotations(tmp_path / "out" / "test.txt")
    assert len(judged) == 8
    scores = json.loads((tmp_path / "out" / "test.json").read_text(encoding="utf-8"))
    assert set(scores) == {"AP50", "AP"} and set(scores["AP50"]) == {*CLASS_NAMES, "mean"}
    detector, heads, class_names = load_detector(tmp_path / "out")
    again = evaluate(detector, read_annotations(path)[0], heads, class_names)
    assert again["AP50"] == pytest.approx(scores["AP50"], abs=1e-3)
    before = (tmp_path / "out" / "settings.json").read_bytes()
    for changed, sentence in (
        ([], "holds a training already"),
        (["--resume", "--start", str(DATA / "smears.cfg"), "--input-shape", "96", "128"], "has another"),
    ):
        with pytest.raises(ValueError, match=sentence):
            main([*arguments, *changed])
        assert (tmp_path / "out" / "settings.json").read_bytes() == before
    main([*arguments, "--resume"])


CORES = os.cpu_count() or 1


@pytest.mark.parametrize(
    ("given", "device", "expected"),
    [
        ([], Device("2 processor cores", False), {"workers": 1}),
        ([], Device("a GPU", True), {"workers": min(4, CORES)}),
        (["--workers", "3"], Device("a GPU", True), {"workers": 3}),
        (["--processes", "3"], Device("a GPU", True), {"workers": 3, "use_multiprocessing": True}),
    ],
)
def test_who_reads_the_photographs(given, device, expected, monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(commands, "find_device", lambda: device)
    monkeypatch.setattr(commands, "YoloDataset", lambda *_, workers, **how: made.append({"workers": workers, **how}))
    monkeypatch.setattr(commands.multiprocessing, "get_start_method", lambda: "fork")
    monkeypatch.setattr(commands, "choose_stages", lambda *_, **how: sys.exit("enough"))
    smears = str(DATA / "smears" / "annotations.txt")
    arguments = ["train", "--train", smears, "--folder", str(tmp_path / "out"), "--start", "micro", "--minutes", "1"]
    with pytest.raises(SystemExit, match="enough"):
        main([*arguments, *given])
    assert len(made) == 2 and all(expected.items() <= one.items() for one in made)
    assert all(one.get("use_multiprocessing", False) == ("--processes" in given) for one in made)


@pytest.mark.parametrize(
    ("given", "method", "sentence"),
    [
        (["--processes", "2", "--workers", "2"], "fork", "--processes takes the place of --workers: give one of them"),
        (["--processes", "2"], "spawn", "--processes needs Linux, and Python up to 3.13: give --workers 4"),
    ],
)
def test_processes_that_cannot_be_had(given, method, sentence, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(commands.multiprocessing, "get_start_method", lambda: method)
    with pytest.raises(SystemExit):
        main(["train", "--train", str(DATA / "smears"), "--folder", str(tmp_path / "out"), *given])
    assert sentence in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", [["look"], ["train", "--folder", "run", "--train"]])
def test_the_command_line_says_that_it_takes_no_addresses(given, capsys):
    with pytest.raises(SystemExit):
        main([*given, "https://example.org/birds.zip"])
    assert "https://example.org/birds.zip" in capsys.readouterr().err


def test_a_resumed_training_has_the_box_loss_that_it_had(eagerly, smears, tmp_path):
    data = batches(smears[:4], targets="boxes")
    train(new_body(), data, [Stage(1, 1e-3)], tmp_path, verbose=0)
    with pytest.raises(ValueError, match="has another box_loss"):
        train(new_body(), data, [Stage(2, 1e-3)], tmp_path, resume=True, box_loss="ciou", verbose=0)
    with pytest.raises(ValueError, match="box_loss: expected 'xy_wh' or 'ciou', found 'CIoU'"):
        train(new_body(), data, [Stage(1, 1e-3)], tmp_path / "new", box_loss="CIoU", verbose=0)


def test_the_command_line_starts_from_darknets_weights(eagerly, smears, tmp_path, monkeypatch, capsys):
    started = []
    monkeypatch.setattr("yolo_helpers.commands.train", lambda body, *_, **__: started.append(body))
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: None)  # no training, so no best weights
    path = str(smears[0].image_path.parent / "annotations.txt")
    main(["train", "--train", path, "--folder", str(tmp_path), "--start", str(DATA / "smears.weights")])
    expected = micro_yolo_body(keras.Input((None, None, 3)), 3, 3)
    assert not equal_weights(started[0], expected)
    load_weights(expected, DATA / "smears.weights")
    assert equal_weights(started[0], expected)
    printed = capsys.readouterr().out
    assert "smears.weights, heads included" in printed
    assert {"192", "256"} <= {*re.findall(r"\d+", printed)}  # the input, in the photographs' proportions
