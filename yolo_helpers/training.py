"""Training: the model whose output is its loss, the stages of keras-yolo3, and checkpoints that survive a crash.

From a shell: `python -m yolo_helpers.training --help`.
"""

import argparse
import contextlib
import csv
import errno
import io
import json
import math
import os
import re
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from yolo_helpers.anchors import (
    ANCHORS_PER_HEAD,
    default_anchor_mask,
    default_anchors,
    get_anchors,
    grid_shapes,
    kmeans_anchors,
)
from yolo_helpers.annotations import FORMATS, Annotation, AnnotationError, get_classes, image_size, read_annotations
from yolo_helpers.boxes import letterbox
from yolo_helpers.darknet import load_weights
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.detection import BEST, SETTINGS, detect
from yolo_helpers.evaluation import AveragePrecision, evaluate
from yolo_helpers.files import replacing, write_json, write_text
from yolo_helpers.loss import YoloLoss, identity_loss, yolo_loss
from yolo_helpers.model import BODIES, inference_model, output_convolutions, read_weights
from yolo_helpers.plots import save_found
from yolo_helpers.targets import check_kind

STATE, HISTORY, TEST = "state.json", "history.csv", "test.json"


def create_model(
    body: keras.Model,
    input_shape: tuple[int, int],
    anchors: np.ndarray,
    num_classes: int,
    ignore_thresh: float = 0.5,
    anchor_mask: list[list[int]] | None = None,
    loss_layer: keras.layers.Layer | None = None,
    targets: str = "y_true",
) -> keras.Model:
    """The training model: photographs and labels in, the loss of each photograph out.

    Args:
        body: image 0..1 in, raw heads out; its weights are shared.
        input_shape: (height, width) in pixels, multiples of 32.
        anchors: (A, 2), width and height in pixels of the input.
        num_classes: C.
        ignore_thresh: see `yolo_loss`.
        anchor_mask: the anchors of each head, coarsest first; darknet's when None.
        loss_layer: computes the loss from [*heads, *targets], such as a `YoloLoss`, which logs its terms too; a
            `Lambda` around `yolo_loss`, as in keras-yolo3, when None.
        targets: "y_true", the grids of `preprocess_true_boxes`; or "boxes", the boxes (B, T, 5) themselves, from which
            the model finds the same slots on the device. The loss is the same, and T is any number.

    Returns:
        A model with inputs [image (B, h, w, 3) uint8, *targets] and one output (B, 1) named `yolo_loss`.

    Raises:
        ValueError: if the body's heads do not fit the anchors and the classes, if a side is not a multiple of 32, or
            for an unknown kind of targets.
    """
    anchors = np.asarray(anchors, np.float32).reshape(-1, 2)
    anchor_mask = default_anchor_mask(len(anchors)) if anchor_mask is None else anchor_mask
    channels = len(anchor_mask[0]) * (5 + num_classes)
    if [head.shape[-1] for head in body.outputs] != [channels] * len(anchor_mask):
        raise ValueError(
            f"{len(anchors)} anchors and {num_classes} classes need a body with {len(anchor_mask)} heads of {channels} "
            f"channels, found heads with {[head.shape[-1] for head in body.outputs]}."
        )
    check_kind(targets)
    detector = inference_model(body, input_shape)
    if targets == "boxes":
        y_true = [keras.Input((None, 5), name="boxes")]
    else:
        y_true = [
            keras.Input((*grid, len(anchor_mask[0]), 5 + num_classes), name=f"y_true_{head}")
            for head, grid in enumerate(grid_shapes(input_shape, len(anchor_mask)))
        ]
    loss_layer = loss_layer or keras.layers.Lambda(
        yolo_loss,
        output_shape=(1,),
        name="yolo_loss",
        dtype="float32",  # under mixed precision the sum over all slots would not fit into float16
        arguments={
            "anchors": anchors,
            "num_classes": num_classes,
            "ignore_thresh": ignore_thresh,
            "anchor_mask": anchor_mask,
        },
    )
    loss = loss_layer([*detector.outputs, *y_true])
    return keras.Model([detector.input, *y_true], loss, name="training_model")


