"""Checks around the places where a loss may be computed."""

from collections.abc import Callable

import keras
import numpy as np

from yolo_helpers.checks.compare import expect_entries, likely, one_number
from yolo_helpers.checks.interval import Interval, compiled_model, expect_loss, expect_step
from yolo_helpers.checks.verdict import Hint, task

# The short forms

LOSSES, PENALTY = np.array([1.0, 2.0, 3.0, 6.0]), 0.5
RIGHT_LOSS = ("That is the right loss; the short form reports another number.", lambda: LOSSES.mean() + PENALTY)
ONLY_PENALTY = ("That is the penalty alone.", lambda: PENALTY)
SHORT_FORMS = {  # what `evaluate` reports, and mistakes
    "endpoint": (
        LOSSES.sum() + PENALTY,
        [
            RIGHT_LOSS,
            ("Keras still adds the penalty.", lambda: LOSSES.sum()),
            ("add_loss takes no mean.", lambda: LOSSES.mean()),
            ONLY_PENALTY,
        ],
    ),
    "compute_loss": (
        LOSSES.mean(),
        [
            RIGHT_LOSS,
            ("The short form takes the mean itself.", lambda: LOSSES.sum()),
            ("The short form takes the mean itself, and knows no penalty.", lambda: LOSSES.sum() + PENALTY),
            ONLY_PENALTY,
            ("The loss is computed, whether compile has one or not.", lambda: 0.0),
        ],
    ),
    "train_step": (
        PENALTY,
        [
            RIGHT_LOSS,
            ("That is what fit reports; evaluate does not call train_step.", lambda: LOSSES.mean()),
            ("One thing is left for test_step to add: the model's penalty.", lambda: 0.0),
            ("evaluate does not call train_step, and add_loss is not there.", lambda: LOSSES.sum() + PENALTY),
        ],
    ),
}


@task
def check_short_forms(said: dict) -> None:
    """Check the task "what will evaluate say?" of lesson 05.

    Args:
        said: the reader's numbers for endpoint, compute_loss and train_step.
    """
    for name, answer in expect_entries(said, SHORT_FORMS):
        expected, mistakes = SHORT_FORMS[name]
        found = one_number(answer, name)
        if not np.isclose(found, expected, rtol=0, atol=0.005):
            raise Hint(f"for {name} evaluate does not say {found:g}.{likely(found, mistakes)}")


# Choose a way

CHOICES = ["Lambda", "loss layer", "loss per head", "compute_loss", "train_step"]
SEES_ONE_OUTPUT = "the only output of that training model is the loss, so metrics do not see the heads"
WORKS_WITH_MORE = "that works, but there is a way that needs no code beside compile"
ONE_OPTIMIZER = "a compiled model has one optimizer, and takes one step for each batch"
REWRITE = "that means to rewrite what trains already, before Friday"
LABELS_AS_TARGETS = "there the labels are targets, and she keeps them as inputs"
PEOPLE = {  # the way that fits, and why each of the others does not
    "Ada": (
        "Lambda",
        {
            "loss layer": "that works, but she must change what trains already, before Friday",
            "loss per head": REWRITE,
            "compute_loss": REWRITE,
            "train_step": REWRITE,
        },
    ),
    "Ben": (
        "compute_loss",
        {
            "Lambda": SEES_ONE_OUTPUT,
            "loss layer": SEES_ONE_OUTPUT,
            "loss per head": "the loss of one head does not see the boxes of the others, which darknet's mask needs",
            "train_step": "that works, but then means, sample weights, penalties and replicas are his to care for",
        },
    ),
    "Cho": (
        "loss per head",
        {
            "Lambda": WORKS_WITH_MORE,
            "loss layer": WORKS_WITH_MORE,
            "compute_loss": WORKS_WITH_MORE,
            "train_step": WORKS_WITH_MORE,
        },
    ),
    "Dan": (
        "train_step",
        {
            "Lambda": ONE_OPTIMIZER,
            "loss layer": ONE_OPTIMIZER,
            "loss per head": ONE_OPTIMIZER,
            "compute_loss": ONE_OPTIMIZER,
        },
    ),
    "Eva": (
        "loss layer",
        {
            "Lambda": "a lambda from a file is refused, and a Lambda logs no terms",
            "loss per head": LABELS_AS_TARGETS,
            "compute_loss": LABELS_AS_TARGETS,
            "train_step": LABELS_AS_TARGETS,
        },
    ),
}


@task
def check_choice(choice: dict) -> None:
    """Check the task "five people ask" of lesson 05.

    Args:
        choice: the reader's way for each of Ada, Ben, Cho, Dan and Eva.
    """
    for name, way in expect_entries(choice, PEOPLE):
        if way not in CHOICES:
            raise Hint(f"for {name} the answer is {str(way)[:40]!r}; expected one of {CHOICES}.")
        fits, why_not = PEOPLE[name]
        if way != fits:
            raise Hint(f"for {name} there is something better than {way!r}: {why_not[way]}.")


# A loss of two outputs


@task
def check_compute_loss(function: Callable) -> None:
    """Check `with_compute_loss(inputs, outputs, optimizer)`.

    Args:
        function: the reader's answer; returns a compiled model of the two outputs, fed with x and (low, high).
    """
    data = Interval()
    fed = {"x": data.x, "y": (data.low, data.high)}
    model = compiled_model(function, *data.tensors(), keras.optimizers.SGD(0.1))
    expect_loss(model, data, fed, weights=True)
    expect_step(model, data, fed, "a step of SGD(0.1)")
