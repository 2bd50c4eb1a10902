"""A look at a data set: counts, sizes, slots, copies, damage, and whether a training would start."""

import shutil

import numpy as np
import pytest
from PIL import Image

from yolo_helpers import progress
from yolo_helpers.anchors import DATA, default_anchors
from yolo_helpers.annotations import Annotation, read_annotations
from yolo_helpers.commands import main
from yolo_helpers.look import look, slots_taken
from yolo_helpers.smear import write_smears
from yolo_helpers.targets import preprocess_true_boxes

SHAPE = (96, 128)


@pytest.fixture
def smears(tmp_path):
    return write_smears(tmp_path / "smears", 12, SHAPE, seed=5)


def test_what_is_there_is_counted(smears):
    found = look(smears, input_shape=(192, 256))
    annotations, names = read_annotations(smears)
    counts = np.bincount(np.concatenate([a.classes for a in annotations]), minlength=3)
    assert found.ready and not found.problems and not found.remarks
    found.check()
    assert str(found).splitlines()[0] == "format: keras-yolo3" and str(found).splitlines()[1].split() == ["all"]
    rows = {line.rsplit(None, 1)[0].strip(): line.rsplit(None, 1)[1] for line in str(found).splitlines()[2:8]}
    assert rows == {"photographs": "12", "without any box": "0", "boxes": str(counts.sum())} | {
        name: str(count) for name, count in zip(names, counts, strict=True)
    }
    # The input is twice as wide and high as the photographs.
    sizes = 2 * np.concatenate([a.boxes[:, 2:] - a.boxes[:, :2] for a in annotations])
    np.testing.assert_allclose(found.sizes, sizes, rtol=1e-5)
    red = sizes[np.concatenate([a.classes for a in annotations]) == names.index("RBC")]
    (line,) = (line for line in str(found).splitlines() if line.startswith("  RBC") and " x " in line)
    middle = "{:.0f} x {:.0f}".format(*np.median(red, axis=0))
    assert middle in line


def test_slots_are_counted_as_the_targets_fill_them():
    rng = np.random.default_rng(3)
    for _ in range(20):
        corners = rng.uniform(0, 60, (80, 2))
        boxes = np.hstack([corners, corners + rng.uniform(4, 16, (80, 2))]).astype(np.float32)
        annotation = Annotation(None, boxes, np.zeros(80, int), size=SHAPE)
        y_true = preprocess_true_boxes(
            np.column_stack([boxes, annotation.classes])[None], SHAPE, default_anchors(3), num_classes=1
        )
        filled = sum(int(target[..., 4].sum()) for target in y_true)
        assert slots_taken(annotation, SHAPE, default_anchors(3)) == filled < 80


def test_boxes_on_one_place_share_a_slot(smears):
    lines = smears.read_text(encoding="utf-8").splitlines()
    first = lines[0].split()[1]
    smears.write_text("\n".join([f"{lines[0]} {first} {first}", *lines[1:]]), encoding="utf-8")
    found = look(smears, input_shape=(192, 256))
    assert ("smear_0000.png", 2) in [(path.name, count) for path, count in found.sharing]
    assert "smear_0000.png" in str(found)


def test_a_copy_under_another_name_is_found_by_its_pixels(smears):
    folder = smears.parent
    Image.open(folder / "smear_0003.png").save(folder / "other.bmp")  # other bytes, the same picture
    lines = smears.read_text(encoding="utf-8").splitlines()
    (folder / "valid.txt").write_text(lines[3].replace("smear_0003.png", "other.bmp") + "\n", encoding="utf-8")
    found = look(smears, validation=folder / "valid.txt")
    assert found.ready and len(found.parts["val"]) == 1
    (remark,) = found.remarks
    assert "1 photographs of val are in train too" in remark and "smear_0003.png" in remark and "other.bmp" in remark
    (folder / "twice.txt").write_text("\n".join([*lines, (folder / "valid.txt").read_text()]), encoding="utf-8")
    (remark,) = look(folder / "twice.txt").remarks
    assert "1 photographs of train are there twice" in remark


