"""tools/check_versions.py: a lone notebook with its course fetched, its outputs compared, its packages left alone."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest

from tools import check_versions

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(os.name == "nt" or shutil.which("git") is None, reason="the tool needs git and make")
SET_UP = nbformat.read(ROOT / "notebooks" / "00_start_here.ipynb", as_version=4).cells[2].source
INSTALL = """
import sysconfig
new = Path(sysconfig.get_path("purelib"), "new_one-1.0.dist-info")
new.mkdir()
print(new.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: new-one\\nVersion: 1.0\\n"))
"""
ALONE = """
import sys, yolo_helpers
print(sorted(path.name for path in Path.cwd().iterdir()), yolo_helpers.ANSWER)
print(Path(yolo_helpers.__file__).is_relative_to(Path.cwd()), sys.modules["google.colab"].__name__)
"""
AS_ON_COLAB = "['alone.ipynb', 'course'] 42\nTrue google.colab\n"
NOTEBOOKS = {  # name: cells, the output of the last, and what is said of it
    "alone": ([SET_UP, ALONE], AS_ON_COLAB, ""),
    "exercises/other_output": ([SET_UP, "print(41)"], "42\n", "1 of 2 cells failed"),
    "error": ([SET_UP, "raise ValueError"], None, "1 of 2 cells failed"),
    "not_fetched": (["print(42)"], "42\n", "it did not fetch the course"),
    "installs": ([SET_UP, INSTALL], "49\n", "it changed the packages new_one"),
}


def git(root, *arguments):
    subprocess.run(["git", "-C", root, "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], check=True)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A small course in a git repository with a difficult name; the package has changed since it was committed."""
    root = tmp_path_factory.mktemp("a b ü")
    for name in ("pyproject.toml", "conftest.py", "tests/nbval_sanitize.cfg"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "yolo_helpers").mkdir()
    package = root / "yolo_helpers" / "__init__.py"
    package.write_text("ANSWER = 42\n", encoding="utf-8")
    for name, (cells, output, _) in NOTEBOOKS.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        for count, cell in enumerate(notebook.cells, start=1):
            cell.execution_count = count
        if output:
            notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)]
        path = root / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "a course")
    package.write_text("ANSWER = 41\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment of its own, which finds the packages of this one too."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    here = Path(sysconfig.get_path("purelib", "venv", vars=paths), "here.pth")
    here.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin" / "python"


def test_what_is_said_of_each_notebook(course, python, tmp_path):
    committed = check_versions.prepare(tmp_path, python, course)
    before = check_versions.packages(python)
    assert before["keras"] and before["tf_keras"] and "new_one" not in before
    for name, (cells, _, wrong) in NOTEBOOKS.items():  # the one that installs something comes last
        one = check_versions.check(committed / "notebooks" / f"{name}.ipynb", tmp_path, python, before, {})
        assert (one.name, one.wrong, one.cells) == (name, wrong, len(cells)), one.log


@pytest.mark.parametrize(("known", "wrong"), [(1, ""), (2, "1 of 2 cells failed in place of 2")])
def test_cells_that_are_known_to_differ_must_differ(course, python, tmp_path, known, wrong):
    committed = check_versions.prepare(tmp_path, python, course)
    before = check_versions.packages(python)
    notebook = committed / "notebooks" / "error.ipynb"
    assert check_versions.check(notebook, tmp_path, python, before, {"error": known}).wrong == wrong


def test_a_folder_that_is_no_repository_is_said_in_one_sentence(tmp_path, python):
    (tmp_path / "no repository").mkdir()
    with pytest.raises(check_versions.CheckError, match="This needs git, and .* to be a repository"):
        check_versions.prepare(tmp_path / "run", python, tmp_path / "no repository")


def test_the_first_python_that_runs_is_taken(tmp_path, monkeypatch):
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for version, content in {"9.1": "#!/bin/sh\nexit 127\n", "9.2": "#!/bin/sh\necho 9.2\n"}.items():
        (tmp_path / f"python{version}").write_text(content, encoding="utf-8")
        (tmp_path / f"python{version}").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_versions.find_python(["9.1", "9.2", here]) == str(tmp_path / "python9.2")
    assert check_versions.find_python(["9.1", here]) == sys.executable
    with pytest.raises(check_versions.CheckError, match=r"^Python 9\.0 or 9\.1 was not found: install one"):
        check_versions.find_python(["9.0", "9.1"])


def test_it_compares_as_make_test_does():
    options = re.search(r"^NBVAL := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert [option for option in options.split() if option != "--nbval-current-env"] == check_versions.NBVAL


@pytest.mark.parametrize("versions", check_versions.PYTHONS)
def test_every_set_has_a_make_target(versions):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^(?:test-\w+ )*test-{versions}(?: test-\w+)*: venv$", makefile, re.MULTILINE)
