"""The exercises are what tools/make_exercises.py makes of the solutions, and the cutting itself is right."""

from pathlib import Path

import nbformat
import pytest

from tools import make_exercises
from tools.make_exercises import ExerciseError, cut_answers, exercise_from

SOLUTIONS = sorted(make_exercises.SOLUTIONS.glob("*.ipynb"))

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


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def code(source, **metadata):
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def markdown(source, **metadata):
    return nbformat.v4.new_markdown_cell(source, metadata=metadata)


def test_there_are_solutions():
    assert SOLUTIONS


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda path: path.stem)
def test_exercise_is_in_step_with_its_solution(solution):
    made = exercise_from(nbformat.read(solution, as_version=4), solution.name)
    committed = nbformat.read(make_exercises.EXERCISES / solution.name, as_version=4)
    assert make_exercises.content(committed) == make_exercises.content(made), "run: python tools/make_exercises.py"


def test_every_exercise_has_a_solution():
    names = {path.name for path in make_exercises.EXERCISES.glob("*.ipynb")}
    assert names == {path.name for path in SOLUTIONS}


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda path: path.stem)
def test_verdicts_in_the_committed_notebooks(solution):
    """Each check says ok under the solution and "not done yet" under the stub; neither notebook holds an error."""
    for folder, word in [(make_exercises.SOLUTIONS, "ok"), (make_exercises.EXERCISES, "not done yet")]:
        cells = nbformat.read(folder / solution.name, as_version=4).cells
        checked = [cell for cell in cells if cell.cell_type == "code" and "checks.check_" in cell.source]
        assert 2 <= len(checked) <= 5
        for cell in checked:
            text = "".join(output.get("text", "") for output in cell.outputs)
            assert any(line.startswith(word) for line in text.splitlines()), f"{folder.name}: {text}"
            assert not any(output.output_type == "error" for output in cell.outputs)


def test_the_answer_is_replaced_by_the_stub():
    assert cut_answers(MARKED) == CUT


def test_a_stub_may_have_several_lines_and_a_cell_several_answers():
    one = "# --- your answer\n# stub: a = 1\n# stub: b = 2\na = b = 3\n# --- end of your answer"
    cut = "# --- your answer\na = 1\nb = 2\n# --- end of your answer"
    assert cut_answers(f"{one}\nprint(a)\n{one}") == f"{cut}\nprint(a)\n{cut}"


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
    with pytest.raises(ExerciseError, match=message):
        cut_answers(source, "01.ipynb, cell 3")


def test_what_an_exercise_keeps():
    solution = notebook(
        markdown("[badge](x/notebooks/solutions/01.ipynb)\n\n# 01 · Solutions: losses"),
        code(MARKED),
        markdown("Because.", tags=["solution-only"]),
        code("1 + 1", tags=["nbval-ignore-output"]),
    )
    solution.cells[1].outputs = [nbformat.v4.new_output("stream", text="4\n")]
    solution.cells[1].execution_count = 1
    before = nbformat.writes(solution)
    exercise = exercise_from(solution)
    assert nbformat.writes(solution) == before
    assert exercise.cells[0].source == "[badge](x/notebooks/exercises/01.ipynb)\n\n# 01 · Exercises: losses"
    assert [cell.source for cell in exercise.cells[1:]] == [CUT, "1 + 1"]
    assert exercise.cells[1].outputs == [] and exercise.cells[1].execution_count is None
    assert exercise.cells[2].metadata.tags == ["nbval-ignore-output"]
    assert [cell.id for cell in exercise.cells] == [solution.cells[i].id for i in (0, 1, 3)]


def test_a_notebook_without_an_answer_is_refused():
    with pytest.raises(ExerciseError, match=r"02\.ipynb: no cell holds an answer"):
        exercise_from(notebook(code("x = 1")), "02.ipynb")


def test_an_exercise_that_is_in_step_keeps_its_file(tmp_path: Path):
    solutions, exercises = tmp_path / "solutions", tmp_path / "exercises"
    solutions.mkdir()
    nbformat.write(notebook(code(MARKED)), solutions / "01.ipynb")
    assert make_exercises.make_exercises(solutions, exercises) == [exercises / "01.ipynb"]

    executed = nbformat.read(exercises / "01.ipynb", as_version=4)
    executed.cells[0].outputs = [nbformat.v4.new_output("stream", text="None\n")]
    nbformat.write(executed, exercises / "01.ipynb")
    before = (exercises / "01.ipynb").read_bytes()
    assert make_exercises.make_exercises(solutions, exercises) == []
    assert (exercises / "01.ipynb").read_bytes() == before

    changed = nbformat.read(solutions / "01.ipynb", as_version=4)
    changed.cells[0].source += "\nprint(square(3))"
    nbformat.write(changed, solutions / "01.ipynb")
    assert make_exercises.make_exercises(solutions, exercises) == [exercises / "01.ipynb"]
    assert [path.name for path in exercises.iterdir()] == ["01.ipynb"]
