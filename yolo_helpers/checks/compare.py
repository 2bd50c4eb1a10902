"""What the checks of several lessons use: comparisons that end in a hint, one step of training, values in words."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from yolo_helpers.checks.verdict import Hint, NotDone, call, in_words
from yolo_helpers.loss import identity_loss


def show(values) -> str:
    """Write an array as a short list, such as [0.5, 2.0]."""
    return np.array2string(np.asarray(values), separator=", ", precision=4, suppress_small=True, threshold=20).replace(
        "\n", ""
    )


def expect_model(answer, given: str) -> keras.Model:
    """Return the answer, or end the check with a hint when it is not a model."""
    if not isinstance(answer, keras.Model):
        raise Hint(f"for {given} expected a keras.Model, but your function returned a {type(answer).__name__}.")
    return answer


def expect_done(parts: dict[str, Any]) -> None:
    """End the check with "not done yet" when a part of the answer is still None, and say which unless all are.

    Args:
        parts: name -> the reader's part.

    Raises:
        NotDone: some part is None.
    """
    empty = [name for name, part in parts.items() if part is None]
    if empty:
        raise NotDone("" if len(empty) == len(parts) else f"{', '.join(empty)} still None")


def expect_entries(answer, names: Iterable[str]) -> list[tuple[str, Any]]:
    """Return the entries of a dictionary in which each task's stub holds None, in the order of the names.

    Args:
        answer: the reader's dictionary.
        names: the keys that it is to have.

    Raises:
        NotDone: some entry is still None.
        Hint: it is no dictionary, or has other keys.
    """
    names = list(names)
    if not isinstance(answer, dict):
        raise Hint(f"expected a dictionary with the keys {names}; yours is a {type(answer).__name__}.")
    for key in answer:
        if key not in names:
            raise Hint(f"your dictionary has the key {key!r}; expected {names}.")
    missing = [name for name in names if name not in answer]
    if missing:
        raise Hint(f"in your dictionary the key {missing[0]!r} is missing.")
    entries = {name: answer[name] for name in names}
    expect_done(entries)
    return list(entries.items())


def expect_batches(function: Callable, make: Callable) -> Iterator[tuple[Any, Any, str]]:
    """Yield three batches of a reader's generator, or end the check with a hint when it does not yield one by one.

    Args:
        function: the reader's generator function; takes a generator of batches.
        make: takes a random generator and the size of a batch; returns the batch that the reader's function gets, and
            what the check is to know of it.

    Yields:
        What `make` said of the batch, what the reader's generator made of it, and the batch in words.

    Raises:
        NotDone: nothing is yielded, or None is returned.
        Hint: it is no generator, ends before the batches do, or collects them.
    """
    taken = []

    def batches():
        random = np.random.default_rng(6)
        for size in (*sizes, 4, 4, 4):  # some more, so that the generator does not end where the check does
            batch, known = make(random, size)
            taken.append(known)
            yield batch

    sizes, given = (4, 1, 3), "batches of 4, 1, 3 and more"
    generator = call(function, batches(), given=given)
    if not hasattr(generator, "__next__"):
        raise Hint(f"for {given} expected a generator: use yield. Yours returned a {type(generator).__name__}.")
    for number, size in enumerate(sizes):
        batch = call(lambda: next(generator, "the end"), given=given)
        where = f"for a batch of {size}"
        if isinstance(batch, str):
            if not taken:
                raise NotDone("the generator yields nothing")
            raise Hint(f"{where} your generator had ended; it should go on as long as the one it was given.")
        if len(taken) > number + 2:
            raise Hint("your function collects batches before it yields the first. The one it is given may never end.")
        yield taken[number], batch, where


def with_random_weights(model: keras.Model, seed: int) -> keras.Model:
    """Give a model weights that no initialiser makes, so that a copy of its layers has others; return it."""
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(size=weight.shape) for weight in model.get_weights()])
    return model


def compare_models(model: keras.Model, expected: keras.Model, x: np.ndarray, given: str) -> None:
    """End the check with a hint when a model has other outputs than expected, or copies of the weights.

    Args:
        model: made by the reader's function; one input, one output.
        expected: its weights are those that `model` should use; they are changed.
        x: the input of both.
        given: the input in words.
    """
    own = {id(weight) for weight in model.weights} - {id(weight) for weight in expected.weights}
    for changed in (False, True):
        if changed:
            expected.set_weights([1.0 - weight for weight in expected.get_weights()])
        try:
            # As the model was made: of an input, or of a list of one, for which Keras would warn.
            result = model(keras.tree.map_structure(lambda _: x, model.input))
            found = np.concatenate([ops.convert_to_numpy(part) for part in keras.tree.flatten(result)])
        except Exception as error:
            raise Hint(f"for {given} your model was made, but calling it raised {in_words(error)}") from None
        wanted = ops.convert_to_numpy(expected(x))
        if found.shape != wanted.shape:
            raise Hint(f"for {given} the output of your model has the shape {found.shape}; expected {wanted.shape}.")
        if np.allclose(found, wanted, rtol=1e-4, atol=1e-6):
            continue
        if changed:
            raise Hint(
                f"for {given} the numbers are right, but when the weights of that model change, yours stays as it was: "
                "it has copies of them."
            )
        why = " It has weights of its own; use the layers that are there." if own else ""
        raise Hint(f"for {given} your model gives {show(found[0])} for the first row; expected {show(wanted[0])}.{why}")


def float32(*rows) -> list[np.ndarray]:
    """Turn lists into float32 arrays, the type in which Keras calls a loss."""
    return [np.array(row, dtype="float32") for row in rows]


def numbers(values) -> np.ndarray | None:
    """Return values as an array of floats, or None when they are not numbers or rows of different lengths."""
    try:
        found = np.asarray(values)
        return found.astype(float) if found.dtype.kind in "fiub" else None
    except Exception:
        return None


def tensor_numbers(result) -> np.ndarray | None:
    """Return a tensor or array of integers or floats as an array, or None when it is something else."""
    try:
        found = ops.convert_to_numpy(result)
    except Exception:
        return None
    return found if found.dtype.kind in "fiu" else None


def one_number(result, given: str) -> float:
    """Return a result as a float, or end the check with a hint when it is not one finite number."""
    found = numbers(result)
    if found is None:
        raise Hint(f"for {given} expected a number, but the answer is of type {type(result).__name__}.")
    if found.shape != ():
        raise Hint(f"for {given} expected one number, but the answer has the shape {found.shape}.")
    if np.isnan(found):
        raise Hint(f"for {given} the answer is NaN: 0 was divided by 0, or computed with NaN.")
    return float(found)


def likely(
    found,
    mistakes: Iterable[tuple[str, Callable]],
    *arguments,
    part: int | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-6,
) -> str:
    """Name the mistake that the reader's result looks like.

    Args:
        found: the reader's result.
        mistakes: the words of the hint and the wrong answer, in the order in which they are tried.
        arguments: what the reader's function was called with; each wrong answer is called with the same.
        part: which part of the wrong answer's result to compare, where it has several.
        rtol, atol: how near the wrong answer's result must be.

    Returns:
        The words of the first mistake with the same result, after a space; '' when there is none.
    """
    for words, wrong in mistakes:
        values = wrong(*arguments) if part is None else wrong(*arguments)[part]
        values = np.asarray(values, float)
        if np.shape(found) == values.shape and np.allclose(found, values, rtol=rtol, atol=atol):
            return f" {words}"
    return ""


def compare_loss(
    result, expected: np.ndarray, given: str, mistakes: Iterable[tuple[str, Callable]] = (), arguments: tuple = ()
) -> None:
    """End the check with a hint when a loss returns another shape or other values than expected.

    Args:
        result: what the reader's loss returned.
        expected: what it should return.
        given: the input in words.
        mistakes, arguments: as `likely` takes them.
    """
    found = tensor_numbers(result)
    if found is None:
        raise Hint(f"for {given} your function returned a {type(result).__name__}; expected a tensor of numbers.")
    if found.shape == () and expected.shape != ():
        raise Hint(
            f"for {given} your function gave one number, {found:.4g}; expected one value per sample, "
            f"{show(expected)}. Take the mean over the last axis only."
        )
    if found.shape != expected.shape:
        raise Hint(f"for {given} your function gave the shape {found.shape}; expected {expected.shape}.")
    if not np.allclose(found, expected, rtol=1e-4, atol=1e-6):
        why = likely(found, mistakes, *arguments)
        raise Hint(f"for {given} your function gave {show(found)}; expected {show(expected)}.{why}")


def train_with(loss: Callable, y_true: np.ndarray, y_pred: np.ndarray, given: str, traced: bool) -> None:
    """End the check with a hint when a loss fails in a step of training, or gives a gradient that is not a number.

    Args:
        loss: the reader's answer.
        y_true: (B, …, D).
        y_pred: likewise; the loss of the training step is computed with these predictions.
        given: the input in words.
        traced: use `fit`, which traces the loss. One traced step a check is enough to see that the loss can be
            traced; the gradients of the other inputs are the same without, and many times as fast.
    """
    layer = keras.layers.Dense(y_pred.shape[-1], kernel_initializer="identity")
    model = keras.Sequential([keras.Input(y_pred.shape[1:]), layer])
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=loss, run_eagerly=not traced)
    try:
        one_step(model, y_pred, y_true, traced)
    except Exception as error:
        raise Hint(f"by hand it works, but in fit your function raised {in_words(error)}") from None
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise Hint(f"for {given} the values are right, but a training step makes the weights NaN: the gradient is NaN.")


def one_step(model: keras.Model, x, y, traced: bool) -> None:
    """Train a compiled model one step on one batch: by `fit` where it is traced, else without what `fit` adds."""
    if traced:
        # In order: a shuffled batch would give one picture's raw outputs the labels of another.
        model.fit(x, y, batch_size=len(y), shuffle=False, verbose=0)
    else:
        model.train_on_batch(x, y)


def one_number_a_picture(result, batch: int, given: str, column: bool, why_nan: str = "") -> np.ndarray:
    """Return a result as an array (B,), or end the check with a hint when it has another shape or is not finite.

    Args:
        result: what the reader's function returned.
        batch: B.
        given: the input in words.
        column: whether the shape is to be (B, 1) instead of (B,).
        why_nan: the likely cause, in a sentence, where a value is not finite.
    """
    found, expected = tensor_numbers(result), (batch, 1) if column else (batch,)
    if found is None:
        raise Hint(f"for {given} you return a {type(result).__name__}; expected a tensor of numbers.")
    if found.shape == ():
        raise Hint(
            f"for {given} you return one number for the whole batch; expected one for each picture, shape {expected}: "
            "sum over all axes but the first."
        )
    if found.shape != expected:
        raise Hint(f"for {given} you return the shape {found.shape}; expected {expected}.")
    if not np.isfinite(found).all():
        raise Hint(f"for {given} you return {show(found.ravel())}. {why_nan}".strip())
    return found.reshape(batch)


class RawHeads(keras.Model):
    """A model whose weights are the raw outputs, so that one training step shows a loss's gradient for them."""

    def __init__(self, raw, function):
        super().__init__()
        self.function = function
        self.raw = [self.add_weight(shape=x.shape, initializer="zeros") for x in raw]
        self.set_weights(raw)
        self.built = True  # else Keras would trace it once more, to learn its output's shape

    def call(self, y_true):
        return ops.reshape(self.function(list(self.raw), list(y_true)), (-1, 1))


def gradients(
    function: Callable, raw: list[np.ndarray], y_true: list[np.ndarray], given: str, traced: bool
) -> list[np.ndarray]:
    """Return the gradient of each picture's loss for its raw outputs, as one training step with a rate of 1 shows it.

    Args:
        function: takes lists of raw outputs and targets, returns (B,) or (B, 1).
        raw: arrays (B, …).
        y_true: arrays (B, …).
        given: the input in words.
        traced: as in `train_with`.

    Returns:
        An array for each of `raw`, with its shape.
    """
    batch = len(raw[0])
    try:
        model = RawHeads(raw, function)
        model.compile(optimizer=keras.optimizers.SGD(1.0), loss=identity_loss, run_eagerly=not traced)
        one_step(model, y_true, np.zeros((batch, 1)), traced)
    except Exception as error:
        raise Hint(
            f"by hand it works, but inside a model, for {given}, your function raised {in_words(error)}"
        ) from None
    return [batch * (before - ops.convert_to_numpy(after)) for before, after in zip(raw, model.raw)]
