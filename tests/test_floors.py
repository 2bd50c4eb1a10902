"""A module imports only from its own line of the README's map or the lines above; the ground floor is light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ["keras", "tensorflow", "jax", "torch", "matplotlib", "pycocotools"]


def floors():
    """The lines of the map: lists of module names."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    map_ = text.split("the helper package; a module imports")[1].split("    data/")[0]
    return [line.split("  ")[0].split() for line in re.findall(r"^ {8}(.*)$", map_, re.MULTILINE)]


def imported(path):
    """The package's modules that a file imports anywhere, functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("yolo_helpers."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            named = [alias.name for alias in node.names] + [getattr(node, "module", None)]
            assert not any(name and name.startswith("yolo_helpers") for name in named), f"{path}: from ... import"


def test_a_module_imports_from_its_own_floor_or_those_below():
    level = {name: floor for floor, names in enumerate(floors()) for name in names}
    package = ROOT / "yolo_helpers"
    # A folder is one module to the others, such as checks.
    modules = {path: path.relative_to(package).with_suffix("").parts[0] for path in package.rglob("*.py")}
    del modules[package / "__init__.py"]
    assert sorted(level) == sorted(set(modules.values()))
    imports = [(module, name) for path, module in modules.items() for name in imported(path)]
    assert ("detection", "plots") in imports and len(imports) > 20
    assert [(stem, name) for stem, name in imports if level[name] > level[stem]] == []


@pytest.mark.parametrize("module", ["boxes", "anchors", "annotations", "smear"])
def test_imports_numpy_and_pillow_at_most(module):
    # A fresh process: in this one another test may have imported Keras already.
    code = f"import sys, yolo_helpers.{module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
