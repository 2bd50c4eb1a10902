"""What lies in data/ ready made: the smear network, and the records that lessons show."""

import json

import numpy as np
import pytest
from reference import needs_grocery

from benchmarks import devices
from data.make_weights import INPUT_SHAPE, cfg_text
from data.recorded import record_darknet
from yolo_helpers.anchors import DATA
from yolo_helpers.annotations import get_classes, read_annotations
from yolo_helpers.darknet import build_body, load_weights, read_cfg
from yolo_helpers.evaluation import evaluate
from yolo_helpers.model import inference_model
from yolo_helpers.smear import write_smears


def test_the_smear_network_finds_the_cells_of_smears_it_has_not_seen(tmp_path):
    cfg, body = read_cfg(DATA / "smears.cfg"), build_body(DATA / "smears.cfg")
    assert load_weights(body, DATA / "smears.weights")[0] == 22  # all of its convolutions
    unseen, class_names = read_annotations(write_smears(tmp_path, 24, INPUT_SHAPE, seed=99))
    assert class_names == get_classes(DATA / "smear_classes.txt") and cfg.input_shape == INPUT_SHAPE
    scores = evaluate(inference_model(body, INPUT_SHAPE), unseen, cfg, class_names)["AP50"]
    assert scores["mean"] > 0.97 and min(scores.values()) > 0.95


def test_its_cfg_is_what_the_tool_writes():
    assert (DATA / "smears.cfg").read_text(encoding="utf-8") == cfg_text(read_cfg(DATA / "smears.cfg").anchors)


@needs_grocery
def test_the_record_of_darknets_network_is_right():
    recorded, again = json.loads(record_darknet.RECORD.read_text(encoding="utf-8")), record_darknet.compare()
    assert recorded["source"] == again["source"] and recorded["detections"] == again["detections"]
    assert 0 < recorded["heads"]["epsilon 1e-7"] < 1e-3 and 0 < again["heads"]["epsilon 1e-7"] < 1e-3
    assert recorded["heads"]["epsilon 1e-3"] == pytest.approx(again["heads"]["epsilon 1e-3"], rel=1e-2)


def weights(first, last):
    return {"start": np.zeros(3), "first": np.array(first), "last": np.array(last)}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([weights([1, 2, 0], [2, 4 + 4e-6, 1])], "equal (1e-06)"),
        ([weights([2, 4, 0], [4, 8, 1])], "wrong: step x 2.00"),
        ([weights([1, 1, 0], [2, 3, 1])], "differs by 25.0%"),
        ([weights([1, 2, 0], [2, 4, 1]), weights([1, 2, 0], [2, 3, 1])], "differs by 25.0%"),
        ([weights([1, 2, 0], [2, 4, 1]), "no result"], "refused: no result"),
    ],
)
def test_how_a_training_on_two_devices_is_judged(found, expected):
    assert devices.text(devices.compare(found, [weights([1, 2, 0], [2, 4, 1])])) == expected


def test_the_record_of_the_devices_is_whole():
    table = json.loads(devices.RECORD.read_text(encoding="utf-8"))["table"]
    assert list(table) == [name for name, engine in devices.ENGINES.items() if name != devices.ALONE[engine.library]]
    for name, row in table.items():
        assert list(row) == devices.forms_of(devices.ENGINES[name])
