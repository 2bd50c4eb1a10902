"""Memory: what a training step holds, counted from the layers' shapes."""

import math

import keras

FLOAT32, HALF = 4, 2  # bytes of a number


def count_memory(body: keras.Model, batch_size: int, precision: str = "float32") -> dict[str, int]:
    """Bytes that a training step holds, by part.

    Args:
        body: image in, raw heads out; what of it is trainable counts as trained.
        batch_size: photographs in a step.
        precision: Keras' dtype policy, such as "float32" or "mixed_float16".

    Returns:
        {"weights", "gradients", "Adam's moments", "layers' outputs"}: bytes.
    """
    mixed = precision.startswith("mixed")
    trained = sum(math.prod(weight.shape) for weight in body.trainable_weights)
    outputs = sum(math.prod(layer.output.shape[1:]) for layer in body.layers)
    return {
        "weights": FLOAT32 * body.count_params() + HALF * trained * mixed,
        "gradients": FLOAT32 * trained,
        "Adam's moments": 2 * FLOAT32 * trained,
        "layers' outputs": (HALF if mixed else FLOAT32) * batch_size * outputs,
    }
