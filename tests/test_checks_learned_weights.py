"""The check of a loss layer with weights of its own: right answers, the stub, and likely wrong ones."""

import keras
import pytest
from keras import ops

from tests.verdicts import answers
from yolo_helpers import checks
from yolo_helpers.checks.learned_weights import WEIGHTED_MISTAKES

WORDS = [words for words, _ in WEIGHTED_MISTAKES]


def layer(sign=-1, own=1.0, over=ops.sum, size=None, start="zeros", owns=True, keep=True, detached=False):
    """A layer `WeightedTerms`; the defaults are right, each argument is a mistake."""

    class WeightedTerms(keras.layers.Layer):
        def build(self, input_shape):
            self.s = self.add_weight(shape=(size or len(input_shape),), initializer=start, trainable=owns)

        def call(self, terms):
            s = ops.stop_gradient(self.s) if detached else self.s
            weighted = ops.exp(sign * s) * ops.concatenate(terms, axis=-1) + own * s
            return over(weighted, axis=-1, keepdims=True) if keep else over(weighted)

    return WeightedTerms


class OneByOne(keras.layers.Layer):
    """Another right answer, with a variable for each term."""

    def build(self, input_shape):
        names = [f"s{n}" for n in range(len(input_shape))]
        self.each = [self.add_weight(shape=(), initializer="zeros", name=name) for name in names]

    def call(self, terms):
        return sum(ops.exp(-s) * term + s for s, term in zip(self.each, terms))


class InsideCall(keras.layers.Layer):
    def call(self, terms):
        s = keras.Variable([0.0] * len(terms))
        return ops.sum(ops.exp(-s) * ops.concatenate(terms, axis=-1) + s, axis=-1, keepdims=True)


class Stub(keras.layers.Layer):
    def call(self, terms):
        return None


@pytest.mark.parametrize(
    ("answer", "words"),
    answers(
        (layer(), "ok"),
        (OneByOne, "ok"),
        (None, "not done yet"),
        (Stub, "not done yet"),
        (layer(own=0), WORDS[0]),
        (layer(sign=1), WORDS[1]),
        (layer(over=ops.mean), WORDS[2]),
        (layer(own=0.5), WORDS[3]),
        (layer(keep=False), "your function gave one number"),
        (layer(size=1), "expected 2 trainable numbers", "found 1"),
        (layer(owns=False), "expected 2 trainable numbers", "found 0"),
        (layer(start="ones"), "each s must begin at 0"),
        (layer(detached=True), "a step of training your function raised ValueError"),
        (InsideCall, "expected 2 trainable numbers", "found 0"),
        (3, "expected a function"),
    ),
)
def test_weighted_terms(says, answer, words):
    says(checks.check_weighted_terms, answer, *words)
