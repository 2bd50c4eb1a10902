"""Is everything there that the course needs? Works where most of it is missing: it imports none of it."""

import os
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

BACKEND = "tensorflow"


def check_installation(course: Path) -> None:
    """Print one line if packages and backend are those that the lessons need, else a line for each that is not.

    Args:
        course: the folder with the course's pyproject.toml, which names the packages.
    """
    project = tomllib.loads((course / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # Whoever reads this in another editor needs no JupyterLab.
    lab = [line for line in project["optional-dependencies"]["lab"] if Requirement(line).name != "jupyterlab"]
    needed = [*project["dependencies"], *lab]
    wrong = [problem for problem in (*map(_package_problem, needed), _backend_problem()) if problem]
    print("\n".join(wrong) or f"{len(needed)} packages and the backend {BACKEND}: ok")


def _package_problem(line: str) -> str:
    """Say what is wrong with a package, and the mend; '' if it is there and new enough."""
    needed = Requirement(line)
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        found = ""
    if found and needed.specifier.contains(found, prereleases=True):
        return ""
    return f'{needed.name} {found or "is missing"}: run  python -m pip install "{line}"  and restart the kernel'


def _backend_problem() -> str:
    """Say what is wrong with Keras' backend, and the mend; '' if it is TensorFlow."""
    # Once Keras is imported, the variable has no effect any more.
    keras = sys.modules.get("keras")
    found = keras.backend.backend() if keras else os.environ.get("KERAS_BACKEND", BACKEND)
    if found == BACKEND:
        return ""
    return f"backend {found}: unset KERAS_BACKEND, restart the kernel and run the set-up cell first"
