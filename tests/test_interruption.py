"""A training is killed again and again, wherever that could do harm, and ends as if nothing had happened.

Real processes are ended by SIGKILL, which none can catch: nothing is flushed, closed or tidied up. One folder is
killed and resumed many times, so that each process resumes what the one before left, and then is a victim itself.
"""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import ANCHORS, ROOT

from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import read_annotations
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.smear import write_smears
from yolo_helpers.training import Stage, train

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")

SHAPE = (64, 96)
STAGES = [Stage(2, 1e-2, frozen=True), Stage(3, 1e-3)]
SCORES = [0.1, 0.3, 0.2, 0.4, 0.3]  # AP50 is not measured but given, so that the best epoch is not the last
BEST, STATE, TABLE = "best.weights.h5", "state.json", "history.csv"  # what the training writes
END, HISTORY = "end.weights.h5", "history.json"  # what the test writes of a training that came to its end

# Where one folder is killed, one after another, and how many epochs must be stored afterwards. A point is an epoch, an
# event, the file that it happens to, and at which time of several. Epochs 0, 1 and 3 write best weights.
KILLS = [
    ((0, "batch", "", 1), 0),  # nothing is stored yet
    ((0, "array", BEST, 5), 0),
    ((0, "renaming", STATE, 1), 0),
    ((1, "array on disk", "state-", 30), 1),
    ((1, "renaming", BEST, 1), 1),
    ((1, "half a text", STATE, 1), 1),
    ((1, "removal", "state-", 1), 2),  # the first stage is done
    ((2, "beginning", "", 1), 2),
    ((2, "renaming", "state-", 1), 2),
    ((3, "half a text", TABLE, 1), 3),
    ((4, "batch", "", 2), 4),
    ((4, "renaming", TABLE, 1), 4),
    ((4, "removal", "state-", 1), 5),  # and all of it
]


# In the child --------------------------------------------------------------------------------------------------------


def new_body(seed):
    """A body of six convolutions: what is tested here is the training, not the network."""
    keras.utils.set_random_seed(seed)
    inputs = x = keras.Input((*SHAPE, 3))
    heads = []
    for size in (8, 2, 2):
        x = keras.layers.Conv2D(6, size, strides=size)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
        heads.insert(0, keras.layers.Conv2D(24, 1)(x))
    return keras.Model(inputs, heads)


