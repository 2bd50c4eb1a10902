"""The plan of a training: with what, how, and for how long, for a reader who knows only what it may cost."""

import contextlib
import copy
import gc
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from yolo_helpers.annotations import Annotation
from yolo_helpers.checkpoint import Checkpoint
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.device import GB, Device
from yolo_helpers.download import DownloadError
from yolo_helpers.files import discard, write_json
from yolo_helpers.loss import identity_loss
from yolo_helpers.memory import count_memory
from yolo_helpers.model import with_heads
from yolo_helpers.run_folder import MEASURING, PLAN, STATE, stored
from yolo_helpers.start import SMEARS, Start, start_from
from yolo_helpers.training import Stage, build_optimizer, own_sentences
from yolo_helpers.training_model import create_model

PROFILES = ("auto", "laptop", "gpu")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
STARTS = {  # of a profile, each for where those before cannot be fetched
    "gpu": ("yolov3", "yolo-fastest", SMEARS),
    "laptop": ("yolo-fastest", SMEARS),
}
KNOWN = {
    "yolov3": "the full network, which knows COCO's photographs",
    "yolo-fastest": "a small network that knows COCO's photographs",
    SMEARS: "the miniature that comes with the course and knows drawn blood smears",
}
ENOUGH = 4 * GB  # free memory of a GPU, for YOLOv3 with a few photographs in half precision
PART = 0.8  # of the free memory that a step may be counted to take
WORDS = {"photographs": "photographs", "validation": "photographs for validation"}
BY_THE_DEVICE = ("start", "precision", "batch_size")
BATCHES = (16, 8, 4, 2, 1)
BATCH = 8  # on a laptop
FEWEST, MOST = 3, 300  # epochs
MEASURED = 5.0  # seconds of steps that are measured
# What a validation photograph takes of the time of one to learn from: a third, the way forward, for `val_loss` after
# each epoch; and about all of it, with what is found, for AP50 after each fifth.
VALIDATION = 1 / 3 + 1 / 5


@dataclass(frozen=True)
class Plan:
    """What is trained, and how.

    Attributes:
        start: the body, in this precision, and its heads.
        precision: Keras' dtype policy.
        batch_size: photographs a step.
        reasons: what was chosen and why, a sentence each; `str(plan)` has them as lines.
    """

    start: Start
    precision: str
    batch_size: int
    reasons: list[str]

    @property
    def save_every(self) -> int:
        """Epochs from one checkpoint to the next: writing a large network may take as long as an epoch."""
        return 1 if self.start.small else 5

    def __str__(self):
        return "\n".join(self.reasons)


