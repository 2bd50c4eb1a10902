"""The check of a convolution read from darknet's weights."""

from collections.abc import Callable

import numpy as np

from yolo_helpers.checks.compare import likely, numbers, show
from yolo_helpers.checks.verdict import Hint, call, task

CASES = [  # words, filters, channels, size, normalised, numbers that follow
    ("4 filters of 3 x 3 over 2 channels, normalised", 4, 2, 3, True, 7),
    ("6 filters of 1 x 1 over 4 channels, with a bias", 6, 4, 1, False, 5),
    ("5 filters of 3 x 3 over 3 channels, normalised, at the end of the file", 5, 3, 3, True, 0),
]
PARTS = {True: ["kernel", "gamma", "beta", "mean", "variance"], False: ["kernel", "bias"]}


def keras_order(kernel: np.ndarray) -> np.ndarray:
    """Turn a kernel of darknet (out, in, height, width) into one of Keras (height, width, in, out)."""
    return kernel.transpose(2, 3, 1, 0)


def take_convolution(
    names: Callable = lambda normalised: ["beta", "gamma", "mean", "variance"] if normalised else ["bias"],
    turn: Callable = keras_order,
    kernel_first: bool = False,
) -> Callable:
    """Make an answer `take_convolution`; the defaults are right, each argument is a common mistake.

    Args:
        names: takes whether there is batch normalisation, returns the short arrays in the order of the file.
        turn: takes the kernel (out, in, height, width), returns that for Keras.
        kernel_first: whether the kernel is taken before the short arrays.
    """

    def answer(values, filters, channels, size, normalised):
        order = [(name, (filters,)) for name in names(normalised)]
        order.insert(0 if kernel_first else len(order), ("kernel", (filters, channels, size, size)))
        found, start = {}, 0
        for name, shape in order:
            end = start + int(np.prod(shape))
            found[name], start = values[start:end].reshape(shape), end
        found["kernel"] = turn(found["kernel"])
        return [found[name] for name in PARTS[normalised]], values[start:]

    return answer


def _reshaped(kernel: np.ndarray) -> np.ndarray:
    out, channels, size, _ = kernel.shape
    return kernel.reshape(size, size, channels, out)


MISTAKES = [
    (
        "The axes are to be moved (transpose); reshape alone leaves the numbers in darknet's order.",
        take_convolution(turn=_reshaped),
    ),
    (
        "Height and width are exchanged: darknet has (out, in, height, width).",
        take_convolution(turn=lambda kernel: kernel.transpose(3, 2, 1, 0)),
    ),
    (
        "Beta comes before gamma in the file.",
        take_convolution(lambda normalised: ["gamma", "beta", "mean", "variance"] if normalised else ["bias"]),
    ),
    (
        "The mean comes before the variance in the file.",
        take_convolution(lambda normalised: ["beta", "gamma", "variance", "mean"] if normalised else ["bias"]),
    ),
    ("The kernel comes last in the file.", take_convolution(kernel_first=True)),
]


def _given() -> list[tuple]:
    random = np.random.default_rng(4)
    cases = []
    for words, filters, channels, size, normalised, more in CASES:
        count = filters * ((4 if normalised else 1) + channels * size**2)
        values = random.normal(size=count + more).astype("float32").round(2)
        cases.append((f"{words},", (values, filters, channels, size, normalised)))
    return cases


@task
def check_take_convolution(function: Callable) -> None:
    """Check `take_convolution(numbers, filters, channels, size, normalised)`.

    Args:
        function: the reader's answer; takes (N,) float32, three sizes and whether the convolution has batch
            normalisation, returns a list of arrays as Keras has them, and the numbers that are left.
    """
    for given, (values, *sizes) in _given():
        result = call(function, values.copy(), *sizes, given=given)
        if not isinstance(result, tuple | list) or len(result) != 2 or not isinstance(result[0], tuple | list):
            raise Hint(f"for {given} expected two things, a list of arrays and the numbers that are left.")
        found, rest = result
        expected, left = take_convolution()(values, *sizes)
        names = PARTS[sizes[-1]]
        if len(found) != len(names):
            raise Hint(f"for {given} expected {len(names)} arrays, {', '.join(names)}; you return {len(found)}.")
        for part, (name, mine, right) in enumerate(zip(names, found, expected)):
            mine = numbers(mine)
            if mine is None or mine.shape != right.shape:
                shape = "no array" if mine is None else f"the shape {mine.shape}"
                raise Hint(f"for {given} {name} has {shape}; expected {right.shape}.")
            if not np.allclose(mine, right):
                wrong = [(words, lambda *a, w=w, p=part: w(*a)[0][p]) for words, w in MISTAKES]
                why = likely(mine, wrong, values, *sizes)
                raise Hint(
                    f"for {given} {name} begins {show(mine.ravel()[:3])}; {show(right.ravel()[:3])} is right.{why}"
                )
        rest = numbers(rest)
        if rest is None or rest.shape != left.shape or not np.allclose(rest, left):
            count = "none" if rest is None else rest.size
            raise Hint(f"for {given} {left.size} numbers follow, which are left; you return {count}.")
