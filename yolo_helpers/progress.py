"""Long work shows a sign of life: how many of how many, on one line of stderr."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
PATIENCE = 2.0  # seconds before the first sign: short work needs none


def progress(items: Sequence[Item], noun: str, slow: float = float("inf"), advice: str = "") -> Iterator[Item]:
    """Goes through items and says how far it is, once it has taken two seconds, and then four times a second.

    Args:
        items: anything with a length.
        noun: what they are, in the plural.
        slow: seconds for each from which on `advice` is given, once.
        advice: a sentence.

    Yields:
        The items.

    >>> sum(progress([1, 2, 3], "numbers"))
    6
    """
    begun, shown = time.monotonic(), 0.0
    for number, item in enumerate(items):
        now = time.monotonic()
        if now - begun > PATIENCE and now - shown > 0.25:
            if number and (now - begun) / number > slow and advice:
                print(f"each of the {noun} takes {(now - begun) / number:.1g} s: {advice}", file=sys.stderr)
                advice = ""
            left = round((now - begun) / max(number, 1) * (len(items) - number))
            print(f"\r{number} of {len(items)} {noun}, about {left} s left  ", end="", file=sys.stderr, flush=True)
            shown = now
        yield item
    if shown:
        print(f"\r{len(items)} of {len(items)} {noun}" + " " * 20, file=sys.stderr)