@dataclass(frozen=True)
class Stage:
    """A part of the training with settings of its own.

    Attributes:
        epochs: how many.
        learning_rate: Adam's at the start; it falls along a cosine to a hundredth at the stage's end.
        frozen: train the output convolutions alone and leave the rest as it is, for a body with pretrained weights.
    """

    epochs: int
    learning_rate: float
    frozen: bool = False


def freeze(body: keras.Model, frozen: bool) -> None:
    """Freezes all of the body but its output convolutions, or nothing of it. Compile afterwards: it counts from then.

    Args:
        body: image in, raw heads out.
        frozen: whether to freeze.
    """
    for layer in body.layers:
        layer.trainable = not frozen
    for layer in output_convolutions(body):
        layer.trainable = True


def train(
    body: keras.Model,
    train_data: YoloDataset,
    stages: Sequence[Stage],
    folder: str | Path,
    validation_data: YoloDataset | None = None,
    class_names: Sequence[str] | None = None,
    evaluate_every: int = 5,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    resume: bool = False,
    ignore_across_heads: bool = True,
    verbose: int | str = "auto",
) -> dict[str, list]:
    """Trains a body in stages through the identity loss, and writes a checkpoint after every epoch.

    Beside the loss stand its four terms (`xy`, `wh`, `confidence`, `class`; not on JAX), and likewise for validation.

    Args:
        body: image 0..1 in, raw heads out; its weights change.
        train_data: batches to learn from; their input shape, anchors, classes and kind of targets are those of the
            training model.
        stages: one after another.
        folder: where all is written: `best.weights.h5` (the body with the best AP50 on the validation photographs, or
            the latest body if there are none), `history.csv`, the checkpoint, and after each AP50 a picture
            `found-0005.png` of what is found on the first four validation photographs.
        validation_data: batches for `val_loss` and AP50, of the same kind.
        class_names: names of the classes; numbers when None.
        evaluate_every: epochs from one AP50 to the next.
        callbacks: further ones for `fit`. Numbers that they keep, such as the patience used up, are in the checkpoint.
            One that stops the training, such as `EarlyStopping`, ends it, stages to come included.
        resume: go on from the checkpoint in `folder`, if there is one.
        ignore_across_heads: see `yolo_loss`. As darknet has it when True, which was a little better on real
            photographs (benchmarks/README.md).
        verbose: as in `fit`; when not 0, what a stage trains and the time left are printed too.

    Returns:
        The history, the epochs before a resumption included: figure -> one value an epoch, None where there is none.

    Raises:
        ValueError: if `folder` holds a training already and `resume` is not set, or one that is damaged; if the
            validation photographs are augmented, or a photograph does not open.
        OSError: if the folder cannot be written to. What was written before is whole.
    """
    data = train_data
    if validation_data is not None and validation_data.augment:
        raise ValueError("The validation photographs must stay as they are: make that data set with augment=False.")
    _refuse_used(folder, resume)
    settings = {"anchor_mask": data.anchor_mask}
    layer = YoloLoss(data.anchors, data.num_classes, ignore_across_heads=ignore_across_heads, **settings)
    settings |= {"loss_layer": layer, "targets": data.targets}
    model = create_model(body, data.input_shape, data.anchors, data.num_classes, **settings)
    checkpoint = Checkpoint(folder, body, callbacks)
    watch = [*callbacks, checkpoint]
    if validation_data is not None:
        detector = inference_model(body, data.input_shape)
        names = list(class_names or map(str, range(data.num_classes)))
        judged = validation_data.annotations
        watch.insert(0, AveragePrecision(detector, judged, data.anchors, names, evaluate_every))
        watch.append(Snapshots(folder, detector, judged[:4], data.anchors, names))
    if verbose:
        watch.append(TimeLeft(sum(stage.epochs for stage in stages)))

    end = 0
    for number, stage in enumerate(stages, start=1):
        start, end = end, end + stage.epochs
        if checkpoint.epoch > end:
            continue
        freeze(body, stage.frozen)
        schedule = keras.optimizers.schedules.CosineDecay(stage.learning_rate, stage.epochs * len(data), alpha=0.01)
        model.compile(optimizer=keras.optimizers.Adam(schedule), loss={"yolo_loss": identity_loss})
        # Before the first step, so that a checkpoint can be loaded and TensorFlow need not trace the step twice.
        model.optimizer.build(model.trainable_variables)
        checkpoint.restore(model)
        if checkpoint.epoch < end and not checkpoint.stopped:
            if verbose:
                trained = sum(int(np.prod(weight.shape)) for weight in body.trainable_weights)
                what = "the output convolutions alone" if stage.frozen else "all layers"
                print(
                    f"stage {number}: epochs {start + 1} to {end}, learning rate {stage.learning_rate:g}, {what}: "
                    f"{trained:,} of {body.count_params():,} parameters"
                )
            data.epoch = max(start, checkpoint.epoch)  # the epoch's order and changes, as if never interrupted
            with _own_sentences():
                model.fit(
                    data,
                    validation_data=validation_data,
                    initial_epoch=data.epoch,
                    epochs=end,
                    callbacks=watch,
                    shuffle=False,  # the data set does it, by its seed
                    verbose=verbose,
                )
        if checkpoint.stopped:
            break
    return checkpoint.history()


