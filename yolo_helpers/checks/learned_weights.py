"""The check of a loss layer with weights of its own."""

from collections.abc import Callable

import keras
import numpy as np

from yolo_helpers.checks.compare import compare_loss
from yolo_helpers.checks.verdict import Hint, call, task


def weighted_terms(sign: int = -1, own: float = 1.0, over: Callable = np.sum) -> Callable:
    """Make the layer's result; the defaults are right, each argument is a common mistake.

    Args:
        sign: of s in the exponent.
        own: how often each s is added.
        over: of the weighted terms (B, N), over the last axis.
    """

    def answer(terms, s):
        return over(np.exp(sign * s) * np.concatenate(terms, axis=-1) + own * s, axis=-1, keepdims=True)

    return answer


WEIGHTED_MISTAKES = [
    ("Each s itself must be added too, or the best s is infinite.", weighted_terms(own=0)),
    ("The weight of a term is e to the power of minus s.", weighted_terms(sign=1)),
    ("Sum over the terms, do not average.", weighted_terms(over=np.mean)),
    ("Each s is added once, not half.", weighted_terms(own=0.5)),
]


@task
def check_weighted_terms(layer_class: Callable) -> None:
    """Check the layer `WeightedTerms()` by its losses and by a step of training.

    Args:
        layer_class: the reader's class; its layer takes a list of terms (B, 1), returns (B, 1).
    """
    random = np.random.default_rng(14)
    for count in (2, 4):
        given = f"{count} terms of five images"
        terms = [term.astype("float32") for term in random.uniform(0.1, 3, size=(count, 5, 1))]
        layer = call(layer_class, given="a call without arguments")
        result = call(layer, terms, given=f"{given},")
        trained = sum(int(np.prod(variable.shape)) for variable in layer.trainable_variables)
        if trained != count:
            raise Hint(f"for {given} expected {count} trainable numbers, made by add_weight; found {trained}.")
        if any(np.any(weight) for weight in layer.get_weights()):
            raise Hint("each s must begin at 0.")
        _compare(result, terms, np.zeros(count), f"{given}, each s at 0,")

        s = random.uniform(-1, 1, size=count).astype("float32")
        _set(layer, s)
        words = f"{given}, s at {', '.join(f'{value:.2f}' for value in s)},"
        _compare(call(layer, terms, given=words), terms, s, words)

    inputs = [keras.Input((1,)) for _ in terms]
    model = keras.Model(inputs, call(layer, inputs, given="the layer in a model"))
    model.compile(keras.optimizers.SGD(0.1), loss=lambda y_true, y_pred: y_pred, run_eagerly=True)
    call(lambda: model.train_on_batch(terms, np.zeros(5)), given="a step of training")
    slopes = 1 - np.exp(-s) * np.mean(terms, axis=(1, 2))
    found = np.concatenate([np.ravel(variable.numpy()) for variable in layer.trainable_variables])
    if not np.allclose(found, s - 0.1 * slopes, atol=1e-5):
        raise Hint("the losses are right, but a training step of the model does not move each s as it should.")


def _compare(result, terms: list[np.ndarray], s: np.ndarray, given: str) -> None:
    compare_loss(result, weighted_terms()(terms, s), given, WEIGHTED_MISTAKES, (terms, s))


def _set(layer: keras.Layer, s: np.ndarray) -> None:
    """Give the layer these numbers, however many variables hold them."""
    start = 0
    for variable in layer.trainable_variables:
        size = int(np.prod(variable.shape))
        variable.assign(s[start : start + size].reshape(variable.shape))
        start += size
