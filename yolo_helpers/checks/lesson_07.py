"""Checks around old code and files: from Keras 2 to Keras 3."""

import copy
from collections.abc import Callable

import numpy as np
from keras import ops

from yolo_helpers.checks.compare import compare_loss, expect_batches, float32, likely, tensor_numbers, train_with
from yolo_helpers.checks.verdict import Hint, call, in_words, task

# new_loss

PORT_CASES = [  # words, y_true, y_pred
    ("one row, 0 apart, raw confidence 0", [[1, 1, 1, 1, 1]], [[1, 1, 1, 1, 0]]),
    ("one row, x 0.5 apart", [[1, 1, 1, 1, 1]], [[1.5, 1, 1, 1, 0.5]]),
    ("one row, w 0.5 apart", [[1, 1, 1, 1, 1]], [[1, 1, 0.5, 1, 0.5]]),
    ("one row, h 3 apart", [[1, 1, 1, 1, 1]], [[1, 1, 1, 4, -2]]),
    ("one row without an object", [[0, 0, 0, 0, 0]], [[1, -2, 3, -0.5, 0.25]]),
    ("one row with a raw confidence of -100", [[1, 1, 1, 1, 1]], [[1, 1, 1, 1, -100]]),
    ("two rows", [[1, 2, 3, 4, 1], [0, 0, 0, 0, 0]], [[1.2, 0, 3, 7, 0.5], [1, 1, 1, 1, -0.5]]),
]


def old_loss(
    coordinates: float = 5.0,
    logits: bool = True,
    swapped: bool = False,
    reduce: Callable = np.sum,
    masked: bool = True,
) -> Callable:
    """Make the loss in NumPy; the defaults are right, each argument is a common mistake.

    Args:
        coordinates: how often the first two columns count.
        logits: whether the raw confidence is taken for a logit, not for a probability.
        swapped: the square is taken for the errors from 1 on.
        reduce: of the four box terms.
        masked: whether a row without an object has no box term.
    """

    def answer(y_true, y_pred):
        y_true, y_pred = (ops.convert_to_numpy(y).astype(float) for y in (y_true, y_pred))
        has_object = (y_true[:, 4:5] > 0).astype(float)
        error = np.abs(y_true[:, :4] - y_pred[:, :4])
        smooth = np.where((error < 1) != swapped, 0.5 * error**2, error - 0.5)
        terms = (has_object if masked else 1) * smooth * [coordinates, coordinates, 1, 1]
        raw = y_pred[:, 4]
        entropy = np.logaddexp(0, raw) - has_object[:, 0] * raw
        if not logits:
            p = np.clip(raw, 1e-7, 1 - 1e-7)
            entropy = -np.where(has_object[:, 0] > 0, np.log(p), np.log(1 - p))
        return reduce(terms, axis=-1) + entropy

    return answer


PORT_MISTAKES = [
    ("The raw confidence is a logit: from_logits=True.", old_loss(logits=False)),
    ("The first two columns count five times.", old_loss(coordinates=1.0)),
    ("K.switch(condition, then, otherwise): the square is for errors below 1.", old_loss(swapped=True)),
    ("K.sum adds up, without a mean.", old_loss(reduce=np.mean)),
    ("A row without an object has no box term.", old_loss(masked=False)),
]


@task
def check_ported_loss(function: Callable) -> None:
    """Check `new_loss(y_true, y_pred)` against the old formula in NumPy, on values and in `fit`.

    Args:
        function: the reader's answer; takes two (B, 5), returns (B,).
    """
    for given, *rows in PORT_CASES:
        y_true, y_pred = float32(*rows)
        expected = old_loss()(y_true, y_pred)
        result = call(function, ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred), given=given)
        try:
            compare_loss(result, expected, given)
        except Hint as hint:
            found = tensor_numbers(result)
            why = "" if found is None else likely(found, PORT_MISTAKES, y_true, y_pred)
            if found is not None and found.shape == (2 * len(expected),):
                why = " ops.concatenate joins along the first axis unless you say axis=-1."
            raise Hint(f"{hint}{why}") from None
    train_with(function, y_true, y_pred, given, traced=True)


# modern


@task
def check_modern(function: Callable) -> None:
    """Check `modern(generator)`: batches of keras-yolo3 become batches for today's training model.

    Args:
        function: the reader's generator function.
    """

    def old_batch(random, size):
        # Values a hair below a whole number, which a change of type alone would cut off.
        pixels = random.integers(1, 256, (size, 32, 32, 3))
        y_true = [random.random((size, *grid, 3, 6)).astype("float32") for grid in ((1, 1), (2, 2), (4, 4))]
        return ([(pixels - 1e-4) / 255, *y_true], np.zeros(size)), (pixels, y_true)

    for (pixels, y_true), batch, where in expect_batches(function, old_batch):
        _judge_batch(batch, pixels, y_true, where)


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


# pair_up


def _counted(kind: str, numbers) -> list[str]:
    """Name layers as Keras does, such as conv2d, conv2d_1, conv2d_2."""
    return [kind if number == 0 else f"{kind}_{number}" for number in numbers]


