"""What several test files use, and the order in which the files run."""

import os

import pytest

# XLA's own optimiser would take most of the time of the tests that compile; what they compare does not depend on it.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# With two files at a time, one core would idle at the end behind a long file: these begin.
LONGEST = ["test_training.py", "test_interruption.py", "test_progress.py", "test_backends.py", "test_setup.py"]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture
def verdict(capsys):
    """Run a check on an answer and return what it prints."""

    def run(check, answer):
        check(answer)
        return capsys.readouterr().out.strip()

    return run
