"""What a training shows and keeps while it goes on: terms, pictures, a table, what is frozen, the time left."""

import csv
import re

import keras
import numpy as np
import pytest
from PIL import Image
from reference import ANCHORS

from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import read_annotations
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.loss import TERMS, YoloLoss
from yolo_helpers.smear import CLASS_NAMES, write_smears
from yolo_helpers.training import Stage, TimeLeft, train
from yolo_helpers.training_model import create_model

SHAPE = (64, 96)
STAGES = [Stage(1, 1e-2, frozen=True), Stage(3, 1e-3)]


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    return read_annotations(write_smears(tmp_path_factory.mktemp("smears"), 9, SHAPE, seed=5))[0]


def new_body():
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((*SHAPE, 3))
    heads = []
    for stride in (2, 4, 8, 16, 32):
        x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", kernel_regularizer="l2")(x)
        if stride >= 8:
            heads.insert(0, keras.layers.Conv2D(24, 1)(x))
    return keras.Model(inputs, heads)


def batches(annotations, **settings):
    return YoloDataset(annotations, Heads(SHAPE, ANCHORS, 3), batch_size=4, **settings)


@pytest.fixture(scope="module")
def training(smears, tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    body = new_body()
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *words, **_: printed.append(" ".join(map(str, words))))
        history = train(
            body, batches(smears[:6]), STAGES, folder, batches(smears[6:]), CLASS_NAMES, evaluate_every=2, verbose=2
        )
    return body, history, folder, printed


def test_the_terms_stand_beside_the_loss_and_add_up_to_it(training, smears):
    body, history, _, _ = training
    for prefix in ("", "val_"):
        assert all(len(history[prefix + term]) == 4 for term in TERMS)
    layer = YoloLoss(ANCHORS, 3, ignore_across_heads=True)
    model = create_model(body, SHAPE, ANCHORS, 3, loss_layer=layer)
    assert model.get_layer("yolo_loss") is layer
    penalties = sum(float(loss) for loss in model.losses)
    terms = sum(history[f"val_{term}"][-1] for term in TERMS)
    assert history["val_loss"][-1] == pytest.approx(terms + penalties, rel=1e-4)


def test_the_table_holds_the_history(training):
    _, history, folder, _ = training
    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    for figure, values in history.items():
        assert [float(row[figure]) if row[figure] else None for row in rows] == values


def test_the_same_photographs_are_drawn_when_a_stage_ends_and_every_other_epoch(training):
    _, _, folder, _ = training
    assert [path.name for path in sorted(folder.glob("found-*"))] == [f"found-000{n}.png" for n in (1, 2, 4)]
    sizes = set()
    for path in folder.glob("found-*"):
        with Image.open(path) as picture:
            sizes.add(picture.size)
    ((width, height),) = sizes
    assert height > width  # two photographs, one below the other


def test_what_a_stage_trains_is_printed(training):
    body, _, _, printed = training
    heads = sum(int(np.prod(w.shape)) for layer in body.layers[-3:] for w in layer.weights)
    total = f"of {body.count_params():,} parameters"
    assert [line for line in printed if line.startswith("stage")] == [
        f"stage 1: epochs 1 to 1, learning rate 0.01, the output convolutions alone: {heads:,} {total}",
        f"stage 2: epochs 2 to 4, learning rate 0.001, all layers: {body.count_params():,} {total}",
    ]


def test_the_time_left_is_printed_once_two_epochs_are_measured_after_the_first(training):
    (left,) = [line for line in training[3] if "left" in line]
    assert re.fullmatch(r"about \d+ min \d+ s left", left)


def test_the_time_left_does_not_count_what_compiling_takes(monkeypatch, capsys):
    """The first epoch takes 100 s, the others 10 s and every fifth one 30 s; it goes on after the 20th of 30."""
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    callback = TimeLeft(30)
    said = []
    for epoch in range(20, 30):
        callback.on_epoch_begin(epoch)
        said.append(capsys.readouterr().out)
        now += 100 if epoch == 20 else 30 if epoch % 5 == 4 else 10
        callback.on_epoch_end(epoch)
    expected = [f"about {10 * left // 60} min {10 * left % 60} s left\n" for left in range(7, 0, -1)]
    assert said == ["", "", "", *expected]


class Figures(keras.callbacks.Callback):
    """Puts a made-up figure into the logs, better until epoch 2 and then the same."""

    def on_epoch_end(self, epoch, logs):
        logs["figure"] = max(3 - epoch, 1)


