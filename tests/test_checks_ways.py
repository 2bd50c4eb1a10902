"""The check of the task in `ways`, against a right answer and against wrong answers that people really give."""

import keras
import pytest
import tensorflow as tf
from keras import ops

from yolo_helpers import checks


def losses_of(y_true, y_pred):
    distance = sum(ops.abs(true - predicted) for true, predicted in zip(y_true, y_pred))
    return distance + 2 * ops.relu(y_pred[0] - y_pred[1])


# repaired_train_step


def train_step(penalty=True, scale=True, logs=True, evaluates=True, step_again=False):
    """Make an answer `repaired_train_step`; the defaults are right, each argument is a common mistake."""

    def answer(inputs, outputs, optimizer):
        class Interval(keras.Model):
            def __init__(self, *tensors):
                super().__init__(*tensors)
                self.mean_loss = keras.metrics.Mean("loss")

            def forward(self, data, training):
                x, y = data
                loss = ops.mean(losses_of(y, self(x, training=training)))
                loss = loss + sum(self.losses) if penalty else loss
                self.mean_loss.update_state(loss, sample_weight=ops.shape(x)[0])
                return loss

            def train_step(self, data):
                with tf.GradientTape() as tape:
                    loss = self.forward(data, training=True)
                    loss = self.optimizer.scale_loss(loss) if scale else loss
                variables = self.trainable_variables
                self.optimizer.apply(tape.gradient(loss, variables), variables)
                return {"loss": self.mean_loss.result()} if logs else {"total": self.mean_loss.result()}

            def test_step(self, data):
                if not evaluates:
                    return super().test_step(data)
                self.forward(data, training=False)
                return {"loss": self.mean_loss.result()}

        model = Interval(inputs, outputs)
        model.compile(optimizer)
        return model

    return answer


@pytest.mark.parametrize(
    "answer, words",
    [
        (train_step(), ["ok"]),
        (train_step(penalty=False), ["a weight moved by", "The penalty is missing in it"]),
        (train_step(scale=False), ["LossScaleOptimizer", "a weight moved by"]),
        (train_step(logs=False), ["no entry 'loss'"]),
        (train_step(evaluates=False), ["eight samples evaluate gave"]),
        (lambda *given: None, ["not done yet"]),
    ],
)
def test_train_step(says, answer, words):
    says(checks.check_train_step, answer, *words, traced=False)
