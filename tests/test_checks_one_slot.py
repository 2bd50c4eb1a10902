"""The checks of a box's place and of its four terms, tried with right answers and with wrong ones."""

import numpy as np
import pytest
from PIL import Image

from yolo_helpers import checks
from yolo_helpers.anchors import DATA, default_anchors
from yolo_helpers.annotations import read_annotations
from yolo_helpers.checks.one_slot import INPUT_SHAPE, PLACE_MISTAKES, PLATELET, RAW, SLOT_TERMS
from yolo_helpers.loss import yolo_loss_terms
from yolo_helpers.targets import preprocess_true_boxes

# Place a box

PLACE = {"head": 2, "row": 2, "column": 23, "anchor": 1}


def test_the_platelet_is_a_box_of_the_first_smear():
    (smear, *_), names = read_annotations(DATA / "smears")
    np.testing.assert_array_equal(smear.boxes[21], PLATELET)
    assert names[smear.classes[21]] == "Platelets" and smear.classes[21] == 0
    with Image.open(smear.image_path) as picture:
        assert picture.size == INPUT_SHAPE[::-1]


@pytest.mark.parametrize(
    "answer", [PLACE, {name: np.int64(place) for name, place in PLACE.items()}, {**PLACE, "column": 23.0}]
)
def test_place_right(says, answer):
    says(checks.check_place, answer, "ok")


@pytest.mark.parametrize("answer", [None, dict.fromkeys(PLACE), {**PLACE, "row": None}])
def test_place_not_done(says, answer):
    says(checks.check_place, answer, "not done yet")


def test_place_says_what_is_left(says):
    says(checks.check_place, {**PLACE, "row": None, "head": None}, "not done yet: head, row still None")


@pytest.mark.parametrize(("words", "changed"), PLACE_MISTAKES)
def test_place_mistakes(says, words, changed):
    says(checks.check_place, PLACE | changed(), "hint: the platelet is not at ", words)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({**PLACE, "column": 24}, "not at column 24. Is it rounded up"),
        ({**PLACE, "row": 23, "column": 188}, "not at row 23 and column 188. That is the place in pixels"),
        ({**PLACE, "row": 5}, "not at row 5."),
        ({**PLACE, "row": 2.875}, "not at row 2.875. Expected whole numbers"),
        ({**PLACE, "row": [2, 3]}, "for row of the platelet expected one number"),
        ({**PLACE, "row": "2"}, "for row of the platelet expected a number"),
        ({**PLACE, "anchor": 7, "head": 0}, "not at anchor 7."),
        ({**PLACE, "line": 2}, "the key 'line'; expected ['head', 'row', 'column', 'anchor']"),
        ({"head": 2, "row": 2, "anchor": 1}, "the key 'column' is missing"),
        ([2, 2, 23, 1], "expected a dictionary with the keys ['head', 'row', 'column', 'anchor']; yours is a list"),
    ],
)
def test_place_wrong(says, answer, words):
    says(checks.check_place, answer, "hint: ", words)


# Four terms with a calculator

TERMS = {name: expected for name, (expected, _) in SLOT_TERMS.items()}


def test_slot_terms_are_those_of_the_loss():
    y_true = preprocess_true_boxes(np.array([[[*PLATELET, 0]]]), INPUT_SHAPE, default_anchors(3), 3)
    heads = [np.zeros((*grid.shape[:4], 8), "float32") for grid in y_true]
    for head, grid in zip(heads, y_true):
        head[..., 4] = -30  # nothing there, at no cost
        head[grid[..., 4] == 1] = RAW
    tensors = [*(head.reshape(*head.shape[:3], -1) for head in heads), *y_true]
    terms = yolo_loss_terms(tensors, default_anchors(3), num_classes=3)
    assert {name: float(term[0]) for name, term in terms.items()} == pytest.approx(TERMS, abs=1e-4)


@pytest.mark.parametrize(
    "answer", [TERMS, {"xy": 2.26, "wh": 0.19, "confidence": 0.13, "class": 0.94}, {**TERMS, "class": 3 * 0.313}]
)
def test_slot_terms_right(says, answer):
    says(checks.check_slot_terms, answer, "ok")


@pytest.mark.parametrize("answer", [None, dict.fromkeys(TERMS), {**TERMS, "class": None}])
def test_slot_terms_not_done(says, answer):
    says(checks.check_slot_terms, answer, "not done yet")


@pytest.mark.parametrize(
    ("name", "words", "wrong"), [(name, *pair) for name, (_, mistakes) in SLOT_TERMS.items() for pair in mistakes]
)
def test_slot_terms_mistakes(says, name, words, wrong):
    says(checks.check_slot_terms, {**TERMS, name: round(float(wrong()), 2)}, f"slot {name} is not ", words)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({**TERMS, "xy": 2.29}, "for the platelet's slot xy is not 2.29."),
        ({**TERMS, "wh": "0.19"}, "for wh of the platelet's slot expected a number"),
        ({**TERMS, "xy": [1.38, 0.87]}, "for xy of the platelet's slot expected one number"),
        ({**TERMS, "class": float("nan")}, "for class of the platelet's slot the answer is NaN"),
        (list(TERMS.values()), "expected a dictionary"),
        ({"xy": 2.26, "wh": 0.19, "obj": 0.13, "class": 0.94}, "the key 'obj'; expected ['xy', 'wh', 'confidence'"),
    ],
)
def test_slot_terms_wrong(says, answer, words):
    says(checks.check_slot_terms, answer, "hint: ", words)
