"""Write notebooks/FIND_YOUR_ERROR.md: each error text and symptom that a lesson shows, its answer, and where.

    python tools/find_your_error.py

The texts are tags of the lessons' text cells: `error: ` before what a code cell prints, `symptom: ` before what people
type. The first sentence of the tagged cell is the answer, and the link leads to the heading above it. So the page says
what the lessons say. A text that no output holds any more is refused, and so is a symptom that is not named there.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # started by its path, Python looks in tools/ only

from tools.build_notebooks import ROOT, find_lessons, write_beside

PAGE = ROOT / "notebooks" / "FIND_YOUR_ERROR.md"
KINDS = {"error: ": "## What Keras or Python prints", "symptom: ": "## What you see"}
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
START = """# Find your error

Search this page (Ctrl+F) for a few words of what your screen shows. Each row says the cause in a sentence, and links
the lesson with the cell that shows it. The link names its heading, in case your viewer opens the lesson at its top.

[Questions that people ask](README.md#questions-that-people-ask-and-where-they-are-answered) have a list of their own.
What may fail while you install is in [README](../README.md#when-something-goes-wrong). This page is written from the
lessons by `python tools/find_your_error.py`.

Five functions of `yolo_helpers.diagnosis` ask your own model and data:

- `find_without_gradient(model, x, y)`: which variables the loss does not reach
  ([no gradients](further/training_goes_wrong.ipynb));
- `find_not_finite(model, data)`: which photographs have a loss of inf or NaN, and why
  ([loss: nan](further/training_goes_wrong.ipynb));
- `why_no_boxes(detector, photograph, heads)`: at which step the boxes vanish
  ([found 0 boxes](further/training_no_boxes.ipynb));
- `compare_weights(model, file)`: which arrays of a file the model has taken
  ([save, load, trust](further/porting_save_load_trust.ipynb));
- `find_scaling(build, x, y)`: whether a loss grows with the batch or the replicas
  ([replicas](further/losses_xla_precision_replicas.ipynb)).
"""


class StaleError(Exception):
    """A tag and its lesson do not fit together; the message is one sentence that names both."""


class Entry(NamedTuple):
    """One row of the page."""

    kind: str  # a key of KINDS
    text: str  # what people see
    answer: str  # one sentence
    lesson: Path
    heading: str


def plain(text: str) -> str:
    """Return text as a search sees it: without marks of Markdown, in small letters, white space as one space."""
    return " ".join(re.sub(r"[`*\\]", "", text).lower().split())


def first_sentence(source: str) -> str:
    """Return the first sentence of a text cell.

    Args:
        source: the cell, in Markdown.

    Returns:
        The sentence with its full stop; empty if the cell holds none.
    """
    for paragraph in re.split(r"\n\s*\n", HEADING.sub("", source)):
        words = " ".join(paragraph.split())
        if sentence := re.match(r"[^|#>].*?[^. ][.!?](?=[*`\"')]*(?: |$))[*`\"')]*", words):
            return sentence[0]
    return ""


def printed(cell: nbformat.NotebookNode) -> str:
    """Return all that a code cell printed, as one text."""
    return "\n".join(output.get("text", output.get("data", {}).get("text/plain", "")) for output in cell.outputs)


def _sections(cells):
    """(heading, tagged text cells, what is printed) of each section; a deeper heading begins a section of its own."""
    found = []
    for cell in cells:
        if cell.cell_type == "markdown":
            if headings := HEADING.findall(re.sub(r"^```.*?^```", "", cell.source, flags=re.DOTALL | re.MULTILINE)):
                found.append((headings[-1][1], [], []))
            if found:
                found[-1][1].append(cell)
        elif cell.cell_type == "code" and found:
            found[-1][2].append(printed(cell))
    return found


def read_entries(path: Path) -> list[Entry]:
    """Collect the tagged texts of a lesson.

    Args:
        path: the notebook.

    Returns:
        A row for each tag, in the lesson's order.

    Raises:
        StaleError: an error is not printed below its heading, a symptom is not named, or a sentence is missing.
    """
    cells = nbformat.read(path, as_version=4).cells
    whole = plain("\n".join(cell.source if cell.cell_type == "markdown" else printed(cell) for cell in cells))
    found = []
    for heading, texts, outputs in _sections(cells):
        where = {"error: ": plain("\n".join(outputs)), "symptom: ": whole}
        for cell in texts:
            answer = first_sentence(cell.source)
            for kind, text in re.findall(r"^(error: |symptom: )(.*)$", "\n".join(cell.metadata.get("tags", [])), re.M):
                if plain(text) not in where[kind]:
                    there = "no output there" if kind == "error: " else "nothing in the lesson"
                    raise StaleError(f'{path.name}, "{heading}": {there} holds the tag {kind}{text}')
                if not answer:
                    raise StaleError(f'{path.name}, "{heading}": no sentence begins the text tagged {kind}{text}')
                found.append(Entry(kind, text, answer, path, heading))
    return found


def link(entry: Entry, page: Path = PAGE) -> str:
    """Return the link from the page to a row's heading, whose anchor is the one that JupyterLab gives it."""
    anchor = quote(re.sub(r"[`*]", "", entry.heading).replace(" ", "-"))
    number, *words = entry.lesson.stem.split("_")
    name = number if number.isdigit() else " ".join([number, *words])
    return f"[{name}: {entry.heading}]({entry.lesson.relative_to(page.parent).as_posix()}#{anchor})"


def relink(answer: str, lesson: Path, page: Path = PAGE) -> str:
    """Return a sentence of a lesson with its links as the page needs them."""

    def target(match):
        name, _, anchor = match[1].partition("#")
        if not name or re.match(r"[a-z]+:", name):
            return match[0]
        path = (lesson.parent / name).resolve().relative_to(page.parent.parent.resolve())
        up = path.relative_to("notebooks") if path.parts[0] == "notebooks" else Path("..") / path
        return f"]({up.as_posix()}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\(([^)\s]+)\)", target, answer)


def make_page(lessons: list[Path]) -> str:
    """Return the page.

    Args:
        lessons: the notebooks to collect from.

    Returns:
        Markdown: a table of errors and one of symptoms, each in the order of the alphabet.

    Raises:
        StaleError: see read_entries.
    """
    entries = [entry for path in lessons for entry in read_entries(path)]
    parts = [START]
    for kind, heading in KINDS.items():
        rows = sorted((entry for entry in entries if entry.kind == kind), key=lambda entry: plain(entry.text))
        parts += [f"\n{heading}\n\n| you see | it means | the cells |\n| --- | --- | --- |\n"]
        for entry in rows:
            shown = f"`{entry.text}`" if kind == "error: " else entry.text
            columns = [shown, relink(entry.answer, entry.lesson), link(entry)]
            parts += ["| " + " | ".join(column.replace("|", r"\|") for column in columns) + " |\n"]
    return "".join(parts)


def main() -> int:
    """Write the page; the exit status is 1 when a tag and its lesson do not fit together."""
    try:
        text = make_page(find_lessons())
    except StaleError as error:
        print(error, file=sys.stderr)
        return 1
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        write_beside(PAGE, text)
        print(f"{PAGE.relative_to(ROOT)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
