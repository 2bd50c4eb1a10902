"""Images: opened as a person sees them, measured from their header, and drawn on a network's input."""

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base
from PIL.JpegImagePlugin import JpegImageFile

from yolo_helpers.boxes import Placement, letterbox
from yolo_helpers.files import other_kind

# A file's kind is told by its content; folders are searched by these endings. What some version of Pillow that is
# allowed does not read, such as AVIF, is not among them.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
GREY = (128, 128, 128)  # what surrounds a photograph that does not fill the input, as in keras-yolo3
JPEG_END, PNG_END, GIF_END = b"\xff\xd9", b"\0\0\0\0IEND\xaeB`\x82", b";"
REDUCED, MASK = 1, 4  # bits of a TIFF page's NewSubfileType: a smaller copy of another page, or its transparency
SENSOR_BITS = (8, 10, 12, 14)  # what is stored in 16

# What lies under a photograph's name and does not open: how it begins, what it is, and what to do.
OTHER_KINDS = (
    (rb".{4}ftyp.{0,40}avi[fs]", "it is an AVIF photograph", "save it as JPEG"),
    (rb".{4}ftyp(?:he|mif1|msf1)", "it is a HEIC photograph, as telephones take them", "save it as JPEG"),
    (rb"\0\0\0\x0cJXL |\xff\x0a", "it is a JPEG XL photograph", "save it as JPEG"),
    (rb".{4}ftypcrx|FUJIFILMCCD-RAW|II(?:R[OS]|U\0)", "it is a camera's RAW photograph", "save it as JPEG"),
    (rb".{4}ftyp|RIFF.{4}AVI |\x1a\x45\xdf\xa3", "it is a film", "save its pictures as JPEG"),
    (rb"%PDF|%!PS", "it is a document", "save its picture as PNG"),
    (rb"\s*<(?:\?xml|svg)", "it is an XML file, perhaps a drawing", "save that as PNG, or leave it out"),
    (rb"\0+\Z", "it begins with nothing but zeros, as a failed copy leaves", "copy the photograph again"),
)
# What Pillow reads, and of which it yet found no image in the file.
KNOWN_KINDS = (
    (rb"\xff\xd8|\x89PNG|GIF8|RIFF.{4}WEBP", "it is cut off or damaged", "copy it again, or leave it out"),
    (rb"BM|II[*+]\0|MM\0[*+]", "it is cut off, damaged, or of a rare kind", "copy it again, or save it as PNG"),
)


class ImageError(ValueError):
    """An image does not open; the message names the file and the mend."""


class _Unfit(Exception):
    """What a file holds cannot be taken for what a person saw. Its arguments: what was found, and what to do."""


def open_image(path: Path | str, at_least: tuple[int, int] | None = None) -> Image.Image:
    """Opens an image as a person sees it, as 8-bit RGB.

    The camera's rotation (EXIF) is applied; grey and CMYK are converted; 16 bits are scaled to 8, not clipped;
    transparent parts become white; of an animation the first frame is taken. Colour profiles are not applied.

    Args:
        path: the image file.
        at_least: (height, width) in pixels that are enough. A JPEG of several times as many is then decoded at a half,
            a quarter or an eighth of its sides, which takes a fraction of the time.

    Returns:
        A loaded Pillow image of mode RGB.

    Raises:
        ImageError: the file is missing, empty, cut off, or not an image; it is a TIFF of several pages; its values have
            32 bits, or 16 of which it uses so few that how bright a person saw it is not known.
    """

    def as_seen(image: Image.Image) -> Image.Image:
        bits, tags = _bits(image), getattr(image, "tag_v2", {})
        if at_least is not None:
            width, height = at_least if _orientation(image) >= 5 else at_least[::-1]  # 5 to 8: a quarter turn
            image.draft(None, (width, height))  # of JPEG alone; others stay as they are
        if _orientation(image) != 1:
            image = ImageOps.exif_transpose(image)
        if bits > 8:
            image = _eight_bits(image, bits, tags)
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
    """Size and rotation of an image, in one opening of the file and without decoding it.

    Args:
        path: the image file.

    Returns:
        Its header.

    Raises:
        ImageError: the file is missing, empty, cut off, or not an image, or a TIFF of several pages.
    """

    def header(image: Image.Image) -> Header:
        orientation = _orientation(image)
        width, height = image.size
        if image.format == "TIFF":  # some versions of Pillow turn a TIFF's size when they open it, others later
            width, height = image.tag_v2[Base.ImageWidth], image.tag_v2[Base.ImageLength]
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
        with open(path, "rb") as file, Image.open(file) as image:  # noqa: PTH123 - any path, even a bad one
            _check_end(file, image)
            _check_kind(image)
            return use(image)
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        found, mend = error.args if isinstance(error, _Unfit) else _why(path, error)
        raise ImageError(f"{path}: the image does not open ({found}): {mend}.") from error


def _why(path: Path | str, error: Exception) -> tuple[str, str]:
    """What is wrong with a file that does not open, and what to do."""
    beginning = b"unknown"
    with contextlib.suppress(OSError, ValueError), Path(path).open("rb") as file:
        beginning = file.read(64).removeprefix(b"\xef\xbb\xbf")
    unidentified = isinstance(error, UnidentifiedImageError)
    for pattern, kind, mend in OTHER_KINDS + (KNOWN_KINDS if unidentified else ()):
        if re.match(pattern, beginning, re.DOTALL | re.IGNORECASE):
            return kind, mend
    if unidentified and beginning and (other := other_kind(beginning)):
        return f"it is {other[0]}", other[1]
    if isinstance(error, FileNotFoundError):
        reason = "the file does not exist"
    elif not beginning:
        reason = "the file is empty"
    elif unidentified:
        reason = "it is not an image, or of an unknown kind"
    else:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        if re.search(r"truncated|create decoder", reason, re.IGNORECASE):  # Pillow's words, the latter for WebP
            reason = "it is cut off"
    return reason, "replace it, or leave it out"


