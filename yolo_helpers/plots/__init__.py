"""Pictures: boxes on photographs, targets on their grids, the curves of a training and what a detector gets wrong.

    photographs   photographs and their boxes
    loss          targets, ignored slots, one slot with its terms, two replicas
    training      what a training starts from, its curves, what it finds as it goes on
    judged        what a detector finds: right, wrong and missed

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; a box also carries its name, if there
is room.
"""

from yolo_helpers.plots.common import COLOURS, GREY, TINT
from yolo_helpers.plots.judged import (
    save_verdicts,
    show_mistakes,
    show_threshold,
    show_verdicts,
)
from yolo_helpers.plots.loss import show_grid, show_overlap, show_replicas, show_slot
from yolo_helpers.plots.photographs import save_boxes, save_photographs, show_boxes, show_photographs
from yolo_helpers.plots.training import (
    show_anchors,
    show_frozen,
    show_history,
    show_memory,
    show_progress,
    show_timeline,
)

__all__ = [
    "COLOURS",
    "GREY",
    "TINT",
    "save_boxes",
    "save_photographs",
    "save_verdicts",
    "show_anchors",
    "show_boxes",
    "show_frozen",
    "show_grid",
    "show_history",
    "show_memory",
    "show_mistakes",
    "show_overlap",
    "show_photographs",
    "show_progress",
    "show_replicas",
    "show_slot",
    "show_threshold",
    "show_timeline",
    "show_verdicts",
]
