"""The logs of six trainings, and the check of their causes."""

import json

from yolo_helpers.anchors import DATA
from yolo_helpers.checks.verdict import Hint, NotDone, task

# How each cause shows, and the columns that tell it from the others.
CAUSES = {
    "healthy": ("val_loss and val_AP50", "val_loss falls with loss, and val_AP50 rises to the end"),
    "learning rate too high": ("loss", "loss jumps to a huge number or to nan, instead of falling"),
    "learning rate too low": (
        "wh and class",
        "wh and class fall slowly, a little from row to row, and end not far below where they began",
    ),
    "overfitting": ("loss and val_loss", "loss falls far below val_loss, which soon stops falling and turns"),
    "classes in another order": (
        "class and val_class",
        "class falls in the training photographs, while val_class rises: the boxes are found, their names are not",
    ),
    "body left frozen": (
        "wh, class and confidence",
        "wh is low from the first row on, as the output convolutions learn at once; class and confidence stand still",
    ),
}


def training_logs() -> dict[str, dict[str, list[float]]]:
    """Return the recorded logs, without their causes.

    Returns:
        {'A': {'loss': [one number an epoch], …}, …}; nan and inf are numbers again.
    """
    return {
        letter: {name: [float(value) for value in values] for name, values in log["columns"].items()}
        for letter, log in _recorded().items()
    }


def _recorded() -> dict[str, dict]:
    return json.loads((DATA / "recorded" / "training_logs.json").read_text(encoding="utf-8"))["logs"]


@task
def check_causes(answer: dict[str, str]) -> None:
    """Check the causes that the reader names.

    Args:
        answer: letter of a log -> one of the six causes; '' where there is no answer yet.
    """
    causes = {letter: log["cause"] for letter, log in _recorded().items()}
    if not isinstance(answer, dict):
        raise Hint(f"expected a dictionary from a log's letter to a cause; yours is a {type(answer).__name__}.")
    unknown = [letter for letter in answer if letter not in causes]
    if unknown:
        raise Hint(f"there is no log {unknown[0]!r}; the logs are {', '.join(causes)}.")
    without = [letter for letter in causes if answer.get(letter) in (None, "")]
    for letter, cause in causes.items():
        if letter in without:
            continue
        named = answer[letter]
        named = " ".join(named.lower().split()) if isinstance(named, str) else None
        if named not in CAUSES:
            raise Hint(f"log {letter}: {answer[letter]!r} is not in the list of causes: {', '.join(CAUSES)}.")
        if named != cause:
            columns, shows = CAUSES[named]
            own = CAUSES[cause][0]
            look = f"Look at {own}" + ("" if own == columns else f" in log {letter}, beside {columns}")
            raise Hint(f"log {letter} is not {named!r}: there {shows}. {look}.")
    if without:
        raise NotDone(f"no cause yet for {', '.join(without)}")
