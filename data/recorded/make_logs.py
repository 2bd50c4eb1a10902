"""Write data/recorded/training_logs.json, for tasks of training_goes_wrong and training_judge: six short trainings.

Each trains the miniature network on smears for ten epochs of twelve batches, and differs from the healthy one in a
single line of RECIPES. Beside the logs stand the scores of what the healthy one finds on some validation photographs.
It takes about ten minutes on two cores. The record is written after every training; with causes named, only these are
trained again, and the others stay as they are.

    python -m data.recorded.make_logs
    python -m data.recorded.make_logs healthy "body left frozen"
"""

import datetime
import json
import math
import os
import platform
import re
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from yolo_helpers.anchors import DATA, Heads, box_sizes, default_anchors, grid_shapes, kmeans_anchors
from yolo_helpers.annotations import Annotation, read_annotations
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.detection import detect
from yolo_helpers.evaluation import AveragePrecision, worst_mistakes
from yolo_helpers.loss import YoloLoss, identity_loss
from yolo_helpers.model import inference_model, micro_yolo_body
from yolo_helpers.smear import write_smears
from yolo_helpers.training import freeze

RECORD = DATA / "recorded" / "training_logs.json"
SHAPE, EPOCHS, BATCH = (96, 128), 10, 8
JUDGED, LOWEST_SCORE = (
    12,
    0.1,
)  # validation photographs in the task on thresholds, and the score from which detections count
COLUMNS = ("loss", "xy", "wh", "confidence", "class", "val_loss", "val_class", "val_AP50")

# What differs from the healthy training. The letters under which the task shows them are mixed on purpose.
HEALTHY = {"learning_rate": 5e-3, "frozen": False, "few": False, "shift_classes": False}
RECIPES = {
    "healthy": ("C", {}),
    "learning rate too high": ("F", {"learning_rate": 1.0}),
    "learning rate too low": ("D", {"learning_rate": 1e-4}),
    "overfitting": ("A", {"few": True}),
    "classes in another order": ("E", {"shift_classes": True}),
    "body left frozen": ("B", {"frozen": True}),
}


def with_shifted_classes(annotations: list[Annotation]) -> list[Annotation]:
    """The same photographs, every class one number on, as after reading class names in another order."""
    return [replace(annotation, classes=(annotation.classes + 1) % 3) for annotation in annotations]


def run(
    learn: list[Annotation],
    validation: list[Annotation],
    class_names: list[str],
    learning_rate: float,
    frozen: bool,
    few: bool,
    shift_classes: bool,
) -> tuple[list[dict[str, float]], dict]:
    """Train once.

    Args:
        learn, validation: photographs with their boxes.
        class_names: three names.
        learning_rate: Adam's at the start; it falls along a cosine to a hundredth.
        frozen: leave all but the output convolutions as they are, at their random start.
        few: learn from the first eight photographs alone, always unchanged, as often as there are photographs.
        shift_classes: give every box of the training set another class.

    Returns:
        COLUMNS for every epoch, and what `verdicts` returns for the trained network.
    """
    keras.utils.set_random_seed(1)
    anchors = kmeans_anchors(box_sizes(learn, SHAPE), default_anchors(3))
    heads = Heads(SHAPE, anchors, 3)
    if few:
        learn = learn[:BATCH] * (len(learn) // BATCH)
    if shift_classes:
        learn = with_shifted_classes(learn)
    data = YoloDataset(learn, heads, BATCH, augment=not few, seed=1)
    unchanged = YoloDataset(validation, heads, BATCH)

    body = micro_yolo_body(keras.Input((*SHAPE, 3)), 3, 3)
    freeze(body, frozen)
    detector = inference_model(body, SHAPE)
    labels = [keras.Input((*grid, 3, 8)) for grid in grid_shapes(SHAPE, 3)]
    model = keras.Model([detector.input, *labels], YoloLoss(anchors, 3)([*detector.outputs, *labels]))
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, EPOCHS * len(data), alpha=0.01)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss={"yolo_loss": identity_loss})
    watch = AveragePrecision(detector, validation, heads, class_names)
    history = model.fit(
        data, validation_data=unchanged, epochs=EPOCHS, callbacks=[watch], shuffle=False, verbose=0
    ).history
    rows = [{name: float(history[name][epoch]) for name in COLUMNS} for epoch in range(EPOCHS)]
    return rows, verdicts(detector, validation[:JUDGED], heads, class_names)


