"""The frame of every check: what a check raises becomes "ok", "not done yet" or a hint, never a traceback.

A check is a function of the reader's answer, and of what else the task gives, decorated with `task`. Inside, `call`
runs the answer, and a `Hint` ends the check with a sentence for the reader, which names the input that fails.
"""

import functools
import re
import sys
from collections.abc import Callable


class NotDone(Exception):
    """The answer is still the stub."""


class Hint(Exception):
    """The answer is wrong; the message says for which input, and how."""


def task(check: Callable[..., None]) -> Callable[..., None]:
    """Turn a check that raises `NotDone` or `Hint` into one that prints the verdict."""

    @functools.wraps(check)
    def verdict(answer, *given) -> None:
        try:
            if answer is None:
                raise NotDone
            check(answer, *given)
        except NotDone as reason:
            print("not done yet", reason, sep=": " if str(reason) else "")
        except Hint as hint:
            print(f"hint: {hint}")
        except Exception as error:
            print(f"hint: your answer could not be checked: {in_words(error)}")
        else:
            print("ok")

    return verdict


def in_words(error: Exception) -> str:
    """Write the class and the beginning of the message of an error on one line."""
    words = " ".join(re.sub("\x1b\\[\\d+m", "", str(error)).split())  # Keras prints some in bold
    return f"{type(error).__name__}: {words if len(words) <= 200 else words[:200] + ' …'}"


def call(function: Callable, *arguments, given: str):
    """Run the reader's function.

    Args:
        function: the reader's answer.
        arguments: what to call it with.
        given: the arguments in words, for the hint.

    Returns:
        What the function returned.

    Raises:
        NotDone: it returned None.
        Hint: it is not a function, or raised an exception.
    """
    if not callable(function):
        raise Hint(f"expected a function, but the answer is of type {type(function).__name__}.")
    try:
        result = function(*arguments)
    except Exception as error:  # whatever the reader's code raises becomes a hint
        raise Hint(f"for {given} your function raised {in_words(error)}") from None
    if result is None:
        raise NotDone("the function returns None")
    return result


class TooManyRounds(Exception):
    """The reader's function goes round and round; the class's name stands in the hint."""


def bounded(function: Callable, why: str, steps: int = 100_000) -> Callable:
    """Return the reader's function with a limit: a loop without an end raises `TooManyRounds`.

    Args:
        function: the reader's answer.
        why: the likely cause, in a sentence.
        steps: lines of the function itself and calls from it, together.
    """
    if not callable(function):
        return function

    @functools.wraps(function)
    def limited(*arguments):
        left, own, before = steps, getattr(function, "__code__", None), sys.gettrace()

        def count(frame, event, value):
            nonlocal left
            left -= 1
            if left < 0:
                raise TooManyRounds(why)
            return count if frame.f_code is own else None

        sys.settrace(count)
        try:
            return function(*arguments)
        finally:
            sys.settrace(before)

    return limited
