"""Answers and their verdicts, as the tests of the checks give them to parametrize."""


def answers(*rows: tuple) -> list[tuple]:
    """Split rows into the answer and the words that its verdict must hold.

    Args:
        rows: an answer, then one word or more.
    """
    return [(answer, words) for answer, *words in rows]