def verdicts(
    detector: keras.Model, photographs: list[Annotation], heads: Heads, class_names: list[str]
) -> dict[str, int | list]:
    """Say of every detection whether it is right, at an IoU of 0.5, as pycocotools judges.

    Args:
        detector: the model of `inference_model`.
        photographs: with their true boxes.
        heads: of the detector.
        class_names: three names.

    Returns:
        photographs and true_boxes, their numbers; scores, highest first, and right, 1 or 0 for each.
    """
    found = detect(detector, [a.image_path for a in photographs], heads, score_threshold=LOWEST_SCORE)
    wrong, _ = worst_mistakes(photographs, found, class_names, count=10**6)
    of_wrong = Counter(mistake.score for mistake in wrong)
    of_right = Counter(float(score) for detections in found for score in detections.scores) - of_wrong
    pairs = [(score, 0) for score in of_wrong.elements()] + [(score, 1) for score in of_right.elements()]
    scores, right = zip(*sorted(pairs, reverse=True)) if pairs else ((), ())
    return {
        "photographs": len(photographs),
        "true_boxes": sum(len(a.boxes) for a in photographs),
        "scores": [round(score, 3) for score in scores],
        "right": list(right),
    }


def in_json(value: float) -> float | str:
    """A number to write: five digits, and 'nan' or 'inf' as words, for which JSON has no number."""
    return float(f"{value:.5g}") if math.isfinite(value) else str(value)


def write(record: dict) -> None:
    """Write the record, every list on one line."""
    text = re.sub(r"\[[^\[\]{}]*\]", lambda numbers: " ".join(numbers[0].split()), json.dumps(record, indent=1))
    RECORD.write_text(text + "\n", encoding="utf-8", newline="\n")


def main(causes: list[str]) -> None:
    """Train with the recipes of these causes, and write each log into the record."""
    unknown = set(causes) - set(RECIPES)
    if unknown:
        sys.exit(f"no such cause: {sorted(unknown)}; the causes are {list(RECIPES)}")
    before = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    logs = before.get("logs", {})
    record = {
        "date": datetime.date.today().isoformat(),
        "hardware": "2 cores, no GPU",
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("tensorflow", "keras", "numpy", "pillow")},
        "command": "python -m data.recorded.make_logs",
        "data": "96 smears of 96 x 128 pixels to learn from (seed 1), 32 for validation (seed 2)",
        "healthy": HEALTHY | {"epochs": EPOCHS, "batch_size": BATCH, "body": "micro, from random weights"},
        "detections": before.get("detections"),
    }
    with tempfile.TemporaryDirectory() as folder:
        learn, class_names = read_annotations(write_smears(Path(folder) / "learn", 96, SHAPE, seed=1))
        validation, _ = read_annotations(write_smears(Path(folder) / "validation", 32, SHAPE, seed=2))
        for cause in causes:
            letter, changes = RECIPES[cause]
            rows, judged = run(learn, validation, class_names, **HEALTHY | changes)
            columns = {name: [in_json(row[name]) for row in rows] for name in COLUMNS}
            logs[letter] = {"cause": cause, "changes": changes, "columns": columns}
            if cause == "healthy":
                record["detections"] = judged
            write(record | {"logs": dict(sorted(logs.items()))})
            print(cause, *(" ".join(f"{row[name]:.4g}" for name in COLUMNS) for row in rows), sep="\n  ", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(RECIPES))
