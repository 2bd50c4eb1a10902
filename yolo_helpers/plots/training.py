"""A training: what it starts from, its curves, and what is found as it goes on."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from yolo_helpers.plots.common import COLOURS


def show_history(history: Mapping[str, Sequence], figures: Sequence[str], ax: Axes | None = None) -> Axes:
    """Curves of a training, one line and marker for each figure.

    Args:
        history: figure -> one value an epoch, None where there is none.
        figures: which to draw.
        ax: where to draw; a new figure when None.

    Returns:
        The axes.
    """
    ax = ax or plt.subplots(figsize=(5, 3))[1]
    for number, figure in enumerate(figures):
        known = [(epoch, value) for epoch, value in enumerate(history[figure], start=1) if value is not None]
        marker = "osD^v*"[number % 6]
        ax.plot(*zip(*known, strict=True), marker=marker, markersize=4, color=COLOURS[number], label=figure)
    ax.set_xlabel("epoch")
    ax.legend(fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