@contextlib.contextmanager
def _own_sentences() -> Iterator[None]:
    """Takes what the data set says out of the pages that TensorFlow makes of it."""
    try:
        yield
    except Exception as error:
        found = re.search(r"\b(?:AnnotationError|ValueError): (.+)", str(error))
        if found is None or isinstance(error, ValueError):
            raise
        raise AnnotationError(found[1]) from error


def _refuse_used(folder: str | Path, resume: bool) -> None:
    if (Path(folder) / STATE).exists() and not resume:
        raise ValueError(f"{folder} holds a training already: go on with it (resume), or choose another folder.")


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


class Snapshots(keras.callbacks.Callback):
    """Draws what is found on the same few photographs, in `found-0005.png` …, whenever `val_AP50` is known.

    Args:
        folder: where to write.
        detector: the model of `inference_model` around the body in training; it shares its weights.
        annotations: a few photographs.
        anchors: (A, 2), width and height in pixels of the input.
        class_names: names of the classes, in order.
    """

    def __init__(self, folder, detector, annotations, anchors, class_names):
        super().__init__()
        self.folder, self.detector, self.anchors, self.class_names = Path(folder), detector, anchors, class_names
        self.paths = [annotation.image_path for annotation in annotations]

    def on_epoch_end(self, epoch, logs=None):
        if "val_AP50" in (logs or {}):
            found = detect(self.detector, self.paths, self.anchors, len(self.class_names))
            title = f"after epoch {epoch + 1}"
            save_found(self.folder / f"found-{epoch + 1:04d}.png", self.paths, found, self.class_names, title)


