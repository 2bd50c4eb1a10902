"""Diagnosis: short questions to a model and its data, each with an answer that can be printed.

gradients    which variables get no gradient from the compiled loss
not_finite   which photographs have a loss of inf or NaN, by file, and why
arrays       which arrays of a file of weights the model has taken
no_boxes     at which step a photograph loses its boxes
scaling      whether a loss, and the step of the weights, grow with the batch or with the replicas
"""

from yolo_helpers.diagnosis.arrays import compare_weights
from yolo_helpers.diagnosis.gradients import find_without_gradient
from yolo_helpers.diagnosis.no_boxes import why_no_boxes
from yolo_helpers.diagnosis.not_finite import find_not_finite
from yolo_helpers.diagnosis.scaling import find_scaling

__all__ = ["compare_weights", "find_not_finite", "find_scaling", "find_without_gradient", "why_no_boxes"]
