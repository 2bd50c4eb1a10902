"""The checks of the tasks in `lesson_00`, tried with right and wrong answers; and the places that its table names."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from yolo_helpers import checks

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


# The shapes of the training model


def training_shapes(batch, height, width, classes):
    y_true = [(batch, height // s, width // s, 3, 5 + classes) for s in (32, 16, 8)]
    return [(batch, height, width, 3), *y_true, (batch, 1)]


def changed(index, change):
    """The right answer with one shape changed."""

    def answer(*arguments):
        shapes = training_shapes(*arguments)
        shapes[index] = change(shapes[index])
        return shapes

    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda b, h, w, c: training_shapes(b, w, h, c), "image is not (8, 128, 96, 3): the numbers are right"),
        (changed(4, lambda shape: shape[:1]), "output is not (8,): it needs 2 numbers"),
        (changed(4, lambda shape: 1), "expected a tuple"),
        (changed(1, lambda shape: (*shape[:3], 3 * shape[4])), "y_true_0 is not (8, 3, 4, 24): it needs 5 numbers"),
        (changed(2, lambda shape: (*shape[:4], 5)), "look at its number 5 of 5"),
        (changed(2, lambda shape: tuple(side / 1 for side in shape[:4]) + (8.5,)), "whole numbers"),
        (lambda *a: [training_shapes(*a)[i] for i in (0, 3, 2, 1, 4)], "y_true_0"),  # the finest head first
        (lambda b, h, w, c: training_shapes(8, h, w, c), "for batch=1"),
        (lambda b, h, w, c: training_shapes(b, h, w, 3), "num_classes=80"),
        (lambda b, h, w, c: training_shapes(b, h, h * 4 // 3, c), "height=416, width=416"),
        (lambda *a: training_shapes(*a)[:4], "expected a list of five shapes"),
        (lambda *a: {"image": training_shapes(*a)[0]}, "expected a list of five shapes"),
        (lambda *a: 1 / 0, "raised ZeroDivisionError"),
        ([], "expected a function"),
    ],
)
def test_training_shapes_wrong(says, answer, words):
    says(checks.check_training_shapes, answer, "hint: ", words)


def test_training_shapes_right(says):
    says(checks.check_training_shapes, training_shapes, "ok")
    as_lists = lambda *a: tuple(list(shape) for shape in training_shapes(*a))  # noqa: E731 - one line says it all
    says(checks.check_training_shapes, as_lists, "ok")
    says(checks.check_training_shapes, lambda *a: None, "not done yet")


# Batches of the old form for today's model


def modern(generator):
    for (image, *y_true), zeros in generator:
        yield (np.round(image * 255).astype("uint8"), *y_true), np.zeros((len(zeros), 1))


def each(change):
    """A generator that changes each of the right batches."""

    def answer(generator):
        for (image, *y_true), target in modern(generator):
            yield change(image, y_true, target)

    return answer


def cut_off(generator):
    for (image, *y_true), zeros in generator:
        yield ((image * 255).astype("uint8"), *y_true), zeros[:, None]


def first_only(generator):
    yield next(modern(generator))


def collected(generator):
    yield from list(modern(generator))


def empty(generator):
    yield from ()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (cut_off, "one too small: round"),
        (each(lambda image, y_true, target: ([image, *y_true], target)), "inputs as a tuple of four"),
        (each(lambda image, y_true, target: [(image, *y_true), target]), "a tuple of two"),
        (each(lambda image, y_true, target: ((image, y_true), target)), "inputs as a tuple of four"),
        (each(lambda image, y_true, target: (image, *y_true, target)), "a tuple of two"),
        (each(lambda image, y_true, target: ((image / 255, *y_true), target)), "type uint8; yours is float64"),
        (each(lambda image, y_true, target: ((image // 255, *y_true), target)), "other values"),
        (each(lambda image, y_true, target: ((image[:1], *y_true), target[:1])), "other values"),
        (each(lambda image, y_true, target: ((image, *y_true[::-1]), target)), "the labels are not those"),
        (each(lambda image, y_true, target: ((image, *y_true), target[:, 0])), "yours has shape (4,)"),
        (each(lambda image, y_true, target: ((image, *y_true), target + 1)), "a target of zeros"),
        (each(lambda image, y_true, target: ((image, *y_true), np.zeros((4, 1)))), "shape (1, 1); yours"),
        (first_only, "had ended"),
        (collected, "never ends"),
        (lambda generator: list(modern(generator)), "use yield"),
        (lambda generator: next(modern(generator)), "use yield"),
        (lambda generator: generator, "inputs as a tuple of four"),
        (each(lambda image, y_true, target: image.no_such_name), "raised AttributeError"),
    ],
)
def test_modern_wrong(says, answer, words):
    says(checks.check_modern, answer, "hint: ", words)


def test_modern_right(says):
    says(checks.check_modern, modern, "ok")
    says(checks.check_modern, each(lambda image, y_true, target: ((image, *y_true), target)), "ok")


@pytest.mark.parametrize("answer", [None, lambda generator: None, empty])
def test_modern_not_done(says, answer):
    says(checks.check_modern, answer, "not done yet")


# The table of guesses


def test_every_place_named_in_the_lesson_exists():
    """The table says lesson and heading; a heading that is renamed in another lesson must be renamed there too."""
    cells = nbformat.read(NOTEBOOKS / "00_start_here.ipynb", as_version=4).cells
    table = next(cell.source for cell in cells if "| answered in |" in cell.source)
    named = re.findall(r"(?:this lesson|lesson \[\d\d[a-d]?\]\((\S+)\)), \*(.*?)\*", table)
    assert len(named) >= 8
    for lesson, heading in named:
        path = NOTEBOOKS / (lesson or "00_start_here.ipynb")
        sources = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
        headings = re.findall(r"^##+ (?:\d+\. )?(.*)$", "\n".join(sources), re.MULTILINE)
        assert heading in headings, f"{path.name} has no heading {heading!r}"
