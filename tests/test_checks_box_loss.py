"""The check of another box loss, tried with right answers and with wrong ones that people really give."""

import keras
import numpy as np
import pytest
from keras import ops
from verdicts import answers

from yolo_helpers import checks
from yolo_helpers.anchors import default_anchor_mask
from yolo_helpers.loss import yolo_loss, yolo_loss_terms
from yolo_helpers.model import yolo_head

compute_ciou = keras.utils.bounding_boxes.compute_ciou

# ciou_loss


def box_loss(
    overlap=compute_ciou,
    box_format="center_xywh",
    in_pixels=True,
    masked=True,
    invert=True,
    rest=("confidence", "class"),
    reduce=lambda x: ops.expand_dims(x, -1),
    weight=1.0,
):
    """Make an answer `ciou_loss`; the defaults are right, each argument is a common mistake."""

    def ciou_loss(args, anchors, num_classes):
        terms = yolo_loss_terms(args, anchors, num_classes)
        total = sum(terms[name] for name in rest)
        heads = len(args) // 2
        height, width = (32 * side for side in args[0].shape[1:3])
        size = [width, height, width, height] if in_pixels else [1.0] * 4
        for output, true, mask in zip(args[:heads], args[heads:], default_anchor_mask(len(anchors))):
            xy, wh, _, _ = yolo_head(output, anchors[mask], num_classes, (height, width))
            found = overlap(ops.concatenate([xy, wh], -1) * size, true[..., :4] * size, box_format)
            cost = (1 - found if invert else found) * (2 - true[..., 2] * true[..., 3])
            total = total + weight * ops.sum(cost * true[..., 4] if masked else cost, axis=(1, 2, 3))
        return reduce(total)

    return ciou_loss


RIGHT_LOSS = box_loss()


def iou(one, other, box_format):
    (x1, y1, w1, h1), (x2, y2, w2, h2) = ([boxes[..., i] for i in range(4)] for boxes in (one, other))
    width = ops.minimum(x1 + w1 / 2, x2 + w2 / 2) - ops.maximum(x1 - w1 / 2, x2 - w2 / 2)
    height = ops.minimum(y1 + h1 / 2, y2 + h2 / 2) - ops.maximum(y1 - h1 / 2, y2 - h2 / 2)
    shared = ops.relu(width) * ops.relu(height)
    return shared / (w1 * h1 + w2 * h2 - shared)


def by_hand(safe=False):
    """CIoU as its paper writes it, which divides by the true height, and that is 0 in an empty slot."""

    def ciou(one, other, box_format):
        (x1, y1, w1, h1), (x2, y2, w2, h2) = ([boxes[..., i] for i in range(4)] for boxes in (one, other))
        across = ops.maximum(x1 + w1 / 2, x2 + w2 / 2) - ops.minimum(x1 - w1 / 2, x2 - w2 / 2)
        down = ops.maximum(y1 + h1 / 2, y2 + h2 / 2) - ops.minimum(y1 - h1 / 2, y2 - h2 / 2)
        distance = (ops.square(x1 - x2) + ops.square(y1 - y2)) / (ops.square(across) + ops.square(down))
        v = 4 / np.pi**2 * ops.square(ops.arctan(w2 / (h2 + 1e-7 if safe else h2)) - ops.arctan(w1 / h1))
        overlap = iou(one, other, box_format)
        return overlap - distance - v * v / (1 - overlap + v + 1e-7)

    return ciou


def where_after(overlap):
    """The value is repaired, the gradient is not."""

    def repaired(one, other, box_format):
        return ops.where(other[..., 2] > 0, overlap(one, other, box_format), 0.0)

    return repaired


def by_root(one, other, box_format):
    """The distance with a root, whose gradient is infinite where the distance is 0, as at a match."""
    return 1 - ops.sqrt(ops.sum(ops.square(one - other), -1)) - (1 - compute_ciou(one, other, box_format))


def with_numpy(one, other, box_format):
    return compute_ciou(np.asarray(one), np.asarray(other), box_format)


WITH_NUMPY = box_loss(with_numpy)


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (RIGHT_LOSS, "ok"),
        (box_loss(in_pixels=False), "ok"),
        (box_loss(weight=5.0), "ok"),
        (None, "not done yet"),
        (lambda args, anchors, num_classes: None, "not done yet: the function returns None"),
        (
            lambda args, anchors, num_classes: yolo_loss(args, anchors, num_classes),
            "The old term xy is still in it.",
        ),
        (box_loss(rest=("xy", "confidence", "class")), "The old term xy is still in it."),
        (box_loss(rest=()), "confidence and class stay as they were"),
        (box_loss(rest=("confidence",)), "The terms confidence and class stay as they were."),
        (box_loss(invert=False), "for a prediction that matches its box the box loss is"),
        (box_loss(masked=False), "slots without an object must not count in the box loss"),
        (box_loss(iou), "Boxes apart have the IoU 0, however far: the distance of the centres must count."),
        (box_loss(box_format="xyxy"), "the box loss is"),
        (box_loss(box_format="xywh"), "Boxes from yolo_head and in y_true are centre and size."),
        (box_loss(box_format="rel_center_xywh"), "raised ValueError"),
        (box_loss(reduce=lambda x: x), "you return the shape (12,); expected (12, 1)"),
        (box_loss(reduce=ops.mean), "you return one number for the whole batch"),
        (box_loss(reduce=lambda x: ops.mean(x) + 0 * x[:, None]), "for a picture without boxes you return"),
        (box_loss(by_hand(safe=True)), "ok"),
        (box_loss(by_hand()), "you return [nan, nan", "0 divided by 0 is NaN, also times 0"),
        (box_loss(where_after(by_hand())), "the gradient is not finite"),
        (box_loss(by_root), "the value is right, but the gradient is not finite"),
        (WITH_NUMPY, "by hand it works, but inside a model"),
        (box_loss(lambda *boxes: ops.stop_gradient(compute_ciou(*boxes))), "a step would not bring the boxes nearer"),
    ),
)
def test_box_loss(says, answer, expected):
    says(checks.check_box_loss, answer, *expected, traced=answer in (RIGHT_LOSS, WITH_NUMPY))