def choose_plan(
    profile: str,
    device: Device,
    photographs: Sequence[Annotation],
    class_names: Sequence[str],
    start: str | Path = "",
    input_shape: tuple[int, int] | None = None,
    precision: str = "",
    batch_size: int | None = None,
    rehearsal: bool = False,
    anchors_path: str | Path | None = None,
    fine_head: bool | None = None,
) -> Plan:
    """Chooses what is not given, and makes the body.

    Profile "gpu" is YOLOv3 from the official weights at about 416 x 416, in the GPU's precision, with as many
    photographs a step as fit. "laptop" is Yolo-Fastest in float32, eight photographs a step. Where a network cannot be
    fetched, the next smaller one takes its place. Keras computes in the plan's precision from here on.

    Args:
        profile: "gpu", "laptop", or "auto", which is "gpu" where there is one with 4 GB free.
        device: of `find_device`.
        photographs: to learn from.
        class_names: in order.
        start, input_shape, anchors_path, fine_head: as in `start_from`.
        precision: "float32", "mixed_bfloat16" or "mixed_float16".
        batch_size: photographs a step; never more than there are.
        rehearsal: the photographs are drawn ones, so that the course's own network will do, on every machine alike.

    Raises:
        ValueError: for an unknown profile or precision, and as in `start_from`, also if `start` cannot be fetched.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile: expected one of {', '.join(PROFILES)}, found {profile!r}.")
    if precision not in ("", *PRECISIONS):
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}.")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size: expected a whole number from 1 on, found {batch_size}.")
    profile, why = _profile(profile, device, rehearsal)
    reasons = [why]
    precision = precision or (device.precision if profile == "gpu" else "float32")
    keras.config.set_dtype_policy(precision)
    how = (photographs, class_names, input_shape, anchors_path, fine_head)
    if start:
        begun, why = start_from(start, *how), "as asked for"
    else:
        for name in (SMEARS,) if rehearsal else STARTS[profile]:
            try:
                begun, why = start_from(name, *how), KNOWN[name]
                break
            except DownloadError as error:  # the last one need not be fetched
                reasons.append(f"{name} cannot be had, so a smaller network takes its place. {error}")
    reasons.append(f"Start: {begun.description}; {why}.")
    height, width = begun.heads.input_shape
    reasons.append(f"Input: {height} pixels high, {width} wide, {precision}.")
    most, why = _batch(profile, device, begun.body, precision) if batch_size is None else (batch_size, "as asked for")
    if most > len(photographs):
        most, why = len(photographs), "as many as there are"
    reasons.append(f"Batch: {most} photograph{'s' * (most != 1)} a step, {why}.")
    return Plan(begun, precision, most, reasons)


def _profile(profile: str, device: Device, rehearsal: bool) -> tuple[str, str]:
    """The profile, and a sentence that says why."""
    if rehearsal:
        return "laptop", "Profile laptop: a rehearsal with drawn photographs, the same on every machine."
    if profile == "gpu" and not device.is_gpu:
        return "gpu", f"Profile gpu, as asked for, although there is none ({device}): this will be slow."
    if profile != "auto":
        return profile, f"Profile {profile}, as asked for ({device})."
    if device.is_gpu and device.free is not None and device.free < ENOUGH:
        return "laptop", f"Profile laptop: less than {ENOUGH / GB:g} GB of the GPU are free ({device})."
    return ("gpu" if device.is_gpu else "laptop"), f"Profile {'gpu' if device.is_gpu else 'laptop'} ({device})."


def _batch(profile: str, device: Device, body: keras.Model, precision: str) -> tuple[int, str]:
    """Photographs a step, and the part of a sentence that says why."""
    if profile == "laptop":
        return BATCH, "few enough for a laptop"
    if device.free is None:
        return BATCH, "since how much memory there is is not known"
    for number in BATCHES:
        counted = sum(count_memory(body, number, precision).values())
        if counted <= PART * device.free:
            break
    fits = "of" if counted <= PART * device.free else "which may be too much for"
    return number, f"counted {counted / GB:.1f} GB {fits} {device.free / GB:.1f} GB free"


def choose_stages(
    plan: Plan,
    data: YoloDataset,
    folder: str | Path,
    minutes: float,
    epochs: int | None = None,
    validation: YoloDataset | None = None,
    learning_rate: float | None = None,
) -> list[Stage]:
    """The stages of a training: as many epochs as it can have in some minutes, measured here, from 3 to 300.

    What is measured is printed. The choice is kept in `plan.json` in the folder, and the same call returns it again, on
    another machine too, so that a training goes on as it was begun.

    Args:
        plan: of `choose_plan`. Its body is not changed.
        data: the batches to learn from.
        folder: of the training.
        minutes: that it may take, validation included.
        epochs: that train all layers, in place of the minutes; then nothing is measured.
        validation: the batches for validation.
        learning_rate: as in `Start.stages`.

    Raises:
        ValueError: if the folder holds a training that was planned otherwise, a photograph does not open, or minutes
            are not above 0.
        MemoryError: if a step needs more memory than there is.
    """
    if not minutes > 0:
        raise ValueError(f"minutes: expected a number above 0, found {minutes}.")
    if epochs is not None and epochs < 1:
        raise ValueError(f"epochs: expected a whole number from 1 on, found {epochs}.")
    folder = Path(folder)
    settings = {
        "start": plan.start.name,
        "input_shape": list(data.heads.input_shape),
        "precision": plan.precision,
        "batch_size": data.batch_size,
        "photographs": len(data.annotations),
        "validation": len(validation.annotations) if validation else 0,
        "minutes": minutes,
        "epochs": epochs,
        "learning_rate": learning_rate,
    }
    before, kept = stored(folder / PLAN, ["settings", "stages"]) if (folder / PLAN).is_file() else ({}, [])
    if before == settings:
        return [Stage(**stage) for stage in kept]
    if (folder / STATE).exists():
        raise _planned_otherwise(folder, before, settings)
    folder.mkdir(parents=True, exist_ok=True)
    frozen = None
    if epochs is None:
        frozen, epochs = _epochs(plan, data, folder, minutes, validation)
    stages = plan.start.stages(len(data), epochs, frozen, learning_rate)
    write_json(folder / PLAN, {"settings": settings, "stages": [asdict(stage) for stage in stages]})
    return stages


def _planned_otherwise(folder: Path, before: dict, settings: dict) -> ValueError:
    """In the words of the lesson's settings and of the command."""
    if not before:
        mend = "go on with it by the command that began it (--resume), or choose another folder"
        return ValueError(f"{folder}: the training there was begun without a plan: {mend}.")
    mend = "to go on with it, set this as it was; for a new one, choose another folder"
    changed = [name for name in settings if before.get(name) != settings[name]]
    if {*changed} & {*BY_THE_DEVICE}:
        mend += (
            "; if you changed nothing, the GPU is missing or is another one, or a network could not be fetched: set "
            + _in_words(before, BY_THE_DEVICE)
        )
    was, now = _in_words(before, changed), _in_words(settings, changed)
    return ValueError(f"{folder}: the training there was planned with {was}, and now there would be {now}: {mend}.")


