"""The checks of the tasks in `porting`, against right answers and against wrong answers that people really give."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from yolo_helpers import checks

# Batches of the old form for today's model


def modern(generator):
    for (image, *y_true), zeros in generator:
        yield (np.round(image * 255).astype("uint8"), *y_true), np.zeros((len(zeros), 1))


def each(change):
    """A generator that changes each of the right batches."""

    def answer(generator):
        for (image, *y_true), target in modern(generator):
            yield change(image, y_true, target)

    return answer


def cut_off(generator):
    for (image, *y_true), zeros in generator:
        yield ((image * 255).astype("uint8"), *y_true), zeros[:, None]


def first_only(generator):
    yield next(modern(generator))


def collected(generator):
    yield from list(modern(generator))


def empty(generator):
    yield from ()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (cut_off, "one too small: round"),
        (each(lambda image, y_true, target: ([image, *y_true], target)), "inputs as a tuple of four"),
        (each(lambda image, y_true, target: [(image, *y_true), target]), "a tuple of two"),
        (each(lambda image, y_true, target: ((image, y_true), target)), "inputs as a tuple of four"),
        (each(lambda image, y_true, target: (image, *y_true, target)), "a tuple of two"),
        (each(lambda image, y_true, target: ((image / 255, *y_true), target)), "type uint8; yours is float64"),
        (each(lambda image, y_true, target: ((image // 255, *y_true), target)), "other values"),
        (each(lambda image, y_true, target: ((image[:1], *y_true), target[:1])), "other values"),
        (each(lambda image, y_true, target: ((image, *y_true[::-1]), target)), "the labels are not those"),
        (each(lambda image, y_true, target: ((image, *y_true), target[:, 0])), "yours has shape (4,)"),
        (each(lambda image, y_true, target: ((image, *y_true), target + 1)), "a target of zeros"),
        (each(lambda image, y_true, target: ((image, *y_true), np.zeros((4, 1)))), "shape (1, 1); yours"),
        (first_only, "had ended"),
        (collected, "collects batches"),
        (lambda generator: list(modern(generator)), "use yield"),
        (lambda generator: next(modern(generator)), "use yield"),
        (lambda generator: generator, "inputs as a tuple of four"),
        (each(lambda image, y_true, target: image.no_such_name), "raised AttributeError"),
    ],
)
def test_modern_wrong(says, answer, words):
    says(checks.check_modern, answer, "hint: ", words)


def test_modern_right(says):
    says(checks.check_modern, modern, "ok")
    says(checks.check_modern, each(lambda image, y_true, target: ((image, *y_true), target)), "ok")


@pytest.mark.parametrize("answer", [None, lambda generator: None, empty])
def test_modern_not_done(says, answer):
    says(checks.check_modern, answer, "not done yet")


# holds_code


def code_in(part, kinds=("function_type", "output_shape_type", "mask_type"), lists=True, deep=True, new=True):
    """A right answer `holds_code`; each argument is a common mistake."""
    if isinstance(part, list):
        return lists and any(code_in(one, kinds, lists, deep, new) for one in part)
    if not isinstance(part, dict):
        return False
    if new and part.get("class_name") == "__lambda__" or "lambda" in [part.get(kind) for kind in kinds]:
        return True
    return deep and any(code_in(one, kinds, lists, deep, new) for one in part.values())


def lambda_layers(description):
    """Looks at the functions of the layers on top."""
    return any(
        isinstance(layer["config"].get("function"), list)
        or (layer["config"].get("function") or {}).get("class_name") == "__lambda__"
        for layer in description["config"]["layers"]
    )


def only_layers(description):
    return code_in(description["config"])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (code_in, ["ok"]),
        (None, ["not done yet"]),
        (lambda description: None, ["not done yet: the function returns None"]),
        (lambda description: True, ["for a model of Keras' own layers you return True; expected False"]),
        (lambda description: False, ["for a Lambda of Keras 3 with a lambda you return False", "it holds code"]),
        (lambda description: "__lambda__" in json.dumps(description), ["for a Lambda of Keras 2 with code"]),
        (lambda description: "lambda" in json.dumps(description), ["for the name of a lambda as loss"]),
        (lambda description: '"lambda"' in json.dumps(description) or code_in(description), ["named lambda"]),
        (lambda description: "Lambda" in json.dumps(description), ["a named function you return True"]),
        (lambda description: "no", ["you return 'no'; expected True or False"]),
        (lambda_layers, ["with code for its output_shape you return False"]),
        (only_layers, ["for a lambda as loss in compile"]),
        (lambda description: code_in(description, lists=False), ["for a Lambda of Keras 3 with a lambda"]),
        (lambda description: code_in(description, kinds=["function_type"]), ["Keras 2 with code for its output_shape"]),
        (lambda description: code_in(description, new=False), ["for a Lambda of Keras 3 with a lambda"]),
        (lambda description: code_in(description, deep=False), ["for a Lambda of Keras 3 with a lambda"]),
        (lambda description: description["layers"], ["your function raised KeyError"]),
    ],
)
def test_holds_code(says, answer, expected):
    says(checks.check_holds_code, answer, *expected)


def test_the_descriptions_are_like_those_that_keras_writes(tmp_path):
    """What the reference answer finds in files that both libraries write."""
    h5py, tf_keras = pytest.importorskip("h5py"), pytest.importorskip("tf_keras")
    for library in (keras, tf_keras):
        for function, expected in ((lambda x: x + 1, True), (tf.nn.relu, library is tf_keras)):
            numbers = library.Input((2,))
            library.Model(numbers, library.layers.Lambda(function)(numbers)).save(tmp_path / "model.h5")
            with h5py.File(tmp_path / "model.h5") as file:
                assert code_in(json.loads(file.attrs["model_config"])) == expected
