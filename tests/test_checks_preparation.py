"""The check of how a photograph is prepared, against right answers and wrong ones that people really give."""

import numpy as np
import pytest
from PIL import Image
from verdicts import answers

from yolo_helpers import checks
from yolo_helpers.boxes import letterbox
from yolo_helpers.checks.preparation import PHOTO_MISTAKES, prepare
from yolo_helpers.images import letterbox_image, place


@pytest.mark.parametrize(("words", "wrong"), PHOTO_MISTAKES)
def test_each_mistake_gets_its_words(says, words, wrong):
    says(checks.check_prepare, wrong, "hint: for ", words)


def with_the_course(photo, input_shape):
    placement = letterbox((photo.height, photo.width), input_shape)
    return np.asarray(place(photo, placement, input_shape), "float32") / 255


def as_keras_yolo3(photo, input_shape):
    """`letterbox_image` of keras-yolo3's utils.py."""
    (height, width), (h, w) = input_shape, photo.size[::-1]
    scale = min(width / w, height / h)
    w, h = int(w * scale), int(h * scale)
    image = Image.new("RGB", (width, height), (128, 128, 128))
    image.paste(photo.resize((w, h), Image.Resampling.BICUBIC), ((width - w) // 2, (height - h) // 2))
    return np.array(image) / 255


@pytest.mark.parametrize(
    ("answer", "expected"),
    answers(
        (with_the_course, "ok"),
        (as_keras_yolo3, "ok"),
        (prepare(), "ok"),
        (lambda photo, shape: letterbox_image(np.asarray(photo), shape), "ok"),
        (None, "not done yet"),
        (lambda photo, shape: None, "not done yet: the function returns None"),
        (
            lambda photo, shape: np.asarray(photo.resize(shape)) / 255,
            "for a photograph of 120 x 160 pixels and an input of 96 x 128 you return the shape (128, 96, 3)",
            "Pillow's sizes have the width first",
        ),
        (
            lambda photo, shape: np.asarray(photo.resize(shape[::-1])) / 255,
            "for a wide photograph",
            "The photograph is stretched",
        ),
        (lambda photo, shape: np.asarray(photo.resize(shape[::-1])), "values", "The values go from 0 to 255."),
        (lambda photo, shape: with_the_course(photo, shape)[None], "the shape (1, 96, 128, 3); expected (96, 128, 3)"),
        (lambda photo, shape: "pixels", "expected an array of numbers; you return a str"),
        (lambda photo, shape: 1 - with_the_course(photo, shape), "Lay it over what `place` draws, and compare."),
        (lambda photo: photo, "your function raised TypeError"),
    ),
)
def test_prepare(says, answer, expected):
    says(checks.check_prepare, answer, *expected)
