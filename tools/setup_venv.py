"""Set up `.venv` with exactly the packages of requirements.txt; called by the Makefile, standard library only.

The copy of requirements.txt inside `.venv` is the mark of a finished installation. It is written last, so one that
failed or was broken off is not taken for a good one, and a change of requirements.txt leads to a new installation.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = (3, 11), (3, 13)


class SetupError(Exception):
    """The environment could not be made; the message is one sentence for the reader."""


def is_ready(root: Path) -> bool:
    """Say whether `.venv` was finished, for the present requirements.txt, and its Python still runs.

    Args:
        root: folder of the course.

    Returns:
        True when nothing has to be installed.
    """
    mark = root / ".venv" / "installed-requirements.txt"
    if not mark.is_file() or mark.read_bytes() != (root / "requirements.txt").read_bytes():
        return False
    python = root / ".venv" / "bin" / "python"
    return python.exists() and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def install(root: Path) -> None:
    """Make `.venv` anew and install requirements.txt into it; remove it again if that fails.

    Args:
        root: folder of the course.

    Raises:
        SetupError: the environment could not be made or the packages not be installed.
    """
    target = root / ".venv"
    finished = False
    try:
        _create(target)
        _pip_install(root)
        mark = target / "installed-requirements.txt"
        beside = mark.with_suffix(".part")
        beside.write_bytes((root / "requirements.txt").read_bytes())
        os.replace(beside, mark)
        finished = True
    except OSError as error:
        raise SetupError(f"The folder .venv could not be written ({error}): mend that, then run make again.") from error
    finally:
        if not finished:
            shutil.rmtree(target, ignore_errors=True)


def _create(target: Path) -> None:
    version = ".".join(map(str, sys.version_info[:2]))
    try:
        venv.EnvBuilder(clear=True, symlinks=True, with_pip=True).create(target)
    except (ImportError, subprocess.CalledProcessError) as error:
        raise SetupError(
            f"Python {version} ({sys.executable}) cannot make virtual environments ({error}): "
            f"install its venv part (Debian, Ubuntu: apt install python{version}-venv), then run make again."
        ) from error


def _pip_install(root: Path) -> None:
    command = [root / ".venv" / "bin" / "python", "-m", "pip", "install", "--no-user", "--disable-pip-version-check"]
    command += ["--no-input", "--require-hashes", "-r", "requirements.txt"]
    show = sys.stderr.isatty()
    packages, last_lines = 0, []
    with subprocess.Popen(
        command,
        cwd=root,
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
                    print(f"\r\033[K  {packages} packages: {text}", end="", file=sys.stderr, flush=True)
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
    """Install what is missing; the exit status is 0 when `.venv` is ready."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        print("setup_venv.py needs Python 3.11, 3.12 or 3.13.", file=sys.stderr)
        return 1
    if is_ready(ROOT):
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(
        f"Setting up .venv with Python {sys.version.split()[0]}: once, some minutes, about 2.5 GB on disk.",
        file=sys.stderr,
        flush=True,
    )
    try:
        install(ROOT)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Broken off; the unfinished .venv is removed.", file=sys.stderr)
        return 130
    print("The packages are installed.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(AttributeError):
        sys.stderr.reconfigure(errors="replace")
    sys.exit(main())
