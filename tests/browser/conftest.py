"""A JupyterLab and a headless Chromium for the tests of this folder; `make test-browser` runs them.

The tests run in `.venv-browser`, which has selenium. JupyterLab, as a reader would run it, comes from `.venv`, and the
site is the one that `make site` left in build/. All that a test leaves behind lies in temporary folders: neither the
course nor the user's own settings change.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
CHROMEDRIVER = shutil.which("chromedriver")
IS_ROOT = os.geteuid() == 0
# Nothing of what Chromium or JupyterLab ask of servers elsewhere is of use here.
CHROMIUM_OPTIONS = ["--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1280,1000"]
CHROMIUM_OPTIONS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
LAB_SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}


def pytest_configure():
    if CHROMIUM is None or CHROMEDRIVER is None:
        raise pytest.UsageError(
            "Chromium or its chromedriver was not found: install both (Debian: apt install chromium chromium-driver; "
            "Fedora: dnf install chromium chromedriver)."
        )
    if not PYTHON.exists():
        raise pytest.UsageError("The course's own environment is missing: run `make test-browser`, which sets it up.")
    # A run that is told to end still ends its server and its browser, as with Ctrl+C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def folder():
    """A temporary folder, gone after the run."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def browser(folder):
    """A Chromium with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in [*CHROMIUM_OPTIONS, f"--user-data-dir={folder / 'profile'}"]:
        options.add_argument(option)
    if IS_ROOT:  # Chromium's sandbox refuses root
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})  # what pages say in the console
    driver = webdriver.Chrome(options, Service(CHROMEDRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def course(folder):
    """A copy of the course without outputs: what a page shows then was made in this run."""
    root = folder / "a course, ü"
    for name in ("notebooks", "yolo_helpers", "data"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for path in root.glob("notebooks/**/*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        path.write_text(json.dumps(notebook), encoding="utf-8")
    return root


@dataclass
class Lab:
    """A running JupyterLab."""

    root: Path
    url: str
    token: str


@pytest.fixture(scope="session")
def lab(folder, course):
    """A JupyterLab that serves the copy of the course, as for a user who has never used one."""
    home = folder / "home"
    (home / "settings").mkdir(parents=True)
    (home / "settings" / "overrides.json").write_text(json.dumps(LAB_SETTINGS), encoding="utf-8")
    others = ("JUPYTER", "IPYTHON", "XDG_", "MPL", "KERAS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    environment |= {"HOME": str(home), "JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
    command = [PYTHON, "-m", "jupyter", "lab", "--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"]
    command += ["--ServerApp.root_dir=.", f"--LabApp.app_settings_dir={home / 'settings'}"]
    command.append("--LabApp.expose_app_in_browser=True")  # as `jupyterapp`, which test_lab.py asks about the kernel
    if IS_ROOT:
        command.append("--allow-root")
    with (home / "log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(
            command,
            cwd=course,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        # Where the server listens, and the token that it made up, stand in a file named after its process.
        listens = home / "runtime" / f"jpserver-{server.pid}.json"

        def has_started(_):
            return server.poll() is not None or (listens.exists() and listens.read_text().endswith("}"))

        try:
            WebDriverWait(None, 60).until(has_started)
            assert server.poll() is None, (home / "log").read_text(encoding="utf-8")
            info = json.loads(listens.read_text(encoding="utf-8"))
            yield Lab(course, f"http://127.0.0.1:{info['port']}", info["token"])
        finally:
            server.terminate()  # ends the kernels too
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
