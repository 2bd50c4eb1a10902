"""Static tests of every notebook, and the proof that nbval, with the project's options, compares something."""

import base64
import functools
import io
import re
import shutil
import statistics
import struct
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from PIL import Image

from tools.build_notebooks import (
    KERNEL,
    ROOT,
    clean,
    find_lessons,
    find_notebooks,
    find_road,
    same_results,
    to_text,
)
from tools.count_course import SETUP
from tools.set_repository import repository

NOTEBOOKS, LESSONS = find_notebooks(), find_lessons()
MACHINE_PATH = re.compile(r"(?:/home/|/root/|/tmp/|/work/|/Users/|/var/folders/|/content/|\b[A-Z]:\\)")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


@functools.cache
def read(path):
    """A committed notebook, which most tests look at and none may change."""
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def markdown(path):
    return [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]


def tags(cell):
    return cell.metadata.get("tags", [])


def texts(output):
    """All that an output shows as text."""
    if "text" in output:
        return [output.text]
    return [data for kind, data in output.get("data", {}).items() if kind.startswith("text/")]


def test_notebooks_are_found():
    assert LESSONS, "no lesson lies in notebooks/: the tests below would test nothing"


@every_notebook
def test_is_valid_and_holds_nothing_of_the_machine(path):
    notebook = nbformat.read(path, as_version=4)  # one of its own: it is changed below
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert dict(notebook.metadata) == {"kernelspec": KERNEL}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}, f"cell {cell.id} has metadata besides tags"
    assert path.read_text(encoding="utf-8") == to_text(clean(notebook)), "not written by tools/build_notebooks.py"


