"""The tasks' checks, as the notebooks call them: each prints "ok", "not done yet", or a hint.

The tasks of lesson 03 are checked in `lesson_03`; where that file would be too long, another one takes some of them, as
`lesson_03_4` does. `verdict` is the frame that makes the verdict; `compare` is what several lessons use.
"""

# ruff: noqa: F401 - the notebooks use what is imported here
from yolo_helpers.checks.lesson_00 import (
    check_compile_today,
    check_modern,
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
from yolo_helpers.checks.lesson_03_1 import check_place, check_slot_terms
from yolo_helpers.checks.lesson_03_2 import check_loss_layer, check_per_image
from yolo_helpers.checks.lesson_03_4 import check_box_loss
from yolo_helpers.checks.lesson_04_1 import check_iou, check_judge
from yolo_helpers.checks.lesson_04_2 import check_fit_anchors
from yolo_helpers.checks.lesson_04_3 import check_causes, training_logs
from yolo_helpers.checks.lesson_04_4 import check_threshold
from yolo_helpers.checks.lesson_05 import (
    check_choice,
    check_compute_loss,
    check_endpoint,
    check_short_forms,
    check_train_step,
)
from yolo_helpers.checks.lesson_06 import check_batch_hard, check_center_layer, check_ctc_loss
from yolo_helpers.checks.lesson_07 import check_holds_code, check_pair_up, check_ported_loss
