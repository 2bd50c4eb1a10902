"""Training: stages like those of keras-yolo3, through the identity loss, in a folder that survives a crash.

From a shell: `python -m yolo_helpers train --help`.
"""

import contextlib
import re
import runpy
import statistics
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from yolo_helpers.annotations import Annotation, AnnotationError
from yolo_helpers.checkpoint import Checkpoint
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.evaluation import AveragePrecision, verdicts
from yolo_helpers.files import failure_warned
from yolo_helpers.loss import YoloLoss, identity_loss, terms_of
from yolo_helpers.model import inference_model, output_convolutions
from yolo_helpers.plots import save_verdicts
from yolo_helpers.run_folder import write_run
from yolo_helpers.training_model import create_model

SETS_THE_RATE = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
# TensorFlow's and JAX' status, and where it arises otherwise: in PyTorch, cuDNN, NumPy, and on the way to the GPU.
OUT_OF_MEMORY = (
    "ResourceExhausted|RESOURCE_EXHAUSTED|[Oo]ut of memory|OutOfMemory|MemoryError|_ALLOC_FAILED|"
    "Dst tensor is not initialized"
)


@dataclass(frozen=True)
class Stage:
    """A part of the training with settings of its own.

    Attributes:
        epochs: how many.
        learning_rate: Adam's at the start; it falls along a cosine to a hundredth at the stage's end.
        frozen: train the new layers alone, which are the output convolutions unless `train` is told of more, and leave
            the rest as it is, for a body with pretrained weights.
        decay: False where the learning rate is not to fall by itself, since a callback sets it.
    """

    epochs: int
    learning_rate: float
    frozen: bool = False
    decay: bool = True


def freeze(body: keras.Model, frozen: bool, new_layers: Sequence[keras.Layer] | None = None) -> None:
    """Freezes all of the body but its new layers, or nothing of it. Compile afterwards: it counts from then.

    Args:
        body: image in, raw heads out.
        frozen: whether to freeze.
        new_layers: which layers are trained all the same; the output convolutions when None.
    """
    for layer in body.layers:
        layer.trainable = not frozen
    for layer in output_convolutions(body) if new_layers is None else new_layers:
        layer.trainable = True


