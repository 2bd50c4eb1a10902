"""The tasks of the lessons are what tools/make_tasks.py makes of the solutions, and the cutting itself is right."""

import shutil

import nbformat
import pytest

from tools.build_notebooks import ROOT, find_lessons, find_solutions
from tools.make_tasks import END, START, TaskError, cut_answers, make_tasks, renew_tasks, task_cells

SOLUTIONS = find_solutions()

MARKED = """def square(x):
    # --- your answer
    # stub: return None
    return x * x
    # --- end of your answer


print(square(2))"""

CUT = """def square(x):
    # --- your answer
    return None
    # --- end of your answer


print(square(2))"""

every_solution = pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda path: path.stem)


def lesson_of(solution):
    """The committed lesson that belongs to a solution."""
    (lesson,) = [path for path in find_lessons() if path.name == solution.name]
    return lesson


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def code(source, name, *tags):
    return nbformat.v4.new_code_cell(source, id=name, metadata={"tags": list(tags)} if tags else {})


def markdown(source, name, *tags):
    return nbformat.v4.new_markdown_cell(source, id=name, metadata={"tags": list(tags)} if tags else {})


# The committed notebooks --------------------------------------------------------------------------------------------


def test_there_are_solutions():
    assert SOLUTIONS


def test_the_committed_lessons_are_in_step(tmp_path):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    assert make_tasks(tmp_path) == [], "run: python tools/make_tasks.py"


@every_solution
def test_every_answer_is_missing_in_the_lesson(solution):
    stubs = {cell.id: cell.source for cell in nbformat.read(lesson_of(solution), as_version=4).cells}
    answered = nbformat.read(solution, as_version=4)
    answers = [cell for cell in answered.cells if START in cell.source]
    assert answers and all(cell in task_cells(answered) for cell in answers)
    for cell in answers:
        assert stubs[cell.id] != cell.source


@every_solution
def test_verdicts_in_the_committed_notebooks(solution):
    """Each check says ok under the solution and "not done yet" under the stub; neither notebook holds an error."""
    for path, word in [(solution, "ok"), (lesson_of(solution), "not done yet")]:
        tasks = task_cells(nbformat.read(path, as_version=4))
        checked = [cell for cell in tasks if cell.cell_type == "code" and "checks.check_" in cell.source]
        assert checked
        for cell in checked:
            lines = "".join(output.get("text", "") for output in cell.outputs).splitlines()
            verdicts = [line for line in lines if line.startswith(word)]
            assert len(verdicts) == cell.source.count("checks.check_"), f"{path.parent.name}: {lines}"
            assert not any(output.output_type == "error" for output in cell.outputs)


# Cutting answers out ------------------------------------------------------------------------------------------------


def test_the_answer_is_replaced_by_the_stub():
    assert cut_answers(MARKED) == CUT


def test_a_stub_may_have_several_lines_and_a_cell_several_answers():
    one = "# --- your answer\n# stub: a = 1\n# stub: b = 2\na = b = 3\n# --- end of your answer"
    cut = "# --- your answer\na = 1\nb = 2\n# --- end of your answer"
    assert cut_answers(f"{one}\nprint(a)\n{one}") == f"{cut}\nprint(a)\n{cut}"


def test_a_stub_keeps_its_indentation():
    cut = cut_answers("\n    ".join(["", START, "# stub: for x in y:", "# stub:     pass", "use(y)", END]))
    assert cut == "\n    ".join(["", START, "for x in y:", "    pass", END])


def test_a_cell_without_marks_stays():
    assert cut_answers("x = 1\n# stub: of a pencil") == "x = 1\n# stub: of a pencil"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("# --- your answer\n# stub: pass\nx = 1", "without '# --- end of your answer'"),
        ("x = 1\n# --- end of your answer", "line 2: '# --- end of your answer' without"),
        ("# --- your answer\nx = 1\n# --- end of your answer", "has no '# stub:' line"),
        ("# --- your answer\n# --- your answer", "stands inside an answer"),
    ],
)
def test_marks_that_do_not_fit_are_named(source, message):
    with pytest.raises(TaskError, match=rf"solutions/01\.ipynb, cell answer.*{message}"):
        renew_tasks(notebook(code("", "answer", "task")), notebook(code(source, "answer", "task")), "01.ipynb")


# A lesson and its solution --------------------------------------------------------------------------------------------


def pair():
    """A lesson and its solution, in step, with an output in each code cell."""
    lesson = notebook(
        markdown("# A lesson", "title"),
        markdown("### Square a number", "statement", "task"),
        code(CUT, "answer", "task"),
        code("square(3)", "look", "nbval-ignore-output", "task"),
        markdown("Where next", "next"),
    )
    solution = notebook(
        markdown("# The solution", "title"),
        code("import math", "imports"),
        markdown("### Square a number", "statement", "task"),
        code(MARKED, "answer", "task"),
        markdown("Because.", "why"),
        code("square(3)", "look", "nbval-ignore-output", "task"),
    )
    for cell in lesson.cells + solution.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = 1, [nbformat.v4.new_output("stream", text="None\n")]
    return lesson, solution


