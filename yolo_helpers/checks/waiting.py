"""The check of a step's time: who waits for whom, the device or the workers that make its batches."""

from collections.abc import Callable

from yolo_helpers.checks.compare import likely, one_number
from yolo_helpers.checks.verdict import Hint, call, task

STEP_CASES = [  # words, load, compute, workers, cores
    ("one worker, slower than the step", 0.12, 0.05, 1, 2),
    ("one worker, faster than the step", 0.02, 0.3, 1, 2),
    ("two workers on two cores", 0.12, 0.05, 2, 2),
    ("two workers, faster than the step", 0.1, 0.08, 2, 2),
    ("four workers on two cores", 0.2, 0.03, 4, 2),
    ("two workers on eight cores", 0.1, 0.01, 2, 8),
    ("enough workers on enough cores", 0.2, 0.06, 4, 8),
]


def step_seconds(
    running: Callable[[int, int], int] = min,
    pace: Callable[[float, float], float] = max,
    shared: Callable[[float, float, int], tuple[float, float]] = lambda load, compute, n: (load / n, compute),
) -> Callable:
    """Make an answer `step_seconds`; the defaults are right, each argument is a common mistake.

    Args:
        running: takes the workers and the cores, returns how many batches are made at once.
        pace: takes the seconds of loading and of computing, returns those of a step.
        shared: takes both and that number, returns the seconds of loading and of computing.
    """
    return lambda load, compute, workers, cores: pace(*shared(load, compute, running(workers, cores)))


STEP_MISTAKES = [
    ("No more workers run at once than there are cores.", step_seconds(lambda workers, cores: workers)),
    ("Idle cores load nothing: only the workers do.", step_seconds(lambda workers, cores: cores)),
    ("Batches are made while a step runs, so the two times do not add up.", step_seconds(pace=lambda a, b: a + b)),
    ("Workers share the loading, not the computing.", step_seconds(shared=lambda a, b, n: (a / n, b / n))),
    ("The slower of the two sets the pace, not the faster.", step_seconds(pace=min)),
    ("Several workers share the loading.", step_seconds(shared=lambda a, b, n: (a, b))),
    ("Several workers make the loading shorter, not longer.", step_seconds(shared=lambda a, b, n: (a * n, b))),
]


@task
def check_step_seconds(function: Callable) -> None:
    """Check `step_seconds(load, compute, workers, cores)`.

    Args:
        function: the reader's answer; returns the seconds from one step to the next.
    """
    for words, *case in STEP_CASES:
        given = "{}, load {}, compute {}, workers {}, cores {},".format(words, *case)
        found, expected = one_number(call(function, *case, given=given), given), step_seconds()(*case)
        if abs(found - expected) > 1e-6:
            why = likely(found, STEP_MISTAKES, *case)
            raise Hint(f"for {given} you return {found:.4g}; expected {expected:.4g}.{why}")