@every_notebook
def test_was_run_from_top_to_bottom(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_outputs_are_there_to_compare(path):
    cells = code_cells(path)
    with_output = [cell for cell in cells if cell.outputs]
    ignored = [cell for cell in cells if "nbval-ignore-output" in tags(cell)]
    compared = [cell for cell in with_output if cell not in ignored and any(texts(out) for out in cell.outputs)]
    assert compared, "no cell has a text output that nbval compares"
    assert len(ignored) <= max(1, len(with_output) // 5), f"{len(ignored)} of {len(with_output)} outputs are ignored"
    for cell in cells:
        assert not {"nbval-skip", "raises-exception", "nbval-raises-exception"} & set(tags(cell)), cell.source
        assert not re.search(r"^\s*#\s*(NBVAL|PYTEST_VALIDATE)", cell.source, re.MULTILINE), "use tags instead"


@every_notebook
def test_outputs_hold_no_error_no_stderr_no_widget_no_machine_path(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source
            assert not any("widget" in kind for kind in output.get("data", {})), cell.source
            for text in texts(output):
                assert not MACHINE_PATH.search(text), f"an output names a folder of one machine: {text[:200]}"


@every_notebook
def test_setup_cell_is_the_same_everywhere(path):
    cells = code_cells(path)
    assert cells[0].source.startswith(SETUP), "the first code cell is the set-up"
    assert cells[0].source == code_cells(LESSONS[0])[0].source
    assert f'REPOSITORY = "{repository(ROOT)}"' in cells[0].source
    assert not any(cell.source.startswith(SETUP) for cell in cells[1:])


@every_notebook
def test_badge_opens_this_very_file(path):
    slug = repository(ROOT).removeprefix("https://github.com/")
    name = path.relative_to(ROOT).as_posix()
    badge = (
        "[![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{slug}/blob/main/{name})"
    )
    assert badge in markdown(path)[0]
    assert read(path).cells[0].cell_type == "markdown"


def headings_of(source):
    """(marks, heading) of each heading of a markdown cell; a # in a block of code begins none."""
    outside_code = re.sub(r"^```.*?^```", "", source, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^(#+) (.*)$", outside_code, re.MULTILINE)


@every_notebook
def test_headings_are_in_order(path):
    headings = [len(marks) for source in markdown(path) for marks, _ in headings_of(source)]
    assert headings[:1] == [1] and headings.count(1) == 1, "one title, and it comes first"
    for above, level in zip(headings, headings[1:]):
        assert level <= above + 1, "a heading skips a level"


@every_notebook
def test_a_figure_is_put_into_words(path):
    cells = read(path).cells
    for number, cell in enumerate(cells):
        if cell.cell_type == "code" and any("image/png" in output.get("data", {}) for output in cell.outputs):
            below = cells[number + 1] if number + 1 < len(cells) else cell
            described = below.cell_type == "markdown" and re.match(r"\*The picture: [^*]{20}", below.source)
            assert described, f"no description, *The picture: …*, below the figure of:\n{cell.source}"


@every_notebook
def test_every_column_of_a_table_has_a_heading(path):
    for source in markdown(path):
        for heading in re.findall(r"^(\|.*\|)\n\|[ :|-]+\|$", source, re.MULTILINE):
            assert all(cell.strip() for cell in re.split(r"(?<!\\)\|", heading)[1:-1]), heading


@every_notebook
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(markdown(path))):
        if not re.match(r"[a-z]+:|#", target):
            assert (path.parent / target.split("#")[0]).exists(), f"the link {target} leads nowhere"


@functools.cache
def outputs_under(path):
    """{heading: number of outputs down to the next heading of its level or of a higher one}"""
    found, inside = {}, []
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            for marks, heading in headings_of(cell.source):
                inside = [*((level, above) for level, above in inside if level < len(marks)), (len(marks), heading)]
                found[heading] = 0
        elif cell.cell_type == "code":
            for _, heading in inside:
                found[heading] += sum(
                    any(texts(output)) or "image/png" in output.get("data", {}) for output in cell.outputs
                )
    return found


def test_every_question_is_answered_under_its_heading():
    rows = [line.split(" | ") for line in (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if re.match(r"\| Q\d\d ", row[0])]
    assert len(rows) >= 10
    for question, link, headings in rows:
        lesson = ROOT / "notebooks" / re.search(r"\((.*?)\)", link)[1]
        for heading in headings.removesuffix(" |").split("; "):
            assert heading in outputs_under(lesson), f"{question}: {lesson.name} has no heading {heading!r}"
            assert outputs_under(lesson)[heading], f"{question}: no output below {heading!r} in {lesson.name}"


@pytest.fixture(scope="module")
def misspelt(tmp_path_factory):
    """What codespell, started once for all notebooks, says about their cells."""
    folder = tmp_path_factory.mktemp("cells")
    for number, path in enumerate(NOTEBOOKS):
        source = "\n\n".join(cell.source for cell in read(path).cells)
        (folder / f"{number}.md").write_text(source, encoding="utf-8")
    wrong = "t" + "eh"  # in one piece, codespell would find it in this file
    (folder / "wrong.md").write_text(wrong, encoding="utf-8")
    command = [sys.executable, "-m", "codespell_lib", folder]
    run = subprocess.run(command, cwd=ROOT, text=True, encoding="utf-8", capture_output=True)
    assert f"{wrong} ==> the" in run.stdout, "the files were not looked at: " + run.stdout + run.stderr
    found = {path: [] for path in NOTEBOOKS}
    for line in run.stdout.splitlines():
        if said := re.search(r"(\d+)\.md:(\d+: .*)", line):
            found[NOTEBOOKS[int(said[1])]].append(said[2])
    return found


@every_notebook
def test_spelling(misspelt, path):
    assert misspelt[path] == []


@every_notebook
def test_file_is_small(path):
    assert path.stat().st_size <= 1_000_000


@every_lesson
def test_cells_are_short(path):
    lines = [sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in code_cells(path)]
    assert min(lines) >= 1, "an empty code cell"
    assert statistics.median(lines) <= 6
    assert max(lines) <= 25


# The set-up cell, run for what it does ------------------------------------------------------------------------------


def run_setup(folder, before="", after="print(COURSE)"):
    """Run the set-up cell in a folder and return the process."""
    source = "\n".join([before, code_cells(LESSONS[0])[0].source, after])
    return subprocess.run(
        [sys.executable, "-c", source], cwd=folder, text=True, encoding="utf-8", capture_output=True, timeout=60
    )


@pytest.mark.parametrize("inside", [".", "notebooks", "notebooks/further"])
def test_setup_cell_finds_the_course(tmp_path, inside):
    course = tmp_path / "a course with spaces, ü"
    (course / "yolo_helpers").mkdir(parents=True)
    (course / inside).mkdir(parents=True, exist_ok=True)
    run = run_setup(course / inside, after="print(COURSE.samefile(sys.path[0]), len(COURSE.parts))")
    assert run.stdout.split() == ["True", str(len(course.parts))], run.stderr


def test_setup_cell_says_when_there_is_no_course(tmp_path):
    run = run_setup(tmp_path)
    assert run.returncode != 0
    assert "The folder yolo_helpers was not found" in run.stderr and "Traceback" not in run.stderr


def test_setup_cell_fetches_the_course_once_on_colab(tmp_path):
    colab = """
import subprocess, sys, types
from pathlib import Path
sys.modules["google.colab"] = types.ModuleType("google.colab")
def clone(command, check):
    print(command[:2], command[-2:], check)
    Path(command[-1], "yolo_helpers").mkdir(parents=True)
subprocess.run = clone
"""
    first, second = (run_setup(tmp_path, before=colab, after="print(COURSE.name)") for _ in range(2))
    clone = f"['git', 'clone'] ['{repository(ROOT)}', 'course'] True"
    assert first.stdout.splitlines() == [clone, "course"], first.stderr
    assert second.stdout.splitlines() == ["course"], second.stderr


# nbval compares: small notebooks with right and wrong outputs, run with the options of the Makefile -------------------


def small_notebook(source, text, *, tags=(), html=None, stderr=None):
    """A notebook of one cell that is said to have printed `text`."""
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)] if text is not None else []
    if html is not None:
        data = {"text/html": html, "text/plain": "<shown>"}
        outputs.append(nbformat.v4.new_output("display_data", data=data))
    if stderr is not None:
        outputs.append(nbformat.v4.new_output("stream", name="stderr", text=stderr))
    metadata = {"tags": list(tags)} if tags else {}
    cell = nbformat.v4.new_code_cell(source, execution_count=1, outputs=outputs, metadata=metadata)
    return nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": KERNEL})


SHOW = """
class Shown:
    def __repr__(self): return "<shown>"
    def _repr_html_(self): return "<b>new</b>"
print("0.6931")
display(Shown())
"""
SMALL = {
    "right": (small_notebook("print(f'{0.693147:.4f}')", "0.6931\n"), True),
    "wrong_digit": (small_notebook("print(f'{0.693147:.4f}')", "0.6932\n"), False),
    "missing_output": (small_notebook("x = 1", "0.6931\n"), False),
    "unexpected_output": (small_notebook("print('0.6931')", None), False),
    "error": (small_notebook("raise ValueError('0.6931')", None), False),
    "ignored": (small_notebook("print('0.6931')", "0.6932\n", tags=["nbval-ignore-output"]), True),
    "address": (small_notebook("print('at 0x7f0011223344')", "at 0x55aabbccddee\n"), True),
    "short_hexadecimal": (small_notebook("print('0x1f')", "0x2f\n"), False),
    "html": (small_notebook(SHOW, "0.6931\n", html="<b>old</b>"), True),
    "html_wrong_text": (small_notebook(SHOW, "0.6932\n", html="<b>old</b>"), False),
    "stderr": (small_notebook("import sys; print('a', file=sys.stderr)", None, stderr="b\n"), True),
}


@pytest.fixture(scope="module")
def nbval_outcomes(tmp_path_factory):
    """The outcome of each small notebook under the command that `make test` runs."""
    folder = tmp_path_factory.mktemp("nbval")
    for name, (notebook, _) in SMALL.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "conftest.py", folder)
    shutil.copy(ROOT / "tests" / "nbval_sanitize.cfg", folder / "tests")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    options = re.search(r"^NBVAL := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    command = [sys.executable, "-m", "pytest", "-rA", "--color=no", "-p", "no:cacheprovider", *options.split(), "."]
    run = subprocess.run(command, cwd=folder, text=True, encoding="utf-8", capture_output=True, timeout=300)
    found = re.findall(r"^(PASSED|FAILED) (\w+)\.ipynb::Cell 0", run.stdout, re.MULTILINE)
    return {name: outcome == "PASSED" for outcome, name in found}, run.stdout


@pytest.mark.parametrize("name", SMALL)
def test_nbval_compares(nbval_outcomes, name):
    outcomes, log = nbval_outcomes
    assert outcomes.get(name) == SMALL[name][1], log


def test_every_sanitizer_is_used():
    text = (ROOT / "tests" / "nbval_sanitize.cfg").read_text(encoding="utf-8")
    pairs = re.findall("^regex: (.*)$\n^replace: (.*)$", text, re.MULTILINE)  # as nbval reads them
    assert len(pairs) == text.count("\nregex:") == text.count("\nreplace:") == text.count("\n[")
    assert all(regex.strip() and replacement.strip() for regex, replacement in pairs)


# tools/build_notebooks.py --------------------------------------------------------------------------------------------


def test_the_road_comes_before_the_further_lessons_and_the_solutions(tmp_path):
    names = ["02.ipynb", "10.ipynb", "further/01b.ipynb", "further/07a.ipynb", "solutions/01b.ipynb"]
    for name in [*reversed(names), ".ipynb_checkpoints/02-checkpoint.ipynb", "further/README.md"]:
        path = tmp_path / "notebooks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for find, expected in ((find_road, names[:2]), (find_lessons, names[:4]), (find_notebooks, names)):
        assert [path.relative_to(tmp_path / "notebooks").as_posix() for path in find(tmp_path)] == expected


def rebuild(path):
    command = [sys.executable, ROOT / "tools" / "build_notebooks.py", path]
    return subprocess.run(command, text=True, encoding="utf-8", capture_output=True, timeout=120)


def test_executing_twice_leaves_the_file_alone(tmp_path):
    path = tmp_path / "ü two.ipynb"
    source = "import sys, time\nprint('é', object())\nprint('warned', file=sys.stderr)\nprint(time.time(), 's')"
    notebook = small_notebook(source, None, tags=["nbval-ignore-output"])
    notebook.cells.append(nbformat.v4.new_code_cell("1 + 1"))
    notebook.cells[1].metadata["collapsed"] = True
    notebook.metadata["language_info"] = {"name": "python", "version": "3.0"}
    nbformat.write(notebook, path)
    ids = [cell.id for cell in notebook.cells]
    first = rebuild(path)
    assert first.returncode == 0 and "cell 0 wrote to stderr: warned" in first.stdout, first.stdout + first.stderr
    after = path.read_bytes()
    result = nbformat.read(path, as_version=4)
    assert [cell.id for cell in result.cells] == ids
    assert dict(result.metadata) == {"kernelspec": KERNEL} and dict(result.cells[1].metadata) == {}
    assert result.cells[1].outputs[0].data["text/plain"] == "2"
    assert [output.name for output in result.cells[0].outputs] == ["stdout"] and "é" in after.decode("utf-8")
    second = rebuild(path)
    assert second.returncode == 0 and "changed" not in second.stdout
    assert path.read_bytes() == after
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


SLIDER = """
import ipywidgets
import matplotlib.pyplot as plt

def draw(height):
    plt.figure(figsize=(1, height)).subplots()
    plt.show()

slider = ipywidgets.interact(draw, height=ipywidgets.IntSlider(2, min=1, max=3))
"""


def test_a_slider_leaves_its_first_picture_and_no_widget(tmp_path):
    path = tmp_path / "slider.ipynb"
    nbformat.write(small_notebook(SLIDER, None), path)
    run = rebuild(path)
    assert run.returncode == 0, run.stdout + run.stderr
    (cell,) = nbformat.read(path, as_version=4).cells
    (picture,) = cell.outputs
    assert picture.output_type == "display_data" and set(picture.data) == {"image/png", "text/plain"}
    # A PNG file gives its width and its height in the bytes 16 to 24.
    width, height = struct.unpack(">2I", base64.b64decode(picture.data["image/png"])[16:24])
    assert height > 1.5 * width, "not the picture of the slider's own value"


PHOTOGRAPH = """\
import io
import numpy as np
from IPython.display import Image as Shown, display
from PIL import Image
noise = np.random.default_rng(0).integers(100, 130, (250, 250, 3), np.uint8)
noise[:100] = 255, 0, 0
file = io.BytesIO()
Image.fromarray(noise).save(file, "PNG")
display(Shown(file.getvalue()))
"""


def test_large_pictures_get_smaller_and_look_the_same(tmp_path):
    path = tmp_path / "01.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PHOTOGRAPH)]), path)
    assert rebuild(path).returncode == 0
    kept = base64.b64decode(nbformat.read(path, as_version=4).cells[0].outputs[0].data["image/png"])
    rng, before = np.random.default_rng(0), io.BytesIO()
    noise = rng.integers(100, 130, (250, 250, 3), np.uint8)
    noise[:100] = 255, 0, 0
    Image.fromarray(noise).save(before, "PNG")
    assert len(before.getvalue()) > 75_000 and len(kept) < 0.6 * len(before.getvalue())
    shown = np.asarray(Image.open(io.BytesIO(kept)).convert("RGB")).astype(int)
    assert np.abs(shown - noise).mean() < 4 and np.abs(shown[:100] - noise[:100]).max() < 4
    after = path.read_bytes()
    assert "changed" not in rebuild(path).stdout and path.read_bytes() == after


def test_a_failing_notebook_keeps_its_file(tmp_path):
    path = tmp_path / "fails.ipynb"
    nbformat.write(small_notebook("1 / 0", "as it was\n"), path)
    before = path.read_bytes()
    run = rebuild(path)
    assert run.returncode == 1 and "ZeroDivisionError" in run.stdout and "Failed: " in run.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "tag", "same"),
    [
        ("4/4 - 12s 300ms/step - loss: 3.1", "4/4 - 9s 31ms/step - loss: 3.1", "nbval-ignore-output", True),
        ("4/4 - 12s 300ms/step - loss: 3.1", "4/4 - 9s 31ms/step - loss: 3.2", "nbval-ignore-output", False),
        ("12s", "9s", "compared", False),
        ("at 0x7f0011223344", "at 0x7f0011223355", "compared", True),
    ],
)
def test_only_durations_and_addresses_may_differ(old, new, tag, same):
    one, two = small_notebook("fit()", old, tags=[tag]), small_notebook("fit()", new, tags=[tag])
    two.cells[0].id = one.cells[0].id
    assert same_results(one, two) == same
