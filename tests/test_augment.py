"""Augmentation: each change within its range, and each with a switch."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from yolo_helpers.augment import Augmentation, mirror, random_colour, random_placement
from yolo_helpers.boxes import letterbox
from yolo_helpers.images import place

SHAPE = (96, 128)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(20, 900), st.integers(20, 900))
def test_random_placements_keep_the_photograph_in_view(seed, height, width):
    placement = random_placement(np.random.default_rng(seed), (height, width), SHAPE)
    x0, y0, x1, y1 = placement.to_input(np.array([[0, 0, width, height]], np.float32))[0]
    for low, high, side in ((x0, x1, SHAPE[1]), (y0, y1, SHAPE[0])):
        assert (low > -1 and high < side + 1) or (low < 1 and high > side - 1)


def test_mirror_is_its_own_inverse():
    boxes = np.array([[3.0, 1, 10, 9], [0, 0, 20, 5]])
    np.testing.assert_array_equal(mirror(mirror(boxes, 20), 20), boxes)
    np.testing.assert_array_equal(mirror(boxes, 20)[0], [10, 1, 17, 9])


def test_colours_stay_within_their_ranges():
    """Seen by the standard library's YIQ: a colour in the middle, which no change drives to the end of the range."""
    photo = Image.new("RGB", (1, 1), (130, 95, 75))
    brightness, *colour = colorsys.rgb_to_yiq(130 / 255, 95 / 255, 75 / 255)
    start, changed = complex(*colour), []
    for seed in range(60):
        rgb = np.array(random_colour(np.random.default_rng(seed), photo).getpixel((0, 0))) / 255
        y, i, q = colorsys.rgb_to_yiq(*rgb)
        changed.append(
            (np.angle(complex(i, q) / start) / 2 / np.pi, y / brightness, abs(complex(i, q) / start) / (y / brightness))
        )
    turned, *ratios = np.array(changed).T
    assert np.abs(turned).max() <= 0.1 + 0.01 and np.ptp(turned) > 0.15
    for ratio in ratios:
        assert 1 / 1.5 - 0.04 <= ratio.min() < 0.85 and 1.15 < ratio.max() <= 1.5 + 0.04


@pytest.mark.parametrize("switch", ["placement", "mirror", "colour"])
def test_each_change_has_a_switch(switch):
    """Alone, a change leaves its trace in some of sixteen draws; switched off, in none."""
    photo = Image.fromarray(np.full((60, 120, 3), (130, 95, 75), np.uint8))
    photo.paste((90, 120, 60), (10, 10, 40, 30))
    boxes = np.array([[10, 10, 40, 30]], np.float32)
    plain = letterbox((60, 120), SHAPE)
    expected, placed = np.asarray(place(photo, plain, SHAPE)), plain.to_input(boxes)

    def traces(augmentation):
        drawn = [augmentation(np.random.default_rng(seed), photo, boxes, SHAPE) for seed in range(16)]
        sizes = {tuple(np.ravel(box[:, 2:] - box[:, :2]).round(3).tolist()) for _, box in drawn}
        mirrored = {bool(np.allclose(box, mirror(placed, SHAPE[1]), atol=1e-3)) for _, box in drawn}
        colours = {tuple(np.asarray(pixels).reshape(-1, 3).max(0).tolist()) for pixels, _ in drawn}
        return {"placement": len(sizes) > 1, "mirror": True in mirrored, "colour": len(colours) > 1}

    switches = ("placement", "mirror", "colour")
    alone = traces(Augmentation(**{name: name == switch for name in switches}))
    assert alone == {name: name == switch for name in switches}
    pixels, found = Augmentation(False, False, False)(np.random.default_rng(0), photo, boxes, SHAPE)
    np.testing.assert_array_equal(np.asarray(pixels), expected)
    np.testing.assert_array_equal(found, placed)
