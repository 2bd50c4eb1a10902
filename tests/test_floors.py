"""A module imports only from its own floor or those above it in the package's list; the ground is light."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import yolo_helpers

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "yolo_helpers"
HEAVY = ["keras", "tensorflow", "jax", "torch", "matplotlib", "pycocotools"]
LIST = "\n".join(re.findall(r"^ {4}\w+ .*$", yolo_helpers.__doc__, re.MULTILINE))
FLOORS = {line.split()[0]: line.split()[1:] for line in LIST.splitlines()}


def modules():
    """Every module of the package by its dotted name within it, and its file."""
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts not in (("__init__",), ("__main__",)):
            yield ".".join(part for part in parts if part != "__init__"), path


def imported(path, names):
    """The package's modules that a file imports anywhere: in functions and for type hints too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names if (node.module or "").split(".")[0] == "yolo_helpers" else []:
                whole = f"{node.module}.{alias.name}".removeprefix("yolo_helpers.")
                yield whole if whole in names else node.module.removeprefix("yolo_helpers.")
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("yolo_helpers.") for a in node.names if a.name.startswith("yolo_helpers"))


def graph():
    found = dict(modules())
    return {name: set(imported(path, found)) for name, path in found.items()}


def test_the_list_names_every_module():
    assert sorted(sum(FLOORS.values(), [])) == sorted({name.split(".")[0] for name, _ in modules()})


def test_no_import_goes_upward():
    level = {name: floor for floor, names in enumerate(FLOORS.values()) for name in names}
    pairs = [(one, other) for one, others in graph().items() for other in others]
    assert ("training", "evaluation") in pairs and len(pairs) > 60
    assert [pair for pair in pairs if level[pair[1].split(".")[0]] > level[pair[0].split(".")[0]]] == []


def test_no_imports_go_in_a_circle():
    assert len(list(TopologicalSorter(graph()).static_order())) == len(graph())


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_papers_show_the_list(name):
    assert LIST in (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("module", FLOORS["ground"])
def test_the_ground_imports_numpy_and_pillow_at_most(module):
    # A fresh process: in this one another test may have imported Keras already.
    code = f"import sys, yolo_helpers.{module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