NORMS = "batch_normalization"
PAIR_CASES = [  # words, old names, new names
    ("two convolutions", _counted("conv2d", [1, 2]), _counted("conv2d", [0, 1])),
    ("names in another order", _counted("conv2d", [2, 3, 1]), _counted("conv2d", [1, 0, 2])),
    ("more than nine", _counted("conv2d", range(1, 13)), _counted("conv2d", range(12))),
    ("a model that is not the first", _counted("conv2d", [1, 2, 3]), _counted("conv2d", [9, 10, 11])),
    (
        "two kinds, each counted by itself",
        ["conv2d_1", f"{NORMS}_1", "conv2d_2", "conv2d_3", f"{NORMS}_2"],
        [NORMS, "conv2d", f"{NORMS}_1", "conv2d_1", "conv2d_2"],
    ),
]
UNPAIRED_CASES = [
    ("three old layers and two new ones", _counted("conv2d", [1, 2, 3]), _counted("conv2d", [0, 1])),
    ("as many layers, but of other kinds", ["conv2d_1", "conv2d_2"], ["conv2d", NORMS]),
]


def _in_order(names: list[str]) -> list[str]:
    """Sort names by kind and number; one kind begins with b, the other with c."""

    def number(name):
        return int(name.rsplit("_", 1)[1]) if name.rsplit("_", 1)[-1].isdigit() else 0

    return sorted(names, key=lambda name: (name[0], number(name)))


@task
def check_pair_up(function: Callable) -> None:
    """Check `pair_up(old_names, new_names)`.

    Args:
        function: the reader's answer; takes two lists of layer names, returns a dict, new name -> old name.
    """
    for words, old, new in PAIR_CASES:
        expected = dict(zip(_in_order(new), _in_order(old), strict=True))
        given = f"{words}, {old} and {new},"
        found = call(function, list(old), list(new), given=given)
        if not isinstance(found, dict):
            raise Hint(f"for {given} you return a {type(found).__name__}; expected a dict, new name -> old name.")
        if found == {old_name: new_name for new_name, old_name in expected.items()}:
            raise Hint(f"for {given} your dict goes from old to new; expected new name -> old name.")
        for name, old_name in expected.items():
            if found.get(name) != old_name:
                by_text = words == "more than nine" and found.get(name) in old
                why = " As text, conv2d_10 comes before conv2d_2: sort by the number." if by_text else ""
                raise Hint(f"for {given} {name} gets {found.get(name)}; expected {old_name}.{why}")
        if found.keys() != expected.keys():
            raise Hint(f"for {given} expected {len(expected)} pairs, you return {len(found)}.")
    for words, old, new in UNPAIRED_CASES:
        try:
            result = function(list(old), list(new))
        except ValueError:
            continue
        except Exception as error:
            raise Hint(f"for {words} your function raised {in_words(error)}; expected a ValueError.") from None
        raise Hint(
            f"for {words}, {old} and {new}, you return {result}; expected a ValueError: refuse what does not fit."
        )


# holds_code

CODE = {"class_name": "__lambda__", "config": {"code": "4wIA", "defaults": None, "closure": None}}
NAMED = {"class_name": "function", "config": "yolo_loss", "registered_name": "function"}


def _layer(kind: str, **config) -> dict:
    """Describe a layer as Keras 3 does."""
    return {"class_name": kind, "config": {"name": "yolo_loss", **config}}


def _old_lambda(**types) -> dict:
    """Describe a Lambda as Keras 2 does."""
    kinds = {"function_type": "function", "output_shape_type": "raw", **types}
    return _layer("Lambda", function=["4wIA", None, None], **kinds)


def _model(*layers, **more) -> dict:
    """Describe a model of an input and these layers."""
    config = {"name": "model", "layers": [_layer("InputLayer"), *layers]}
    return {"class_name": "Functional", "config": config, **more}


def _compiled(loss) -> dict:
    """Describe a model that was compiled with this loss."""
    return _model(_layer("Dense", units=1), compile_config={"optimizer": "adam", "loss": loss})


DESCRIPTIONS = [  # words, the description as Keras writes it, and whether it holds code
    ("a model of Keras' own layers", _model(_layer("Dense", units=1)), False),
    ("a Lambda of Keras 3 with a lambda", _model(_layer("Lambda", function=CODE)), True),
    ("a Lambda of Keras 3 with a named function", _model(_layer("Lambda", function=NAMED)), False),
    (
        "a Lambda of Keras 3 with code for its output_shape",
        _model(_layer("Lambda", function=NAMED, output_shape=CODE)),
        True,
    ),
    ("a lambda in a model inside the model", _model(_model(_layer("Lambda", function=CODE))), True),
    ("a lambda as loss in compile", _compiled({"yolo_loss": CODE}), True),
    ("a lambda in a list of losses", _compiled(["mse", CODE]), True),
    ("the name of a lambda as loss, without code", _compiled({"yolo_loss": "<lambda>"}), False),
    ("a Lambda of Keras 2 with code", _model(_old_lambda(function_type="lambda")), True),
    ("a Lambda of Keras 2 with a named function", _model(_old_lambda()), False),
    ("a Lambda of Keras 2 with code for its output_shape", _model(_old_lambda(output_shape_type="lambda")), True),
    (
        "a Dense layer that is named __lambda__",
        _model({"class_name": "Dense", "config": {"name": "__lambda__"}}),
        False,
    ),
    ("a Dense layer that is named lambda", _model({"class_name": "Dense", "config": {"name": "lambda"}}), False),
]


@task
def check_holds_code(function: Callable) -> None:
    """Check `holds_code(description)`.

    Args:
        function: the reader's answer; takes the description of a model, dicts and lists, returns True or False.
    """
    for words, description, expected in DESCRIPTIONS:
        found = call(function, copy.deepcopy(description), given=words)
        if not isinstance(found, bool | np.bool_):
            raise Hint(f"for {words} you return {found!r}; expected True or False.")
        if found != expected:
            why = "it holds code that would run" if expected else "nothing in it is code"
            raise Hint(f"for {words} you return {found}; expected {expected}: {why}.")