def _check_end(file: BinaryIO, image: Image.Image) -> None:
    """Raises if the file ends before its picture does, of which the header knows nothing.

    Behind a whole picture anything may stand, such as a film of the same moment: what does not end as its kind does is
    looked at closely.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - len(PNG_END)))
    tail = file.read()
    if image.format in ("JPEG", "MPO"):
        if tail.endswith(JPEG_END):
            return
        # Pillow stops where the picture's data begin, behind the preview, which has an end of its own. Decoding would
        # not do: a copy that broke off and is filled up with zeros decodes, with a grey rest.
        file.seek(0)
        with JpegImageFile(file):
            if JPEG_END not in file.read():
                raise OSError("it is cut off")
    elif image.format == "PNG" and tail != PNG_END:
        with Image.open(file) as again:
            again.verify()  # by its checksums, for the same reason
    elif (image.format == "GIF" and not tail.endswith(GIF_END)) or _promised_size(file, image) > size:
        with Image.open(file) as again:
            again.load()


def _promised_size(file: BinaryIO, image: Image.Image) -> int:
    """The least length in bytes that the header of a BMP or TIFF promises; 0 for other kinds."""
    if image.format == "BMP":
        file.seek(2)
        return int.from_bytes(file.read(4), "little")
    tags = image.tag_v2 if image.format == "TIFF" else {}
    parts = (Base.StripOffsets, Base.StripByteCounts), (Base.TileOffsets, Base.TileByteCounts)
    return max(
        (a + n for starts, counts in parts for a, n in zip(tags.get(starts, ()), tags.get(counts, ()))), default=0
    )


def _check_kind(image: Image.Image) -> None:
    """Raises if it is seen without decoding that this is no picture of 8 or 16 bits alone in its file."""
    if image.format == "JPEG":
        return
    if _bits(image) == 32:
        raise _Unfit("its values have 32 bits or a sign, expected 8 or 16", "save it with 8 bits, as you see it")
    if image.format != "TIFF":
        return
    if image.tag_v2.get(Base.NewSubfileType, 0) & REDUCED:
        raise _Unfit("only a small preview in it is readable, as in a camera's RAW photograph", "save it as JPEG")
    if getattr(image, "is_animated", False):
        for page in range(1, image.n_frames):
            image.seek(page)
            if not image.tag_v2.get(Base.NewSubfileType, 0) & (REDUCED | MASK):
                found = f"it has {image.n_frames} pages, and which of them is meant is not known"
                raise _Unfit(found, "save the page that is meant as a file of its own")
        image.seek(0)


def _bits(image: Image.Image) -> int:
    """How many bits a value has in the file: 8 for all up to 8, 12, 16, or 32 for what is no whole number from 0 on.

    Pillow's image alone does not tell it: of a colour's 16 bits it gives the upper 8.
    """
    stored = str([tile[3] for tile in image.tile])  # among other things "I;16B" or "RGB;16L"; "BGR;16" is a pixel's
    if image.mode == "F" or re.search(r";(?:32|16B?S)", stored):
        return 32
    deep = re.search(r"\b(?!BGR)\w+;(12|16)", stored)
    return int(deep[1]) if deep else 16 if image.mode.startswith("I") else 8


def _eight_bits(image: Image.Image, bits: int, tags: dict[int, Any]) -> Image.Image:
    """An image whose values have more than 8 bits, scaled to 8 as its file says.

    Args:
        image: as Pillow opens it.
        bits: of a value, 12 or 16.
        tags: of a TIFF.
    """
    full = 2**bits - 1
    grey = image.mode.startswith("I")
    if grey:
        values = np.asarray(image).astype(np.int32)
        largest = values.max()
        # By its definition the tag is a statistic of this picture: a range it is where a sensor's is given.
        said = np.max(tags.get(Base.MaxSampleValue, 0))
        if said >= largest and said in [2**n - 1 for n in SENSOR_BITS]:
            full = int(said)
    else:  # Pillow has taken the upper 8 bits
        highest = [high for band, (_, high) in zip(image.getbands(), image.getextrema()) if band in "LRGB"]
        largest = 256 * max(highest, default=255) + 255
    if full == 65535 and 0 < largest < 2 ** SENSOR_BITS[-1]:
        likely = next(n for n in SENSOR_BITS if largest < 2**n)
        largest = f"{'' if grey else 'at most '}{largest}"
        found = f"its largest value is {largest} of 65535, so likely {likely} bits are stored as 16"
        mend = "save it and all others with 8 bits, divided by the same number"
        if grey:
            scaled = f"(np.asarray(Image.open(p)) >> {likely - 8}).clip(0, 255).astype('uint8')"
            mend += f", as `for p in Path('old').iterdir(): Image.fromarray({scaled}).save(Path('new', p.name))` does, "
            mend += f"where {likely - 8} is the bits of the brightest less 8"
        raise _Unfit(found, mend)
    if not grey:
        return image
    if tags.get(Base.PhotometricInterpretation) == 0:  # white is 0, which Pillow heeds with 8 bits only
        values = full - values
    return Image.fromarray(((values * 255 + full // 2) // full).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    """How the camera was held, 1 (upright) to 8, as EXIF numbers it."""
    try:
        # The base class's method: the one for PNG decodes the whole picture in search of a late EXIF block.
        value = Image.Image.getexif(image).get(Base.Orientation, 1)
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
