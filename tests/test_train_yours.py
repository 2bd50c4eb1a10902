"""Lesson 04 on other photographs: all of it runs, and nothing below the settings cell knows its own."""

import json
import re
import zipfile

import matplotlib
import nbformat
import numpy as np
import pytest
from nbclient.exceptions import CellExecutionError
from PIL import Image, ImageDraw

from tools.build_notebooks import KERNEL, ROOT, Client
from yolo_helpers.run_folder import load_detector

LESSON = ROOT / "notebooks" / "04_train_yours.ipynb"
SETTINGS = "# @title Settings"


def with_settings(**values):
    """The lesson with other values in its settings cell."""
    notebook = nbformat.read(LESSON, as_version=4)
    (cell,) = (cell for cell in notebook.cells if cell.source.startswith(SETTINGS))
    for name, value in values.items():
        cell.source, count = re.subn(rf"^{name} = [^#]*", f"{name} = {value!r}  ", cell.source, flags=re.MULTILINE)
        assert count == 1, f"the settings cell has no {name}"
    return notebook


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own, where photographs are unpacked; nothing that was fetched before lies there."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_configdir())  # its list of fonts takes a while to make


def run(notebook, until=""):
    """Everything that its cells print, once all have run, or those up to the one of this id."""
    ids = [cell.id for cell in notebook.cells]
    if until:
        del notebook.cells[ids.index(f"r04-{until}") + 1 :]
    client = Client(notebook, timeout=300, kernel_name=KERNEL["name"], resources={"metadata": {"path": LESSON.parent}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def draw(rng, size, kinds):
    """A picture with one to three discs (0) or squares (1) of these kinds; boxes as x, y, width, height."""
    width, height = size
    picture = Image.fromarray(rng.integers(90, 130, (height, width, 3), np.uint8))
    pen, objects = ImageDraw.Draw(picture), []
    for column in rng.permutation(3)[: rng.integers(1, 4)]:
        side, kind = int(rng.integers(width // 6, width // 4)), int(rng.choice(kinds))
        x, y = int(column * width // 3 + rng.integers(0, width // 12)), int(rng.integers(0, height - side))
        shape = (pen.rectangle, pen.ellipse)[kind == 0]
        shape((x, y, x + side - 1, y + side - 1), fill=((250, 240, 60), (20, 30, 160))[kind])
        objects.append((kind, (x, y, side, side)))
    return picture, objects


def write_coco(folder, count=40, size=(150, 200)):
    """Upright PNG pictures with two classes, as COCO's JSON; the ids have a gap."""
    rng, images, annotations = np.random.default_rng(1), [], []
    (folder / "images").mkdir(parents=True)
    for number in range(count):
        picture, objects = draw(rng, size, (0, 1))
        picture.save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": size[0], "height": size[1]})
        for kind, box in objects:
            entry = {"id": len(annotations), "image_id": number, "category_id": (3, 9)[kind], "bbox": box, "iscrowd": 0}
            annotations.append(entry | {"area": box[2] * box[3]})
    categories = [{"id": 3, "name": "münze"}, {"id": 9, "name": "$ chip $"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_zip(folder, count=40, size=(240, 160)):
    """JPEG pictures with a single class in YOLO's form, in a zip with a folder around."""
    rng = np.random.default_rng(2)
    folder.mkdir()
    with zipfile.ZipFile(folder / "my coins.zip", "w") as packed:
        packed.writestr("coins/classes.txt", "coin\n")
        for number in range(count):
            picture, objects = draw(rng, size, (0,))
            picture.save(folder / "one.jpg", quality=92)
            packed.write(folder / "one.jpg", f"coins/images/{number}.jpg")
            lines = [
                f"0 {(x + w / 2) / size[0]} {(y + h / 2) / size[1]} {w / size[0]} {h / size[1]}"
                for _, (x, y, w, h) in objects
            ]
            packed.writestr(f"coins/labels/{number}.txt", "\n".join(lines))
    return folder / "my coins.zip"


@pytest.mark.parametrize(
    ("write", "names", "input_shape"),
    [(write_coco, ["münze", "$ chip $"], (192, 160)), (write_zip, ["coin"], (128, 192))],
)
def test_the_whole_lesson_runs_on_other_photographs(tmp_path, write, names, input_shape):
    source, results = write(tmp_path / "photographs"), tmp_path / "results" / "first try"
    told = {"START": "smears", "INPUT_SHAPE": " ".join(map(str, input_shape)), "EPOCHS": 12}
    told["NEW_PHOTOGRAPHS"] = str(tmp_path / "new")
    (tmp_path / "new").mkdir()
    picture, objects = draw(np.random.default_rng(3), (300, 200), (0,))
    picture.save(tmp_path / "new" / "one.png")

    printed = run(with_settings(PHOTOGRAPHS=str(source), RESULTS=str(results), PROFILE="laptop", **told))

    _, heads, class_names = load_detector(results)
    assert (class_names, heads.input_shape) == (names, input_shape)
    scores = json.loads((results / "test.json").read_text(encoding="utf-8"))["AP50"]
    assert list(scores) == [*names, "mean"] and scores["mean"] > 0.5, "large plain shapes are learnt in a minute"
    for name in names:
        assert re.search(rf"AP50 \d\.\d\d  {re.escape(name)}, \d+ boxes", printed)
    with zipfile.ZipFile(results / "detector.zip") as packed:
        inside = packed.namelist()
    assert any(name.endswith("best.weights.h5") for name in inside) and any("export" in name for name in inside)


def test_the_same_settings_run_again_go_on_with_the_training(tmp_path):
    source = write_zip(tmp_path / "photographs", count=10)
    told = {"PHOTOGRAPHS": str(source), "RESULTS": str(tmp_path / "results"), "PROFILE": "laptop", "START": "smears"}
    before = run(with_settings(**told, INPUT_SHAPE="96 128", EPOCHS=2), until="train")
    assert before.count("\nEpoch ") == 2
    again = run(with_settings(**told, INPUT_SHAPE="96 128", EPOCHS=2), until="train")
    assert "\nEpoch " not in again, "the training had ended, and begins anew"
    with pytest.raises(CellExecutionError, match="choose another folder"):
        run(with_settings(**told, INPUT_SHAPE="96 128", EPOCHS=3), until="train")


def test_photographs_with_faults_stop_the_lesson_before_it_trains(tmp_path):
    folder = write_coco(tmp_path / "photographs", count=4)
    (folder / "images" / "2.png").unlink()
    with pytest.raises(CellExecutionError, match="No training would start"):
        run(with_settings(PHOTOGRAPHS=str(folder)), until="train")