def train(
    body: keras.Model,
    train_data: YoloDataset,
    stages: Sequence[Stage],
    folder: str | Path,
    validation_data: YoloDataset | None = None,
    class_names: Sequence[str] | None = None,
    evaluate_every: int = 5,
    save_every: int = 1,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    resume: bool = False,
    ignore_across_heads: bool = True,
    box_loss: str = "xy_wh",
    new_layers: Sequence[keras.Layer] | None = None,
    verbose: int | str = "auto",
) -> dict[str, list]:
    """Trains a body in stages through the identity loss, and writes a checkpoint after every epoch.

    Where that cannot be written, as on a drive that is full or gone, a warning says so, the training goes on, and the
    next epoch tries again.

    Beside the loss stand its terms (`xy`, `wh`, `confidence`, `class`; not on JAX), and likewise for validation.

    Args:
        body: image 0..1 in, raw heads out; its weights change.
        train_data: batches to learn from; their heads and kind of targets are those of the training model.
        stages: one after another.
        folder: where all is written: what `load_detector` reads, `best.weights.h5` among it (the body with the best
            AP50 on the validation photographs, of equal ones the latest, or the latest body if there are none);
            `train.txt` and `validation.txt`, which `read_annotations` reads; `history.csv`; the checkpoint; and after
            each AP50 a picture `found-0005.png` of what is right, wrong and missed on two validation photographs.
        validation_data: batches for `val_loss` and AP50, of the same kind.
        class_names: names of the classes; numbers when None.
        evaluate_every: epochs from one AP50 to the next.
        save_every: epochs from one checkpoint to the next, more than 1 for a slow drive; an interruption costs what
            came after the checkpoint. The best weights and the last epoch of a stage are always written.
        callbacks: further ones for `fit`. Numbers that they keep, such as the patience used up, are in the checkpoint.
            One that stops the training, such as `EarlyStopping`, ends it, stages to come included. One that sets the
            learning rate, such as `ReduceLROnPlateau`, needs stages with decay=False.
        resume: go on from the checkpoint in `folder`, if there is one.
        ignore_across_heads: see `yolo_loss`. As darknet has it when True, which was a little better on real
            photographs (benchmarks/README.md).
        box_loss: see `yolo_loss`. "ciou", the default of the command, was a little better on real photographs
            (benchmarks/README.md).
        new_layers: what a frozen stage trains; the output convolutions when None. See `yolo_helpers.start`.
        verbose: as in `fit`; when not 0, the boxes of each class, what a stage trains and the time left are printed
            too.

    Returns:
        The history, the epochs before a resumption included: figure -> one value an epoch, None where there is none.

    Raises:
        ValueError: if `folder` holds a training already and `resume` is not set, or one that is damaged or was made
            with other settings, stages or photographs; if the validation photographs are augmented, or a photograph
            does not open; if a number of epochs is below 1; if a callback sets the learning rate of a stage that
            lowers it by itself.
        MemoryError: if a step needs more memory than there is.
        OSError: if the folder cannot be written to when the training begins or when it ends. What was written before
            is whole.
    """
    data, heads = train_data, train_data.heads
    if validation_data is not None and validation_data.augment:
        raise ValueError("The validation photographs must stay as they are: make that data set with augment=False.")
    for option, value in (("evaluate_every", evaluate_every), ("save_every", save_every)):
        if value < 1:
            raise ValueError(f"{option}: expected a whole number from 1 on, found {value}.")
    setters = [c for c in callbacks if isinstance(c, SETS_THE_RATE)]
    if setters and any(stage.decay for stage in stages):
        raise _two_rates(type(setters[0]).__name__)
    model = _model_for(data, body, ignore_across_heads, box_loss)
    names = list(class_names or map(str, range(heads.num_classes)))
    parts = {"train": data.annotations}
    if validation_data is not None:
        parts["validation"] = validation_data.annotations
    write_run(folder, body, heads, names, parts, resume)
    checkpoint = Checkpoint(folder, body, callbacks, save_every)
    before = {name for row in checkpoint.rows[-1:] for name in row}
    if before & {"xy", "ciou"} and not before >= set(terms_of(box_loss)):
        raise ValueError(
            f"{folder}: the training there has another box_loss: to go on with it, give the same options; for a new "
            "one, choose another folder."
        )
    watch = [*callbacks, checkpoint]
    if validation_data is not None:
        detector = inference_model(body, heads.input_shape)
        judge = AveragePrecision(detector, validation_data.annotations, heads, names, evaluate_every)
        watch.insert(0, judge)
        watch.append(Snapshots(folder, judge))
    if verbose:
        watch.append(TimeLeft(sum(stage.epochs for stage in stages)))
        for part, annotations in parts.items():
            print(f"{part}: {_what_is_in(annotations, names)}")

    end, began = 0, checkpoint.epoch
    for number, stage in enumerate(stages, start=1):
        start, end = end, end + stage.epochs
        if checkpoint.epoch > end:
            continue
        freeze(body, stage.frozen, new_layers)
        rate = stage.learning_rate
        if stage.decay:
            rate = keras.optimizers.schedules.CosineDecay(rate, stage.epochs * len(data), alpha=0.01)
        model.compile(optimizer=keras.optimizers.Adam(rate), loss={"yolo_loss": identity_loss})
        build_optimizer(model)
        checkpoint.restore(model, end)
        if checkpoint.epoch < end and not checkpoint.stopped:
            if verbose:
                print(f"stage {number}: epochs {start + 1} to {end}, {_what_is_trained(body, stage)}")
            data.epoch = max(start, checkpoint.epoch)  # the epoch's order and changes, as if never interrupted
            with own_sentences(data):
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
    if verbose and began == end:
        print(f"The training in {folder} has ended, with {end} epochs: for another one choose a new folder.")
    checkpoint.raise_failure()
    return checkpoint.history()


def build_optimizer(model: keras.Model) -> None:
    """Makes the variables of a compiled model's optimiser before the first step.

    So a checkpoint can be loaded, and TensorFlow need not trace the step twice. Under float16 the scale of the loss
    begins at 64: at Keras' 32,768 the largest gradients of YOLOv3, some hundreds, leave float16's range, and each stage
    would skip nine steps until the scale fits. It grows by itself.
    """
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        model.optimizer.initial_scale = 64.0
    model.optimizer.build(model.trainable_variables)


def _model_for(data: YoloDataset, body: keras.Model, ignore_across_heads: bool, box_loss: str) -> keras.Model:
    """The training model that takes a data set's batches."""
    heads = data.heads
    settings = {"anchor_mask": heads.anchor_mask}
    options = {"ignore_across_heads": ignore_across_heads, "box_loss": box_loss}
    layer = YoloLoss(heads.anchors, heads.num_classes, **options, **settings)
    settings |= {"loss_layer": layer, "targets": data.targets}
    return create_model(body, heads.input_shape, heads.anchors, heads.num_classes, **settings)


def _what_is_in(annotations: Sequence[Annotation], class_names: Sequence[str]) -> str:
    """What shows at a glance that boxes were lost, or numbers of classes exchanged."""
    counts = np.bincount(np.concatenate([a.classes for a in annotations]), minlength=len(class_names))
    boxes = ", ".join(f"{name} {count}" for name, count in zip(class_names, counts.tolist(), strict=True))
    empty = sum(not len(a.classes) for a in annotations)
    return f"{len(annotations)} photographs, {empty} without object; boxes: {boxes}"


