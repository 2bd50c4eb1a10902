"""How long a reader waits for the first epoch of lesson 00, in several checkouts of the course, in turns.

    git worktree add --detach ../before COMMIT
    python -m benchmarks.first_epoch ../before . --turns 5

Each turn starts a fresh process for each checkout, since TensorFlow keeps what it has built, and executes the lesson
code cells up to the first `fit`. What is said beside it: the cell that makes the model, the cell that compiles it, and
the cell of the first epoch, whose first step is nearly all graph building. Seconds of the clock, and of the processor,
which vary less where the machine has other work.
"""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

PARTS = {"model": "create_model(", "compile": "model.compile(", "first epoch": "model.fit("}


def run_lesson(notebook: Path) -> dict[str, tuple[float, float]]:
    """Seconds of the clock and of the processor for each part, in this process.

    Args:
        notebook: the lesson, in its checkout.
    """
    os.chdir(notebook.parent)
    seconds, space = {}, {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        part = next((name for name, words in PARTS.items() if words in source and name not in seconds), None)
        begun = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, str(notebook), "exec"), space)  # the course's own cells
        if part:
            seconds[part] = time.perf_counter() - begun[0], time.process_time() - begun[1]
        if len(seconds) == len(PARTS):
            return seconds
    raise SystemExit(f"{notebook}: no code cell holds {set(PARTS.values()) - set(seconds)}.")


def in_a_fresh_process(checkout: Path) -> dict[str, tuple[float, float]]:
    """`run_lesson`, where nothing is built yet and no other checkout was imported."""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "Agg"}
    notebook = checkout.resolve() / "notebooks" / "00_start_here.ipynb"
    run = subprocess.run(
        [sys.executable, Path(__file__).resolve(), "--one", notebook],
        cwd=notebook.parent,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(run.stdout.splitlines()[-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="*", type=Path, help="folders of the course")
    parser.add_argument("--turns", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(run_lesson(options.one)))
        sys.exit()
    from benchmarks.table import machine, spread

    turns = [[in_a_fresh_process(checkout) for checkout in options.checkouts] for _ in range(options.turns)]
    print(f"{machine()}; seconds of the clock, and of the processor; median (least to most)\n")
    print(f"| | {' | '.join(f'{part} | processor' for part in PARTS)} |\n|{' --- |' * (1 + 2 * len(PARTS))}")
    for checkout, samples in zip(options.checkouts, zip(*turns, strict=True), strict=True):
        cells = [spread([sample[part][kind] for sample in samples]) for part in PARTS for kind in (0, 1)]
        print(f"| {checkout} | {' | '.join(cells)} |")