def _in_words(settings: dict, names: Sequence[str]) -> str:
    words = []
    for name in names:
        value = settings.get(name)
        value = " ".join(map(str, value)) if isinstance(value, list) else value
        word = WORDS.get(name, f"{name.upper()} (--{name.replace('_', '-')})")
        words.append(f"no {word}" if value is None else f"{value} {word}" if name in WORDS else f"{word} {value}")
    return " and ".join([", ".join(words[:-1])] * (len(words) > 1) + words[-1:])


def _epochs(
    plan: Plan, data: YoloDataset, folder: Path, minutes: float, validation: YoloDataset | None
) -> tuple[int, int]:
    """How many epochs may train the new layers alone, where there is such a stage, and then all: four times as many."""
    with _chance_untouched(), own_sentences(data):
        seconds, compiling = _measure(plan, data, folder, validation)
    gc.collect()  # of the copy that was trained: a GPU may have no room for both
    stages = len(plan.start.stages(len(data)))
    left = 60 * minutes - stages * compiling
    total = int(np.clip(left / seconds, FEWEST, MOST))
    takes, given = (total * seconds + stages * compiling) / 60, f"{minutes:g} minute{'s' * (minutes != 1)}"
    if total * seconds > left:
        what = f"{given} are too few for {FEWEST} epochs, the least, which take about {takes:.2g} minutes"
    else:
        what = f"{total} epochs fit into {given}" + (" and are the most" if total == MOST else "")
    print(f"An epoch takes about {seconds:.2g} s here: {what}.")
    frozen = max(1, total // 5) if stages == 2 else 0
    return frozen, total - frozen


def _measure(plan: Plan, data: YoloDataset, folder: Path, validation: YoloDataset | None) -> tuple[float, float]:
    """Seconds of an epoch, and of what a stage takes before its first step; by training a copy of the body."""
    heads = data.heads
    data, validation = copy.copy(data), copy.copy(validation)  # which count epochs of their own
    twin = with_heads(plan.start.body, None, heads.input_shape)
    settings = {"anchor_mask": heads.anchor_mask, "targets": data.targets}
    model = create_model(twin, heads.input_shape, heads.anchors, heads.num_classes, **settings)
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss={"yolo_loss": identity_loss})
    build_optimizer(model)

    def fit(steps, **options):
        begun = time.monotonic()
        model.fit(data, steps_per_epoch=steps, shuffle=False, verbose=0, **options)
        return time.monotonic() - begun

    first, step = fit(1, validation_data=validation, validation_steps=1), fit(1)
    compiling = max(0.0, first - step)
    steps = int(np.clip(MEASURED / step, 1, len(data)))
    if steps > 1:
        step = fit(steps) / steps
    place = Path(tempfile.mkdtemp(dir=folder, prefix=MEASURING))
    try:
        checkpoint = Checkpoint(place, twin)
        checkpoint.set_model(model)
        checkpoint.set_params({"epochs": 1})
        begun = time.monotonic()
        checkpoint.on_epoch_end(0)
        saving = (time.monotonic() - begun) / plan.save_every
    finally:
        discard(place)
    photographs = VALIDATION * len(validation.annotations) if validation else 0
    return step * (len(data) + photographs / data.batch_size) + saving, compiling


@contextlib.contextmanager
def _chance_untouched() -> Iterator[None]:
    """Leaves Python's random numbers as they were: Keras takes the seeds of new layers from there."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
