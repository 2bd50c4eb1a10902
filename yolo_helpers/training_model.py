"""The training model: the course's own line needs a model whose output is its loss."""

import keras
import numpy as np

from yolo_helpers.anchors import Heads
from yolo_helpers.loss import yolo_loss
from yolo_helpers.model import inference_model
from yolo_helpers.targets import check_kind


def create_model(
    body: keras.Model,
    input_shape: tuple[int, int],
    anchors: np.ndarray,
    num_classes: int,
    ignore_thresh: float = 0.5,
    anchor_mask: list[list[int]] | None = None,
    loss_layer: keras.layers.Layer | None = None,
    targets: str = "y_true",
) -> keras.Model:
    """The training model: photographs and labels in, the loss of each photograph out.

    Args:
        body: image 0..1 in, raw heads out; its weights are shared.
        input_shape: (height, width) in pixels, multiples of 32.
        anchors: (A, 2), width and height in pixels of the input.
        num_classes: C.
        ignore_thresh: see `yolo_loss`.
        anchor_mask: the anchors of each head, coarsest first; darknet's when None.
        loss_layer: computes the loss from `[*heads, *targets]`, such as a `YoloLoss`, which logs its terms too; a
            `Lambda` around `yolo_loss`, as in keras-yolo3, when None.
        targets: "y_true", the grids of `preprocess_true_boxes`; or "boxes", the boxes (B, T, 5) themselves, from which
            the model finds the same slots on the device. The loss is the same, and T is any number.

    Returns:
        A model with inputs `[image, *targets]`, image (B, h, w, 3) uint8, and one output (B, 1) named `yolo_loss`.

    Raises:
        ValueError: if the body's heads do not fit the anchors and the classes, if a side is not a multiple of 32, or
            for an unknown kind of targets.

    >>> from yolo_helpers.anchors import default_anchors
    >>> from yolo_helpers.loss import identity_loss
    >>> from yolo_helpers.model import micro_yolo_body
    >>> body = micro_yolo_body(keras.Input((96, 128, 3)), num_anchors=3, num_classes=20)
    >>> model = create_model(body, (96, 128), default_anchors(3), num_classes=20)
    >>> model.compile(optimizer="adam", loss={"yolo_loss": identity_loss})
    >>> [tensor.shape for tensor in model.inputs]
    [(None, 96, 128, 3), (None, 3, 4, 3, 25), (None, 6, 8, 3, 25), (None, 12, 16, 3, 25)]
    >>> model.output_names[0], model.output_shape
    ('yolo_loss', (None, 1))
    """
    check_kind(targets)
    heads = Heads(input_shape, anchors, num_classes, anchor_mask)
    if [head.shape[-1] for head in body.outputs] != [heads.channels] * len(heads.grids):
        raise ValueError(
            f"{len(heads.anchors)} anchors and {num_classes} classes need a body with {len(heads.grids)} heads of "
            f"{heads.channels} channels, found heads with {[head.shape[-1] for head in body.outputs]}."
        )
    detector = inference_model(body, heads.input_shape)
    if targets == "boxes":
        y_true = [keras.Input((None, 5), name="boxes")]  # (B, T, 5)
    else:
        y_true = [  # (B, h, w, 3, 5 + C) for each head
            keras.Input((*grid, len(mask), 5 + num_classes), name=f"y_true_{number}")
            for number, (grid, mask) in enumerate(zip(heads.grids, heads.anchor_mask, strict=True))
        ]
    loss_layer = loss_layer or keras.layers.Lambda(
        yolo_loss,
        output_shape=(1,),
        name="yolo_loss",
        dtype="float32",  # under mixed precision the sum over all slots would not fit into float16
        arguments={
            "anchors": heads.anchors,
            "num_classes": num_classes,
            "ignore_thresh": ignore_thresh,
            "anchor_mask": heads.anchor_mask,
        },
    )
    loss = loss_layer([*detector.outputs, *y_true])  # (B, 1)
    return keras.Model([detector.input, *y_true], loss, name="training_model")
