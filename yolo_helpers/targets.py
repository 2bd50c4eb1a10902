"""Targets: boxes written into the grids that the loss compares with the network's outputs."""

import math
import warnings

import numpy as np

from yolo_helpers.anchors import (
    STRIDES,
    anchor_iou,
    default_anchor_mask,
    grid_shapes,
    objects_gathered,
)

SIDES = (1e-6, 1e6)  # pixels; beyond, the loss would not be a number
KINDS = ("y_true", "boxes")  # the grids of `preprocess_true_boxes`, or the boxes as they are


class TrueBoxError(ValueError):
    """Boxes that no slot can hold.

    Attributes:
        image: number of the image in the batch.
    """

    def __init__(self, image: int, problem: str):
        super().__init__(f"image {image}{problem}")
        self.image = image


def check_kind(targets: str) -> None:
    """Refuses a kind of targets that is none of KINDS.

    Args:
        targets: as the reader wrote it.

    Raises:
        ValueError: for another word.
    """
    if targets not in KINDS:
        raise ValueError(f"targets: expected {' or '.join(map(repr, KINDS))}, found {targets!r}.")


def preprocess_true_boxes(
    true_boxes: np.ndarray,
    input_shape: tuple[int, int],
    anchors: np.ndarray,
    num_classes: int,
    anchor_mask: list[list[int]] | None = None,
) -> list[np.ndarray]:
    """Writes every box into one slot: the head and anchor of its shape, the grid square of its centre.

    A slot holds (x, y, w, h, 1, one-hot class) with the centre and the size as fractions of the input.
    Where two boxes claim one slot, the later one in the list has it, wholly.

    Args:
        true_boxes: (B, T, 5), x_min, y_min, x_max, y_max in pixels of the network's input, and class;
            rows of zeros are padding and may stand anywhere.
        input_shape: (height, width) in pixels, multiples of 32.
        anchors: (A, 2), width and height in pixels of the input.
        num_classes: C; classes run from 0 to C - 1.
        anchor_mask: the anchors of each head, coarsest first; darknet's when None.

    Returns:
        One float32 array (B, h, w, 3, 5 + C) for each head, coarsest first.

    Raises:
        TrueBoxError: a ValueError, for a box without area, a centre outside the input, a class out of range, or an
            image with more objects than the loss takes (see `objects_gathered`).

    A box of 64 x 64 pixels in the middle of an input of 96 x 96 fits the first anchor of the head of stride 32 best:

    >>> anchors = [[64, 64], [8, 8], [8, 8]]
    >>> (y_true,) = preprocess_true_boxes([[[16, 16, 80, 80, 0]]], (96, 96), anchors, num_classes=1)
    >>> y_true.shape
    (1, 3, 3, 3, 6)
    >>> y_true[0, 1, 1, 0].round(2).tolist()
    [0.5, 0.5, 0.6700000166893005, 0.6700000166893005, 1.0, 1.0]
    """
    true_boxes = np.asarray(true_boxes, np.float32)
    check_true_boxes(true_boxes, input_shape, num_classes)
    anchors = np.asarray(anchors, np.float32).reshape(-1, 2)
    anchor_mask = default_anchor_mask(len(anchors)) if anchor_mask is None else anchor_mask
    owner = {anchor: [] for anchor in range(len(anchors))}
    for head, mask in enumerate(anchor_mask):
        for k, anchor in enumerate(mask):
            owner[anchor].append((head, k))

    grids = grid_shapes(input_shape, len(anchor_mask))
    y_true = [
        np.zeros((len(true_boxes), *grid, len(mask), 5 + num_classes), np.float32)
        for grid, mask in zip(grids, anchor_mask, strict=True)
    ]
    size = np.array(input_shape[::-1], np.float32)
    places = np.argwhere(true_boxes.any(-1))
    boxes = true_boxes[true_boxes.any(-1)]
    centres, extents, labels = (boxes[:, :2] + boxes[:, 2:4]) / 2, boxes[:, 2:4] - boxes[:, :2], boxes[:, 4].astype(int)
    anchor = anchor_iou(extents, anchors).argmax(1).tolist()
    homeless = []
    for (b, t), best, centre, extent, label in zip(places, anchor, centres, extents, labels, strict=True):
        if not owner[best]:
            homeless.append(f"image {b}, box {t}, whose anchor is {best}")
        for head, k in owner[best]:
            rows, columns = grids[head]
            # A centre on the right or bottom border still belongs to the last grid square.
            i = min(int(centre[0] / STRIDES[head]), columns - 1)
            j = min(int(centre[1] / STRIDES[head]), rows - 1)
            slot = y_true[head][b, j, i, k]
            slot[:] = 0
            slot[:2], slot[2:4], slot[4], slot[5 + label] = centre / size, extent / size, 1, 1
    if homeless:
        warnings.warn(
            f"{len(homeless)} of {len(boxes)} boxes are left out, since their anchor belongs to no head: {homeless[0]}"
            f"{' and more' if len(homeless) > 1 else ''}.",
            stacklevel=2,
        )
    for target, stride in zip(y_true, STRIDES, strict=False):
        _check_count(target[..., 4].sum((1, 2, 3)).astype(int), objects_gathered(math.prod(target.shape[1:4])), stride)
    return y_true


def check_true_boxes(true_boxes: np.ndarray, input_shape: tuple[int, int], num_classes: int) -> None:
    """Refuses boxes that no slot can hold.

    Args:
        true_boxes, input_shape, num_classes: as in `preprocess_true_boxes`.

    Raises:
        TrueBoxError: for a box without area, a centre outside the input, or a class out of range.
    """
    corners, label = true_boxes[..., :4].astype(np.float64), true_boxes[..., 4]
    size = np.array(input_shape[::-1], np.float32)
    with np.errstate(invalid="ignore"):  # an infinite box is refused, but its centre may be no number
        centre, extent = (corners[..., :2] + corners[..., 2:]) / 2, corners[..., 2:] - corners[..., :2]
        shapeless = ~np.isfinite(true_boxes).all(-1) | (extent < SIDES[0]).any(-1) | (extent > SIDES[1]).any(-1)
        outside = (centre < 0).any(-1) | (centre > size).any(-1)
        classless = (label != np.floor(label)) | (label < 0) | (label >= num_classes)
    for b, t in np.argwhere(true_boxes.any(-1) & (shapeless | outside | classless))[:1]:
        if shapeless[b, t]:
            problem = (
                f"expected x_min < x_max and y_min < y_max, {SIDES[0]:g} to {SIDES[1]:g} pixels apart, and a number as "
                f"class, found {true_boxes[b, t].tolist()}."
            )
        elif outside[b, t]:
            problem = f"the centre {centre[b, t].tolist()} lies outside the input of (w, h) {size.tolist()}."
        else:
            problem = f"expected a class from 0 to {num_classes - 1}, found {label[b, t]:g}."
        raise TrueBoxError(int(b), f", box {t}: {problem}")


def _check_count(counts, most, stride):
    for b in np.flatnonzero(counts > most):
        raise TrueBoxError(
            int(b),
            f" has {counts[b]} objects in the head of stride {stride}, which takes at most {most} at this input size: "
            "choose a larger input, or cut the photograph into parts.",
        )