def test_a_validation_with_the_photographs_of_the_training_is_said(smears):
    (remark,) = look(smears, validation=smears).remarks
    assert "12 of 12 photographs of val are in train too" in remark


def test_the_picture_is_not_written_into_the_data_set(smears, tmp_path, monkeypatch):
    monkeypatch.chdir(smears.parent)
    with pytest.raises(ValueError, match=r"look\.png: .*choose another --out"):
        main(["look", "."])
    assert not (smears.parent / "look.png").exists()


def test_all_that_is_wrong_is_said_and_the_command_fails(smears, tmp_path, capsys):
    folder = smears.parent
    damaged = bytearray((folder / "smear_0001.png").read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 40] = bytes(40)  # whole to the end, and not to be decoded
    (folder / "smear_0001.png").write_bytes(damaged)
    lines = smears.read_text(encoding="utf-8").splitlines()
    lines[4] += " 1,2,3"
    lines[6] += " 1,2,300,400,0"
    lines[8] = lines[8].replace("smear_0008.png", "gone.png")
    smears.write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "look.png"
    assert main(["look", str(smears), "--input-shape", "96", "128", "--out", str(out)]) == 1
    printed = capsys.readouterr().out
    for words in ("line 5: found '1,2,3'", "line 7: found x_min 1", "line 9: the image 'gone.png'", "smear_0001.png: "):
        assert words in printed
    assert "No training would start" in printed
    assert [line.split() for line in printed.splitlines() if line.startswith("photographs")] == [["photographs", "10"]]
    with Image.open(out) as picture:
        assert picture.size[0] > 1000


def test_a_picture_that_is_missing_is_one_fault_and_not_one_for_each_of_its_boxes(tmp_path):
    smears = shutil.copytree(DATA / "smears", tmp_path / "smears")
    (smears / "images" / "smear_0003.png").unlink()
    (problem,) = look(smears / "coco.json").problems
    assert "images[3]" in problem and "smear_0003.png" in problem


def test_a_long_list_is_cut_and_its_count_is_not(smears):
    lines = [f"gone_{number:02}.png 1,2,3,4,0" for number in range(31)]
    smears.write_text(smears.read_text(encoding="utf-8") + "\n".join(lines), encoding="utf-8")
    found = look(smears)
    assert len(found.problems) == 31
    printed = str(found)
    shown = [line.strip() for line in printed.splitlines() if "gone_" in line]
    assert shown == found.problems[:20] and "and 11 more" in printed and "31 things" in printed
    found.problems = found.problems[:20]
    assert "gone_19" in str(found) and "more" not in str(found)


def test_a_zip_is_unpacked_beside_itself_and_looked_at(smears, tmp_path, monkeypatch, capsys):
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", smears.parent)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second time it is there
        assert main(["look", packed]) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert ["photographs", "12"] in rows
    assert sorted(each.name for each in (tmp_path / "packed").glob("*.png")) == sorted(
        each.name for each in smears.parent.glob("*.png")
    )


def test_a_data_set_that_is_nothing_is_one_sentence(tmp_path, capsys):
    assert main(["look", str(tmp_path / "gone"), "--out", str(tmp_path / "look.png")]) == 1
    assert "gone: there is no such file or folder" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_lone_photograph_would_not_be_trained_on(smears):
    smears.write_text(smears.read_text(encoding="utf-8").splitlines()[0], encoding="utf-8")
    found = look(smears)
    assert not found.ready and "two photographs or more" in found.problems[0]
    with pytest.raises(ValueError, match="Mend what is listed under Wrong"):
        found.check()


def test_what_is_too_small_on_the_input_is_said(smears):
    found = look(smears, input_shape=(32, 32))
    assert found.ready and any("2 pixels on the input" in remark for remark in found.remarks)


@pytest.mark.parametrize("slow", [False, True])
def test_long_work_shows_how_far_it_is(monkeypatch, capsys, slow):
    now = iter(np.arange(0, 1000, 1.0 if slow else 0.001))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    assert list(progress.progress(range(10), "photographs", 0.5, "copy them first.")) == list(range(10))
    said = capsys.readouterr().err
    assert ("10 of 10 photographs" in said) == slow
    assert said.count("copy them first") == slow
