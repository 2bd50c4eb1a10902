"""Images: opened as a person sees them, measured from their header, and drawn on a network's input."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from yolo_helpers.boxes import Placement, letterbox

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
GREY = (128, 128, 128)  # what surrounds a photograph that does not fill the input, as in keras-yolo3


class ImageError(ValueError):
    """An image does not open; the message names the file and the mend."""


def open_image(path: Path | str) -> Image.Image:
    """Opens an image as a person sees it, as 8-bit RGB.

    The camera's rotation (EXIF) is applied; grey and CMYK are converted; 16 bits are scaled to 8, not clipped;
    transparent parts become white; of an animation the first frame is taken.

    Args:
        path: the image file.

    Returns:
        A loaded Pillow image of mode RGB.

    Raises:
        ImageError: the file is missing, empty, cut off, or not an image.
    """

    def as_seen(image: Image.Image) -> Image.Image:
        if _orientation(image) != 1:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            values = np.asarray(image)
            if image.mode == "F" or values.min() < 0 or values.max() > 65535:
                raise ValueError("its values have 32 bits, expected 8 or 16")
            image = Image.fromarray(((values.astype(np.int32) + 128) // 257).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB")

    return _use_image(path, as_seen)


class Header(NamedTuple):
    """What an image's file says of it.

    Attributes:
        size: (height, width) in pixels as `open_image` gives them, after the camera's rotation.
        orientation: how the stored picture is turned to be seen, 1 (as it is) to 8, as EXIF numbers it.
    """

    size: tuple[int, int]
    orientation: int


def read_header(path: Path | str) -> Header:
    """Size and rotation of an image, without decoding it, in one opening of the file.

    Args:
        path: the image file.

    Returns:
        Its header.

    Raises:
        ImageError: the file is missing, empty, or does not begin as an image does.
    """

    def header(image: Image.Image) -> Header:
        orientation = _orientation(image)
        width, height = image.size
        if image.format == "TIFF":  # some versions of Pillow turn a TIFF's size when they open it, others later
            width, height = image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
        turned = orientation >= 5  # 5 to 8: a quarter turn
        return Header((width, height) if turned else (height, width), orientation)

    return _use_image(path, header)


def image_size(path: Path | str) -> tuple[int, int]:
    """The (height, width) in pixels that `open_image` would give, see `read_header`.

    >>> from yolo_helpers.anchors import DATA
    >>> image_size(DATA / "smears" / "images" / "smear_0000.png")
    (192, 256)
    """
    return read_header(path).size


def _use_image(path: Path | str, use: Callable[[Image.Image], Any]) -> Any:
    try:
        with Image.open(path) as image:
            return use(image)
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        if isinstance(error, FileNotFoundError):
            reason = "the file does not exist"
        elif os.path.isfile(path) and os.path.getsize(path) == 0:  # noqa: PTH113, PTH202 - any path, even a bad one
            reason = "the file is empty"
        elif isinstance(error, UnidentifiedImageError):
            reason = "it is not an image, or of an unknown kind"
        else:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path}: the image does not open ({reason}): replace it, or leave it out.") from error


def _orientation(image: Image.Image) -> int:
    """How the camera was held, 1 (upright) to 8, as EXIF numbers it."""
    try:
        # The base class's method: the one for PNG decodes the whole picture in search of a late EXIF block.
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF: viewers show such a picture as it is
        return 1
    return value if value in range(1, 9) else 1


def place(
    image: Image.Image,
    placement: Placement,
    input_shape: tuple[int, int],
    change: Callable[[Image.Image], Image.Image] = lambda seen: seen,
) -> Image.Image:
    """A photograph drawn on the network's grey input where `placement` says, half pixels included.

    Args:
        image: the photograph, RGB.
        placement: its size and place.
        input_shape: (height, width) of the input in pixels.
        change: what is done to the resized photograph, or to the part of it that is seen; the grey stays as it is.

    Returns:
        An RGB picture of that size.
    """
    height, width = input_shape
    x, y = placement.offset
    if x == int(x) and y == int(y):
        return _place_visible(image, placement.size[::-1], (int(x), int(y)), (width, height), change)
    resized = image.resize(placement.size[::-1], Image.Resampling.BILINEAR, reducing_gap=2)
    return change(resized).transform(
        (width, height), Image.Transform.AFFINE, (1, 0, -x, 0, 1, -y), Image.Resampling.BILINEAR, fillcolor=GREY
    )


def _place_visible(image, size, offset, canvas_size, change):
    """`place` for whole pixels, several times faster: only what will be seen is resized. All are (x, y)."""
    canvas = Image.new("RGB", canvas_size, GREY)
    start = [max(0, -o) for o in offset]
    stop = [min(s, c - o) for s, c, o in zip(size, canvas_size, offset, strict=True)]
    if start[0] < stop[0] and start[1] < stop[1]:
        box = [
            edge * full / s for edges in (start, stop) for edge, full, s in zip(edges, image.size, size, strict=True)
        ]
        seen = (stop[0] - start[0], stop[1] - start[1])
        seen = image.resize(seen, Image.Resampling.BILINEAR, box=box, reducing_gap=2)
        canvas.paste(change(seen), (max(0, offset[0]), max(0, offset[1])))
    return canvas


def letterbox_image(pixels: np.ndarray, input_shape: tuple[int, int]) -> np.ndarray:
    """A photograph on the network's input as darknet draws it, for networks that darknet trained.

    Darknet mixes two neighbouring pixels in each direction however much smaller the photograph gets, while
    `detect` averages all of them: a network knows the kind it was trained on, and loses scores on the other.

    Args:
        pixels: (H, W, 3) uint8, the photograph.
        input_shape: (height, width) of the network's input in pixels.

    Returns:
        (height, width, 3) float32, 0 to 1; `yolo_eval` brings boxes back onto the photograph (`letterbox_image` and
        `resize_image` in darknet's image.c).
    """
    placement = letterbox(pixels.shape[:2], input_shape)
    for axis, side in enumerate(placement.size):
        last = pixels.shape[axis] - 1
        place = np.arange(side) * (last / max(side - 1, 1))
        low = place.astype(int)
        share = (place - low).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        pixels = pixels.take(low, axis) * (1 - share) + pixels.take(np.minimum(low + 1, last), axis) * share
    image = np.full((*input_shape, 3), 0.5, np.float32)
    x, y = (int(offset) for offset in placement.offset)
    image[y : y + placement.size[0], x : x + placement.size[1]] = pixels / 255
    return image