def test_notebooks_in_step_stay_as_they_are():
    lesson, solution = pair()
    before = nbformat.writes(lesson), nbformat.writes(solution)
    assert renew_tasks(lesson, solution) == []
    assert (nbformat.writes(lesson), nbformat.writes(solution)) == before


def test_what_differs_is_taken_from_the_solution():
    lesson, solution = pair()
    solution.cells[2].source += " of any kind"
    solution.cells[3].source += "\nprint(square(3))"
    solution.cells[1].source = "import cmath"
    before = nbformat.writes(solution)
    assert renew_tasks(lesson, solution) == ["statement", "answer"]
    assert nbformat.writes(solution) == before
    title, statement, answer, look, last = lesson.cells
    assert (title.source, last.source) == ("# A lesson", "Where next")
    assert (statement.source, answer.source) == ("### Square a number of any kind", CUT + "\nprint(square(3))")
    assert answer.outputs == [] and answer.execution_count is None
    assert look.outputs and look.execution_count == 1 and look.metadata.tags == ["nbval-ignore-output", "task"]


def test_an_answer_in_the_lesson_is_cut_again():
    lesson, solution = pair()
    lesson.cells[2].source = MARKED
    assert renew_tasks(lesson, solution) == ["answer"]
    assert lesson.cells[2].source == CUT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lesson, solution: lesson.cells.pop(3), r"solutions/01\.ipynb, cell look: the lesson"),
        (lambda lesson, solution: lesson.cells[3].metadata.clear(), r"solutions/01\.ipynb, cell look: the lesson"),
        (lambda lesson, solution: solution.cells.pop(), r"^01\.ipynb, cell look: its solution has no"),
        (lambda lesson, solution: lesson.cells.insert(1, lesson.cells.pop(3)), r"^01\.ipynb, cell look: .* one order"),
    ],
    ids=["missing in the lesson", "not tagged in the lesson", "missing in the solution", "another order"],
)
def test_notebooks_that_do_not_fit_are_refused(change, message):
    lesson, solution = pair()
    change(lesson, solution)
    with pytest.raises(TaskError, match=message):
        renew_tasks(lesson, solution, "01.ipynb")


# The files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A course with a lesson on the road and one beside it, each with its solution, and a lesson without tasks."""
    folder = tmp_path / "notebooks"
    for name in ("further", "solutions"):
        (folder / name).mkdir(parents=True)
    for place, name in (("", "01.ipynb"), ("further", "01b.ipynb")):
        lesson, solution = pair()
        nbformat.write(lesson, folder / place / name)
        nbformat.write(solution, folder / "solutions" / name)
    nbformat.write(notebook(markdown("# Another", "title")), folder / "02.ipynb")
    return folder


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change_solution(path, added="\nprint(square(3))"):
    solution = nbformat.read(path, as_version=4)
    solution.cells[3].source += added
    nbformat.write(solution, path)


def test_only_a_lesson_that_differs_is_written(folder):
    before = files(folder)
    assert make_tasks(folder.parent) == []
    assert files(folder) == before
    change_solution(folder / "solutions" / "01b.ipynb")
    assert make_tasks(folder.parent) == [folder / "further" / "01b.ipynb"]
    after = files(folder)
    assert after.keys() == before.keys()
    changed = {path.relative_to(folder).as_posix() for path in after if after[path] != before[path]}
    assert changed == {"further/01b.ipynb", "solutions/01b.ipynb"}
    assert make_tasks(folder.parent) == []


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("01.ipynb", r"^solutions/01\.ipynb: no lesson"),
        ("solutions/01b.ipynb", r"^01b\.ipynb, cell statement: .*solutions/01b\.ipynb is missing"),
    ],
)
def test_a_notebook_without_its_partner_is_refused_and_nothing_is_written(folder, missing, message):
    for name in ("01.ipynb", "01b.ipynb"):
        change_solution(folder / "solutions" / name)
    (folder / missing).unlink()
    before = files(folder)
    with pytest.raises(TaskError, match=message):
        make_tasks(folder.parent)
    assert files(folder) == before


def test_a_name_on_the_road_and_beside_it_is_refused(folder):
    shutil.copy(folder / "01.ipynb", folder / "further" / "01.ipynb")
    change_solution(folder / "solutions" / "01.ipynb")
    before = files(folder)
    with pytest.raises(TaskError, match=r"^01\.ipynb is a lesson of the road and a further one"):
        make_tasks(folder.parent)
    assert files(folder) == before
