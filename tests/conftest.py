"""What several test files use, and the order in which the files run."""

import contextlib
import os

import pytest

# XLA's own optimiser would take most of the time of the tests that compile; what they compare does not depend on it.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

with contextlib.suppress(ImportError):  # it is not there when JAX is tested
    import hypothesis

    # Two files at a time on a busy machine: how long an example takes says nothing.
    hypothesis.settings.register_profile("course", deadline=None)
    hypothesis.settings.load_profile("course")

# With two files at a time, one core would idle at the end behind a long file: these begin.
LONGEST = [
    "test_backends.py",
    "test_train_yours.py",
    "test_training.py",
    "test_bad_input.py",
    "test_loss.py",
    "test_darknet.py",
]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture
def says(capsys):
    """Run a check on an answer and assert its verdict: one line with all the words; "ok" stands alone.

    Tracing a network to run it once takes most of the time: with `traced=False` nothing is traced.
    """

    def run(check, answer, *words, traced=True):
        if traced:
            check(answer)
        else:
            import tensorflow as tf  # here, since it is not there when JAX is tested

            tf.config.run_functions_eagerly(True)
            try:
                check(answer)
            finally:
                tf.config.run_functions_eagerly(False)
        said = capsys.readouterr().out.strip()
        assert "\n" not in said and "Traceback" not in said
        assert said == "ok" if words == ("ok",) else all(part in said for part in words), said

    return run


@pytest.fixture
def eagerly():
    """Runs as plain Python what Keras would trace."""
    import tensorflow as tf  # here, since it is not there when JAX is tested

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
