"""The check of a convolution from darknet's file, tried with right answers and with wrong ones that people give."""

import numpy as np
import pytest
from verdicts import answers

from yolo_helpers import checks
from yolo_helpers.checks.darknet_file import MISTAKES, take_convolution

right = take_convolution()


def by_split(numbers, filters, channels, size, normalised):
    """Another right answer, with lists."""
    short = np.split(numbers[: 4 * filters], 4) if normalised else [numbers[:filters]]
    numbers = numbers[filters * len(short) :]
    kernel = np.moveaxis(numbers[: filters * channels * size**2].reshape(filters, channels, size, size), (0, 1), (3, 2))
    rest = numbers[kernel.size :]
    return ((kernel, short[1], short[0], *short[2:]) if normalised else (kernel, *short)), rest.tolist()


def without_rest(*given):
    return right(*given)[0], given[0]


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (right, "ok"),
        (by_split, "ok"),
        (None, "not done yet"),
        (lambda *given: None, "not done yet: the function returns None"),
        (lambda *given: right(*given)[0], "hint: ", "two things"),
        (lambda *given: (right(*given)[0][:1], []), "hint: ", "5 arrays, kernel, gamma, beta, mean, variance"),
        (lambda *given: right(*given[:-1], True), "hint: ", "with a bias, your function raised ValueError"),
        (lambda *given: ([*right(*given)[0], 0], []), "5 arrays, kernel, gamma, beta, mean, variance; you return 6"),
        (take_convolution(turn=lambda kernel: kernel), "kernel has the shape (4, 2, 3, 3); expected (3, 3, 2, 4)"),
        (lambda *given: ([None] * 5, []), "kernel has no array"),
        (without_rest, "7 numbers follow, which are left; you return 95"),
        (lambda *given: (right(*given)[0], None), "7 numbers follow, which are left; you return none"),
        (lambda numbers: numbers, "your function raised TypeError"),
    ),
)
def test_take_convolution(says, answer, expected):
    says(checks.check_take_convolution, answer, *expected)


@pytest.mark.parametrize(("words", "wrong"), MISTAKES)
def test_mistakes(says, words, wrong):
    says(checks.check_take_convolution, wrong, "hint: ", words)
