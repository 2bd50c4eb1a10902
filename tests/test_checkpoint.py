"""A checkpoint on a drive that is slow, full, held by another program or gone: the training goes on all the same.

test_interruption.py kills the process instead.
"""

import contextlib
import csv
import errno
import os
import shutil
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import ANCHORS

from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import read_annotations
from yolo_helpers.checkpoint import Checkpoint
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.detection import detect
from yolo_helpers.files import discard, replacing
from yolo_helpers.run_folder import BEST, HISTORY, STATE, load_detector, stored
from yolo_helpers.smear import write_smears
from yolo_helpers.training import Stage, TensorBoard, train

SHAPE = (32, 32)
STAGES = [Stage(2, 1e-2, frozen=True), Stage(4, 1e-3)]
SCORES = [0.1, 0.3, 0.2, 0.4, 0.3, 0.2]  # AP50 is not measured but given: epochs 1, 2 and 4 are the best so far
pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    return read_annotations(write_smears(tmp_path_factory.mktemp("smears"), 4, (64, 64), seed=3))[0]


class At(keras.callbacks.Callback):
    """Gives the score of each epoch, and does something when some begin, counted from 1."""

    def __init__(self, **actions):
        super().__init__()
        self.actions = {int(name.removeprefix("epoch")): action for name, action in actions.items()}

    def on_epoch_begin(self, epoch, logs=None):
        self.actions.get(epoch + 1, lambda: None)()

    def on_epoch_end(self, epoch, logs=None):
        logs |= {"val_loss": 0.0, "val_AP50": SCORES[epoch]}


def cut():
    raise KeyboardInterrupt


