"""The folder of a training: what is written there, and how it is read again.

A folder holds when its training has ended:

    settings.json, network.json     heads, classes and split; the body's layers as Keras writes them
    train.txt, validation.txt, classes.txt    each part with its boxes, for `read_annotations`
    best.weights.h5                 the body with the best AP50 on the validation photographs
    history.csv, found-0005.png     the figures of each epoch, and what was found after some
    plan.json                       the stages, where minutes were given, or the lesson's EPOCHS (`yolo_helpers.plan`)
    state.json, state-0005.weights.h5    the checkpoint
    test.txt, test.json             the part for the test, and how the best weights did on it (`judge_test`)
    export/, page.html, history.png      what is handed on, of `export` and `hand_on`
    detector.zip                         all that others need of it, of `hand_on`
"""

import csv
import json
import re
import tempfile
import urllib.parse
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import keras

from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import Annotation, write_lines
from yolo_helpers.evaluation import evaluate
from yolo_helpers.files import write_json, write_text
from yolo_helpers.model import inference_model
from yolo_helpers.photographs import DRIVE, mount_drive, on_colab

SETTINGS, NETWORK, BEST = "settings.json", "network.json", "best.weights.h5"
STATE, HISTORY, PLAN = "state.json", "history.csv", "plan.json"
TEST, TEST_LIST = "test.json", "test.txt"
EXPORT, ABOUT = "export", "model.json"
MEASURING = ".measuring-"  # how the folder begins in which `plan` tries how long a checkpoint takes


def choose_folder(results: str, source: str, runs: str | Path) -> Path:
    """Where the results of a training go. Prints it.

    Args:
        results: a folder, new or of a training that is to go on; "" for one in `runs`, called after the photographs.
        source: of the photographs, as in `bring_photographs`; "" for drawn ones, whose results nobody keeps.
        runs: the folder for those that were given no place.

    Raises:
        ValueError: if Google Drive is asked for and cannot be had.
    """
    results, source = results.strip(), source.strip()
    if not results and not source:
        print("Results go to a temporary folder: a rehearsal leaves nothing behind.")
        return Path(tempfile.mkdtemp()) / "rehearsal"
    # From the root on: in Colab's current folder drive/MyDrive is Google Drive.
    folder = (Path(results).expanduser() if results else Path(runs) / _called_after(source)).absolute()
    mount_drive(folder)
    check_apart(folder, Path(source).expanduser())
    print(f"Results go to {folder}.")
    if on_colab() and not folder.is_relative_to(DRIVE):
        print(f"They are lost when Colab disconnects: to keep them, name a folder below {DRIVE}/MyDrive.")
    return folder


def check_apart(folder: Path, source: Path) -> None:
    """Refuses a folder for results that would mix with the photographs, or is none.

    Args:
        folder: for the results.
        source: of the photographs; an address or a word is no path, and harms nothing.

    Raises:
        ValueError: if it is a file, or the folder of the photographs.
    """
    if folder.is_file():
        raise ValueError(f"{folder} is a file: choose a new folder for the results.")
    place = source if source.is_dir() or source.suffix.lower() == ".zip" else source.parent
    if source.exists() and folder.exists() and folder.samefile(place):
        raise ValueError(f"{folder} holds the photographs: choose another folder for the results.")


def _called_after(source: str) -> str:
    """The name of a data set: of its zip, its folder, or the folder of the file that describes it."""
    if address := re.match(r"https?://([^?#]+)", source, re.IGNORECASE):
        # Without what no file may be called on some disks.
        path = Path(re.sub(r"[^\w.-]+", "-", urllib.parse.unquote(PurePosixPath(address[1]).name)))
    else:
        path = Path(source).expanduser().resolve()
        if path.is_file() and path.suffix.lower() != ".zip":
            path = path.parent
    return path.stem if path.suffix.lower() == ".zip" else path.name


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
        before = stored(folder / SETTINGS, list(settings))
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
    body, heads, class_names = load_body(folder)
    return inference_model(body, heads.input_shape), heads, class_names


def load_body(folder: str | Path) -> tuple[keras.Model, Heads, list[str]]:
    """The body within `load_detector`'s model, with the same errors.

    Args:
        folder: of a training that has ended an epoch.

    Returns:
        Image 0..1 in, raw heads out; its heads, and the names of its classes.
    """
    folder = Path(folder)
    check_run(folder)
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
    return body, heads, class_names


def check_run(folder: Path) -> None:
    """Checks that a folder holds all that a detector is made of.

    Raises:
        ValueError: if it lacks a file.
    """
    for name in (SETTINGS, NETWORK, BEST):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} holds no {name}: give the folder of a training that has ended an epoch.")


def judge_test(
    folder: str | Path,
    detector: keras.Model,
    annotations: Sequence[Annotation],
    heads: Heads,
    class_names: Sequence[str],
) -> dict[str, dict[str, float]]:
    """Judges a detector on the photographs of the test, and keeps these and the scores in the folder of its training.

    Args:
        folder: of the training; `test.txt` and `test.json` are written there.
        detector: the model of `inference_model`, with the best weights.
        annotations: the photographs of the test with their true boxes.
        heads, class_names: of the detector.

    Returns:
        The scores, as from `average_precision`.

    Raises:
        OSError: if the folder cannot be written to.
    """
    folder = Path(folder)
    write_lines(folder / TEST_LIST, annotations)
    scores = evaluate(detector, annotations, heads, class_names)
    write_json(folder / TEST, scores)
    return scores


def stored(path: Path, names: Sequence[str]) -> list:
    """The values of these names in a JSON file of a training.

    Raises:
        ValueError: if it is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [content[name] for name in names]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged ({error!r:.80}): copy it again, or train into another folder.") from error


def read_history(folder: Path) -> dict[str, list]:
    """The history of a training from its folder: figure -> one value an epoch, None where there is none.

    Args:
        folder: of the training; without `history.csv` the history is empty.

    Raises:
        ValueError: if it is damaged.
    """
    path = folder / HISTORY
    if not path.is_file():
        return {}
    try:
        (_, *figures), *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        columns = zip(*rows, strict=True)
        next(columns)
        return {
            figure: [float(value) if value else None for value in column]
            for figure, column in zip(figures, columns, strict=True)
        }
    except (ValueError, StopIteration) as error:
        raise ValueError(f"{path}: damaged ({error!r:.80}): copy it again, or take it away.") from error
