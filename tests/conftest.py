"""What several test files use."""

import pytest


@pytest.fixture
def verdict(capsys):
    """Run a check on an answer and return what it prints."""

    def run(check, answer):
        check(answer)
        return capsys.readouterr().out.strip()

    return run
