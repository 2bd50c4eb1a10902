"""The check of the installation: one line if all is well, else a line for each thing that is wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from yolo_helpers.installation import check_installation

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def lines(tmp_path, capsys):
    """Check the installation against a project that asks for these packages; return the printed lines."""

    def run(packages, lab=()):
        project = ["[project]", f"dependencies = {list(packages)}"]
        project += ["[project.optional-dependencies]", f"lab = {['jupyterlab>=999', *lab]}"]
        (tmp_path / "pyproject.toml").write_text("\n".join(project), encoding="utf-8")
        check_installation(tmp_path)
        return capsys.readouterr().out.splitlines()

    return run


def test_all_there_is_one_line_with_the_number_of_packages(lines):
    assert lines(["numpy>=2.0"], ["packaging"]) == ["2 packages and the backend tensorflow: ok"]


def test_a_package_too_old_and_a_missing_one_get_a_line_each_with_the_mend(lines):
    old, missing = lines(["numpy>=999", "pillow"], ["no-such-package>=1.0"])
    assert re.match(r"numpy \d+\.\d+", old) and 'pip install "numpy>=999"' in old
    assert missing.startswith("no-such-package is missing") and 'pip install "no-such-package>=1.0"' in missing


def test_a_version_before_the_release_counts(lines, monkeypatch):
    monkeypatch.setattr("yolo_helpers.installation.version", lambda name: "2.1.0rc1")
    assert lines(["numpy>=2.0"]) == ["1 packages and the backend tensorflow: ok"]


@pytest.mark.parametrize(
    ("first", "variable", "wrong"),
    [
        ("", "tensorflow", False),
        ("", None, False),
        ("", "jax", True),
        # Keras was imported with another one, and has read the variable.
        ("sys.modules['keras'] = Mock(**{'backend.backend': lambda: 'jax'})", None, True),
    ],
    ids=["tensorflow", "not set", "jax", "set too late"],
)
def test_another_backend_gets_a_line(first, variable, wrong):
    # A process of its own, in which Keras is not imported.
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment |= {"KERAS_BACKEND": variable} if variable else {}
    code = "import sys\nfrom pathlib import Path\nfrom unittest.mock import Mock\n"
    code += "from yolo_helpers.installation import check_installation\n"
    code += f"{first}\ncheck_installation(Path({str(ROOT)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert ("backend jax: unset KERAS_BACKEND" in done.stdout) == wrong
    assert ("and the backend tensorflow: ok" in done.stdout) != wrong
