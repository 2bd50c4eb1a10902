"""Run every notebook on other versions of the packages: those of Colab, the oldest supported, or the newest.

    python tools/check_versions.py colab                        every notebook
    python tools/check_versions.py oldest notebooks/01_*.ipynb  these

Each is started as Colab does it: alone in an empty folder, `google.colab` imported, the course fetched from its address
by the set-up cell. Git is told to take that address from this repository, so what is run is what is committed. nbval in
`.venv` compares the outputs; the kernel runs in `.venv-colab` (or `-oldest`, `-newest`), which setup_venv.py makes, and
whose packages must be the same after each notebook. Called by the Makefile, standard library only.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The first is preferred; Colab has 3.13. tf_keras 2.18 makes no layer on 3.12.
PYTHONS = {"colab": ["3.13", "3.12"], "oldest": ["3.11"], "newest": ["3.12", "3.13", "3.11"]}
NBVAL = ["--nbval", "--nbval-sanitize-with", "tests/nbval_sanitize.cfg", "--nbval-cell-timeout=300"]
SHOWN = ["tensorflow", "keras", "tf_keras", "numpy", "matplotlib", "pillow", "pycocotools", "ipython", "ipywidgets"]
LIST_PACKAGES = """
import importlib.metadata, json
print(json.dumps({d.name.lower().replace("-", "_"): d.version for d in importlib.metadata.distributions()}))
"""


class CheckError(Exception):
    """The check cannot be made; the message is one sentence for the reader."""


@dataclass
class Outcome:
    """What came of one notebook: `wrong` is empty when all is well, and `log` is what nbval said."""

    name: str
    wrong: str
    cells: int
    seconds: float
    log: str


def find_python(versions: list[str]) -> str:
    """Find the first of some versions of Python that runs here.

    Args:
        versions: such as `3.12`, the one to prefer first.

    Returns:
        The command of it.

    Raises:
        CheckError: none of them was found.
    """
    for version in versions:
        for command in (f"python{version}", sys.executable):
            path = shutil.which(command)  # it may be a shim with nothing behind it, so it is tried
            ask = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
            if path and subprocess.run(ask, capture_output=True, text=True).stdout.strip() == version:
                return path
    raise CheckError(f"Python {' or '.join(versions)} was not found: install one, then run the same command again.")


def packages(python: Path) -> dict[str, str]:
    """Return the packages that a Python finds, as {name: version}.

    Args:
        python: the program.

    Returns:
        The names in small letters with underscores.
    """
    # Isolated, as the folder of this call is none of its concern.
    return json.loads(subprocess.run([python, "-I", "-c", LIST_PACKAGES], capture_output=True, check=True).stdout)


def prepare(folder: Path, python: Path, root: Path = ROOT) -> Path:
    """Make what the runs share: a copy of what is committed, and a kernel that is like Colab's.

    Args:
        folder: an empty folder outside the course.
        python: the Python that shall run the notebooks.
        root: folder of the course.

    Returns:
        The folder of the copy.

    Raises:
        CheckError: the course is not in a git repository.
    """
    course = folder / "committed"
    clone = ["git", "clone", "--quiet", "--depth=1", root.as_uri(), course]
    try:
        subprocess.run(clone, check=True, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CheckError(f"This needs git, and {root} to be a repository of it: clone the course.") from error
    stub = folder / "stub" / "google" / "colab"
    startup = folder / "ipython" / "profile_default" / "startup"
    kernel = folder / "jupyter" / "kernels" / "like_colab"
    for new in (stub, startup, kernel):
        new.mkdir(parents=True)
    (stub / "__init__.py").touch()
    (startup / "colab.py").write_text("__import__('google.colab')\n", encoding="utf-8")
    project = tomllib.loads((course / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    spec = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "like Colab",
        "language": "python",
        "env": {
            "PYTHONPATH": str(stub.parents[1]),
            "PYTHONNOUSERSITE": "1",
            "IPYTHONDIR": str(startup.parents[1]),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{course.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": project["urls"]["Repository"],
        },
    }
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    shutil.copy(course / "conftest.py", folder)
    (folder / "tests").mkdir()
    shutil.copy(course / "tests" / "nbval_sanitize.cfg", folder / "tests")
    return course


def check(notebook: Path, folder: Path, python: Path, before: dict[str, str]) -> Outcome:
    """Run one notebook alone in an empty folder and compare its outputs.

    Args:
        notebook: its file in the copy that `prepare` made.
        folder: the folder given to `prepare`.
        python: the Python of the kernel.
        before: its packages, which must be the same afterwards.

    Returns:
        What came of it.
    """
    name = notebook.relative_to(folder / "committed" / "notebooks").with_suffix("").as_posix()
    alone = folder / "runs" / name.replace("/", "_")
    alone.mkdir(parents=True)
    shutil.copy(notebook, alone)
    command = [sys.executable, "-m", "pytest", "--color=no", "-p", "no:cacheprovider", *NBVAL]
    command += ["--nbval-kernel-name=like_colab", alone]
    environment = {**os.environ, "JUPYTER_PATH": str(folder / "jupyter"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    start = time.monotonic()
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")
    seconds = time.monotonic() - start
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed)", run.stdout[-200:])}
    wrong = []
    if run.returncode or not counts:
        wrong.append(f"{counts.get('failed', 0)} of {sum(counts.values())} cells failed")
    if not (alone / "course" / "yolo_helpers").is_dir():
        wrong.append("it did not fetch the course")
    changed = sorted(dict(before.items() ^ packages(python).items()))
    if changed:
        wrong.append(f"it changed the packages {', '.join(changed)}")
    return Outcome(name, ", ".join(wrong), sum(counts.values()), seconds, run.stdout + run.stderr)


def run_all(python: Path, chosen: list[Path]) -> list[Outcome]:
    """Run notebooks, two at a time, and print what comes of each.

    Args:
        python: the Python of the kernels.
        chosen: files of the course; empty for all notebooks.

    Returns:
        What came of them, in the order in which they ended.

    Raises:
        CheckError: the course is in no git repository, or one of the files is not in its last commit.
    """
    before = packages(python)
    with tempfile.TemporaryDirectory(prefix="like-colab-") as folder, ThreadPoolExecutor(2) as two:
        folder = Path(folder).resolve()
        course = prepare(folder, python)
        notebooks = [course / os.path.relpath(path, ROOT) for path in chosen]
        # The lessons first: they take longest.
        notebooks = notebooks or sorted(course.glob("notebooks/**/*.ipynb"), key=lambda path: (len(path.parts), path))
        missing = [path.name for path in notebooks if not path.is_file()]
        if missing:
            raise CheckError(f"Not in the last commit, which is what is run: {', '.join(missing)}.")
        version = subprocess.check_output([python, "--version"], text=True).strip()
        commit = subprocess.check_output(["git", "-C", course, "rev-parse", "--short", "HEAD"], text=True).strip()
        print(f"commit {commit}, {version}, {', '.join(f'{name} {before[name]}' for name in SHOWN)}", flush=True)
        runs = [two.submit(check, path, folder, python, before) for path in notebooks]
        outcomes = []
        try:
            for run in as_completed(runs):
                one = run.result()
                outcomes.append(one)
                said = one.wrong or f"{one.cells} cells passed"
                print(f"{len(outcomes)}/{len(runs)} {one.name}: {said}, {one.seconds:.0f} s", flush=True)
                if one.wrong:
                    print(one.log, flush=True)
        finally:
            two.shutdown(cancel_futures=True)  # when broken off, those that wait do not begin
    return outcomes


def main(arguments: list[str] | None = None) -> int:
    """Run the notebooks named on the command line, or all; the exit status is 1 when one of them fails."""
    parser = argparse.ArgumentParser(description="Run the notebooks on other versions of the packages.")
    parser.add_argument("versions", choices=PYTHONS)
    parser.add_argument("notebooks", nargs="*", type=Path, help="notebooks to run (default: all)")
    options = parser.parse_args(arguments)
    environment = f".venv-{options.versions}"
    start = time.monotonic()
    try:
        base = find_python(PYTHONS[options.versions])
        if subprocess.run([base, ROOT / "tools" / "setup_venv.py", environment]).returncode:
            return 1  # it has said why
        outcomes = run_all(ROOT / environment / "bin" / "python", options.notebooks)
    except CheckError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Broken off.", file=sys.stderr)
        return 130
    failed = sorted(one.name for one in outcomes if one.wrong)
    passed, seconds = len(outcomes) - len(failed), time.monotonic() - start
    print(f"{environment}: {passed} of {len(outcomes)} notebooks passed, {seconds:.0f} s in all")
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
