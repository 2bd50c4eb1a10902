"""Checks around the training model: its shapes, and a generator that feeds it."""

from collections.abc import Callable

import numpy as np

from yolo_helpers.checks.verdict import Hint, NotDone, call, exercise

SHAPE_CASES = [(8, 96, 128, 3), (1, 416, 416, 80), (32, 320, 608, 20)]  # batch, height, width, classes
TENSORS = ["image", "y_true_0", "y_true_1", "y_true_2", "output"]


@exercise
def check_training_shapes(function: Callable) -> None:
    """Check `training_shapes(batch, height, width, num_classes)`.

    Args:
        function: the reader's answer; returns the shapes of image, y_true_0, y_true_1, y_true_2 and output.
    """
    for batch, height, width, classes in SHAPE_CASES:
        given = f"batch={batch}, height={height}, width={width}, num_classes={classes}"
        shapes = call(function, batch, height, width, classes, given=given)
        if not isinstance(shapes, (list, tuple)) or len(shapes) != len(TENSORS):
            raise Hint(f"for {given} expected a list of five shapes, but the answer is {str(shapes)[:80]}.")
        y_true = [(batch, height // s, width // s, 3, 5 + classes) for s in (32, 16, 8)]
        for name, shape, expected in zip(TENSORS, shapes, [(batch, height, width, 3), *y_true, (batch, 1)]):
            if not isinstance(shape, (list, tuple)) or tuple(shape) != expected:
                raise Hint(f"for {given} the shape of {name} is not {shape}{_about(shape, expected)}.")


def _about(shape, expected: tuple[int, ...]) -> str:
    """Say in a few words what is odd about a wrong shape."""
    if not isinstance(shape, (list, tuple)):
        return ": expected a tuple of whole numbers"
    if len(shape) != len(expected):
        return f": it needs {len(expected)} numbers"
    if any(isinstance(side, float) for side in shape):
        return ": sides are whole numbers; // divides without a fraction"
    if sorted(shape) == sorted(expected):
        return ": the numbers are right, their order is not"
    axis = next(axis for axis, (found, wanted) in enumerate(zip(shape, expected)) if found != wanted)
    return f": look at its number {axis + 1} of {len(expected)}"


@exercise
def check_modern(function: Callable) -> None:
    """Check `modern(generator)`: batches of keras-yolo3 become batches for today's training model.

    Args:
        function: the reader's generator function.
    """
    taken = []

    def old_batches():
        random = np.random.default_rng(5)
        for size in (4, 1, 3, 4, 4, 4):
            # Values a hair below a whole number, which a change of type alone would cut off.
            pixels = random.integers(1, 256, (size, 32, 32, 3))
            y_true = [random.random((size, *grid, 3, 6)).astype("float32") for grid in ((1, 1), (2, 2), (4, 4))]
            taken.append((pixels, y_true))
            yield [(pixels - 1e-4) / 255, *y_true], np.zeros(size)

    given = "batches of 4, 1, 3 and more pictures"
    batches = call(function, old_batches(), given=given)
    if not hasattr(batches, "__next__"):
        raise Hint(f"for {given} expected a generator: use yield. Yours returned a {type(batches).__name__}.")
    for number, size in enumerate((4, 1, 3)):
        batch = call(lambda: next(batches, "the end"), given=given)
        where = f"for a batch of {size}"
        if isinstance(batch, str):
            if not taken:
                raise NotDone("the generator yields nothing")
            raise Hint(f"{where} your generator had ended; it should go on as long as the old one.")
        if len(taken) > number + 2:
            raise Hint("your function collects batches before it yields the first. The old generator never ends.")
        _judge_batch(batch, *taken[number], where)


def _judge_batch(batch, pixels: np.ndarray, y_true: list[np.ndarray], where: str) -> None:
    """End the check with a hint when a batch is not the old one in the new form.

    Args:
        batch: what the reader's generator yielded.
        pixels: (B, h, w, 3) as the new batch must hold them.
        y_true: three arrays (B, h, w, 3, 5 + C), likewise.
        where: the batch in words.
    """
    if not isinstance(batch, tuple) or len(batch) != 2:
        raise Hint(f"{where} expected a tuple of two, inputs and target; yours is a {type(batch).__name__}.")
    inputs, target = batch
    if not isinstance(inputs, tuple) or len(inputs) != 4:
        raise Hint(f"{where} expected the inputs as a tuple of four arrays; yours are a {type(inputs).__name__}.")
    image = np.asarray(inputs[0])
    if image.dtype != np.uint8:
        raise Hint(f"{where} expected an image of type uint8; yours is {image.dtype}.")
    if image.shape != pixels.shape or not np.array_equal(image, pixels):
        cut_off = image.shape == pixels.shape and np.array_equal(image + 1, pixels)
        why = " They are one too small: round before you change the type." if cut_off else ""
        raise Hint(f"{where} the image has other values than expected.{why}")
    if not all(np.array_equal(ours, theirs) for ours, theirs in zip(inputs[1:], y_true)):
        raise Hint(f"{where} the labels are not those of the old batch, in the same order.")
    size = len(pixels)
    if np.shape(target) != (size, 1) or np.any(target):
        raise Hint(f"{where} expected a target of zeros of shape ({size}, 1); yours has shape {np.shape(target)}.")
