"""The photographs whose loss is inf or NaN, by file, with the term and the reason."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from yolo_helpers.dataset import YoloDataset
from yolo_helpers.loss import yolo_loss_terms
from yolo_helpers.training_model import create_model

LARGEST_SIZE = np.log(np.finfo(np.float32).max)  # 88.7: exp of a larger raw size is infinite


class Fault(NamedTuple):
    """A photograph without a finite loss.

    Attributes:
        photograph: its file, or its number where the batches do not say files.
        terms: names of the terms that are not finite; none where the data set refuses the boxes.
        reason: what is wrong with its boxes or with the raw outputs.
    """

    photograph: Path | int
    terms: list[str]
    reason: str


class NotFinite(NamedTuple):
    """What is not finite.

    Attributes:
        photographs: how many were looked at; 0 where the weights are at fault already.
        weights: paths of the model's variables that hold inf or NaN.
        faults: the photographs.
    """

    photographs: int
    weights: list[str]
    faults: list[Fault]

    def __str__(self):
        if self.weights:
            return (
                f"Of the weights, {len(self.weights)} hold inf or NaN ({self.weights[0]} is the first), and so does "
                "every loss: load weights from before that, or begin anew, and ask again."
            )
        if not self.faults:
            return f"The loss of each of the {self.photographs} photographs is finite."
        lines = [f"{len(self.faults)} of {self.photographs} photographs have no finite loss:"]
        for photo, terms, reason in self.faults[:20]:
            name = photo.name if isinstance(photo, Path) else photo
            lines.append(f"  {name}: {', '.join([*terms, reason])}")
        return "\n".join(lines + ["  ..."] * (len(self.faults) > 20))


def find_not_finite(model: keras.Model, data: YoloDataset | Sequence) -> NotFinite:
    """The photographs whose loss is inf or NaN, by file.

    They are looked at unchanged, and with the averages that batch normalisation has collected, as `evaluate` does it.

    Args:
        model: the training model of `create_model`, in whose place the body will do where `data` is a `YoloDataset`.
        data: the photographs; or batches `((image, *y_true), zeros)` of your own, whose photographs are numbered.

    Raises:
        ValueError: if the model is none of these.

    >>> from yolo_helpers.anchors import default_anchors
    >>> from yolo_helpers.model import micro_yolo_body
    >>> body = micro_yolo_body(keras.Input((32, 32, 3)), num_anchors=3, num_classes=2)
    >>> model = create_model(body, (32, 32), default_anchors(3), num_classes=2)
    >>> image = np.zeros((2, 32, 32, 3), np.uint8)
    >>> y_true = [np.zeros((2, side, side, 3, 5 + 2), np.float32) for side in (1, 2, 4)]
    >>> y_true[2][1, 3, 0, 2] = 0.1, 0.8, 0.2, 0, 1, 1, 0  # x, y, w, h, is_object, one-hot class
    >>> print(find_not_finite(model, [((image, *y_true), np.zeros((2, 1)))]))
    1 of 2 photographs have no finite loss:
      1: wh, a box of width 0.2 and height 0 in its labels, y_true_2[3, 0, 2]
    """
    if weights := [v.path for v in model.weights if not np.isfinite(ops.convert_to_numpy(v)).all()]:
        return NotFinite(0, weights, [])
    layer, model = _loss_layer_of(model, data)
    settings = getattr(layer, "settings", getattr(layer, "arguments", {}))
    raw_heads = layer.input[: len(layer.input) - len(model.inputs) + 1]
    raw_and_loss = keras.Model(model.inputs, [*raw_heads, *model.outputs])
    count, faults = 0, []
    for names, batch in _batches(data):
        count += len(names)
        if isinstance(batch, str):
            faults.append(Fault(names[0], [], batch))
            continue
        *raw, loss = (np.float32(ops.convert_to_numpy(x)) for x in raw_and_loss(list(batch), training=False))
        targets = [np.asarray(target, np.float32) for target in batch[1:]]
        terms = {
            name: ops.convert_to_numpy(term) for name, term in yolo_loss_terms([*raw, *targets], **settings).items()
        }
        for b in np.flatnonzero(~np.isfinite([loss.reshape(len(names)), *terms.values()]).all(0)):
            not_finite = [name for name, values in terms.items() if not np.isfinite(values[b])]
            reason = _reason([target[b] for target in targets], [head[b] for head in raw], settings["num_classes"])
            faults.append(Fault(names[b], not_finite, reason))
    return NotFinite(count, [], faults)


def _loss_layer_of(model, data):
    """The loss layer, and the training model around it, which is made where the body is given."""
    inputs = getattr(model, "inputs", None) or []  # a subclassed model has none
    if len(inputs) == 1 and isinstance(data, YoloDataset) and len(inputs[0].shape) == 4 and inputs[0].dtype != "uint8":
        heads = data.heads
        options = {"anchor_mask": heads.anchor_mask, "targets": data.targets}
        model = create_model(model, heads.input_shape, heads.anchors, heads.num_classes, **options)
        inputs = model.inputs
    layer = next((layer for layer in model.layers if len(inputs) > 1 and layer.output is model.outputs[0]), None)
    if "anchors" not in getattr(layer, "settings", getattr(layer, "arguments", {})):
        raise ValueError(
            f"The model {model.name!r} is no training model: give what create_model returns, or the body (image 0..1 "
            "in, raw heads out) and a YoloDataset."
        )
    return layer, model


def _batches(data):
    """For each batch the names of its photographs, and (image, *targets); or of one photograph, and why its boxes were
    refused."""
    if not isinstance(data, YoloDataset):
        first = 0
        for number in range(len(data)):
            batch = data[number][0]
            yield range(first, first := first + len(batch[0])), batch
        return
    for start in range(0, len(data.annotations), data.batch_size):
        chosen = data.annotations[start : start + data.batch_size]
        try:
            yield [one.image_path for one in chosen], _plain(chosen, data)
        except ValueError:  # of one of them
            yield from (([one.image_path], _plain_or_why_not(one, data)) for one in chosen)


def _plain(annotations, data):
    """(image, *targets) of these photographs, unchanged."""
    return YoloDataset(annotations, data.heads, len(annotations), targets=data.targets)[0][0]


def _plain_or_why_not(annotation, data):
    try:
        return _plain([annotation], data)
    except ValueError as error:
        return str(error.__cause__ or error).removeprefix("image 0, ")


def _reason(targets, raw, num_classes):
    """Why the loss of a photograph is not finite, from its targets and raw heads (h, w, 3 (5 + C))."""
    for head, target in enumerate(targets):
        # Boxes (T, 5), or a grid (h, w, 3, 5 + C) whose slots hold a box where the fifth number is not 0.
        boxes = target.ndim == 2
        holds = target.any(-1) if boxes else target[..., 4] != 0
        size = target[..., 2:4] - target[..., :2] if boxes else target[..., 2:4]
        wrong = holds & ~(np.isfinite(target).all(-1) & (size > 0).all(-1))
        for place in np.argwhere(wrong)[:1].tolist():
            width, height = size[tuple(place)]
            name = "boxes" if boxes else f"y_true_{head}"
            return f"a box of width {width:.3g} and height {height:.3g} in its labels, {name}{place}"
    slots = np.concatenate([head.reshape(-1, 5 + num_classes) for head in raw])
    if not np.isfinite(slots).all():
        return "raw outputs that are inf or NaN already"
    if (largest := slots[:, 2:4].max()) > LARGEST_SIZE:
        return f"a raw size of {largest:.3g}, whose exp is infinite: the training diverges"
    return f"boxes and raw outputs, up to {np.abs(slots).max():.3g}, are finite, and their loss is not"
