"""Write notebooks/FIND_YOUR_ERROR.md: each error text and symptom that a lesson shows, what it means, and where.

    python tools/find_your_error.py

The texts are tags of the lessons' text cells: `error: ` before what a code cell prints, `symptom: ` before what people
type. The first sentence of the tagged cell is the answer, and the link leads to the heading above it. So the page says
what the lessons say. An error that no output holds any more is refused, and so is a symptom whose words are not there.
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
KINDS = ("error: ", "symptom: ")
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
START = """# Find your error

<!-- Written from the lessons by python tools/find_your_error.py. -->

Look for a few words of what your screen shows, without numbers, quotes and names of your own. Of a long text take the
last line: `Exception encountered when calling …` and `Graph execution error` only wrap it. A text in `this type` is
printed by a cell of the course; the others are what people see or say. The last column leads to the cells.

[Questions that people ask](README.md#questions-that-people-ask-and-where-they-are-answered) have a list of their own,
and so has what fails while you install: [when it does not start](../README.md#when-it-does-not-start).

Five functions of `yolo_helpers.diagnosis` ask your own model and data; the lessons show how to call them:

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

    errors: list[str]  # what Keras, TensorFlow or Python print
    symptoms: list[str]  # what people see or type
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
        StaleError: an error is not printed below its heading, a symptom has other words, or a sentence is missing.
    """
    cells = nbformat.read(path, as_version=4).cells
    whole = plain("\n".join(cell.source if cell.cell_type == "markdown" else printed(cell) for cell in cells))
    found = []
    for heading, text_cells, outputs in _sections(cells):
        here = plain("\n".join(outputs))
        for cell in text_cells:
            tags = cell.metadata.get("tags", [])
            said = {kind: [tag.removeprefix(kind) for tag in tags if tag.startswith(kind)] for kind in KINDS}
            if not any(said.values()):
                continue
            for kind, texts in said.items():
                for text in texts:
                    if kind == "error: " and plain(text) not in here:
                        raise StaleError(f'{path.name}, "{heading}": no output there holds the tag {kind}{text}')
                    if missing := [word for word in plain(text).split() if word not in whole]:
                        raise StaleError(f'{path.name}, "{heading}": the lesson lacks {missing} of {kind}{text}')
            if not (answer := first_sentence(cell.source)):
                raise StaleError(f'{path.name}, "{heading}": no sentence begins the tagged text')
            found.append(Entry(*said.values(), answer, path, heading))
    return found


def link(entry: Entry, page: Path) -> str:
    """Return the link from the page to a row's heading, whose anchor is the one that JupyterLab gives it."""
    anchor = quote(re.sub(r"[`*]", "", entry.heading).replace(" ", "-"))
    return f"[{entry.heading}]({entry.lesson.relative_to(page.parent).as_posix()}#{anchor})"


def relink(answer: str, lesson: Path, page: Path) -> str:
    """Return a sentence of a lesson with its links as the page needs them."""

    def target(match):
        name, _, anchor = match[1].partition("#")
        if not name or re.match(r"[a-z]+:", name):
            return match[0]
        path = (lesson.parent / name).resolve().relative_to(page.parent.parent.resolve())
        up = path.relative_to("notebooks") if path.parts[0] == "notebooks" else Path("..") / path
        return f"]({up.as_posix()}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\(([^)\s]+)\)", target, answer)


def as_code(text: str) -> str:
    """Return text as Markdown's code, also where it holds a backtick."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def make_page(lessons: list[Path], page: Path = PAGE) -> str:
    """Return the page.

    Args:
        lessons: the notebooks to collect from.
        page: the file for which the links are.

    Returns:
        Markdown: a table for each lesson that has tags, with a row for each tagged text.

    Raises:
        StaleError: see read_entries.
    """
    parts = [START]
    for path in lessons:
        if not (entries := read_entries(path)):
            continue
        title = HEADING.search(nbformat.read(path, as_version=4).cells[0].source)[2]
        parts.append(f"\n## {title}\n\n| you see | cause and mend | where |\n| --- | --- | --- |\n")
        for entry in entries:
            texts = "<br>".join([*map(as_code, entry.errors), *entry.symptoms])
            columns = [texts, relink(entry.answer, path, page), link(entry, page)]
            parts.append("| " + " | ".join(column.replace("|", r"\|") for column in columns) + " |\n")
    return "".join(parts)


def in_order() -> list[Path]:
    """List the lessons in the order of the tables of notebooks/README.md, which names each."""
    tables = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    return sorted(find_lessons(), key=lambda path: tables.index(f"({path.relative_to(PAGE.parent).as_posix()})"))


def main() -> int:
    """Write the page; the exit status is 1 when a tag and its lesson do not fit together."""
    try:
        text = make_page(in_order())
    except StaleError as error:
        print(error, file=sys.stderr)
        return 1
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        write_beside(PAGE, text)
        print(f"{PAGE.relative_to(ROOT)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
