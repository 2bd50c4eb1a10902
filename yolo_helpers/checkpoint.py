"""The checkpoint: all that a training needs to go on after an interruption.

Keras' own BackupAndRestore keeps neither the history nor the best score nor what other callbacks count, so this one is
written by hand.
"""

import csv
import errno
import io
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from yolo_helpers.files import replacing, write_json, write_text
from yolo_helpers.model import read_weights
from yolo_helpers.run_folder import BEST, HISTORY, STATE, stored


class Checkpoint(keras.callbacks.Callback):
    """Writes all that is needed to go on after an interruption, whenever an epoch ends.

    The files are written beside their place and then renamed, `state.json` last: what it names is always whole.

    Args:
        folder: where to write; made if need be. A state found there is read.
        body: the body in training, whose best weights are kept in `best.weights.h5`.
        callbacks: others, which come before this one in `fit`; numbers that they keep are written and restored.
    """

    def __init__(self, folder: str | Path, body: keras.Model, callbacks: Sequence[keras.callbacks.Callback] = ()):
        super().__init__()
        self.folder, self.body, self.callbacks = Path(folder), body, callbacks
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rows, self.best, self.stopped = [], None, False
        self.stored, self.memories = None, []
        if (self.folder / STATE).exists():
            names = ("history", "best", "stopped", "weights", "callbacks")
            self.rows, self.best, self.stopped, weights, self.memories = stored(self.folder / STATE, names)
            self.stored = self.folder / weights
            self._remove_leftovers(self.stored)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.rows)

    def restore(self, model: keras.Model) -> None:
        """Loads what was stored into a compiled model, optimiser included, the first time it is called.

        Raises:
            ValueError: if it does not fit.
        """
        if self.stored:
            read_weights(model, self.stored)
            if not int(model.optimizer.iterations):  # Keras passes over an optimiser with other variables
                raise ValueError(
                    f"{self.folder}: the stage that was interrupted there trained other layers, or its learning rate "
                    "fell otherwise: to go on with it, give the same stages; for a new training, choose another folder."
                )
            self.stored = None
            self._remind()

    def history(self) -> dict[str, list]:
        """Figure -> one value an epoch, None where there is none."""
        figures = dict.fromkeys(name for row in self.rows for name in row)
        return {figure: [row.get(figure) for row in self.rows] for figure in figures}

    def on_train_begin(self, logs=None):
        # The others have begun before this one, and Keras' own forget then what they kept: in a new stage they should.
        if int(self.model.optimizer.iterations):
            self._remind()
        self.memories = []

    def _remind(self) -> None:
        for callback, memory in zip(self.callbacks, self.memories, strict=False):
            vars(callback).update(memory)

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append(logs)
        score = logs.get("val_AP50")
        # Where no validation photograph has an object, every AP50 is NaN: the latest counts.
        if "val_loss" not in logs or (score is not None and (self.best is None or not score <= self.best)):
            self.best = score
            _save_weights(self.body, self.folder / BEST)
        weights = self.folder / f"state-{self.epoch:04d}.weights.h5"
        _save_weights(self.model, weights)
        history = self.history()
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(
            [["epoch", *history], *([n, *row] for n, row in enumerate(zip(*history.values(), strict=True), start=1))]
        )
        write_text(self.folder / HISTORY, table.getvalue())
        self.stopped = bool(self.model.stop_training)
        state = {"weights": weights.name, "best": self.best, "stopped": self.stopped}
        state |= {"callbacks": [_memory(callback) for callback in self.callbacks], "history": self.rows}
        write_json(self.folder / STATE, state)
        self._remove_leftovers(weights)

    def _remove_leftovers(self, weights: Path) -> None:
        """Older states, and what was being written when a training was cut off."""
        for pattern in ("state-*.weights.h5", ".writing-*"):
            for path in set(self.folder.glob(pattern)) - {weights}:
                path.unlink()


def _memory(callback) -> dict:
    """The public numbers of a callback, such as `wait` and `best` of EarlyStopping."""
    # Keras turns the sign of min_delta when a training begins, and would turn it back in one that goes on.
    kept = {name: value for name, value in vars(callback).items() if not name.startswith("_") and name != "min_delta"}
    kept = {name: value.item() if isinstance(value, np.number) else value for name, value in kept.items()}
    return {name: value for name, value in kept.items() if isinstance(value, int | float | None)}


def _save_weights(model: keras.Model, path: Path) -> None:
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *(optimizer.variables if optimizer else [])]
    needed = sum(4 * math.prod(variable.shape) for variable in variables) + 2**20
    with replacing(path) as beside:
        # Not left to HDF5: on a full disk its library may end the process, and none of this is said.
        if shutil.disk_usage(path.parent).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        model.save_weights(beside)