class TimeLeft(keras.callbacks.Callback):
    """Prints before each epoch about how long the training is still going to take.

    Args:
        epochs: of the whole training.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs, self.seconds = epochs, []

    def on_epoch_begin(self, epoch, logs=None):
        if self.seconds:  # the first epoch takes longer than the others, so the middle one counts
            left = round(statistics.median_low(self.seconds) * (self.epochs - epoch))
            print(f"about {left // 60} min {left % 60} s left")
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.monotonic() - self.begun)


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


def box_sizes(annotations: Sequence[Annotation], input_shape: tuple[int, int]) -> np.ndarray:
    """Width and height of every box in pixels of the letterboxed input, (N, 2): what anchors are chosen for."""
    placed = [letterbox(image_size(a.image_path), input_shape).to_input(a.boxes) for a in annotations]
    boxes = np.concatenate(placed)
    return boxes[:, 2:] - boxes[:, :2]


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m yolo_helpers.training",
        description="Trains a YOLOv3-style detector on annotated photographs, in any of four formats: "
        "keras-yolo3 text file, folder of Pascal VOC XML, COCO JSON file, folder of YOLO txt.",
    )

    def whole(least: int) -> Callable[[str], int]:
        def number(text: str) -> int:
            if int(text) < least:
                raise argparse.ArgumentTypeError(f"expected a whole number from {least} on, found {text}")
            return int(text)

        return number

    def positive(text: str) -> float:
        if not 0 < float(text) < math.inf:
            raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
        return float(text)

    source = {"nargs": "+", "metavar": ("PATH", "SPLIT"), "type": Path}
    parser.add_argument("--train", required=True, **source, help="annotations; for Pascal VOC also a split file")
    parser.add_argument("--validation", **source, help="likewise; without it, a tenth of --train, chosen by --seed")
    parser.add_argument("--test", **source, help="likewise: judged once, at the end, with the best weights")
    parser.add_argument("--format", choices=FORMATS, help="of the annotations; recognised when not given")
    parser.add_argument("--classes", type=Path, help="text file with a class name a line")
    parser.add_argument("--zero-area", choices=("error", "skip"), default="error", help="what to do with empty boxes")
    parser.add_argument("--body", choices=BODIES, default="micro", help="the network (default: %(default)s)")
    parser.add_argument("--input-shape", type=whole(1), nargs=2, default=(416, 416), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument(
        "--anchors", type=Path, help="anchors file; without it, YOLOv3's, fitted to the boxes by k-means"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        help="weights to start from, of the same body and as many classes: .weights.h5, or darknet's .weights, which "
        "may also hold the first layers alone",
    )
    parser.add_argument(
        "--frozen-epochs", type=whole(0), default=0, help="first stage: output convolutions only, at 1e-3"
    )
    parser.add_argument("--epochs", type=whole(0), default=60, help="second stage: everything (default: %(default)s)")
    parser.add_argument(
        "--learning-rate",
        type=positive,
        default=5e-3,
        help="of that stage (default: %(default)s, for the micro network from scratch; 1e-4 for pretrained ones)",
    )
    parser.add_argument("--batch-size", type=whole(1), default=8, help="(default: %(default)s)")
    parser.add_argument(
        "--workers", type=whole(1), default=1, help="threads that read photographs (default: %(default)s)"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="(default: %(default)s)")
    parser.add_argument("--folder", type=Path, required=True, help="where weights, checkpoint and settings are written")
    parser.add_argument("--resume", action="store_true", help="go on with the training in --folder")
    return parser


def _write_settings(folder: Path, settings: dict, resume: bool) -> None:
    """Writes what a detector is made of, unless that would change a training that is there already."""
    _refuse_used(folder, resume)
    if (folder / STATE).exists() and (folder / SETTINGS).exists():
        before = _stored(folder / SETTINGS, list(settings))
        changed = [name for name, value in zip(settings, before, strict=True) if settings[name] != value]
        if changed:
            raise ValueError(
                f"{folder}: the training there has another {' and another '.join(changed)}: to go on with it, give the "
                "same data and options; for a new one, choose another folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SETTINGS, settings)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains from the command line; see `--help`."""
    parser = _arguments()
    options = parser.parse_args(arguments)
    if max(len(paths or ()) for paths in (options.train, options.validation, options.test)) > 2:
        parser.error("--train, --validation and --test take one path, and for Pascal VOC a split file after it")
    if options.epochs + options.frozen_epochs == 0:
        parser.error("--epochs and --frozen-epochs are both 0, so that nothing would be trained")
    keras.utils.set_random_seed(options.seed)
    input_shape = tuple(options.input_shape)
    class_names = get_classes(options.classes) if options.classes else None

    def read(path, split=None):
        return read_annotations(
            path, format=options.format, class_names=class_names, split=split, zero_area=options.zero_area
        )

    photographs, class_names = read(*options.train)
    if options.validation:
        validation, _ = read(*options.validation)
    else:
        photographs, validation = split_annotations(photographs, 0.1, options.seed)
    test = read(*options.test)[0] if options.test else []
    heads = len(BODIES[options.body](keras.Input((32, 32, 3)), 3, 1).outputs)
    grid_shapes(input_shape, heads)
    if options.anchors:
        anchors = get_anchors(options.anchors)
        if len(anchors) != ANCHORS_PER_HEAD * heads:
            raise ValueError(
                f"{options.anchors}: found {len(anchors)} anchors, expected {ANCHORS_PER_HEAD * heads}, since the "
                f"network {options.body!r} has {heads} heads."
            )
    else:
        anchors = kmeans_anchors(box_sizes(photographs, input_shape), default_anchors(heads))

    body = BODIES[options.body](keras.Input((*input_shape, 3)), 3, len(class_names))
    if options.weights and options.weights.suffix in (".h5", ".keras"):
        read_weights(body, options.weights)
    elif options.weights:  # darknet's, whatever their suffix, as in darknet53.conv.74
        load_weights(body, options.weights)
    print(f"{len(photographs)} photographs to learn from, {len(validation)} for validation, {len(test)} for the test")
    print(f"classes: {', '.join(class_names)}; anchors: {anchors.round().astype(int).tolist()}")

    def batches(annotations, augment):
        return YoloDataset(
            annotations,
            input_shape,
            anchors,
            len(class_names),
            options.batch_size,
            augment=augment,
            seed=options.seed,
            targets="boxes",  # the same loss, and less to compute and to copy for every batch
            workers=options.workers,
        )

    stages = [Stage(options.frozen_epochs, 1e-3, frozen=True), Stage(options.epochs, options.learning_rate)]
    stages = [stage for stage in stages if stage.epochs > 0]
    settings = {
        "body": options.body,
        "input_shape": list(input_shape),
        "anchors": anchors.tolist(),
        "classes": class_names,
    }
    _write_settings(options.folder, settings, options.resume)
    train(
        body,
        batches(photographs, augment=True),
        stages,
        options.folder,
        batches(validation, augment=False),
        class_names,
        # TensorBoard's callback needs TensorFlow.
        callbacks=[keras.callbacks.TensorBoard(options.folder / "tensorboard", write_graph=False)]
        if keras.backend.backend() == "tensorflow"
        else [],
        resume=options.resume,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    read_weights(body, options.folder / BEST)
    print(f"the best weights: {options.folder / BEST}")
    if test:
        scores = evaluate(inference_model(body, input_shape), test, anchors, class_names)
        write_json(options.folder / TEST, scores)
        found = ", ".join(f"{name} {value:.3f}" for name, value in scores["AP50"].items())
        print(f"AP50 on the test photographs: {found}")


def split_annotations(
    annotations: Sequence[Annotation], fraction: float, seed: int
) -> tuple[list[Annotation], list[Annotation]]:
    """Two parts chosen at random, both in the order of `annotations`.

    Args:
        annotations: at least two.
        fraction: share of the second part, 0 to 1; it has at least one photograph, and leaves at least one.
        seed: for the choice.

    Raises:
        ValueError: if there are fewer than two annotations.
    """
    if len(annotations) < 2:
        raise ValueError(
            f"Two parts need at least two photographs, found {len(annotations)}: add some, or give those for "
            "validation apart (--validation)."
        )
    count = min(max(1, round(len(annotations) * fraction)), len(annotations) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(annotations))[:count].tolist())
    parts = [[a for i, a in enumerate(annotations) if (i in chosen) is second] for second in (False, True)]
    return parts[0], parts[1]


if __name__ == "__main__":
    try:
        main()
    except (AnnotationError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped: the same command with --resume goes on after the last whole epoch")
