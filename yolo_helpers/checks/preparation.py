"""The check of how a photograph is prepared for the network."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from yolo_helpers.boxes import Placement, letterbox
from yolo_helpers.checks.compare import numbers
from yolo_helpers.checks.verdict import Hint, call, task
from yolo_helpers.images import GREY, place
from yolo_helpers.smear import draw_smear

PHOTO_CASES = [  # words, (height, width) of the photograph, of the input
    ("a photograph of 120 x 160 pixels and an input of 96 x 128", (120, 160), (96, 128)),
    ("a wide photograph, 64 x 160, and an input of 96 x 128", (64, 160), (96, 128)),
    ("a tall photograph, 160 x 64, and an input of 96 x 96", (160, 64), (96, 96)),
]
NEAR = 0.02  # mean difference, of values 0 to 1: other ways to resize than `place` differ by less


def prepare(fit: Callable = letterbox, change: Callable = lambda pixels: pixels / 255, fill: int = GREY[0]) -> Callable:
    """Make an answer: the right one, or with a mistake in place of an argument.

    Args:
        fit: (shape of the photograph, of the input) -> its placement.
        change: what becomes of the pixels (h, w, 3), 0 to 255.
        fill: of the bars.
    """

    def answer(photo, input_shape):
        placement = fit((photo.height, photo.width), input_shape)
        pixels = np.array(place(photo, placement, input_shape), float)
        y, x = (round(offset) for offset in placement.offset[::-1])
        inside = np.zeros(input_shape, bool)
        inside[max(y, 0) : y + placement.size[0], max(x, 0) : x + placement.size[1]] = True
        pixels[~inside] = fill
        return change(pixels)

    return answer


def _stretched(image_shape, input_shape):
    return Placement.of_size(image_shape, input_shape, (0, 0))


def _in_the_corner(image_shape, input_shape):
    return Placement.of_size(image_shape, letterbox(image_shape, input_shape).size, (0, 0))


def _cut(image_shape, input_shape):
    scale = max(input_shape[0] / image_shape[0], input_shape[1] / image_shape[1])
    size = tuple(round(side * scale) for side in image_shape)
    return Placement.of_size(image_shape, size, ((input_shape[1] - size[1]) // 2, (input_shape[0] - size[0]) // 2))


PHOTO_MISTAKES = [
    ("The values go from 0 to 255.", prepare(change=lambda pixels: pixels)),
    ("The values are divided by 255 twice.", prepare(change=lambda pixels: pixels / 255**2)),
    ("The values go from -1 to 1.", prepare(change=lambda pixels: pixels / 127.5 - 1)),
    ("The channels come as BGR.", prepare(change=lambda pixels: pixels[..., ::-1] / 255)),
    ("The photograph is stretched: multiply both sides by one number.", prepare(_stretched)),
    ("The photograph is cut: all of it should be seen.", prepare(_cut)),
    ("The photograph lies at the border: its bars should be equally wide.", prepare(_in_the_corner)),
    ("The bars are black: they should be grey, 128 of 255.", prepare(fill=0)),
]


@task
def check_prepare(function: Callable) -> None:
    """Check `prepare(photo, input_shape)` against `place` with `letterbox`.

    Args:
        function: takes a Pillow image, RGB, and (height, width); returns (height, width, 3), 0 to 1.
    """
    for words, shape, input_shape in PHOTO_CASES:
        photo = Image.fromarray(draw_smear(np.random.default_rng(1), shape)[0])
        result = call(function, photo.copy(), input_shape, given=words)
        found, expected = numbers(result), prepare()(photo, input_shape)
        if found is None:
            raise Hint(f"for {words} expected an array of numbers; you return a {type(result).__name__}.")
        if found.shape != expected.shape:
            why = " Pillow's sizes have the width first, shapes the height." * (found.shape[:2] == input_shape[::-1])
            raise Hint(f"for {words} you return the shape {found.shape}; expected {expected.shape}.{why}")
        off = _distance(found, expected)
        if off > NEAR:
            wrong = [(_distance(found, answer(photo, input_shape)), why) for why, answer in PHOTO_MISTAKES]
            why = min(wrong)[1] if min(wrong)[0] < min(NEAR, off) else "Lay it over what `place` draws, and compare."
            extent = (
                f"values {found.min():.3g} to {found.max():.3g}; expected {expected.min():.2g} to {expected.max():.2g}"
            )
            raise Hint(f"for {words} you return {extent}. {why}")


def _distance(found, other):
    """The mean difference, as a part of the range of the latter."""
    return np.abs(found - other).mean() / np.ptp(other)
