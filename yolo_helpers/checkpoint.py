"""The checkpoint: all that a training needs to go on after an interruption.

Keras' own BackupAndRestore keeps neither the history nor the best score nor what other callbacks count, so this one is
written by hand.
"""

import contextlib
import csv
import errno
import io
import json
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from yolo_helpers.files import discard, failure_warned, replacing, write_json, write_text
from yolo_helpers.model import read_weights
from yolo_helpers.run_folder import BEST, HISTORY, MEASURING, STATE, stored


class Checkpoint(keras.callbacks.Callback):
    """Writes all that is needed to go on after an interruption, when an epoch ends.

    The files are written beside their place and then renamed, `state.json` last: what it names is always whole. Where
    that fails, as on a drive that is full or gone, a warning says so, and it is tried again after the next epoch.

    Args:
        folder: where to write; made if need be. A state found there is read.
        body: the body in training, whose best weights are kept in `best.weights.h5`.
        callbacks: others, which come before this one in `fit`; numbers that they keep are written and restored.
        save_every: epochs from one state to the next; that at the end of a stage is always written.
    """

    def __init__(
        self,
        folder: str | Path,
        body: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        save_every: int = 1,
    ):
        super().__init__()
        self.folder, self.body, self.callbacks, self.save_every = Path(folder), body, callbacks, save_every
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rows, self.best, self.stopped = [], None, False
        self.weights, self.saved, self.failure = None, 0, None  # of `state.json`: its weights, its epoch
        self.restored, self.memories, self.seeds = True, [], []
        if (self.folder / STATE).exists():
            names = ("history", "best", "stopped", "weights", "callbacks")
            self.rows, self.best, self.stopped, weights, self.memories = stored(self.folder / STATE, names)
            # Earlier versions wrote none.
            self.seeds = json.loads((self.folder / STATE).read_text(encoding="utf-8")).get("seeds", [])
            self.weights, self.saved, self.restored = self.folder / weights, self.epoch, False
            self._remove_leftovers()

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.rows)

    def restore(self, model: keras.Model, end: int) -> None:
        """Loads what was stored into a compiled model, optimiser included, the first time it is called.

        Args:
            model: as it was stored.
            end: epochs done when its stage ends.

        Raises:
            ValueError: if it does not fit.
        """
        if self.restored:
            return
        other_optimizer = "Skipping variable loading for optimizer"  # Keras but warns
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", other_optimizer)
                read_weights(model, self.weights)
        except ValueError as error:
            if other_optimizer not in str(error.__cause__):
                raise
            raise ValueError(
                f"{self.folder}: the stage that was interrupted there trained other layers, or in another way: to go "
                "on with it, give the same stages; for a new training, choose another folder."
            ) from error
        for variable, value in zip(_seeds(model), self.seeds, strict=False):
            variable.assign(np.array(value, variable.dtype))
        self.restored = True
        self._remind()
        if self.epoch == end:
            self.memories = []  # the next stage begins anew

    def history(self) -> dict[str, list]:
        """Figure -> one value an epoch, None where there is none."""
        figures = dict.fromkeys(name for row in self.rows for name in row)
        return {figure: [row.get(figure) for row in self.rows] for figure in figures}

    def on_train_begin(self, logs=None):
        self._remind()  # the others have begun before this one, and Keras' own forget then what they kept
        self.memories = []

    def _remind(self) -> None:
        for callback, memory in zip(self.callbacks, self.memories, strict=False):
            vars(callback).update(memory)

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append(logs)
        self.stopped = bool(self.model.stop_training)
        with failure_warned():
            self._write_table()
        due = self.epoch % self.save_every == 0 or self.epoch == self.params["epochs"] or self.stopped or self.failure
        score = logs.get("val_AP50")
        # Of equal ones the latest counts: the objects of a few photographs are soon all found, and going on still helps
        # with others. Where no validation photograph has an object, every AP50 is NaN, which is not below anything.
        better = score is not None and (self.best is None or not score < self.best)
        try:
            if better or (due and "val_loss" not in logs):
                _save_weights(self.body, self.folder / BEST)
                self.best = score
            if due:
                self._write_state()
            self.failure = None
        except OSError as error:
            self.failure = error
            warnings.warn(f"Epoch {self.epoch} is not saved (the next one is tried again): {error}", stacklevel=2)
        self._remove_leftovers()

    def raise_failure(self) -> None:
        """Raises what kept the last epoch from being saved, if it was not.

        Raises:
            OSError: with how much of the training is saved.
        """
        if self.failure:
            raise OSError(
                f"{self.folder} holds the training up to epoch {self.saved} of {self.epoch}, and resume goes on from "
                f"there: {self.failure}"
            ) from self.failure

    def _write_table(self) -> None:
        history = self.history()
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(
            [["epoch", *history], *([n, *row] for n, row in enumerate(zip(*history.values(), strict=True), start=1))]
        )
        write_text(self.folder / HISTORY, table.getvalue())

    def _write_state(self) -> None:
        weights = self.folder / f"state-{self.epoch:04d}.weights.h5"
        _save_weights(self.model, weights)
        state = {"weights": weights.name, "best": self.best, "stopped": self.stopped}
        state["seeds"] = [keras.ops.convert_to_numpy(variable).tolist() for variable in _seeds(self.model)]
        state |= {"callbacks": [_memory(callback) for callback in self.callbacks], "history": self.rows}
        write_json(self.folder / STATE, state)
        self.weights, self.saved = weights, self.epoch

    def _remove_leftovers(self) -> None:
        """States that are not the last one, and what was being written or measured when a training was cut off."""
        with contextlib.suppress(OSError):  # then the next time
            for pattern in ("state-*.weights.h5", ".writing-*", f"{MEASURING}*"):
                for path in set(self.folder.glob(pattern)) - {self.weights}:
                    discard(path)


def _seeds(model: keras.Model) -> list[keras.Variable]:
    """Where the random numbers of layers such as Dropout are, which Keras does not write among the weights."""
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]


def _memory(callback) -> dict:
    """The public numbers of a callback, such as `wait` and `best` of EarlyStopping."""
    # Keras turns the sign of min_delta when a training begins, and would turn it back in one that goes on.
    kept = {name: value for name, value in vars(callback).items() if not name.startswith("_") and name != "min_delta"}
    kept = {name: value.item() if isinstance(value, np.number) else value for name, value in kept.items()}
    return {name: value for name, value in kept.items() if isinstance(value, int | float | None)}


def _save_weights(model: keras.Model, path: Path) -> None:
    optimizer = getattr(model, "optimizer", None)
    written = [model, optimizer, getattr(optimizer, "inner_optimizer", None)]  # under float16 one within another
    needed = sum(4 * math.prod(v.shape) for part in written if part for v in part.variables) + 2**20
    with replacing(path) as beside, tempfile.TemporaryDirectory() as local:
        # HDF5 writes many small pieces, slowly on a mounted drive; and where a disk is full or gone its library may end
        # the process, and none of this is said. So it gets a disk with room, this computer's own if that has it.
        roomy = [p for p in (Path(local) / path.name, beside) if shutil.disk_usage(p.parent).free > needed]
        if not roomy:
            raise OSError(f"{os.strerror(errno.ENOSPC)}, {needed / 1e6:.0f} MB are needed")
        model.save_weights(roomy[0])
        shutil.move(roomy[0], beside, shutil.copyfile)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())  # a drive in the network says only now that it is full
