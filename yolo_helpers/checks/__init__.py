"""The tasks' checks, as the notebooks call them: each prints "ok", "not done yet", or a hint.

    lesson_00 to lesson_07  the tasks of the lesson of this number, and of the further ones, such as 01b
    one_slot, loss_layer    more of lesson 03: a box's place and its terms; the Lambda and the repaired scalar
    suppression             more of lesson 04: non-maximum suppression
    box_loss                of 03c: another box loss
    fitted_anchors          of 04a
    judging, threshold      of 04c: IoU, precision, recall and AP; a threshold of scores
    elsewhere               of elsewhere_ctc_triplets_centers: the hardest triplets of a batch
    causes                  of 04d: the logs of six trainings

`verdict` is the frame that makes the verdict; `compare` is what several of them use.
"""

# ruff: noqa: F401 - the notebooks use what is imported here
from yolo_helpers.checks.box_loss import check_box_loss
from yolo_helpers.checks.causes import check_causes, training_logs
from yolo_helpers.checks.elsewhere import check_batch_hard
from yolo_helpers.checks.fitted_anchors import check_fit_anchors
from yolo_helpers.checks.judging import check_iou, check_judge
from yolo_helpers.checks.lesson_00 import (
    check_compile_today,
    check_own_target,
    check_training_shapes,
    check_without_labels,
)
from yolo_helpers.checks.lesson_01 import (
    check_fit_by_hand,
    check_labelled_mae,
    check_loss_inside,
    check_mae,
    check_mape,
    check_msle,
    check_slopes,
    check_with_zeros,
)
from yolo_helpers.checks.lesson_02 import (
    check_add_up,
    check_key_problems,
    check_named_total,
    check_output_keys,
    check_training_model,
    check_wired,
)
from yolo_helpers.checks.lesson_03 import check_logged_confidence, check_targets, check_wh_term
from yolo_helpers.checks.lesson_04 import check_freeze, check_precision_recall, check_small_share
from yolo_helpers.checks.lesson_05 import (
    check_choice,
    check_compute_loss,
    check_endpoint,
    check_short_forms,
    check_train_step,
)
from yolo_helpers.checks.lesson_07 import check_holds_code, check_modern, check_pair_up, check_ported_loss
from yolo_helpers.checks.loss_layer import check_loss_layer, check_per_image
from yolo_helpers.checks.one_slot import check_place, check_slot_terms
from yolo_helpers.checks.suppression import check_suppress
from yolo_helpers.checks.threshold import check_threshold
