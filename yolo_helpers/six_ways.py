"""The same loss, six ways: what the lesson ways_six_compared builds, for lesson 05 and `benchmarks/six_ways.py`.

A way takes a body, image 0..255 in and raw heads out, and the settings of `yolo_loss`, and returns a model and what
goes into `compile` as its `loss`. `fit_arguments` says what it is fed. TensorFlow only: `train_step` needs its tape.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from yolo_helpers.anchors import default_anchor_mask
from yolo_helpers.loss import TERMS, YoloLoss, identity_loss, yolo_loss, yolo_loss_terms
from yolo_helpers.model import Tensor

Way = tuple[keras.Model, Any]  # a model, and what goes into `compile` as its loss
register = keras.saving.register_keras_serializable(package="yolo_helpers")


def label_inputs(body: keras.Model, settings: dict) -> list[Tensor]:
    """An input for the targets of each head: (h, w, 3, 5 + C)."""
    return [keras.Input((*head.shape[1:3], 3, 5 + settings["num_classes"])) for head in body.outputs]


def with_lambda(body: keras.Model, settings: dict) -> Way:
    """The original's way: the loss in a Lambda, the identity as a lambda."""
    y_true = label_inputs(body, settings)
    layer = keras.layers.Lambda(yolo_loss, output_shape=(1,), dtype="float32", name="yolo_loss", arguments=settings)
    model = keras.Model([body.input, *y_true], layer([*body.outputs, *y_true]))
    return model, {"yolo_loss": lambda y_true, y_pred: y_pred}


def with_loss_layer(body: keras.Model, settings: dict) -> Way:
    """The same with a layer class and a registered identity."""
    y_true = label_inputs(body, settings)
    model = keras.Model([body.input, *y_true], YoloLoss(**settings)([*body.outputs, *y_true]))
    return model, {"yolo_loss": identity_loss}


@register
class Endpoint(keras.layers.Layer):
    """Outputs and targets in, outputs out; the loss goes to Keras through `add_loss`."""

    def __init__(self, settings, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.settings = settings

    def call(self, inputs):
        self.add_loss(ops.mean(yolo_loss(inputs, **self.settings)))
        return inputs[: len(inputs) // 2]

    def get_config(self):
        return {**super().get_config(), "settings": self.settings}


def with_endpoint(body: keras.Model, settings: dict) -> Way:
    """An endpoint layer behind the heads; `compile` gets no loss."""
    y_true = label_inputs(body, settings)
    return keras.Model([body.input, *y_true], Endpoint(settings)([*body.outputs, *y_true])), None


@register
class HeadLoss(keras.losses.Loss):
    """The loss of one head, as any loss function: it sees this head and its targets."""

    def __init__(self, settings, head, input_shape, name="head_loss", **kwargs):
        super().__init__(name, **kwargs)
        self.settings, self.head, self.input_shape = settings, head, input_shape

    def call(self, y_true, y_pred):
        mask = default_anchor_mask(len(self.settings["anchors"]))[self.head]
        return yolo_loss([y_pred, y_true], **self.settings, anchor_mask=[mask], input_shape=self.input_shape)

    def get_config(self):
        own = {"settings": self.settings, "head": self.head, "input_shape": self.input_shape}
        return {**super().get_config(), **own}


def with_loss_per_head(body: keras.Model, settings: dict) -> Way:
    """The body itself, and a loss for each of its outputs."""
    losses = [HeadLoss(settings, head, body.input_shape[1:3]) for head in range(len(body.outputs))]
    return keras.Model(body.input, body.outputs), losses


@register
class YoloModel(keras.Model):
    """A body whose training is written by a subclass."""

    def __init__(self, body, settings, **kwargs):
        super().__init__(**kwargs)
        self.body, self.settings = body, settings

    def call(self, image, training=None):
        # Whatever the body computes in, the loss needs float32.
        return [ops.cast(head, "float32") for head in self.body(image, training=training)]

    def get_config(self):
        return {"body": keras.saving.serialize_keras_object(self.body), "settings": self.settings}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["body"]), config["settings"])


def per_image(sample_weight: Tensor | Sequence[Tensor]) -> Tensor:
    """The sample weights, (B,): given arrays, `fit` has made a copy for each output; given a dataset, it has not."""
    return sample_weight[0] if isinstance(sample_weight, list | tuple) else sample_weight


@register
class ComputeLossModel(YoloModel):
    """The losses of the images take the place of the outputs; averaging, weights and penalties stay with Keras."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        losses = yolo_loss([*y_pred, *y], **self.settings)
        return super().compute_loss(x, losses, losses, per_image(sample_weight), training)


def with_compute_loss(body: keras.Model, settings: dict) -> Way:
    """A model with its own `compute_loss`, and the identity again."""
    return ComputeLossModel(body, settings), identity_loss


class LoggingModel(YoloModel):
    """Computes the loss of a batch and keeps the means of the loss and its terms."""

    def __init__(self, body, settings, **kwargs):
        super().__init__(body, settings, **kwargs)
        self.mean_loss = keras.metrics.Mean("loss")
        self.mean_terms = [keras.metrics.Mean(name) for name in TERMS]

    def forward(self, data, training):
        """The loss of a batch, penalties included."""
        image, y_true, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        heads = self(image, training=training)
        terms = yolo_loss_terms([*heads, *y_true], **self.settings)
        losses = sum(terms.values())  # (B,)
        if sample_weight is not None:
            losses = losses * ops.cast(per_image(sample_weight), losses.dtype)
        loss = ops.mean(losses) + sum(self.losses)  # with the penalties
        self.mean_loss.update_state(loss, sample_weight=ops.shape(image)[0])
        for mean in self.mean_terms:
            mean.update_state(terms[mean.name])
        return loss

    def log(self):
        means = (self.mean_loss, *self.mean_terms)
        return {mean.name: mean.result() for mean in means}


@register
class TrainStepModel(LoggingModel):
    """All of the step by hand."""

    def train_step(self, data):
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            loss = self.forward(data, training=True)
            # The gradients of several replicas are added, and in half precision small ones would become 0.
            scaled = self.optimizer.scale_loss(loss / replicas)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        return self.log()

    def test_step(self, data):
        self.forward(data, training=False)
        return self.log()


def with_train_step(body: keras.Model, settings: dict) -> Way:
    """A model with its own `train_step` and `test_step`; `compile` gets no loss."""
    return TrainStepModel(body, settings), None


WAYS = {
    "Lambda": with_lambda,
    "loss layer": with_loss_layer,
    "endpoint layer": with_endpoint,
    "loss per head": with_loss_per_head,
    "compute_loss": with_compute_loss,
    "train_step": with_train_step,
}


def fit_arguments(way: str, image: np.ndarray, labels: Sequence[np.ndarray]) -> dict:
    """What a way is fed.

    Args:
        way: a key of `WAYS`.
        image: (B, h, w, 3).
        labels: the targets of each head, (B, h, w, 3, 5 + C).

    Returns:
        x and y for `fit` and `evaluate`.
    """
    if way in ("Lambda", "loss layer"):
        return {"x": [image, *labels], "y": np.zeros(len(image))}
    if way == "endpoint layer":
        return {"x": [image, *labels]}
    return {"x": image, "y": tuple(labels)}
