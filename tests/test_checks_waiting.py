"""The check of a step's time, tried with right answers and with wrong ones that people really give."""

import pytest
from verdicts import answers

from yolo_helpers import checks
from yolo_helpers.checks.waiting import STEP_CASES, STEP_MISTAKES, step_seconds


def by_cases(load, compute, workers, cores):
    loading = load / (workers if workers < cores else cores)
    return compute if compute > loading else loading


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (step_seconds(), "ok"),
        (by_cases, "ok"),
        (None, "not done yet"),
        (lambda load, compute, workers, cores: None, "not done yet: the function returns None"),
        (lambda load, compute, workers, cores: 0.12, "for one worker, faster than the step", "expected 0.3."),
        (
            step_seconds(pace=lambda load, compute: load),
            "for one worker, faster",
            "The slower of the two sets the pace",
        ),
        (step_seconds(pace=lambda load, compute: compute), "for one worker, slower", "The slower of the two"),
        (lambda load, compute, workers, cores: (load, compute), "expected one number"),
        (lambda load, compute: max(load, compute), "your function raised TypeError"),
        (0.12, "expected a function"),
    ),
)
def test_step_seconds(says, answer, expected):
    says(checks.check_step_seconds, answer, *expected)


@pytest.mark.parametrize(("words", "wrong"), STEP_MISTAKES, ids=[words for words, _ in STEP_MISTAKES])
def test_a_common_mistake_is_named(says, words, wrong):
    says(checks.check_step_seconds, wrong, "hint: for ", words)


def test_every_mistake_changes_a_case():
    for words, wrong in STEP_MISTAKES:
        assert any(abs(wrong(*case) - step_seconds()(*case)) > 1e-6 for _, *case in STEP_CASES), words
