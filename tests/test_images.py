"""Images: opened as a person sees them, measured by their header, drawn on the input."""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from yolo_helpers.augment import random_placement
from yolo_helpers.boxes import Placement, letterbox
from yolo_helpers.images import GREY, ImageError, image_size, open_image, place, read_header

SHAPE = (96, 128)


def write(path, content):
    path.write_bytes(content)
    return path


def saved(tmp_path, image, name="x.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_the_cameras_rotation_is_applied(tmp_path, orientation, suffix):
    pixels = np.full((40, 60, 3), 255, np.uint8)
    pixels[:20, :30] = 0  # a dark corner, top left
    # How the sensor stored what a person sees as `pixels`.
    stored = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: pixels[:, ::-1].transpose(1, 0, 2),
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: pixels[::-1].transpose(1, 0, 2),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), "x" + suffix, exif=exif)
    image = open_image(path)
    assert image.size == (60, 40)
    assert read_header(path) == ((40, 60), orientation) and image_size(path) == (40, 60)
    shown = np.asarray(image)
    assert shown[5, 5].max() < 60 and shown[5, 55].min() > 200 and shown[35, 5].min() > 200


def test_sixteen_bits_are_scaled(tmp_path):
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    for name in ("x.png", "x.tif"):
        image = open_image(saved(tmp_path, Image.fromarray(values), name))
        assert np.asarray(image)[0, :, 1].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LA", "RGBA"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    name = {"CMYK": "x.jpg", "YCbCr": "x.jpg"}.get(mode, "x.png")
    path = saved(tmp_path, Image.new("RGB", (20, 10), (255, 255, 255)).convert(mode), name)
    image = open_image(path)
    assert (image.mode, image.size) == ("RGB", (20, 10)) and image_size(path) == (10, 20)
    assert np.asarray(image).min() > 250


def test_transparent_parts_become_white(tmp_path):
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = 0, 128, 255
    image = open_image(saved(tmp_path, Image.fromarray(pixels)))
    assert np.asarray(image)[0, :, 0].tolist() == [255, 127, 0]
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert np.asarray(open_image(saved(tmp_path, palette, transparency=1)))[0, 0].tolist() == [255, 255, 255]


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("x.gif", "y.png", "z.webp"):
        path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:])
        red, _, blue = np.asarray(open_image(path))[4, 4]
        assert red > 200 and blue < 60


@pytest.mark.parametrize("size", [(1, 1), (20_000, 3)])
def test_unusual_sizes(tmp_path, size):
    path = saved(tmp_path, Image.new("RGB", size))
    assert open_image(path).size == size and image_size(path) == size[::-1]


def test_images_that_are_damaged(tmp_path):
    whole = saved(tmp_path, Image.effect_noise((64, 64), 50), "w.png").read_bytes()
    cut = write(tmp_path / "cut.png", whole[: len(whole) // 2])
    assert image_size(cut) == (64, 64)  # the header is whole
    bad = {
        cut: "cut.png: the image does not open",
        write(tmp_path / "zero.png", b""): "zero.png.*is empty",
        write(tmp_path / "text.jpg", b"hello"): "text.jpg.*not an image",
        tmp_path / "gone.png": "gone.png.*does not exist",
        tmp_path: "does not open",
        Path("a\0b.png"): "null",
    }
    for path, words in bad.items():
        with pytest.raises(ImageError, match=words):
            open_image(path)
    for path in list(bad)[1:]:
        with pytest.raises(ImageError):
            image_size(path)


def test_32_bit_images_are_refused_since_their_range_is_not_known(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.ones((4, 4), np.float32)), "x.tif")
    with pytest.raises(ImageError, match=r"x\.tif.*32 bits"):
        open_image(path)


def test_a_header_that_promises_a_giant_image_is_refused(tmp_path):
    whole = bytearray(saved(tmp_path, Image.new("RGB", (1, 1))).read_bytes())
    whole[16:24] = (100_000).to_bytes(4, "big") * 2
    whole[29:33] = zlib.crc32(whole[12:29]).to_bytes(4, "big")
    with pytest.raises(ImageError, match="does not open"):
        image_size(write(tmp_path / "bomb.png", bytes(whole)))


@pytest.mark.skipif(os.name == "nt", reason="no symbolic links without rights on Windows")
def test_files_are_closed(tmp_path, recwarn):
    path = saved(tmp_path, Image.new("RGB", (5, 5)))
    for _ in range(3):
        open_image(path), image_size(path)
    assert not [w for w in recwarn if issubclass(w.category, ResourceWarning)]


def test_half_a_pixel_is_placed_as_half_a_pixel():
    # A photograph 3 wide on an input 4 wide: the letterbox begins at 0.5, so the white column's light falls on two.
    photo = Image.fromarray(np.array([[[0] * 3, [255] * 3, [0] * 3]] * 4, np.uint8))
    placement = letterbox((4, 3), (4, 4))
    assert placement.offset == (0.5, 0)
    np.testing.assert_allclose(np.asarray(place(photo, placement, (4, 4)))[1, 1:3, 0], [128, 128], atol=1)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_only_what_is_seen_is_resized_to_the_same_picture(seed):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    photograph = Image.fromarray(blocks).resize((160, 120), Image.Resampling.BILINEAR)
    placement = random_placement(rng, (120, 160), SHAPE)
    if rng.random() < 0.2:  # wholly outside
        placement = Placement.of_size((120, 160), placement.size, (SHAPE[1], 0))
    whole = np.asarray(photograph.resize(placement.size[::-1], Image.Resampling.BILINEAR)).astype(int)
    canvas = np.full((*SHAPE, 3), GREY)
    for row, column in np.ndindex(*SHAPE):
        y, x = row - placement.offset[1], column - placement.offset[0]
        if 0 <= y < len(whole) and 0 <= x < whole.shape[1]:
            canvas[row, column] = whole[y, x]
    found = np.asarray(place(photograph, placement, SHAPE)).astype(int)
    assert np.abs(found - canvas).max() <= 24  # the border of what is seen: Pillow does not look beyond it
    assert np.abs(found - canvas)[2:-2, 2:-2].max() <= 2
