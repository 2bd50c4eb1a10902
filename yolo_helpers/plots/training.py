"""A training: what it starts from, its curves, and what is found as it goes on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, ScalarFormatter

from yolo_helpers.anchors import Heads, anchor_iou, box_sizes
from yolo_helpers.annotations import Annotation
from yolo_helpers.images import open_image
from yolo_helpers.plots.common import COLOURS, GREY, MARKERS, plain

_NAMED = len(COLOURS)  # classes that get a colour


def show_anchors(
    annotations: Sequence[Annotation], class_names: Sequence[str], heads: Heads, ax: Axes | None = None
) -> Axes:
    """Width and height of every box on the network's input, and the anchors that are to fit them.

    The shade behind a box says which head's anchor fits it best.

    Args:
        annotations: photographs with their boxes.
        class_names: names of the classes, in order; of more than eight the most frequent eight are told apart.
        heads: of the network.
        ax: where to draw; a new figure when None.

    Returns:
        The axes.
    """
    ax = ax or plt.subplots(figsize=(7, 4.8), layout="constrained")[1]
    sizes = np.maximum(box_sizes(annotations, heads.input_shape), 1)  # a logarithm has no 0
    classes = np.concatenate([annotation.classes for annotation in annotations]).astype(int)
    counts = np.bincount(classes, minlength=len(class_names))
    named = np.sort(np.argsort(-counts, kind="stable")[:_NAMED])
    entries = []

    def dots(which, label, colour, marker):
        style = {"marker": marker, "color": colour, "markersize": 4, "markeredgewidth": 0, "linestyle": "none"}
        ax.plot(*sizes[which].T, alpha=0.5, gid=label, **style)
        entries.append(Line2D([], [], label=f"{label}: {which.sum():,}", **style))

    for number, c in enumerate(named):
        dots(classes == c, plain(class_names[c], str(c)), COLOURS[number], MARKERS[number % len(MARKERS)])
    if len(named) < len(class_names):
        dots(~np.isin(classes, named), f"{len(class_names) - len(named)} other classes", GREY, "P")

    anchors = heads.anchors
    fits_best = anchor_iou(sizes, anchors).argmax(1)
    used = np.isin(np.arange(len(anchors)), fits_best)
    heads_signs = zip(heads.strides, heads.anchor_mask, "PX*", ("dark", "pale", "white"), strict=False)
    for stride, mask, marker, ground in heads_signs:
        style = {"marker": marker, "markerfacecolor": "none", "linestyle": "none", "color": "black"}
        for which, width in ((used, 1.6), (~used, 0.7)):
            chosen = [anchor for anchor in mask if which[anchor]]
            halo = [withStroke(linewidth=width + 1.2, foreground="white")]
            of = {"markersize": 9, "markeredgewidth": width, "path_effects": halo, "gid": f"stride {stride}"}
            ax.plot(*anchors[chosen].T, zorder=4, **style, **of)
        label = f"anchors, stride {stride}, on {ground}: best fit of {np.isin(fits_best, mask).mean():.0%}"
        entries.append(Line2D([], [], label=label, markersize=9, markeredgewidth=1.6, **style))
    if not used.all():
        entries.append(Line2D([], [], linestyle="none", label=f"thin: fit no box best ({(~used).sum()})"))

    shown = np.concatenate([sizes, anchors])
    low, high = shown.min() / 1.4, shown.max() * 1.4
    side = np.geomspace(low, high, 150)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    of_head = np.zeros(len(anchors))
    for number, mask in enumerate(heads.anchor_mask):
        of_head[mask] = number
    shade = of_head[anchor_iou(grid, anchors).argmax(1)].reshape(len(side), -1)
    ax.pcolormesh(side, side, shade, cmap="Greys_r", vmin=-8, vmax=2, zorder=0, rasterized=True)
    ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    for axis, name in ((ax.xaxis, "width"), (ax.yaxis, "height")):
        axis.set_major_locator(FixedLocator(2.0 ** np.arange(0, 14)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(ScalarFormatter())
        axis.set_label_text(f"{name} on the input, pixels")
    ax.set_title("shade: the head whose anchor fits a box of this size best", fontsize=9)
    where = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5)}
    ax.legend(handles=entries, **where, fontsize=8, labelspacing=0.9, frameon=False)
    return ax


def show_frozen(body: keras.Model, new_layers: Sequence[keras.Layer] | None, ax: Axes | None = None) -> Axes:
    """Which convolutions of a body are taken over, and which are new and so alone in training while it is frozen.

    Each has a bar, from the image to the heads. What belongs to them, as batch normalisation does, is counted only.

    Args:
        body: image in, raw heads out.
        new_layers: those that no weights were loaded into; None where that is all of them.
        ax: where to draw; a new figure when None.

    Returns:
        The axes.
    """
    ax = ax or plt.subplots(figsize=(9, 2.6), layout="constrained")[1]
    new = set(map(id, body.layers if new_layers is None else new_layers))
    drawn = [layer for layer in body.layers if any(len(weight.shape) > 1 for weight in layer.weights)]
    sizes = np.array([layer.count_params() for layer in drawn])
    is_new = np.array([id(layer) in new for layer in drawn])
    total = body.count_params()
    of_new = sum(layer.count_params() for layer in body.layers if id(layer) in new)
    kinds = {
        "taken over": (~is_new, total - of_new, {"facecolor": COLOURS[5], "edgecolor": COLOURS[5]}),
        "new": (is_new, of_new, {"facecolor": "white", "edgecolor": COLOURS[0], "hatch": "//////"}),
    }
    for kind, (which, parameters, style) in kinds.items():
        ax.bar(np.flatnonzero(which), sizes[which], width=0.8, gid=kind, **style)
        ax.bar(0, 0, label=f"{kind}: {parameters:,} parameters", **style)  # in the legend also where there is no bar
    ax.set(yscale="log", xlim=(-1, len(drawn)), ylim=(sizes.min() / 2, sizes.max() * 2), ylabel="parameters")
    ax.set_xticks([0, len(drawn) - 1], ["image", "heads"])
    title = f"new: {is_new.sum()} of {len(drawn)} convolutions, {100 * of_new / total:.3g}% of the parameters"
    ax.set_title(title, fontsize=10)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize=8, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def show_progress(folder: str | Path, count: int = 4) -> list[Axes]:
    """What a training found as it went on: its pictures `found-0005.png` … beside each other.

    Args:
        folder: of the training.
        count: how many of them: the first, the last, and some between.

    Returns:
        The axes of each.

    Raises:
        ValueError: if the folder holds none.
    """
    paths = sorted(Path(folder).glob("found-*.png"))
    if not paths:
        raise ValueError(
            f"{folder} holds no found-0005.png or the like: give the folder of a training with validation photographs "
            "that has reached its first AP50."
        )
    chosen = np.unique(np.linspace(0, len(paths) - 1, count).round().astype(int))
    images = [np.asarray(open_image(paths[number])) for number in chosen]
    widths = [image.shape[1] for image in images]
    height, dpi = max(image.shape[0] for image in images), 100
    # Pixel for pixel, so that letters stay sharp.
    figure = plt.figure(figsize=(sum(widths) / dpi, height / dpi), dpi=dpi)
    axes = figure.subplots(1, len(images), width_ratios=widths, squeeze=False)[0].tolist()
    figure.subplots_adjust(0, 0, 1, 1, wspace=0)
    for ax, image in zip(axes, images, strict=True):
        ax.imshow(image)
        ax.set_axis_off()
    return axes


def show_history(history: Mapping[str, Sequence], figures: Sequence[str], ax: Axes | None = None) -> Axes:
    """Curves of a training, one line and marker for each figure; alone, those of an AP go from 0 to 1.

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
        marker = MARKERS[number % len(MARKERS)]
        ax.plot(*np.reshape(known, (-1, 2)).T, marker=marker, markersize=4, color=COLOURS[number], label=figure)
    epochs = max(1, *(len(history[figure]) for figure in figures))
    ax.set(xlabel="epoch", xlim=(0.5, epochs + 0.5))  # wide enough for the point of a single epoch
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if all("AP" in figure for figure in figures):
        ax.set_ylim(-0.02, 1.02)  # all that an average precision can be
    ax.legend(fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def show_memory(
    parts_by_name: Mapping[str, Mapping[str, int]],
    limit: int | None = None,
    measured: Mapping[str, int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Counted memory of some trainings, a bar each, part by part, beside what a device has and what was measured.

    Args:
        parts_by_name: name of a training -> what `count_memory` returned for it.
        limit: bytes that a device has; None for none.
        measured: name of a training -> bytes, where they are known.
        ax: where to draw; a new figure when None.

    Returns:
        The axes.
    """
    ax = ax or plt.subplots(figsize=(9, 1.4 + 0.45 * len(parts_by_name)), layout="constrained")[1]
    rows, left = np.arange(len(parts_by_name)), np.zeros(len(parts_by_name))
    for number, part in enumerate(dict.fromkeys(part for parts in parts_by_name.values() for part in parts)):
        width = np.array([parts.get(part, 0) for parts in parts_by_name.values()]) / 1e9
        hatch = ("", "////", "", "....", "", "xxxx")[number % 6]
        style = {"color": COLOURS[(1, 5, 2, 4, 3, 6)[number % 6]], "hatch": hatch, "edgecolor": "white"}
        ax.barh(rows, width, left=left, height=0.6, label=part, **style)
        left += width
    for row, (name, total) in enumerate(zip(parts_by_name, left, strict=True)):
        ax.annotate(
            f"{total:.{2 if total < 1 else 1}f}",
            (max(total, (measured or {}).get(name, 0) / 1e9), row),
            (8, 0),
            textcoords="offset points",
            fontsize=9,
            va="center",
        )
        if name in (measured or {}):
            style = {"marker": "D", "color": "black", "markeredgecolor": "white", "markersize": 8, "linestyle": "none"}
            ax.plot(measured[name] / 1e9, row, label="measured", zorder=3, **style)
    if limit is not None:
        ax.axvline(limit / 1e9, color=COLOURS[0], linestyle="--", linewidth=2, label=f"{limit / 1e9:.3g} GB")
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))  # "measured" once
    ax.legend(handles.values(), handles, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9, frameon=False)
    ax.set_yticks(rows, list(parts_by_name), fontsize=9)
    ax.set(xlabel="GB", xlim=(0, 1.08 * ax.get_xlim()[1]), ylim=(len(rows) - 0.5, -0.5))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def show_timeline(
    made: Mapping[int, tuple[float, float]], steps: Sequence[tuple[float, float]], ax: Axes | None = None
) -> Axes:
    """Draw when each batch was made and used: as many rows as were made at once, one for the device, its waits hatched.

    Args:
        made: number of a batch -> when its making began and ended, in seconds.
        steps: when the step on each batch began and ended, in order.
        ax: where to draw; a new figure when None.

    Returns:
        The axes; 0 is the moment when the first batch was begun.
    """
    ax = ax or plt.subplots(figsize=(9, 2), layout="constrained")[1]
    zero = free = min(start for start, _ in made.values())
    ends, bars = [], []  # of each worker's last batch; row, start, end, number, colour
    for index, (start, end) in sorted(made.items(), key=lambda item: item[1]):
        row = next((row for row, last in enumerate(ends) if last <= start), len(ends))
        ends[row : row + 1] = [end]
        bars.append((row, start, end, index, COLOURS[5]))
    names = [f"worker {number}" for number in range(1, len(ends) + 1)] + ["device"]
    bars += [(len(ends), *times, index, COLOURS[4]) for index, times in enumerate(steps)]
    for row, start, end, index, colour in bars:
        ax.barh(row, end - start, 0.8, start - zero, color=colour, edgecolor="black", linewidth=0.8)
        ax.text((start + end) / 2 - zero, row, index, ha="center", va="center", fontsize=9)
    for start, end in steps:
        ax.barh(len(ends), start - free, 0.8, free - zero, color="white", edgecolor=GREY, hatch="///", linewidth=0)
        free = end
    ax.set_yticks(range(len(names)), names, fontsize=9)
    ax.set(xlabel="seconds", ylim=(len(ends) + 0.5, -0.5))
    ax.margins(x=0.01)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
