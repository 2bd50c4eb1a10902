"""The tasks' checks, as the notebooks call them: each prints "ok", "not done yet", or a hint.

    lesson_00 to lesson_05  the tasks of the lesson of this number
    one_slot, loss_layer    more of lesson 03: a box's place and its terms; the Lambda and the repaired scalar
    suppression             more of lesson 04: non-maximum suppression

Of the further lessons, each named by its subject:

    weights_and_masks       missing labels; the loop that fit runs
    dictionaries            a model's keys; the wrong ones in a dictionary
    box_loss, box_targets   another box loss; boxes written into slots
    xla                     an ignore mask without a loop
    ways                    a train_step repaired
    fitted_anchors          anchors fitted to boxes
    darknet_file            a convolution read from darknet's weights
    causes                  the logs of six trainings
    preparation             a photograph as the network takes it
    threshold               a threshold of scores
    waiting                 the seconds of a step
    elsewhere               the hardest triplets of a batch
    learned_weights         a loss layer with weights of its own
    porting                 a generator; code in a file

`verdict` is the frame that makes the verdict; `compare` is what several of them use, `interval` a model for two.
"""

# ruff: noqa: F401 - the notebooks use what is imported here
from yolo_helpers.checks.box_loss import check_box_loss
from yolo_helpers.checks.box_targets import check_targets
from yolo_helpers.checks.causes import check_causes, training_logs
from yolo_helpers.checks.darknet_file import check_take_convolution
from yolo_helpers.checks.dictionaries import check_key_problems, check_output_keys
from yolo_helpers.checks.elsewhere import check_batch_hard
from yolo_helpers.checks.fitted_anchors import check_fit_anchors
from yolo_helpers.checks.learned_weights import check_weighted_terms
from yolo_helpers.checks.lesson_00 import (
    check_compile_today,
    check_own_target,
    check_training_shapes,
    check_without_labels,
)
from yolo_helpers.checks.lesson_01 import (
    check_loss_inside,
    check_mae,
    check_mape,
    check_slopes,
    check_with_zeros,
)
from yolo_helpers.checks.lesson_02 import (
    check_add_up,
    check_named_total,
    check_wired,
)
from yolo_helpers.checks.lesson_03 import check_logged_confidence
from yolo_helpers.checks.lesson_04 import check_freeze, check_precision_recall, check_small_share
from yolo_helpers.checks.lesson_05 import check_choice, check_compute_loss, check_short_forms
from yolo_helpers.checks.loss_layer import check_loss_layer, check_per_image
from yolo_helpers.checks.one_slot import check_place, check_slot_terms
from yolo_helpers.checks.porting import check_holds_code, check_modern
from yolo_helpers.checks.preparation import check_prepare
from yolo_helpers.checks.suppression import check_suppress
from yolo_helpers.checks.threshold import check_threshold
from yolo_helpers.checks.waiting import check_step_seconds
from yolo_helpers.checks.ways import check_train_step
from yolo_helpers.checks.weights_and_masks import check_fit_by_hand, check_labelled_mae
from yolo_helpers.checks.xla import check_mask
