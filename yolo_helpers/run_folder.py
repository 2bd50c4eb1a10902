"""The folder of a training: what is written there, and how it is read again.

A folder holds when its training has ended:

    settings.json, network.json     heads, classes and split; the body's layers as Keras writes them
    train.txt, validation.txt, test.txt, classes.txt    each part with its boxes, for `read_annotations`
    best.weights.h5                 the body with the best AP50 on the validation photographs
    history.csv, found-0005.png     the figures of each epoch, and what was found after some
    state.json, state-0005.weights.h5    the checkpoint

Keras' own BackupAndRestore keeps neither the history nor the best score nor what other callbacks count, so the
checkpoint is written by hand.
"""

import csv
import errno
import io
import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import Annotation, write_lines
from yolo_helpers.files import replacing, write_json, write_text
from yolo_helpers.model import inference_model, read_weights

SETTINGS, NETWORK, BEST = "settings.json", "network.json", "best.weights.h5"
STATE, HISTORY, TEST = "state.json", "history.csv", "test.json"


def write_run(
    folder: str | Path,
    body: keras.Model,
    heads: Heads,
    class_names: Sequence[str],
    parts: dict[str, Sequence[Annotation]],
    resume: bool = False,
) -> None:
    """Writes what a detector is made of and which photographs it learns from, before a training begins.

    Args:
        folder: of the training; made if need be.
        body: image 0..1 in, raw heads out.
        heads: of the body.
        class_names: names of the classes, in order.
        parts: the photographs with their boxes, under "train", and under "validation" where there are any.
        resume: the training that is in the folder goes on.

    Raises:
        ValueError: if the folder holds a training and `resume` is not set, or one with other settings or photographs.
        OSError: if the folder cannot be written to.
    """
    folder = Path(folder)
    settings = {
        "body": {"layers": len(body.layers), "parameters": body.count_params()},
        "input_shape": list(heads.input_shape),
        "anchors": heads.anchors.tolist(),
        "anchor_mask": heads.anchor_mask,
        "classes": list(class_names),
        "split": {part: [a.image_path.name for a in annotations] for part, annotations in parts.items()},
    }
    if (folder / STATE).exists() and not resume:
        raise ValueError(f"{folder} holds a training already: go on with it (resume), or choose another folder.")
    if (folder / STATE).exists() and (folder / SETTINGS).exists():
        before = _stored(folder / SETTINGS, list(settings))
        changed = [name for name, value in zip(settings, before, strict=True) if settings[name] != value]
        if changed:
            raise ValueError(
                f"{folder}: the training there has another {' and another '.join(changed)}: to go on with it, give the "
                "same data and options; for a new one, choose another folder."
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SETTINGS, settings)
    write_text(folder / NETWORK, body.to_json())
    write_text(folder / "classes.txt", "\n".join(class_names) + "\n")
    for part, annotations in parts.items():
        write_lines(folder / f"{part}.txt", annotations)


def load_detector(folder: str | Path) -> tuple[keras.Model, Heads, list[str]]:
    """The detector that a training left in its folder, with its best weights.

    Args:
        folder: of a training that has ended an epoch.

    Returns:
        The model of `inference_model`, its heads, and the names of its classes: what `detect` and `evaluate` take.

    Raises:
        ValueError: if the folder lacks a file, or its files do not fit each other.
    """
    folder = Path(folder)
    for name in (SETTINGS, NETWORK, BEST):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} holds no {name}: give the folder of a training that has ended an epoch.")
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        class_names = list(settings["classes"])
        heads = Heads(settings["input_shape"], settings["anchors"], len(class_names), settings["anchor_mask"])
        body = keras.models.model_from_json((folder / NETWORK).read_text(encoding="utf-8"))
        body.load_weights(folder / BEST)
        if [head.shape[-1] for head in body.outputs] != [heads.channels] * len(heads.grids):
            raise ValueError(f"{NETWORK} has other heads than {SETTINGS}")
    except Exception as error:  # damaged files make Keras and HDF5 raise nearly anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(
            f"{folder}: {SETTINGS}, {NETWORK} and {BEST} do not make a detector ({reason:.200}): "
            "copy them again from one training, or train again."
        ) from error
    return inference_model(body, heads.input_shape), heads, class_names


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
            self.rows, self.best, self.stopped, weights, self.memories = _stored(self.folder / STATE, names)
            self.stored = self.folder / weights
            self._remove_leftovers(self.stored)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.rows)

    def restore(self, model: keras.Model) -> None:
        """Loads what was stored into a compiled model, optimiser included, the first time it is called."""
        if self.stored:
            read_weights(model, self.stored)
            self.stored = None

    def history(self) -> dict[str, list]:
        """Figure -> one value an epoch, None where there is none."""
        figures = dict.fromkeys(name for row in self.rows for name in row)
        return {figure: [row.get(figure) for row in self.rows] for figure in figures}

    def on_train_begin(self, logs=None):
        # The others have begun before this one, and Keras' own forget then what they kept.
        for callback, memory in zip(self.callbacks, self.memories, strict=False):
            vars(callback).update(memory)
        self.memories = []

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
    kept = {name: value for name, value in vars(callback).items() if not name.startswith("_")}
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


def _stored(path: Path, names: Sequence[str]) -> list:
    """The values of these names in a JSON file of a training."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [content[name] for name in names]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged ({error!r:.80}): copy it again, or train into another folder.") from error