def _what_is_trained(body: keras.Model, stage: Stage) -> str:
    trained = sum(int(np.prod(weight.shape)) for weight in body.trainable_weights)
    what = "all layers"
    if stage.frozen:
        heads, layers = output_convolutions(body), [layer for layer in body.layers if layer.trainable_weights]
        what = "the output convolutions alone" if len(layers) == len(heads) else "the new layers alone"
    return f"learning rate {stage.learning_rate:g}, {what}: {trained:,} of {body.count_params():,} parameters"


def _two_rates(callback: str) -> ValueError:
    return ValueError(
        f"{callback} sets the learning rate, which a stage lowers by itself along a cosine: give every Stage "
        "decay=False, or leave the callback out."
    )


@contextlib.contextmanager
def own_sentences(data: YoloDataset) -> Iterator[None]:
    """Takes what the reader can mend out of the pages that TensorFlow, JAX, PyTorch and Keras make of it."""
    try:
        yield
    except Exception as error:
        if re.search(OUT_OF_MEMORY, f"{type(error).__name__}: {error}") and "No space left" not in str(error):
            raise MemoryError(_out_of_memory(data)) from error
        if isinstance(error, TypeError) and "LearningRateSchedule" in str(error):
            raise _two_rates("A callback") from error
        found = re.search(r"\b(?:AnnotationError|ImageError|ValueError): (.+)", str(error))
        if found is None or isinstance(error, ValueError):
            raise
        raise AnnotationError(found[1]) from error


def _out_of_memory(data: YoloDataset) -> str:
    (height, width), count = data.heads.input_shape, min(data.batch_size, len(data.annotations))
    halve = f"halve it (--batch-size {count // 2}, in lesson 04 BATCH_SIZE), " if count > 1 else ""
    return (
        f"There is not enough memory for a batch of {count} at {height} x {width} pixels: {halve}take a smaller input "
        "(--input-shape, INPUT_SHAPE), or on a GPU half precision (--precision, PRECISION)."
    )


class Snapshots(keras.callbacks.Callback):
    """Draws what is right, wrong and missed on two photographs, in `found-0005.png` …, whenever `val_AP50` is known.

    Args:
        folder: where to write.
        judge: what finds it; it comes before this callback.
    """

    COUNT, SCORE_THRESHOLD = 2, 0.3  # photographs, and the least score of a box that is drawn

    def __init__(self, folder: str | Path, judge: AveragePrecision):
        super().__init__()
        self.folder, self.judge = Path(folder), judge
        # The first ones, but those without an object show little.
        order = sorted(range(len(judge.annotations)), key=lambda number: not len(judge.annotations[number].boxes))
        self.numbers = order[: self.COUNT]

    def on_epoch_end(self, epoch, logs=None):
        if "val_AP50" in (logs or {}):
            annotations, found = (
                [part[n] for n in self.numbers] for part in (self.judge.annotations, self.judge.found)
            )
            judged = verdicts(annotations, found, self.judge.class_names, self.SCORE_THRESHOLD)
            path = self.folder / f"found-{epoch + 1:04d}.png"
            title = f"after epoch {epoch + 1}, scores from {self.SCORE_THRESHOLD} on"
            with failure_warned():
                save_verdicts(path, annotations, judged, self.judge.class_names, title)


class TensorBoard(keras.callbacks.TensorBoard):
    """Keras' own, which would end the training where it cannot write: this one warns, and then writes no more.

    Args:
        folder: where to write.
    """

    def __init__(self, folder: str | Path):
        super().__init__(folder, write_graph=False)
        self._failed = False

    def _try(self, hook, *arguments):
        if self._failed:
            return
        try:
            getattr(super(), hook)(*arguments)
        except Exception as error:  # of TensorFlow's many kinds
            self._failed = True
            reason = "no room" if "No space left" in str(error) else type(error).__name__
            warnings.warn(f"{self.log_dir}: TensorBoard's curves end here, not the training ({reason}).", stacklevel=2)

    def on_train_begin(self, logs=None):
        self._try("on_train_begin", logs)

    def on_train_end(self, logs=None):
        self._try("on_train_end", logs)

    def on_test_begin(self, logs=None):
        self._try("on_test_begin", logs)

    def on_test_end(self, logs=None):
        self._try("on_test_end", logs)

    def on_epoch_end(self, epoch, logs=None):
        self._try("on_epoch_end", epoch, logs)


class TimeLeft(keras.callbacks.Callback):
    """Prints before an epoch about how long the training is still going to take.

    The first epoch holds the time of compiling, and tells nothing; there is an estimate after two more.

    Args:
        epochs: of the whole training.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs, self.seconds = epochs, []

    def on_epoch_begin(self, epoch, logs=None):
        if len(self.seconds) > 2:  # one that begins a stage or finds AP50 takes longer, so the middle one counts
            left = round(statistics.median_low(self.seconds[1:]) * (self.epochs - epoch))
            print(f"about {left // 60} min {left % 60} s left")
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.monotonic() - self.begun)


if __name__ == "__main__":  # the command's earlier name
    sys.argv[1:1] = ["train"]
    runpy.run_module("yolo_helpers", run_name="__main__", alter_sys=True)
