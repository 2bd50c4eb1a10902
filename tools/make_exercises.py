"""Write notebooks/exercises/ from notebooks/solutions/: the same notebooks with the answers cut out.

A solution cell marks its answer like this:

    def square(x):
        # --- your answer
        # stub: return None
        return x * x
        # --- end of your answer

The exercise keeps the two marker lines and, between them, only what the `# stub:` lines hold (here `return None`).
Cells tagged `solution-only` are left out. In markdown, "Solutions:" in the title and the path of the Colab badge
become those of the exercise. An exercise whose cells are already right is not touched, so it keeps its outputs.

    python tools/make_exercises.py
"""

import os
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
SOLUTIONS = ROOT / "notebooks" / "solutions"
EXERCISES = ROOT / "notebooks" / "exercises"

START = "# --- your answer"
END = "# --- end of your answer"
STUB = "# stub:"
SOLUTION_ONLY = "solution-only"


class ExerciseError(ValueError):
    """A solution notebook whose answers cannot be cut out."""


def cut_answers(source: str, where: str = "cell") -> str:
    """Replace each marked answer in a code cell by its stub.

    Args:
        source: the source of a code cell of a solution notebook.
        where: the name of the cell, for messages.

    Returns:
        The source for the exercise; the same text when nothing is marked.

    Raises:
        ExerciseError: a marker without its partner, or an answer without a stub.
    """
    kept, stub, inside = [], [], False
    for number, line in enumerate(source.split("\n"), start=1):
        text = line.strip()
        if text == START:
            if inside:
                raise ExerciseError(f"{where}, line {number}: '{START}' stands inside an answer; end that one first.")
            inside, stub = True, []
            kept.append(line)
        elif text == END:
            if not inside:
                raise ExerciseError(f"{where}, line {number}: '{END}' without '{START}' above it; add the start.")
            if not stub:
                raise ExerciseError(f"{where}, line {number}: the answer has no '{STUB}' line; add one, such as pass.")
            inside = False
            kept += [*stub, line]
        elif inside and text.startswith(STUB):
            indent = line[: len(line) - len(line.lstrip())]
            stub.append(indent + text.removeprefix(STUB).strip())
        elif not inside:
            kept.append(line)
    if inside:
        raise ExerciseError(f"{where}: '{START}' without '{END}' below it; add the end.")
    return "\n".join(kept)


def exercise_from(solution: nbformat.NotebookNode, name: str = "notebook") -> nbformat.NotebookNode:
    """Make the exercise notebook that belongs to a solution notebook.

    Args:
        solution: the solution; it is not changed.
        name: its file name, for messages.

    Returns:
        A new notebook without outputs, with the cell ids of the solution.

    Raises:
        ExerciseError: an answer that cannot be cut out, or a notebook without any.
    """
    cells, answers = [], 0
    for number, cell in enumerate(solution.cells, start=1):
        tags = cell.metadata.get("tags", [])
        if SOLUTION_ONLY in tags:
            continue
        metadata = {"tags": list(tags)} if tags else {}
        if cell.cell_type == "code":
            source = cut_answers(cell.source, f"{name}, cell {number}")
            answers += source.count(START)
            cells.append(nbformat.v4.new_code_cell(source, id=cell.id, metadata=metadata))
        else:
            source = cell.source.replace("notebooks/solutions/", "notebooks/exercises/")
            source = re.sub(r"^(# .*)Solutions:", r"\1Exercises:", source, flags=re.MULTILINE)
            cells.append(nbformat.v4.new_markdown_cell(source, id=cell.id, metadata=metadata))
    if not answers:
        raise ExerciseError(f"{name}: no cell holds an answer between '{START}' and '{END}'; mark at least one.")
    kernel = {"kernelspec": dict(solution.metadata["kernelspec"])} if "kernelspec" in solution.metadata else {}
    return nbformat.v4.new_notebook(cells=cells, metadata=kernel)


def content(notebook: nbformat.NotebookNode) -> list[tuple]:
    """Return what makes two exercises the same: id, type, source and tags of every cell, but no outputs."""
    return [(c.id, c.cell_type, c.source, tuple(c.metadata.get("tags", []))) for c in notebook.cells]


def make_exercises(solutions: Path = SOLUTIONS, exercises: Path = EXERCISES) -> list[Path]:
    """Write every exercise that is missing or no longer belongs to its solution.

    Args:
        solutions: the folder with the solution notebooks.
        exercises: the folder to write to; made when missing.

    Returns:
        The files that were written.

    Raises:
        ExerciseError: a solution whose answers cannot be cut out.
    """
    written = []
    exercises.mkdir(parents=True, exist_ok=True)
    for source in sorted(solutions.glob("*.ipynb")):
        exercise = exercise_from(nbformat.read(source, as_version=4), source.name)
        target = exercises / source.name
        if target.exists() and content(nbformat.read(target, as_version=4)) == content(exercise):
            continue
        beside = target.with_suffix(".new")
        nbformat.write(exercise, beside)
        os.replace(beside, target)
        written.append(target)
    return written


if __name__ == "__main__":
    for path in make_exercises():
        print(f"wrote {path.relative_to(ROOT)}; execute it with tools/build_notebooks.py")
