"""Images: opened as a person sees them, measured by their header, drawn on the input."""

import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from yolo_helpers.augment import random_placement
from yolo_helpers.boxes import Placement, letterbox
from yolo_helpers.images import GREY, IMAGE_SUFFIXES, ImageError, image_size, open_image, place, read_header

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


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled(tmp_path, suffix, order):
    values = np.array([[0, 257, 32768, 65535]], order + "u2")
    image = open_image(saved(tmp_path, Image.fromarray(values), "x" + suffix))
    assert np.asarray(image)[0, :, 1].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_fewer_bits_in_sixteen_are_refused_with_a_line_that_mends_them(tmp_path, bits, suffix, order):
    """Unless the picture is black, which it is however many bits there are."""
    values = np.array([[0, 2**bits // 2, 2**bits - 1]], order + "u2")
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    path = saved(tmp_path / "old", Image.fromarray(values), "x" + suffix)
    with pytest.raises(ImageError, match=rf"x{suffix}.*largest value is {2**bits - 1} .*likely {bits} bits") as error:
        open_image(path)
    line = re.search("`(for .*)`", str(error.value))[1]
    exec(line, {"Path": lambda *parts: tmp_path.joinpath(*parts), "Image": Image, "np": np})
    assert np.asarray(open_image(tmp_path / "new" / path.name))[0, :, 0].tolist() == [0, 128, 255]
    assert np.asarray(open_image(saved(tmp_path, Image.fromarray(values * 0), "black.png"))).max() == 0


def test_fewer_bits_are_scaled_where_a_tiff_says_their_number(tmp_path):
    def shown(largest, **tags):
        tags = {int(tag): value for tag, value in tags.items()}
        image = Image.fromarray(np.array([[0, 1000, largest]], np.uint16))
        return np.asarray(open_image(saved(tmp_path, image, "x.tif", tiffinfo=tags)))[0, :, 0].tolist()

    say, white_is_zero = {"281": 4095}, {"262": 0}
    assert shown(3000, **say) == [0, 62, 187]
    assert shown(65535, **say) == [0, 4, 255]  # and yet there are more
    assert shown(65535, **white_is_zero) == [255, 251, 0]
    with pytest.raises(ImageError, match="largest value is 3000"):
        shown(3000, **{"281": 3000})  # what this picture reaches, and no range


def sixteen_bits_a_colour(path, values):
    """Writes values (H, W, 3 or 4) as PNG, which Pillow cannot."""

    def chunk(kind, content):
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    height, width, channels = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return write(path, b"\x89PNG\r\n\x1a\n" + chunks)


def test_sixteen_bits_a_colour(tmp_path):
    colours = np.array([[[65535, 32768, 0, 65535], [0, 4095, 0, 65535]]])
    assert np.asarray(open_image(sixteen_bits_a_colour(tmp_path / "x.png", colours)))[0, 0].tolist() == [255, 128, 0]
    for number in (3, 4):  # what is opaque has the largest value, and is not bright for it
        path = sixteen_bits_a_colour(tmp_path / "dark.png", colours[:, 1:, :number])
        with pytest.raises(ImageError, match="largest value is at most 4095 of 65535"):
            open_image(path)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LA", "RGBA"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    name = {"CMYK": "x.jpg", "YCbCr": "x.jpg"}.get(mode, "x.png")
    path = saved(tmp_path, Image.new("RGB", (20, 10), (255, 255, 255)).convert(mode), name)
    image = open_image(path)
    assert (image.mode, image.size) == ("RGB", (20, 10)) and image_size(path) == (10, 20)
    assert np.asarray(image).min() > 250


@pytest.mark.parametrize("transform", [0, 2], ids=["CMYK", "YCCK"])
def test_the_colours_of_a_printers_jpeg(tmp_path, transform):
    """As Photoshop writes it: every ink inverted, and by Adobe's marker perhaps three of them as YCbCr."""
    rgb = Image.fromarray(np.repeat(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8), 32, 1).repeat(32, 0))
    stored = Image.eval(rgb, lambda v: 255 - v).convert("YCbCr") if transform else rgb  # libjpeg takes it for YCbCr
    inks = [Image.eval(band, lambda v: 255 - v) for band in stored.split()]  # which Pillow writes inverted
    path = saved(tmp_path, Image.merge("CMYK", [*inks, Image.new("L", rgb.size, 0)]), "x.jpg", quality=95)
    content = bytearray(path.read_bytes())
    marker = content.index(b"Adobe") + 11
    assert content[marker] == 0
    content[marker] = transform
    shown = np.asarray(open_image(write(path, bytes(content)))).astype(int)
    np.testing.assert_allclose(shown[16, [16, 48]], [[255, 0, 0], [0, 0, 255]], atol=12)


def test_transparent_parts_become_white(tmp_path):
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = 0, 128, 255
    for image in (Image.fromarray(pixels), Image.fromarray(pixels).convert("LA")):
        assert np.asarray(open_image(saved(tmp_path, image)))[0, :, 0].tolist() == [255, 127, 0]
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    for transparency in (1, bytes([255, 0])):
        path = saved(tmp_path, palette, transparency=transparency)
        assert np.asarray(open_image(path))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("kind", "name"), [("PNG", "x.jpg"), ("WEBP", "x.jpg"), ("JPEG", "x.png"), ("JPEG", "x.jfif")])
def test_an_image_is_told_by_its_content(tmp_path, kind, name):
    path = saved(tmp_path, Image.new("RGB", (20, 10), "red"), name, format=kind)
    assert path.suffix in IMAGE_SUFFIXES and read_header(path) == ((10, 20), 1)
    assert np.asarray(open_image(path))[5, 5, 0] > 240


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


def refused(path, words, functions=(open_image, read_header, image_size)):
    for function in functions:
        with pytest.raises(ImageError, match=words) as error:
            function(path)
        sentence = str(error.value)
        assert sentence.startswith(f"{path}: ") and sentence.endswith(".") and "\n" not in sentence


# Each suffix, and how it is saved.
SAVED = {
    "JPEG": (".jpg", {}),
    "progressive JPEG": (".jpg", {"progressive": True}),
    # The end of the preview is not the photograph's.
    "JPEG with a preview": (".jpg", {"exif": b"Exif\0\0\xff\xd8\xff\xda preview \xff\xd9"}),
    "PNG": (".png", {}),
    "GIF": (".gif", {}),
    "BMP": (".bmp", {}),
    "TIFF": (".tif", {}),
    "compressed TIFF": (".tif", {"compression": "tiff_lzw"}),
    "WebP": (".webp", {}),
}


@pytest.fixture(params=SAVED.values(), ids=SAVED)
def photograph(request, tmp_path):
    suffix, options = request.param
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    return saved(tmp_path, Image.fromarray(pixels), "x" + suffix, **options)


@pytest.mark.filterwarnings("ignore:Truncated File Read", "ignore:Corrupt EXIF data")
@pytest.mark.parametrize("left", [0.01, 0.5, 0.9, 0.99])
def test_an_image_that_is_cut_off_is_found_by_its_header_too(photograph, left):
    whole = photograph.read_bytes()
    refused(write(photograph, whole[: int(left * len(whole))]), "cut off|not an image")


@pytest.mark.parametrize("left", [0.5, 0.9])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_image_that_is_cut_off_and_filled_up_with_zeros(tmp_path, suffix, left):
    """In a ramp Pillow takes the zeros for pixels, without a word."""
    ramp = Image.linear_gradient("L")
    path = saved(
        tmp_path, ramp.resize((640, 640)) if suffix == ".png" else Image.effect_noise((99, 99), 50), "x" + suffix
    )
    whole = path.read_bytes()
    kept = int(left * len(whole))
    refused(write(path, whole[:kept] + bytes(len(whole) - kept)), "cut off|broken")


@pytest.mark.parametrize("more", [b"\0" * 3000, b"....ftypmp42 and a film", b"\n"], ids=["zeros", "film", "line"])
def test_what_is_appended_to_an_image_does_no_harm(photograph, more):
    pixels, header = np.asarray(open_image(photograph)), read_header(photograph)
    write(photograph, photograph.read_bytes() + more)
    assert (np.asarray(open_image(photograph)) == pixels).all() and read_header(photograph) == header


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello", "not an image"),
        (bytes(5000), "nothing but zeros.*copy"),
        (b"\xff\xd8\xff\xe0\0", "cut off or damaged.*copy"),
        (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "damaged, or of a rare kind"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC.*save it as JPEG"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(99), "HEIC.*save it as JPEG"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif" + bytes(99), "AVIF.*save it as JPEG"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0avifmiaf" + bytes(99), "AVIF.*save it as JPEG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL.*save it as JPEG"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "RAW.*save it as JPEG"),
        (b"\0\0\0\x18ftypisom\0\0\2\0", "film"),
        (b"\n<!DOCTYPE html><html>log in</html>", "web page.*download"),
        (b"\xef\xbb\xbf<HTML>", "web page.*download"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS.*git lfs pull"),
        (b"%PDF-1.7\n", "document"),
        (b"PK\3\4\x14\0", "archive.*unpack"),
    ],
)
def test_what_lies_under_an_images_name_is_named(tmp_path, content, words):
    refused(write(tmp_path / "x.jpg", content), words)


def test_paths_without_an_image(tmp_path):
    for path, words in {
        tmp_path / "gone.png": "does not exist",
        tmp_path: "directory",
        Path("a\0b.png"): "null",
    }.items():
        refused(path, words)


@pytest.mark.parametrize(
    ("kinds", "accepted"), [([0], True), ([0, 1], True), ([0, 4, 1], True), ([0, 0], False), ([1, 0], False)]
)
def test_a_tiff_of_several_pages(tmp_path, kinds, accepted):
    """Smaller copies and masks (bits 0 and 2 of NewSubfileType) are no pictures of their own."""
    pages = [Image.new("L", (8, 8), 200 - n) for n in range(len(kinds))]
    with TiffImagePlugin.AppendingTiffWriter(tmp_path / "x.tif", new=True) as file:
        for page, kind in zip(pages, kinds):
            page.save(file, format="TIFF", tiffinfo={254: kind})
            file.newFrame()
    if accepted:
        assert np.asarray(open_image(tmp_path / "x.tif"))[0, 0, 0] == 200
        assert read_header(tmp_path / "x.tif").size == (8, 8)
    else:
        refused(tmp_path / "x.tif", "preview" if kinds[0] else "2 pages")


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.uint32])
def test_32_bit_images_are_refused_since_their_range_is_not_known(tmp_path, kind):
    values = np.full((4, 4), 40_000).astype(kind)
    refused(
        saved(tmp_path, Image.fromarray(values.view(np.int32) if kind == np.uint32 else values), "x.tif"), "32 bits"
    )


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
