"""The picture of the whole course: the training graph and the inference graph, and one batch going through them."""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from yolo_helpers.plots import COLOURS, GREY, TINT


class Node(NamedTuple):
    """A box of a graph: the step in which a batch reaches it, its column, its row from the top, its two lines."""

    step: int
    column: float
    row: float
    name: str
    detail: str


def _up_to_heads(row: float) -> dict[str, Node]:
    """What both graphs share, with the body in this row."""
    return {
        "image": Node(0, 0, row, "image", "(B, h, w, 3)"),
        "scale": Node(1, 1, row, "scale", "pixels / 255"),
        "body": Node(1, 2, row, "body", "(shared)"),
        "head_0": Node(1, 3, row - 1, "head 0", "stride 32"),
        "head_1": Node(1, 3, row, "head 1", "stride 16"),
        "head_2": Node(1, 3, row + 1, "head 2", "stride 8"),
    }


# The inputs stand in column 0. The optimiser stands above all heads, so that its arrow back to the body is free.
_NODES = {
    "training": _up_to_heads(2)
    | {
        "y_true_0": Node(0, 0, 4, "y_true_0", "labels"),
        "y_true_1": Node(0, 0, 5, "y_true_1", "labels"),
        "y_true_2": Node(0, 0, 6, "y_true_2", "labels"),
        "yolo_loss": Node(2, 4.2, 3.5, "yolo_loss", "(B, 1)"),
        "identity": Node(3, 5.2, 3.5, "identity", "the lambda"),
        "target": Node(3, 5.2, 5.5, "target", "zeros"),
        "mean": Node(4, 6.2, 3.5, "mean", "over B"),
        "l2": Node(4, 7.2, 5.5, "L2", "of weights"),
        "total": Node(4, 7.2, 3.5, "total", "one number"),
        "optimiser": Node(5, 7.2, 0, "optimiser", "Adam"),
    },
    "inference": _up_to_heads(1)
    | {
        "yolo_eval": Node(2, 4.2, 1, "yolo_eval", "best boxes"),
        "boxes": Node(2, 5.2, 1, "boxes", "score, class"),
    },
}
_ARROWS = {
    "training": "image scale, scale body, body head_0, body head_1, body head_2, head_0 yolo_loss, head_1 yolo_loss, "
    "head_2 yolo_loss, y_true_0 yolo_loss, y_true_1 yolo_loss, y_true_2 yolo_loss, yolo_loss identity, "
    "target identity, identity mean, mean total, l2 total, total optimiser, optimiser body",
    "inference": "image scale, scale body, body head_0, body head_1, body head_2, head_0 yolo_eval, "
    "head_1 yolo_eval, head_2 yolo_eval, yolo_eval boxes",
}
# A batch of eight pictures of 96 x 128 pixels, and three classes: 3 x (5 + 3) = 24 channels.
_CAPTIONS = {
    "training": (
        "a batch of 8: images (8, 96, 128, 3) and their labels",
        "the body makes three heads: (8, 3, 4, 24), (8, 6, 8, 24), (8, 12, 16, 24)",
        "yolo_loss joins heads and labels: one loss per image, (8, 1)",
        "the identity hands the eight numbers on; the zeros are not used",
        "Keras takes the mean and adds the L2 penalty: the total, ()",
        "the optimiser changes the body's weights",
    ),
    "inference": (
        "one image, (1, 96, 128, 3), and no labels",
        "the body makes three heads: (1, 3, 4, 24), (1, 6, 8, 24), (1, 12, 16, 24)",
        "yolo_eval turns them into N boxes (N, 4), scores (N,), classes (N,)",
    ),
}
GRAPH_STEPS: dict[str, int] = {kind: len(captions) for kind, captions in _CAPTIONS.items()}

_WIDTH, _HEIGHT = 0.86, 0.74  # of a box, in columns and rows
_FRAME = (0.04, 0.07)  # how far outside the box the body's second line runs
_MARK = COLOURS[4]
_PALE = 0.35  # the alpha of what the batch has not reached


def show_graph(
    kind: str = "training", mark: Sequence[str] = (), step: int | None = None, ax: Axes | None = None, title: str = ""
) -> Axes:
    """The training graph or the inference graph: a box for each part, an arrow for what goes from one to the next.

    Inputs have square corners. The body, which both graphs share, has a double line. The target, which the identity
    does not look at, is grey and its arrow crossed out.

    Args:
        kind: 'training' or 'inference'.
        mark: names of boxes to draw orange, with a thick line and in bold, such as ('yolo_loss', 'y_true_0').
        step: how far a batch has come, from 0 to below GRAPH_STEPS[kind]: what it reaches in this step is marked, what
            it reaches later is pale, and a line below says what happens. The whole graph when None.
        ax: where to draw; a new figure when None.
        title: above the picture.

    Returns:
        The axes. Box and arrow carry their names as gid: 'body' and 'body head_0'.

    Raises:
        ValueError: for another kind or step, or a name to mark that the graph does not have.
    """
    nodes = _nodes(kind)
    unknown = set(mark) - set(nodes)
    if unknown:
        raise ValueError(f"The {kind} graph has no box {sorted(unknown)} to mark; it has {list(nodes)}.")
    if step is not None and step not in range(GRAPH_STEPS[kind]):
        raise ValueError(f"The {kind} graph has steps 0 to {GRAPH_STEPS[kind] - 1}, found {step!r}.")
    if ax is None:
        columns, rows = _extent(kind, step)
        ax = plt.subplots(figsize=(1.2 * columns, 0.55 * rows + 0.3), layout="constrained")[1]
    ax.set_title(title, fontsize=9)
    _draw(ax, kind, mark, step)
    return ax


