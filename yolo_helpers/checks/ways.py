"""The check of the further lesson ways_six_compared: a repaired `train_step`."""

from collections.abc import Callable

import keras
import numpy as np

from yolo_helpers.checks.interval import Interval, compiled_model, expect_loss, expect_step
from yolo_helpers.checks.verdict import Hint, task


@task
def check_train_step(function: Callable) -> None:
    """Check `repaired_train_step(inputs, outputs, optimizer)`.

    Args:
        function: the reader's answer; returns a compiled model of the two outputs with a `train_step` and a
            `test_step`.
    """
    data = Interval()
    fed = {"x": data.x, "y": (data.low, data.high)}
    model = compiled_model(function, *data.tensors(), keras.optimizers.SGD(0.1))
    logged = expect_step(model, data, fed, "a step of SGD(0.1)")
    if not np.isclose(logged, data.loss(), rtol=1e-4):
        raise Hint(f"the log of fit says loss {logged:.4g}; expected {data.loss():.4g}, with the penalty.")
    scaling = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=64)
    scaled = compiled_model(function, *data.tensors(), scaling)
    expect_step(scaled, data, fed, "a LossScaleOptimizer around SGD(0.1)")
    fresh = compiled_model(function, *data.tensors(), keras.optimizers.SGD(0.1))
    expect_loss(fresh, data, fed, weights=False)
