"""Memory: what a training step holds, counted from the layers' shapes."""

import math

import keras

FLOAT32, HALF = 4, 2  # bytes of a number


def count_memory(body: keras.Model, batch_size: int, precision: str = "float32") -> dict[str, int]:
    """Bytes that a training step of all layers holds, by part.

    Counted as kept until the way back is every layer's output, that of a convolution, of its normalisation and of its
    activation alike, the image included. On the way back the gradients of a layer's output and input are there at the
    same time; the largest output counts twice for these. Not known is what a compiler joins or computes again, and what
    a library takes for itself. Measured on a processor (tiny YOLO at 416 x 416, benchmarks/memory.py): what grows with
    image and batch was within a tenth of what is counted for it, and the process held 0.2 GB more, TensorFlow's own.
    Measured on a GPU (YOLOv3 in bfloat16, JAX, benchmarks/README.md): about half of the count, since XLA joins layers.

    Args:
        body: image in, raw heads out; nothing of it frozen.
        batch_size: photographs in a step.
        precision: Keras' dtype policy, such as "float32" or "mixed_float16". In a mixed one the outputs and their
            gradients have half the bytes; the weights are there in float32, and once more in half of it.

    Returns:
        Name of the part -> bytes.

    >>> body = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(10, 1, use_bias=False)])
    >>> count_memory(body, batch_size=1)["weights"], count_memory(body, batch_size=1)["outputs' gradients"]
    (120, 81920)
    """
    mixed = precision.startswith("mixed")
    number = HALF if mixed else FLOAT32
    trained = sum(math.prod(weight.shape) for weight in body.trainable_weights)
    outputs = [math.prod(layer.output.shape[1:]) for layer in body.layers]
    return {
        "weights": FLOAT32 * body.count_params() + HALF * trained * mixed,
        "their gradients": FLOAT32 * trained,
        "Adam's moments": 2 * FLOAT32 * trained,
        "layers' outputs": number * batch_size * sum(outputs),
        "outputs' gradients": number * batch_size * 2 * max(outputs),
    }