def show_graph_steps(kind: str = "training") -> Figure:
    """All steps of a batch through a graph at once, two beside each other, for pages that cannot run a slider.

    Args:
        kind: 'training' or 'inference'.

    Returns:
        The figure.

    Raises:
        ValueError: for another kind.
    """
    rows = _extent(kind, step=0)[1]
    pairs = -(-GRAPH_STEPS[kind] // 2)
    figure = plt.figure(figsize=(11, (0.32 * rows + 0.1) * pairs), layout="constrained")
    axes = figure.subplots(pairs, 2).ravel()
    for ax in axes:
        ax.set_axis_off()
    for step, ax in zip(range(GRAPH_STEPS[kind]), axes, strict=False):
        _draw(ax, kind, (), step, small=True)
    return figure


def _nodes(kind: str) -> dict[str, Node]:
    """The boxes of a graph by their names, where there is such a kind."""
    if kind not in _NODES:
        raise ValueError(f"Expected the kind of graph to be one of {list(_NODES)}, found {kind!r}.")
    return _NODES[kind]


def _extent(kind: str, step: int | None) -> tuple[float, float]:
    """Columns and rows, with one for the caption of a step."""
    nodes = _nodes(kind).values()
    return 1 + max(node.column for node in nodes), 1 + max(node.row for node in nodes) + (step is not None)


def _draw(ax, kind, mark, step, small=False):
    nodes = _nodes(kind)
    columns, rows = _extent(kind, step)
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    ax.set_axis_off()
    size = 7.5 if small else 10

    for name, node in nodes.items():
        now = node.step == step and name != "target"  # which takes no part in any step
        alpha = _PALE if step is not None and node.step > step else 1
        _draw_box(ax, name, node, now or name in mark, alpha, size, small)
    for arrow in _ARROWS[kind].split(", "):
        start, end = arrow.split()
        reached = max(nodes[start].step, nodes[end].step)
        colour, line = (GREY, 0.8) if start == "target" else (_MARK, 2) if reached == step else ("black", 0.8)
        alpha = _PALE if step is not None and reached > step else 1
        tail, head, bend = _ends(nodes[start], nodes[end])
        style = {"arrowstyle": "-|>", "color": colour, "alpha": alpha, "linewidth": line, "connectionstyle": bend}
        ax.annotate("", head, tail, arrowprops=style | {"shrinkA": 2, "shrinkB": 1}, gid=arrow)
        if start == "target":
            middle = (tail[0], (tail[1] + head[1]) / 2)
            ax.plot(*middle, "x", color=GREY, alpha=alpha, markersize=size, markeredgewidth=2, gid="not used")
    if step is not None:
        caption = f"step {step}: {_CAPTIONS[kind][step]}"
        ax.text((columns - 1) / 2, rows - 1, caption, fontsize=size + 0.5, ha="center", va="center", gid="caption")


def _draw_box(ax, name, node, marked, alpha, size, small):
    line = GREY if name == "target" and not marked else "black"
    corners = "square" if node.column == 0 or name == "target" else "round"
    corner = (node.column - _WIDTH / 2, node.row - _HEIGHT / 2)
    box = FancyBboxPatch(
        (corner[0] + 0.05, corner[1] + 0.05),
        _WIDTH - 0.1,
        _HEIGHT - 0.1,
        boxstyle=f"{corners},pad=0.05",
        facecolor=_MARK if marked else TINT if name == "body" else "white",
        edgecolor=line,
        linewidth=2.5 if marked else 1,
        alpha=alpha,
        gid=name,
    )
    ax.add_patch(box)
    if name == "body":
        outer = (corner[0] - _FRAME[0], corner[1] - _FRAME[1])
        size_of_frame = (_WIDTH + 2 * _FRAME[0], _HEIGHT + 2 * _FRAME[1])
        ax.add_patch(Rectangle(outer, *size_of_frame, fill=False, edgecolor=line, alpha=alpha))
    text = node.name if small else f"{node.name}\n{node.detail}"
    style = {"fontsize": size, "color": line, "weight": "bold" if marked and not small else "normal", "alpha": alpha}
    # The tail of an underscore must not strike through the line below it.
    ax.text(node.column, node.row, text, ha="center", va="center", linespacing=1.4, **style)


def _ends(start: Node, end: Node) -> tuple[tuple[float, float], tuple[float, float], str]:
    """Where an arrow begins and ends, and Matplotlib's word for its bend, if it has one."""
    (from_side, from_top), (to_side, to_top) = _half(start), _half(end)
    if start.column < end.column:
        return (start.column + from_side, start.row), (end.column - to_side, end.row), "arc3"
    if start.column == end.column:
        return (start.column, start.row - from_top), (end.column, end.row + to_top), "arc3"
    return (start.column - from_side, start.row), (end.column, end.row - to_top), "angle,angleA=0,angleB=90"


def _half(node: Node) -> tuple[float, float]:
    """Half the width and half the height of a box, with the body's second line."""
    framed = node.name == "body"
    return _WIDTH / 2 + framed * _FRAME[0], _HEIGHT / 2 + framed * _FRAME[1]
