"""The checks of the tasks in `lesson_07`, against right answers and against wrong answers that people really give."""

import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yolo_helpers import checks
from yolo_helpers.checks.lesson_07 import PORT_MISTAKES, old_loss

# new_loss


def with_logits(target, raw):
    return ops.binary_crossentropy(target, raw, from_logits=True)


def ported(axis=-1, entropy=with_logits):
    """Make an answer `new_loss`; the defaults are right, each argument is a common mistake."""

    def new_loss(y_true, y_pred):
        has_object = ops.cast(y_true[:, 4:5] > 0, y_pred.dtype)
        error = ops.abs(y_true[:, :4] - y_pred[:, :4])
        smooth = has_object * ops.where(error < 1.0, 0.5 * ops.square(error), error - 0.5)
        terms = ops.concatenate([5.0 * smooth[:, :2], smooth[:, 2:]], axis=axis)
        boxes, confidence = ops.sum(terms, axis=-1), ops.sum(entropy(has_object, y_pred[:, 4:5]), axis=-1)
        return boxes + confidence if axis == -1 else boxes

    return new_loss


def with_tensorflow(y_true, y_pred):
    has_object = tf.cast(y_true[:, 4:5] > 0, tf.float32)
    error = tf.abs(y_true[:, :4] - y_pred[:, :4])
    smooth = has_object * tf.where(error < 1, 0.5 * error**2, error - 0.5) * [5.0, 5.0, 1.0, 1.0]
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=has_object, logits=y_pred[:, 4:5])
    return tf.reduce_sum(tf.concat([smooth, entropy], -1), -1)


def overflowing(target, raw):
    """The cross-entropy as it stands in books."""
    return -target * ops.log(ops.sigmoid(raw)) - (1 - target) * ops.log(1 - ops.sigmoid(raw))


def by_numpy(y_true, y_pred):
    return ops.convert_to_tensor(ported()(np.asarray(y_true), np.asarray(y_pred)))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ported(), ["ok"]),
        (with_tensorflow, ["ok"]),
        (None, ["not done yet"]),
        (lambda y_true, y_pred: None, ["not done yet: the function returns None"]),
        (0.5, ["expected a function, but the answer is of type float"]),
        (ported(axis=0), ["gave the shape (2,); expected (1,)", "joins along the first axis unless you say axis=-1"]),
        *[(wrong, ["hint: for one row", words]) for words, wrong in PORT_MISTAKES],
        (old_loss(coordinates=1.0), ["for one row, x 0.5 apart"]),
        (old_loss(masked=False), ["for one row without an object"]),
        (ported(entropy=overflowing), ["raw confidence of -100", "inf"]),
        (lambda y_true, y_pred: ops.sum(ported()(y_true, y_pred)), ["gave one number"]),
        (lambda y_true, y_pred: ported()(y_true, y_pred)[:, None], ["gave the shape (1, 1); expected (1,)"]),
        (by_numpy, ["by hand it works, but in fit"]),
        (lambda y_true: y_true, ["your function raised TypeError"]),
        (lambda y_true, y_pred: "0.5", ["returned a str; expected a tensor of numbers"]),
    ],
)
def test_ported_loss(says, answer, expected):
    says(checks.check_ported_loss, answer, *expected)


def test_the_reference_is_the_formula_of_keras_2():
    K = pytest.importorskip("tf_keras").backend

    def in_keras_2(y_true, y_pred):
        has_object = K.cast(y_true[:, 4:5] > 0, K.dtype(y_pred))
        error = K.abs(y_true[:, :4] - y_pred[:, :4])
        smooth = has_object * K.switch(error < 1.0, 0.5 * K.square(error), error - 0.5)
        terms = K.concatenate([5.0 * smooth[:, :2], smooth[:, 2:]])
        entropy = K.binary_crossentropy(has_object, y_pred[:, 4:5], from_logits=True)
        return K.sum(terms, axis=-1) + K.sum(entropy, axis=-1)

    random = np.random.default_rng(0)
    y_true, y_pred = (random.normal(0, 2, (20, 5)).astype("float32") for _ in range(2))
    expected = in_keras_2(tf.constant(y_true), tf.constant(y_pred))
    np.testing.assert_allclose(old_loss()(y_true, y_pred), expected, rtol=1e-5)


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


# pair_up


def pairs(number=int, pattern=r"(.*?)(?:_(\d+))?", by_kind=True, in_order=True, turned=False, refuse="kinds"):
    """Make an answer `pair_up`; the defaults are right, each argument is a common mistake."""

    def sort(names):
        parts = [(*re.fullmatch(pattern, name).groups(), name) for name in names]
        if in_order:
            parts.sort(key=lambda part: (part[0] if by_kind else "", number(part[1] or 0)))
        elif by_kind:
            parts.sort(key=lambda part: part[0])
        return [kind for kind, *_ in parts], [name for *_, name in parts]

    def pair_up(old_names, new_names):
        (old_kinds, old), (new_kinds, new) = sort(old_names), sort(new_names)
        if refuse == "kinds" and old_kinds != new_kinds or refuse == "count" and len(old) != len(new):
            raise ValueError("They differ.")
        found = dict(zip(new, old))
        return {name: new_name for new_name, name in found.items()} if turned else found

    return pair_up


def by_name(old_names, new_names):
    return {name: name for name in new_names if name in old_names}


def refuse_by_assert(old_names, new_names):
    assert len(old_names) == len(new_names)
    return pairs()(old_names, new_names)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (pairs(), ["ok"]),
        (None, ["not done yet"]),
        (lambda old, new: None, ["not done yet: the function returns None"]),
        (pairs(number=str), ["for more than nine", "As text, conv2d_10 comes before conv2d_2"]),
        (pairs(in_order=False), ["for names in another order", "conv2d gets conv2d_3; expected conv2d_1."]),
        (pairs(by_kind=False, refuse="count"), ["for two kinds, each counted by itself", "gets"]),
        (pairs(turned=True), ["for two convolutions", "your dict goes from old to new"]),
        (pairs(refuse="no"), ["for three old layers and two new ones", "refuse what does not fit"]),
        (pairs(refuse="count"), ["for as many layers, but of other kinds", "refuse what does not fit"]),
        (by_name, ["for two convolutions", "conv2d gets None; expected conv2d_1."]),
        (refuse_by_assert, ["for three old layers", "raised AssertionError", "expected a ValueError"]),
        (lambda old, new: list(zip(new, old)), ["you return a list; expected a dict"]),
        (lambda old, new: {**pairs()(old, new), "dense": "dense_1"}, ["expected 2 pairs, you return 3"]),
        (lambda old, new: {name: old[int(name[-1])] for name in new}, ["your function raised ValueError"]),
    ],
)
def test_pair_up(says, answer, expected):
    says(checks.check_pair_up, answer, *expected)


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