class Watch(keras.callbacks.Callback):
    """Sees what the training does, and ends the process at one point.

    Args:
        folder: renamings and removals elsewhere do not count.
        point: (epoch, event, part of a file's name, n), the n-th time in this epoch that this happens to such a file.
    """

    def __init__(self, folder, point):
        super().__init__()
        self.folder, self.point = folder, point
        self.epoch, self.times = None, 0
        create, write = h5py.Group.create_dataset, Path.write_text

        def create_dataset(group, *arguments, **settings):
            made = create(group, *arguments, **settings)
            self.event("array", group.file.filename)  # most is in memory still
            self.event("array on disk", group.file.filename, group.file.flush)  # opens well, and lacks the rest
            return made

        def write_text(path, text, *arguments, **settings):
            write(path, text[: len(text) // 2], *arguments, **settings)
            self.event("half a text", path)
            return write(path, text, *arguments, **settings)

        h5py.Group.create_dataset, Path.write_text = create_dataset, write_text
        sys.addaudithook(self.audit)

    def audit(self, name, arguments):
        """Is told of every renaming and removal before it happens, whichever function does it."""
        event = {"os.rename": "renaming", "os.remove": "removal"}.get(name)
        if event and self.folder in Path(os.fsdecode(arguments[0])).parents:
            self.event(event, os.fsdecode(arguments[1 if event == "renaming" else 0]))

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.event("beginning")

    def on_train_batch_end(self, batch, logs=None):
        self.event("batch")

    def on_epoch_end(self, epoch, logs=None):
        logs |= {"val_loss": 0.0, "val_AP50": SCORES[epoch]}

    def event(self, name, file="", before=lambda: None):
        epoch, event, part, times = self.point or (None, None, "", 0)
        if (self.epoch, name) == (epoch, event) and part in Path(file).name:
            self.times += 1
            if self.times == times:
                before()
                os.kill(os.getpid(), signal.SIGKILL)


def run(folder, smears, point):
    """Trains, or goes on with what lies in the folder, to the point or, if there is none, to the end."""
    warnings.simplefilter("ignore")  # TensorFlow says that the data set is a graph all the same
    tf.config.run_functions_eagerly(True)  # tracing the step would take most of the time
    data = YoloDataset(read_annotations(smears)[0], Heads(SHAPE, ANCHORS, 3), batch_size=2, augment=True, seed=1)
    callbacks = [Watch(folder, point)]

    def keep(epoch, logs=None):
        if epoch:
            shutil.copy(folder / BEST, kept(folder, epoch, BEST))
            shutil.copy(folder / stored(folder)["weights"], kept(folder, epoch, "state"))

    if point is None and not folder.exists():
        callbacks.append(keras.callbacks.LambdaCallback(on_epoch_begin=keep))
    # The weights at the beginning are given; later ones must come from the checkpoint, whatever the body holds.
    body = new_body(seed=7 if (folder / STATE).exists() else 0)
    history = train(body, data, STAGES, folder, callbacks=callbacks, resume=True, verbose=0)
    keep(len(SCORES))
    body.save_weights(folder.parent / END)
    (folder.parent / HISTORY).write_text(json.dumps(history), encoding="utf-8")


# In the parent -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Calls `run` in a process of its own and returns its exit code, None if it hangs.

    On Linux it forks off a server that has imported TensorFlow, which takes seconds, but has computed nothing with it.
    On macOS such a fork is not safe.
    """
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("local")))  # where the killed leave what they were writing
        if sys.platform == "linux":
            patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(Path(__file__).parent)]))
            context.set_forkserver_preload([__name__])
            multiprocessing.forkserver.ensure_running()

        def started(*arguments):
            child = context.Process(target=run, args=arguments)
            child.start()
            child.join(120)
            code = child.exitcode
            child.kill()
            child.join()
            return code

        yield started


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    return write_smears(tmp_path_factory.mktemp("smears"), 4, SHAPE, seed=3)


@pytest.fixture(scope="module")
def whole(start, smears, tmp_path_factory):
    """The folder of a training that nothing interrupted, with copies beside it of what was in it after each epoch."""
    folder = tmp_path_factory.mktemp("whole") / "training"
    assert start(folder, smears, None) == 0
    return folder


def kept(folder, epoch, name):
    return folder.parent / f"{epoch} {name}"


def arrays(path):
    """Every array of a weights file by its name."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def same(path, other):
    """Whether two weights files hold the same numbers, to the last bit."""
    one, two = arrays(path), arrays(other)
    return len(one) >= 24 and one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def stored(folder):
    """What a state says, an empty one if there is none."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads((folder / STATE).read_text(encoding="utf-8"))
    return {"history": []}


def apart_from_callbacks(state):
    """What the callbacks keep differs: it is they that kill, each at another point."""
    return {name: value for name, value in state.items() if name != "callbacks"}


def test_killed_at_many_points_it_loses_no_more_than_the_running_epoch_and_ends_the_same(
    start, smears, whole, tmp_path
):
    folder, full = tmp_path / "training", stored(whole)
    assert len(full["history"]) == len(SCORES) and not same(kept(whole, 3, "state"), kept(whole, 4, "state"))
    for point, epochs in KILLS:
        assert start(folder, smears, point) == -signal.SIGKILL, f"not killed at {point}"
        state = stored(folder)
        assert state["history"] == full["history"][:epochs], f"killed at {point}"
        if epochs:
            assert same(folder / state["weights"], kept(whole, epochs, "state")), f"killed at {point}"
            # The best may be of the running epoch already: that epoch is done again, and finds the same.
            bests = [kept(whole, epoch, BEST) for epoch in (epochs, min(epochs + 1, len(SCORES)))]
            assert any(same(folder / BEST, best) for best in bests), f"killed at {point}"
    assert start(folder, smears, None) == 0
    history = (tmp_path / HISTORY).read_text(encoding="utf-8")
    assert history == (whole.parent / HISTORY).read_text(encoding="utf-8")
    assert (folder / TABLE).read_bytes() == (whole / TABLE).read_bytes()
    assert apart_from_callbacks(stored(folder)) == apart_from_callbacks(full)
    assert same(tmp_path / END, whole.parent / END) and same(folder / BEST, whole / BEST)
    assert same(folder / BEST, kept(whole, 4, BEST)) and not same(folder / BEST, kept(whole, 3, BEST))
    # Nothing of all that was cut off lies about.
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}
