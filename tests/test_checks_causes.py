"""The check of the causes of six logs, tried with right answers and with wrong ones that people really give."""

import json
import math

import pytest
from verdicts import answers

from data.recorded.make_logs import COLUMNS, EPOCHS, HEALTHY, RECIPES, in_json
from yolo_helpers import checks
from yolo_helpers.anchors import DATA
from yolo_helpers.checks.causes import CAUSES as CAUSE_HINTS

RECORD = json.loads((DATA / "recorded" / "training_logs.json").read_text(encoding="utf-8"))

# The causes of the logs

CAUSES = {letter: log["cause"] for letter, log in RECORD["logs"].items()}


def with_cause(letter, cause):
    return CAUSES | {letter: cause}


def letter_of(cause):
    return next(letter for letter, name in CAUSES.items() if name == cause)


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (CAUSES, "ok"),
        ({letter: f" {cause.title()} " for letter, cause in CAUSES.items()}, "ok"),
        (None, "not done yet"),
        (dict.fromkeys(CAUSES, ""), "not done yet: no cause yet for A, B, C, D, E, F"),
        ({}, "not done yet: no cause yet for A"),
        (with_cause("B", ""), "not done yet: no cause yet for B"),
        (with_cause("B", None), "not done yet: no cause yet for B"),
        (with_cause("A", "overfit"), "log A: 'overfit' is not in the list of causes: healthy, learning rate too high"),
        (with_cause("A", 3), "log A: 3 is not in the list of causes"),
        (with_cause("A", ["healthy"]), "log A: ['healthy'] is not in the list of causes"),
        (CAUSES | {"G": "healthy"}, "there is no log 'G'; the logs are A, B, C, D, E, F"),
        (list(CAUSES.values()), "expected a dictionary from a log's letter to a cause; yours is a list"),
        ("healthy", "yours is a str"),
    ),
)
def test_causes(says, answer, expected):
    says(checks.check_causes, answer, *expected)


@pytest.mark.parametrize("cause", CAUSES.values())
@pytest.mark.parametrize("named", CAUSES.values())
def test_a_wrong_cause_gets_a_column_to_look_at(capsys, cause, named):
    letter = letter_of(cause)
    checks.check_causes(with_cause(letter, named))
    said = capsys.readouterr().out.strip()
    if cause == named:
        assert said == "ok"
        return
    assert said.startswith(f"hint: log {letter} is not {named!r}: there ") and "Look at " in said
    assert any(column in said.split("Look at ")[1] for column in COLUMNS)
    assert cause not in said.split("Look at ")[1], "the hint gives the answer away"


def test_every_cause_has_its_words():
    assert list(RECIPES) == list(CAUSE_HINTS)
    assert sorted(CAUSES.values()) == sorted(RECIPES)


def test_the_logs_are_as_the_hints_say():
    """What the hints claim of each cause holds in the recorded runs, and tells it from the others."""
    log = {CAUSES[letter]: columns for letter, columns in checks.training_logs().items()}

    def kept(cause, column):
        """The last value as a part of the first."""
        return log[cause][column][-1] / log[cause][column][0]

    good = log["healthy"]
    assert kept("healthy", "val_loss") < 0.6 and good["val_AP50"][-1] > 0.3
    assert all(columns["val_AP50"][-1] < 0.2 for cause, columns in log.items() if cause != "healthy")
    assert not max(log["learning rate too high"]["loss"]) < 10 * max(good["loss"])  # also when it is NaN
    few = log["overfitting"]
    assert few["val_loss"][-1] > 1.02 * min(few["val_loss"]) and few["val_loss"][-1] > 2 * few["loss"][-1]
    assert few["loss"][-1] < 0.7 * good["loss"][-1]
    assert kept("classes in another order", "class") < 0.2 and kept("classes in another order", "val_class") > 2
    assert 0.5 < kept("learning rate too low", "wh") < 0.8 and 0.8 < kept("learning rate too low", "class") < 1
    frozen = log["body left frozen"]
    assert max(frozen["wh"]) < 0.5 * min(log["learning rate too low"]["wh"]) and max(frozen["val_AP50"]) < 0.05
    assert kept("body left frozen", "class") > 0.75 and kept("body left frozen", "confidence") > 0.9


def test_the_record_belongs_to_its_tool():
    assert RECORD["command"] == "python -m data.recorded.make_logs" and RECORD["date"] and RECORD["versions"]["keras"]
    assert {name: RECORD["healthy"][name] for name in HEALTHY} == HEALTHY
    for letter, log in RECORD["logs"].items():
        assert RECIPES[log["cause"]] == (letter, log["changes"])
        assert tuple(log["columns"]) == COLUMNS and {len(values) for values in log["columns"].values()} == {EPOCHS}
    assert [in_json(value) for value in (1.234567, math.nan, math.inf)] == [1.2346, "nan", "inf"]
