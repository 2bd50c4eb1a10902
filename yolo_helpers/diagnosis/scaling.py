"""Whether a loss, and the step that the weights take, grow with the batch or with the number of replicas."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

MORE_DEVICES = (
    "Replicas were not tried, for one device alone is configured. Before TensorFlow computes anything: "
    'tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], '
    "[tf.config.LogicalDeviceConfiguration()] * 2)."
)
VERDICTS = {
    (1,): "a mean over the batch",
    (2,): "a sum over the batch: each step grows with the batch size",
    (1, 1): "a mean over the batch, divided by the replicas: right",
    (1, 2): "a mean that nobody divides by the replicas: each step is twice as long on two",
    (2, 1): "a sum over the batch: each step grows with the batch size",
    (2, 2): "a sum over the batch, and twice that on two replicas",
    (1, 0.5): "a mean that is divided by the replicas twice",
}
UNCLEAR = "neither a mean nor a sum, or blurred by Dropout or batch normalisation"


class Factors(NamedTuple):
    """By how much the loss in the log, and a step of SGD, are multiplied."""

    loss: float
    step: float


class Scaling(NamedTuple):
    """How a loss is scaled.

    Attributes:
        batch: factors of a batch in which every image comes twice.
        replicas: factors of two replicas with the same batch; None where there is one device.
    """

    batch: Factors
    replicas: Factors | None

    def __str__(self):
        rows = [("batch of 2n, not n", self.batch), ("2 replicas, not 1", self.replicas)]
        lines = [f"{name:20}loss x {f.loss:.2f}, step x {f.step:.2f}" for name, f in rows if f]
        found = [f.step for _, f in rows if f]
        if not np.isfinite(found).all():
            return "\n".join([*lines, "not finite: perhaps a mean over objects, and one replica's images have none"])
        steps = tuple(round(2 * step) / 2 for step in found)
        near = np.allclose(found, steps, rtol=0, atol=0.1)
        lines.append(VERDICTS.get(steps if near else None, UNCLEAR))
        return "\n".join([*lines, *[MORE_DEVICES] * (self.replicas is None)])


def find_scaling(build: Callable[[], keras.Model], x: Any, y: Any = None) -> Scaling:
    """Compares one step of SGD on a batch with one on the same batch twice, and with one on two replicas.

    The replicas are two logical processors, which TensorFlow must have been given before it computed anything. A layer
    such as Dropout blurs all factors; a batch normalisation that is not `synchronized`, those of the replicas.

    Args:
        build: makes and compiles the model; its weights must exist, so a Sequential begins with an Input. It is called
            up to three times, and each model gets the weights of the first. Its optimiser is replaced by plain SGD.
        x, y: one batch of an even number n of images, as `fit` takes it.

    Raises:
        ValueError: if n is odd, the model has no weights yet, nothing to train or a loss of 0 (or NaN), or Keras runs
            on another backend than TensorFlow.

    >>> def build():
    ...     model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    ...     model.compile("adam", loss=lambda y_true, y_pred: keras.ops.sum((y_true - y_pred) ** 2))
    ...     return model
    >>> print(find_scaling(build, np.ones((4, 3)), np.zeros((4, 1))).batch)
    Factors(loss=2.0, step=2.0)
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"find_scaling needs TensorFlow's replicas, and Keras runs on {keras.backend.backend()} here: start Python "
            "with KERAS_BACKEND=tensorflow."
        )
    import tensorflow as tf

    count = len(keras.tree.flatten(x)[0])
    if count % 2:
        raise ValueError(f"x: expected an even number of images, which two replicas can share, found {count}.")
    start = []  # the weights that all begin with
    one = _loss_and_step(build, x, y, start)
    if not one[0] or not 0 < one[1] @ one[1] < np.inf:
        raise ValueError(
            f"The loss is {one[0]:g} and a step of {np.linalg.norm(one[1]):g} follows, so neither can be compared: "
            "give a batch and weights with a loss to reduce."
        )
    batch = _factors(_loss_and_step(build, _twice(x), _twice(y), start), one)
    devices = [device.name for device in tf.config.list_logical_devices("CPU")][:2]
    if len(devices) < 2:
        return Scaling(batch, None)
    # Not by collective operations: those of a second strategy in a process meet the shapes of the first, and fail.
    to_one = tf.distribute.ReductionToOneDevice()
    with tf.distribute.MirroredStrategy(devices, cross_device_ops=to_one).scope():
        return Scaling(batch, _factors(_loss_and_step(build, x, y, start), one))


def _twice(arrays):
    return None if arrays is None else keras.tree.map_structure(lambda array: np.concatenate([array, array]), arrays)


def _loss_and_step(build, x, y, start):
    """The logged loss of one step of SGD, and by how much it moves the trained weights, in one row."""
    model = build()
    if not model.weights:
        raise ValueError(f"build: the model {model.name!r} has no weights yet: begin it with an Input.")
    if not model.trainable_weights:
        raise ValueError(f"build: the model {model.name!r} has nothing to train: set trainable = True for a layer.")
    start.extend(model.get_weights() if not start else [])
    model.set_weights(start)
    model.optimizer = keras.optimizers.SGD(1.0)
    model.optimizer.build(model.trainable_variables)
    before = [weight.numpy() for weight in model.trainable_weights]
    history = model.fit(x, y, batch_size=len(keras.tree.flatten(x)[0]), shuffle=False, verbose=0).history
    steps = [np.ravel(w.numpy() - old) for w, old in zip(model.trainable_weights, before, strict=True)]
    return history["loss"][0], np.concatenate(steps).astype(np.float64)


def _factors(found, one):
    loss, step = found
    return Factors(round(loss / one[0], 3), round(float(step @ one[1] / (one[1] @ one[1])), 3))
