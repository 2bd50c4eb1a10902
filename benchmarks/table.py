"""The form that all timings are printed in: ours, the yardstick, the ratio, the floor; and the machine, in words."""

import argparse
import importlib.metadata
import inspect
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PACKAGES = ("tensorflow", "keras", "jax", "torch", "numpy", "pillow")


@dataclass(frozen=True)
class Row:
    """One line: what was measured side by side in one run, sample by sample.

    Attributes:
        what: in words.
        unit: "ms", of which fewer are better, or "images/s", of which more are.
        ours: samples.
        yardstick: samples of what it is set against.
        floor: samples of the least (or the most) that could be had, or None.
    """

    what: str
    unit: str
    ours: np.ndarray
    yardstick: np.ndarray
    floor: np.ndarray | None = None

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        ratio = np.median(self.yardstick) / np.median(self.ours)
        return float(ratio if self.unit == "ms" else 1 / ratio)

    def cells(self) -> list[str]:
        """The line's cells, as text."""
        return [
            self.what,
            spread(self.ours),
            self.unit,
            spread(self.yardstick),
            f"{self.ratio:.2f}",
            spread(self.floor),
        ]


def spread(samples: np.ndarray | None) -> str:
    """Median (least to most), with three digits at least."""
    if samples is None:
        return ""
    digits = 0 if np.median(samples) >= 100 else 1
    return f"{np.median(samples):.{digits}f} ({np.min(samples):.{digits}f} to {np.max(samples):.{digits}f})"


def machine() -> str:
    """The machine and the versions, in one line."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), processor)
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return (
        f"{processor}, {platform.machine()}, {os.cpu_count()} cores, {platform.system()}; "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def head() -> str:
    """The machine, and the first two lines of the table."""
    return (
        f"{machine()}; median (least to most)\n\n"
        "| | ours | unit | yardstick | ratio | floor |\n| --- | --- | --- | --- | --- | --- |"
    )


def show(rows: Iterable[Row]) -> list[list[str]]:
    """Prints the lines as they are measured, and returns their cells."""
    shown = []
    for row in rows:
        shown.append(row.cells())
        print(f"| {' | '.join(shown[-1])} |", flush=True)
    return shown


def run(measure: Callable[..., Iterable[Row]], description: str, **choices: Iterable[str]) -> None:
    """The command line of a script: an option for each argument of `measure`, and the table of what it measures.

    Args:
        measure: returns the lines; its arguments have defaults.
        description: the script's docstring.
        choices: of an argument, what it may be.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, argument in inspect.signature(measure).parameters.items():
        settings = {"type": type(argument.default), "default": argument.default, "choices": choices.get(name)}
        parser.add_argument(f"--{name}", help="(default: %(default)s)", **settings)
    options = parser.parse_args()
    print(head())
    show(measure(**vars(options)))
