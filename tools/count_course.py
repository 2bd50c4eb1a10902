"""Count what there is to read and to do in each lesson, and print it as one table.

    python tools/count_course.py            from the committed notebooks
    python tools/count_course.py --seconds  and how long each lesson of the road runs here

A word is what stands between white space. The set-up cell, which is the same everywhere, the badge and all outputs are
left out. README and the lessons themselves give the minutes of reading that are computed here.
"""

import argparse
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # started by its path, Python looks in tools/ only

from tools.build_notebooks import execute, find_lessons, find_road
from tools.make_tasks import START

SETUP = "# Set-up, the same in every notebook"
BADGE = re.compile(r"^\[!\[Open In Colab\].*$", re.MULTILINE)
# The heading, and what follows it up to the end of the first block quote.
ANSWER = re.compile(r"^## The answer$.*?(?:^>.*?$\n?)+", re.MULTILINE | re.DOTALL)
WORDS_A_MINUTE = 120
COLUMNS = ["prose", "code", "words", "minutes", "tasks", "pictures", "longest line", "seconds"]
LINE = "{:36}" + "".join(f"{{:>{len(name) + 2}}}" for name in COLUMNS)


@dataclass
class Count:
    """What one lesson holds."""

    prose: int  # words
    code: int  # words
    tasks: int
    pictures: int
    longest_line: int  # of its code, in characters

    @property
    def words(self) -> int:
        """All words to read."""
        return self.prose + self.code

    @property
    def minutes(self) -> int:
        """Minutes of reading, rounded up to a multiple of five."""
        return -(-self.words // (5 * WORDS_A_MINUTE)) * 5


def cells_to_read(path: Path) -> list[nbformat.NotebookNode]:
    """List the cells of a notebook without the set-up cell, and without the badge.

    Args:
        path: the notebook.

    Returns:
        The cells, from top to bottom.
    """
    cells = nbformat.read(path, as_version=4).cells
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = BADGE.sub("", cell.source)
    return [cell for cell in cells if not cell.source.startswith(SETUP)]


def count(path: Path) -> Count:
    """Count the words, tasks and pictures of a notebook.

    Args:
        path: the notebook.

    Returns:
        The numbers. A task is a cell with an answer to be written.
    """
    cells = cells_to_read(path)
    prose = [cell.source for cell in cells if cell.cell_type == "markdown"]
    code = [cell for cell in cells if cell.cell_type == "code"]
    return Count(
        prose=sum(len(text.split()) for text in prose),
        code=sum(len(cell.source.split()) for cell in code),
        tasks=sum(START in cell.source for cell in code),
        pictures=sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs),
        longest_line=max((len(line) for cell in code for line in cell.source.splitlines()), default=0),
    )


def words_to_answer(path: Path) -> int:
    """Count the words of a lesson up to the end of the block quote under the heading "The answer".

    Args:
        path: the notebook.

    Returns:
        Words of prose and of code.

    Raises:
        ValueError: the lesson has no such heading with a block quote in the same cell.
    """
    words = 0
    for cell in cells_to_read(path):
        if cell.cell_type == "markdown" and (answer := ANSWER.search(cell.source)):
            return words + len(cell.source[: answer.end()].split())
        words += len(cell.source.split())
    raise ValueError(f'{path.name} has no heading "## The answer" with a block quote below it.')


def seconds(path: Path) -> float:
    """Execute a notebook and take the time; its file stays as it is.

    Args:
        path: the notebook.

    Returns:
        Seconds, the start of the kernel among them.
    """
    start = time.monotonic()
    execute(path)
    return time.monotonic() - start


def print_row(path: Path, timed: bool = False) -> list[int]:
    """Print the row of a lesson.

    Args:
        path: the notebook.
        timed: whether to execute it and print the seconds too.

    Returns:
        The numbers of the row; the seconds are 0 where none were taken.
    """
    one = count(path)
    row = [one.prose, one.code, one.words, one.minutes, one.tasks, one.pictures, one.longest_line]
    taken = round(seconds(path)) if timed else 0
    print(LINE.format(path.stem, *row, taken or ""), flush=True)
    return [*row, taken]


def main(arguments: list[str] | None = None) -> None:
    """Print the road with its sums, the further lessons, and the words until the answer."""
    parser = argparse.ArgumentParser(description="Count what there is to read and to do in each lesson.")
    parser.add_argument("--seconds", action="store_true", help="execute the lessons of the road and take the time")
    options = parser.parse_args(arguments)
    # As in build_notebooks.py: the kernel of this environment, without its debugger's advice.
    os.environ.update(JUPYTER_PREFER_ENV_PATH="1", PYDEVD_DISABLE_FILE_VALIDATION="1")
    road = find_road()

    print(LINE.format("", *COLUMNS))
    *columns, longest, taken = zip(*[print_row(path, options.seconds) for path in road])
    print(LINE.format("the road", *map(sum, columns), max(longest), sum(taken) or ""), end="\n\n")
    for path in find_lessons()[len(road) :]:
        print_row(path)
    print(f"\n{road[0].stem}: {words_to_answer(road[0])} words until the answer is complete")


if __name__ == "__main__":
    main()
