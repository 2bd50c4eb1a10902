"""Set up an environment: `.venv` with exactly the packages of requirements/course.txt, or one of those beside it.

`.venv-jax`, `.venv-site`, `.venv-browser` and `.venv-colab` have files of pins too. `.venv-oldest` and `.venv-newest`
have what pyproject.toml asks for, at its lower bounds or as new as the index has it. `.venv` and `.venv-jax` also hold
the package itself, as a pointer to this folder; where a notebook runs as on Colab, its set-up cell fetches the package.

Called by the Makefile, standard library only. The copy of the requirements inside the environment is the mark of a
finished installation. It is written last, so one that failed or was broken off is not taken for a good one, and a
change of the requirements leads to a new installation.
"""

import argparse
import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = (3, 11), (3, 13)
LOCKED = {
    ".venv": "course.txt",
    ".venv-jax": "jax.txt",
    ".venv-site": "site.txt",
    ".venv-browser": "browser.txt",
    ".venv-colab": "colab.txt",
}
ON_DISK = {
    ".venv": "2.5 GB",
    ".venv-jax": "0.7 GB",
    ".venv-site": "0.3 GB",
    ".venv-browser": "0.1 GB",
    ".venv-colab": "2.2 GB",
    ".venv-oldest": "2.4 GB",
    ".venv-newest": "2.4 GB",
}


class SetupError(Exception):
    """The environment could not be made; the message is one sentence for the reader."""


def requirements(root: Path, name: str) -> str:
    """Return what an environment shall have, as pip reads it from a file.

    Args:
        root: folder of the course.
        name: of the environment, `.venv` say.

    Returns:
        The lines of a requirements file.
    """
    if name in LOCKED:
        return (root / "requirements" / LOCKED[name]).read_text(encoding="utf-8")
    import tomllib  # here, so that a Python that is too old to have it is told so in main

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = "\n".join([*project["dependencies"], *project["optional-dependencies"]["lab"]])
    return bounds.replace(">=", "==") if name == ".venv-oldest" else bounds


def is_ready(root: Path, name: str) -> bool:
    """Say whether an environment was finished, for its present requirements, and its Python still runs.

    Args:
        root: folder of the course.
        name: of the environment, `.venv` say.

    Returns:
        True when nothing has to be installed.
    """
    mark = root / name / "installed-requirements.txt"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != requirements(root, name):
        return False
    python = root / name / "bin" / "python"
    return python.exists() and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def install(root: Path, name: str) -> None:
    """Make an environment anew and install its requirements into it; remove it again if that fails.

    Args:
        root: folder of the course.
        name: of the environment, `.venv` say.

    Raises:
        SetupError: the environment could not be made or the packages not be installed.
    """
    target = root / name
    finished = False
    try:
        _create(target)
        mark = target / "installed-requirements.txt"
        beside = mark.with_suffix(".part")
        beside.write_text(requirements(root, name), encoding="utf-8")
        # A file with hashes names every package, so pip need not ask what each of them wants.
        _pip_install(target, *(["--no-deps", "--require-hashes"] if name in LOCKED else []), "-r", beside)
        if name == ".venv":  # elsewhere Python finds it in the course's folder
            # With the setuptools that was just installed, so that nothing is fetched.
            _pip_install(target, "--no-deps", "--no-build-isolation", "--editable", root)
        os.replace(beside, mark)
        finished = True
    except OSError as error:
        raise SetupError(f"{name} could not be written ({error}): mend that, then run make again.") from error
    finally:
        if not finished:
            shutil.rmtree(target, ignore_errors=True)


def _create(target: Path) -> None:
    version = ".".join(map(str, sys.version_info[:2]))
    try:
        importlib.import_module("ensurepip")  # Debian leaves it out, and its venv then exits with a page of its own
        venv.EnvBuilder(clear=True, symlinks=True, with_pip=True).create(target)
    except (ImportError, subprocess.CalledProcessError) as error:
        raise SetupError(
            f"Python {version} ({sys.executable}) cannot make virtual environments ({error}): "
            f"install its venv part (Debian, Ubuntu: apt install python{version}-venv), then run make again."
        ) from error


def _pip_install(target: Path, *what: str | Path) -> None:
    command = [target / "bin" / "python", "-m", "pip", "install", "--no-user", "--disable-pip-version-check"]
    command += ["--no-input", *what]
    show = sys.stderr.isatty()
    packages, last_lines = 0, []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            for line in process.stdout:
                last_lines = [*last_lines, line.rstrip()][-200:]
                packages += line.startswith("Collecting ")
                text = "installing them" if line.startswith("Installing collected") else line.split(" (from")[0].strip()
                if show and text.startswith(("Collecting", "installing")):
                    print(f"\r\033[K  {target.name}, {packages} packages: {text}", end="", file=sys.stderr, flush=True)
        except BaseException:
            process.terminate()
            raise
    if show:
        print("\r\033[K", end="", file=sys.stderr)
    if process.returncode:
        why = next((line for line in reversed(last_lines) if line.startswith("ERROR:")), "no reason given")
        raise SetupError(
            f"The packages could not be installed (pip says: {why.removeprefix('ERROR: ')[:300]}): "
            "check the network connection and the free disk space, then run the same command again."
        )


def main() -> int:
    """Install what is missing; the exit status is 0 when the environment is ready."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        print("setup_venv.py needs Python 3.11, 3.12 or 3.13.", file=sys.stderr)
        return 1
    parser = argparse.ArgumentParser(description="Set up an environment of the course.")
    parser.add_argument("name", nargs="?", choices=ON_DISK, default=".venv")
    name = parser.parse_args().name
    if is_ready(ROOT, name):
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(
        f"Setting up {name} with Python {sys.version.split()[0]}: once, some minutes, about {ON_DISK[name]} on disk.",
        file=sys.stderr,
        flush=True,
    )
    try:
        install(ROOT, name)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Broken off; the unfinished {name} is removed.", file=sys.stderr)
        return 130
    print("The packages are installed.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(AttributeError):
        sys.stderr.reconfigure(errors="replace")
    sys.exit(main())