def new_body(seed=0, dropout=0.0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((*SHAPE, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 32, strides=32)(inputs))
    return keras.Model(inputs, keras.layers.Conv2D(24, 1)(keras.layers.Dropout(dropout)(x)))


def run(smears, folder, actions=None, save_every=1, resume=False, further=(), body=None):
    """Trains, and returns the history and the weights at the end."""
    body = body or new_body()
    data = YoloDataset(smears, Heads(SHAPE, ANCHORS[6:], 3), batch_size=4, augment=True)
    callbacks = [At(**actions or {}), *further]
    history = train(body, data, STAGES, folder, callbacks=callbacks, save_every=save_every, resume=resume, verbose=0)
    return history, [weight.tobytes() for weight in body.get_weights()]


@pytest.fixture(scope="module")
def whole(smears, tmp_path_factory):
    """What a training without trouble gives: history and weights at the end, and each epoch's body, counted from 0."""
    folder, bodies = tmp_path_factory.mktemp("whole") / "training", []

    def keep(checkpoint, epoch, logs=None, end=Checkpoint.on_epoch_end):
        end(checkpoint, epoch, logs)
        bodies.append([weight.tobytes() for weight in checkpoint.body.get_weights()])

    tf.config.run_functions_eagerly(True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", keep)
        return run(smears, folder), bodies


def epochs_in(folder):
    """Those of the state, whose weights are there and whole."""
    history, weights = stored(folder / STATE, ["history", "weights"])
    with h5py.File(folder / weights) as file:
        assert file["optimizer"]["vars"].keys() >= {"0", "1", "2"}
    assert [path.name for path in folder.glob("state-*")] == [weights]
    return len(history)


def best_in(folder):
    return [weight.tobytes() for weight in load_detector(folder)[0].get_layer(index=-1).get_weights()]


# Epochs from one checkpoint to the next; the one at whose beginning the training is cut; and the one stored then.
EVERY = [(1, 5, 4), (2, 4, 2), (2, 5, 4), (3, 6, 3), (50, 6, 2), (50, 2, 0)]


@pytest.mark.parametrize(("save_every", "at", "kept"), EVERY)
def test_checkpoints_are_as_far_apart_as_told(smears, whole, tmp_path, save_every, at, kept):
    with pytest.raises(KeyboardInterrupt):
        run(smears, tmp_path, {f"epoch{at}": cut}, save_every)
    assert (epochs_in(tmp_path) if kept else 0) == kept
    (before, _), bodies = whole
    with (tmp_path / HISTORY).open(encoding="utf-8", newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == before["loss"][: at - 1]
    assert best_in(tmp_path) == bodies[int(np.argmax(SCORES[: at - 1]))]
    assert run(smears, tmp_path, save_every=save_every, resume=True) == whole[0]
    assert epochs_in(tmp_path) == 6 and best_in(tmp_path) == bodies[3]


@pytest.mark.parametrize("option", ["save_every", "evaluate_every"])
def test_every_none_is_refused(smears, tmp_path, option):
    data = YoloDataset(smears, Heads(SHAPE, ANCHORS[6:], 3))
    with pytest.raises(ValueError, match=rf"^{option}: .* found 0\.$"):
        train(new_body(), data, STAGES, tmp_path / "out", verbose=0, **{option: 0})
    assert not (tmp_path / "out").exists()


class Faults:
    """What may befall a folder, each with its end."""

    def __init__(self, folder, patch):
        self.folder, self.patch = folder, patch
        self.away = folder.with_name("away")

    def gone(self):
        self.folder.rename(self.away)

    def back(self):
        self.away.rename(self.folder)

    def full(self):
        """HDF5 has no room anywhere; text has."""
        usage = shutil.disk_usage("/")
        self.patch.setattr("shutil.disk_usage", lambda path: usage._replace(free=10_000))

    def full_when_copied(self):
        """The computer's own disk has room; the folder lies on another, and has not."""

        def across(source, target):
            if self.folder in Path(target).parents:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            return rename(source, target)

        def copy(source, target, **_):
            Path(target).write_bytes(Path(source).read_bytes()[:1000])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        rename = os.rename
        self.patch.setattr("os.rename", across)
        self.patch.setattr("shutil.copyfile", copy)

    def disconnected(self):
        """Nothing is renamed any more, and nothing listed."""

        def fail(*_, **__):
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

        self.patch.setattr("os.replace", fail)
        self.patch.setattr(Path, "glob", fail)

    def mended(self):
        self.patch.undo()


@pytest.fixture
def faults(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        yield Faults(tmp_path / "run", patch)


# What befalls the folder when an epoch begins, and which epochs are then not saved.
TROUBLE = [
    ({"epoch2": "gone", "epoch4": "back"}, [2, 3]),
    ({"epoch1": "full", "epoch3": "mended"}, [1, 2]),
    ({"epoch4": "full_when_copied", "epoch5": "mended"}, [4]),
    ({"epoch2": "disconnected", "epoch3": "mended", "epoch5": "full", "epoch6": "mended"}, [2, 5]),
    ({"epoch5": "full"}, [5, 6]),
    ({"epoch6": "gone"}, [6]),
    ({"epoch1": "disconnected"}, [1, 2, 3, 4, 5, 6]),
]


@pytest.mark.parametrize(("trouble", "unsaved"), TROUBLE, ids=[" ".join(trouble.values()) for trouble, _ in TROUBLE])
def test_trouble_with_the_folder_ends_no_training(smears, whole, faults, trouble, unsaved):
    actions = {epoch: getattr(faults, name) for epoch, name in trouble.items()}
    to_the_end = 6 in unsaved
    kept = unsaved[0] - 1 if to_the_end else 6
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if to_the_end:
            with pytest.raises(OSError, match=rf"up to epoch {kept} of 6, .*could not be written") as error:
                run(smears, faults.folder, actions)
            assert "\n" not in str(error.value) and str(error.value).endswith(".")
        else:
            assert run(smears, faults.folder, actions) == whole[0]
    said = [str(warning.message) for warning in caught]
    said = [sentence for sentence in said if sentence.startswith("Epoch")]
    assert [int(sentence.split()[1]) for sentence in said] == unsaved
    assert all("\n" not in sentence and "could not be written" in sentence for sentence in said)

    faults.mended()
    if faults.away.exists():
        faults.back()
    assert (epochs_in(faults.folder) if kept else 0) == kept
    if to_the_end:
        assert run(smears, faults.folder, resume=True) == whole[0]
    assert epochs_in(faults.folder) == 6
    # A best epoch that could not be saved is lost where the training went on, and found again where it is resumed.
    saved = [epoch for epoch in range(6) if to_the_end or epoch + 1 not in unsaved]
    best = max(saved, key=lambda epoch: (SCORES[epoch], epoch))
    assert best_in(faults.folder) == whole[1][best]
    assert not list(faults.folder.glob(".writing-*"))


@pytest.fixture
def removed(monkeypatch):
    """Name and size of every file when it is removed: what a bin would keep."""
    kept, unlink = [], os.unlink

    def watched(path, *arguments, dir_fd=None, **settings):
        kept.append((Path(path).name, os.stat(path, dir_fd=dir_fd).st_size))
        unlink(path, *arguments, dir_fd=dir_fd, **settings)

    monkeypatch.setattr("os.unlink", watched)
    return kept


def test_what_is_removed_takes_no_room_in_a_bin(smears, tmp_path, removed):
    (tmp_path / ".measuring-abc").mkdir()
    for leftover in (".writing-old.h5", ".measuring-abc/state-0001.weights.h5"):
        (tmp_path / leftover).write_bytes(bytes(1000))
    run(smears, tmp_path)
    gone = dict(removed)
    assert {".writing-old.h5", *(f"state-{epoch:04d}.weights.h5" for epoch in range(1, 6))} <= gone.keys()
    assert {size for name, size in removed if name.endswith(".h5")} == {0}
    assert epochs_in(tmp_path) == 6 and not list(tmp_path.glob(".*"))


def test_a_write_that_fails_takes_no_room_in_a_bin(tmp_path, removed):
    with pytest.raises(OSError, match="No space left"), replacing(tmp_path / "a.h5") as beside:
        beside.write_bytes(bytes(1000))
        raise OSError(errno.ENOSPC, "full")
    assert removed == [(".writing-a.h5", 0)] and not list(tmp_path.iterdir())


def test_what_cannot_be_emptied_is_removed_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("os.truncate", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no")))
    for path in (tmp_path / "file", tmp_path / "folder" / "file"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    discard(tmp_path / "file")
    discard(tmp_path / "folder")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        discard(tmp_path / "file")


def test_a_file_that_is_held_for_a_moment_is_waited_for(smears, whole, tmp_path, monkeypatch):
    replace, pauses, refused = os.replace, [], set()

    def held(source, target):
        if target not in refused:
            refused.add(target)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return replace(source, target)

    monkeypatch.setattr("os.replace", held)
    monkeypatch.setattr("time.sleep", pauses.append)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Epoch")
        assert run(smears, tmp_path) == whole[0]
    assert len(pauses) == len(refused) > 8 and sum(pauses) < 2 * len(refused)


def test_a_table_that_is_open_in_another_program_costs_nothing_else(smears, whole, tmp_path, monkeypatch):
    replace = os.replace

    def held(source, target):
        if Path(target).name == HISTORY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return replace(source, target)

    monkeypatch.setattr("os.replace", held)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.warns(UserWarning, match=rf"{HISTORY} could not be written"):
        assert run(smears, tmp_path) == whole[0]
    assert epochs_in(tmp_path) == 6


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_begin", "on_train_end"])
def test_curves_that_cannot_be_written_end_no_training(smears, whole, tmp_path, monkeypatch, hook):
    calls = []

    def full(*_):
        calls.append(hook)
        raise tf.errors.ResourceExhaustedError(None, None, "{{node}} events.v2; No space left on device\n\tFailed")

    monkeypatch.setattr(keras.callbacks.TensorBoard, hook, full)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert run(smears, tmp_path, further=[TensorBoard(tmp_path / "tensorboard")]) == whole[0]
    said = [str(warning.message) for warning in caught if "TensorBoard" in str(warning.message)]
    assert len(calls) == len(said) == 1 and "no room" in said[0] and "\n" not in said[0]


def test_weights_are_written_where_there_is_room_first(smears, whole, tmp_path, monkeypatch):
    """On the computer's own disk, or, where that is full, beside their place."""
    save, usage, places = keras.Model.save_weights, shutil.disk_usage("/"), []

    def watched(model, path):
        places.append(Path(path).parent == tmp_path)
        save(model, path)

    monkeypatch.setattr(keras.Model, "save_weights", watched)
    with contextlib.suppress(KeyboardInterrupt):
        run(smears, tmp_path, {"epoch3": cut})
    monkeypatch.setattr(
        "shutil.disk_usage", lambda path: usage if Path(path) == tmp_path else usage._replace(free=10_000)
    )
    assert run(smears, tmp_path, resume=True) == whole[0]
    assert places == [False] * 4 + [True] * 5 and BEST in {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("at", [2, 3, 5])  # amid a stage, between two, and amid the other
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_half_precision_and_dropout_go_on_as_they_were(smears, tmp_path, policy, at):
    """float16 has a scale of the loss to remember, and dropout where its random numbers were."""
    keras.config.set_dtype_policy(policy)
    try:
        whole = run(smears, tmp_path / "whole", body=new_body(dropout=0.5))
        with pytest.raises(KeyboardInterrupt):
            run(smears, tmp_path / "cut", {f"epoch{at}": cut}, body=new_body(dropout=0.5))
        # Another seed: what dropout draws next comes from the checkpoint.
        assert run(smears, tmp_path / "cut", resume=True, body=new_body(seed=7, dropout=0.5)) == whole
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(whole[0]["loss"]).all() and whole != run(smears, tmp_path / "plain")
    detector, heads, _ = load_detector(tmp_path / "whole")
    assert detector.output.dtype == policy.removeprefix("mixed_")
    assert best_in(tmp_path / "whole") == best_in(tmp_path / "cut")
    photographs = [annotation.image_path for annotation in smears]
    assert all(
        found.boxes.dtype == np.float32 and len(found.boxes) for found in detect(detector, photographs, heads, 0)
    )


def test_of_equal_scores_the_latest_body_is_the_best(smears, whole, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "SCORES", [0.1, 1.0, 0.5, 1.0, 1.0, 0.9])
    run(smears, tmp_path)
    assert best_in(tmp_path) == whole[1][4]