class Cut(keras.callbacks.Callback):
    """Ends the training as a lost connection does, before an epoch, counted from 0."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def test_a_callback_that_stops_the_training_ends_it_and_remembers_over_an_interruption(smears, tmp_path):
    weights = []

    def run(folder, stages, resume=False):
        patience = keras.callbacks.EarlyStopping("figure", patience=3, mode="min")
        callbacks = [Figures(), patience]
        body = new_body()
        history = train(body, batches(smears), stages, folder, callbacks=callbacks, resume=resume, verbose=0)
        weights.append(np.concatenate([weight.ravel() for weight in body.get_weights()]))
        return len(history["loss"])

    long = [Stage(8, 1e-3), Stage(2, 1e-3)]
    assert run(tmp_path / "whole", long) == 6  # the best is epoch 2 (counted from 0), and three more are waited for

    with pytest.raises(KeyboardInterrupt):
        train(
            new_body(),
            batches(smears),
            long,
            tmp_path / "cut",
            callbacks=[Figures(), keras.callbacks.EarlyStopping("figure", patience=3, mode="min"), Cut(4)],
            verbose=0,
        )
    assert run(tmp_path / "cut", long, resume=True) == 6
    assert run(tmp_path / "cut", long, resume=True) == 6  # and a training that was stopped stays so
    assert len(weights) == 3 and np.array_equal(weights[0], weights[1]) and np.array_equal(weights[1], weights[2])


class Halve(keras.callbacks.Callback):
    """A callback of one's own that sets the learning rate."""

    def on_epoch_end(self, epoch, logs):
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        self.model.optimizer.learning_rate = logs["learning_rate"] / 2


def plateau():
    return keras.callbacks.ReduceLROnPlateau("figure", factor=0.5, patience=2, mode="min")


# What sets the rate, what it is in each epoch of two stages of four, and where the training is cut: for the plateau
# between both stages too, where one epoch of patience is used up and forgotten, and where it is used up again.
RATES = [
    (plateau, [8, 8, 8, 8, 8, 8, 4, 4], [4, 5]),
    (
        lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch % 4 else rate),
        [8, 4, 2, 1] * 2,
        [6],
    ),
    (Halve, [8, 4, 2, 1] * 2, [6]),
]


@pytest.mark.parametrize(("setter", "rates", "cuts"), RATES, ids=["plateau", "scheduler", "own"])
def test_a_callback_sets_the_learning_rate_over_an_interruption(eagerly, smears, tmp_path, setter, rates, cuts):
    stages = [Stage(4, 8e-3, frozen=True, decay=False), Stage(4, 8e-3, decay=False)]

    def run(folder, *further, resume=False):
        body = new_body()
        callbacks = [Figures(), setter(), *further]
        history = train(body, batches(smears[:4]), stages, folder, callbacks=callbacks, resume=resume, verbose=0)
        return history, np.concatenate([weight.ravel() for weight in body.get_weights()])

    history, weights = run(tmp_path / "whole")
    np.testing.assert_allclose(history["learning_rate"], np.array(rates) / 1000, rtol=1e-6)
    for cut in cuts:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / str(cut), Cut(cut))
        again, same = run(tmp_path / str(cut), resume=True)
        assert again == history and np.array_equal(same, weights), f"cut at {cut}"


@pytest.mark.parametrize("setter", [plateau, RATES[1][0], Halve])
def test_a_rate_that_falls_by_itself_is_set_by_no_callback(eagerly, smears, tmp_path, setter):
    """Those of Keras are refused at once; one's own cannot be told before it does it."""
    stages = [Stage(1, 1e-3, decay=False), Stage(1, 1e-3)]
    with pytest.raises(ValueError, match=r"^[^\n]+ sets the learning rate[^\n]+ decay=False[^\n]+\.$"):
        train(new_body(), batches(smears[:4]), stages, tmp_path, callbacks=[setter()], verbose=0)
    assert (tmp_path / "state.json").exists() == (setter is Halve)


def test_a_stage_is_gone_on_with_as_it_began(eagerly, smears, tmp_path):
    """Keras would leave Adam as new, and say so in a warning."""

    def run(stage, **settings):
        train(new_body(), batches(smears[:4]), [stage], tmp_path, verbose=0, **settings)

    with pytest.raises(KeyboardInterrupt):
        run(Stage(3, 1e-3), callbacks=[Cut(1)])
    for other in (Stage(3, 1e-3, decay=False), Stage(3, 1e-3, frozen=True)):
        with pytest.raises(ValueError, match="same stages"):
            run(other, resume=True)
    run(Stage(3, 1e-3), resume=True)
