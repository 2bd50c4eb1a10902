"""Keep the tasks in the lessons equal to those in notebooks/solutions/.

The solution notebooks/solutions/NAME.ipynb belongs to the lesson NAME.ipynb in notebooks/ or notebooks/further/. A cell
with the tag `task` stands in both, under the same id. The solution holds the answer, marked like this:

    def square(x):
        # --- your answer
        # stub: return None
        return x * x
        # --- end of your answer

The lesson keeps the two marker lines and, between them, only what the `# stub:` lines hold (here `return None`). All
else in a task cell is the same in both. Cells without the tag belong to the one notebook alone.

The tool writes the source of each task cell into the lesson where it differs there. The outputs of a changed cell are
dropped; a lesson that is in step is not touched.

    python tools/make_tasks.py
"""

import sys
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # started by its path, Python looks in tools/ only

from tools.build_notebooks import ROOT, find_lessons, find_solutions, to_text, write_beside

START = "# --- your answer"
END = "# --- end of your answer"
STUB = "# stub:"
TASK = "task"


class TaskError(ValueError):
    """A lesson and a solution that do not belong together; the message names the file and the cell."""


def cut_answers(source: str, where: str = "cell") -> str:
    """Replace each marked answer in a code cell by its stub.

    Args:
        source: the source of a code cell of a solution notebook.
        where: the name of the cell, for messages.

    Returns:
        The source for the lesson; the same text when nothing is marked.

    Raises:
        TaskError: a marker without its partner, or an answer without a stub.
    """
    kept, stub, inside = [], [], False
    for number, line in enumerate(source.split("\n"), start=1):
        text = line.strip()
        if text == START:
            if inside:
                raise TaskError(f"{where}, line {number}: '{START}' stands inside an answer; end that one first.")
            inside, stub = True, []
            kept.append(line)
        elif text == END:
            if not inside:
                raise TaskError(f"{where}, line {number}: '{END}' without '{START}' above it; add the start.")
            if not stub:
                raise TaskError(f"{where}, line {number}: the answer has no '{STUB}' line; add one, such as pass.")
            inside = False
            kept += [*stub, line]
        elif inside and text.startswith(STUB):
            indent = line[: len(line) - len(line.lstrip())]
            stub.append((indent + text.removeprefix(STUB).removeprefix(" ")).rstrip())
        elif not inside:
            kept.append(line)
    if inside:
        raise TaskError(f"{where}: '{START}' without '{END}' below it; add the end.")
    return "\n".join(kept)


def task_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the cells of a notebook that have the tag `task`."""
    return [cell for cell in notebook.cells if TASK in cell.metadata.get("tags", [])]


def renew_tasks(lesson: nbformat.NotebookNode, solution: nbformat.NotebookNode, name: str = "notebook") -> list[str]:
    """Give the task cells of a lesson the sources that its solution has, answers cut out.

    Args:
        lesson: the lesson; its task cells are changed.
        solution: its solution; it is not changed.
        name: the file name of both, for messages.

    Returns:
        The ids of the cells that differed.

    Raises:
        TaskError: the two have different task cells or another order of them, or an answer cannot be cut out.
    """
    ours, theirs = task_cells(lesson), task_cells(solution)
    here, there = [cell.id for cell in ours], [cell.id for cell in theirs]
    if missing := [cell for cell in there if cell not in here]:
        raise TaskError(f"solutions/{name}, cell {missing[0]}: the lesson has no task cell of this id; add it there.")
    if missing := [cell for cell in here if cell not in there]:
        raise TaskError(f"{name}, cell {missing[0]}: its solution has no task cell of this id; add it there.")
    changed = []
    for cell, answered in zip(ours, theirs):
        if cell.id != answered.id:
            raise TaskError(f"{name}, cell {cell.id}: its solution has {answered.id} here; give both one order.")
        source = answered.source
        if answered.cell_type == "code":
            source = cut_answers(source, f"solutions/{name}, cell {cell.id}")
        if cell.source != source:
            changed.append(cell.id)
            cell.source = source
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
    return changed


def make_tasks(root: Path = ROOT) -> list[Path]:
    """Write every lesson whose tasks are not those of its solution.

    Args:
        root: folder of the course.

    Returns:
        The files that were written; none is written when one of them is refused.

    Raises:
        TaskError: two lessons of one name, a solution without a lesson, tasks without a solution, or a lesson and a
            solution that do not fit.
    """
    lessons = {}
    for path in find_lessons(root):
        if path.name in lessons:
            raise TaskError(f"{path.name} is a lesson of the road and a further one; give one of them another name.")
        lessons[path.name] = path
    solutions = {path.name: path for path in find_solutions(root)}
    for name in solutions:
        if name not in lessons:
            raise TaskError(f"solutions/{name}: no lesson has this name; give both the same.")
    changed = {}
    for name, path in lessons.items():
        lesson = nbformat.read(path, as_version=4)
        if name in solutions:
            if renew_tasks(lesson, nbformat.read(solutions[name], as_version=4), name):
                changed[path] = lesson
        elif tasks := task_cells(lesson):
            raise TaskError(f"{name}, cell {tasks[0].id}: a task, but solutions/{name} is missing; write it.")
    for path, lesson in changed.items():
        write_beside(path, to_text(lesson))
    return list(changed)


if __name__ == "__main__":
    try:
        for path in make_tasks():
            print(f"wrote {path.relative_to(ROOT)}; execute it with tools/build_notebooks.py")
    except TaskError as error:
        sys.exit(str(error))
