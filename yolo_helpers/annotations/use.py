"""What is done with annotations before a training: divided into parts, measured for anchors, written down."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo_helpers.annotations.record import Annotation
from yolo_helpers.boxes import letterbox
from yolo_helpers.files import write_text
from yolo_helpers.images import image_size


def split_annotations(
    annotations: Sequence[Annotation], fraction: float, seed: int
) -> tuple[list[Annotation], list[Annotation]]:
    """Two parts chosen at random, both in the order of `annotations`.

    Args:
        annotations: at least two.
        fraction: share of the second part, 0 to 1; it has at least one photograph, and leaves at least one.
        seed: for the choice.

    Raises:
        ValueError: if there are fewer than two annotations.
    """
    if len(annotations) < 2:
        raise ValueError(
            f"Two parts need at least two photographs, found {len(annotations)}: add some, or give those for "
            "validation apart (--validation)."
        )
    count = min(max(1, round(len(annotations) * fraction)), len(annotations) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(annotations))[:count].tolist())
    parts = [[a for i, a in enumerate(annotations) if (i in chosen) is second] for second in (False, True)]
    return parts[0], parts[1]


def box_sizes(annotations: Sequence[Annotation], input_shape: tuple[int, int]) -> np.ndarray:
    """Width and height of every box in pixels of the letterboxed input, (N, 2): what anchors are chosen for.

    Args:
        annotations: photographs with their boxes.
        input_shape: (height, width) of the network's input in pixels.
    """
    placed = [letterbox(image_size(a.image_path), input_shape).to_input(a.boxes) for a in annotations]
    boxes = np.concatenate(placed)
    return boxes[:, 2:] - boxes[:, :2]


def write_lines(path: Path, annotations: Sequence[Annotation]) -> None:
    """Writes annotations as keras-yolo3's lines, which `read_annotations` reads; whole or not at all.

    Args:
        path: the file, ending in .txt.
        annotations: photographs with their boxes; their paths are written from the root on.
    """
    lines = []
    for annotation in annotations:
        boxes = np.column_stack([annotation.boxes, annotation.classes]).tolist()
        fields = [",".join(f"{number:.9g}" for number in box) for box in boxes]  # nine digits give the same float32
        lines.append(" ".join([str(annotation.image_path.absolute()), *fields]))
    write_text(path, "\n".join(lines) + "\n")
