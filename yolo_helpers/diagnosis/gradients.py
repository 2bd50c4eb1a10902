"""The variables that the loss does not reach: their gradient is None, and no step ever changes them."""

import contextlib
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import keras
import numpy as np


class WithoutGradient(NamedTuple):
    """Which trainable variables get no gradient.

    Attributes:
        paths: of those whose gradient is None.
        zero: paths of those whose gradient is 0 in every number for this batch.
        trainable: how many trainable variables there are.
    """

    paths: list[str]
    zero: list[str]
    trainable: int

    def __str__(self):
        parts = [("no gradient", self.paths), ("a gradient of 0 for this batch", self.zero)]
        said = [
            f"{len(paths)} of {self.trainable} trainable variables have {what}:\n{_by_layer(paths)}"
            for what, paths in parts
            if paths
        ]
        return "\n".join(said) or f"All {self.trainable} trainable variables have a gradient."


def _by_layer(paths: list[str]) -> str:
    pairs = (path.rpartition("/") for path in paths)
    return "\n".join(
        f"  {layer or '(the model)'}: {', '.join(name for *_, name in of_layer)}"
        for layer, of_layer in groupby(pairs, key=lambda pair: pair[0])
    )


@contextlib.contextmanager
def unchanged(model: keras.Model) -> Iterator[None]:
    """Puts back what a model collects while it is called as in training, such as the averages of batch normalisation.

    Args:
        model: with weights.
    """
    collected = [*model.non_trainable_variables, *model.metrics_variables]
    before = [keras.ops.copy(variable.value) for variable in collected]
    try:
        yield
    finally:
        for variable, value in zip(collected, before, strict=True):
            variable.assign(value)


def find_without_gradient(model: keras.Model, x: Any, y: Any = None, sample_weight: Any = None) -> WithoutGradient:
    """The trainable variables for which the compiled loss of one batch has no gradient.

    The model stays as it is: averages that its layers collect are put back. Needs TensorFlow, whose tape tells None
    from 0.

    Args:
        model: compiled; any Keras model that leaves the loss to `compile`, to `add_loss` or to `compute_loss`.
        x, y, sample_weight: one batch, as `train_on_batch` takes it.

    Raises:
        ValueError: if the model is not compiled or has nothing to train, or Keras runs on another backend.

    The second of two outputs has no loss, so its layer is never trained:

    >>> image = keras.Input((4,))
    >>> outputs = {name: keras.layers.Dense(1, name=name)(image) for name in ("size", "age")}
    >>> model = keras.Model(image, outputs)
    >>> model.compile("sgd", loss={"size": "mse", "age": None})
    >>> print(find_without_gradient(model, np.ones((2, 4)), {"size": np.ones((2, 1)), "age": np.ones((2, 1))}))
    2 of 4 trainable variables have no gradient:
      age: kernel, bias
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"find_without_gradient needs TensorFlow's tape, and Keras runs on {keras.backend.backend()} here: start "
            "Python with KERAS_BACKEND=tensorflow."
        )
    if not model.compiled:
        raise ValueError(f"The model {model.name!r} is not compiled, so it has no loss yet: call compile first.")
    import tensorflow as tf

    if not model.built:
        model(x)
    variables = model.trainable_variables
    if not variables:
        raise ValueError(
            f"The model {model.name!r} has no trainable variable: set trainable = True for a layer, and compile again."
        )
    with unchanged(model), tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True), sample_weight)
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    found = [(variable.path, g) for variable, g in zip(variables, gradients, strict=True)]  # paths may be equal
    zero = [path for path, g in found if g is not None and not np.any(tf.convert_to_tensor(g))]
    return WithoutGradient([path for path, g in found if g is None], zero, len(variables))
