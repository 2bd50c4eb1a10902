"""The checks of the tasks of lesson 00, tried with right and wrong answers."""

import keras
import numpy as np
import pytest

from yolo_helpers import checks

# A target of your own


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (np.ones(511), "expected 512 numbers, one for each interval; your target has the shape (511,)"),
        (np.zeros(8), "the shape (8,)"),
        (np.ones((1, 512)), "the shape (1, 512)"),
        (np.ones((512, 2)), "the shape (512, 2)"),
        (7, "the shape ()"),
        ([1.0] * 512, "your target is a list"),
        (range(512), "your target is a range"),
        (np.array(["a"] * 512), "expected an array of numbers; your target holds <U1"),
        (np.array([None] * 512), "your target holds object"),
        ({"interval_loss": np.ones(512)}, "your target is of type dict"),
        ("ones", "your target is of type str"),
    ],
)
def test_own_target_wrong(says, target, words):
    says(checks.check_own_target, target, "hint: ", words)


def test_own_target_right(says):
    random = np.random.default_rng(0)
    for target in (np.full(512, np.nan), np.arange(512), random.normal(size=(512, 1)) * 1000, np.ones(512, bool)):
        says(checks.check_own_target, target, "ok")
    says(checks.check_own_target, keras.ops.ones(512), "ok")


def test_own_target_not_done(says):
    says(checks.check_own_target, np.zeros(512), "not done yet")
    says(checks.check_own_target, None, "not done yet")


# Cut off the loss


def without_labels(model):
    return keras.Model(model.inputs[0], model.get_layer("found").output)


def without_labels_called(model):
    """The same layers, called on a new input."""
    picture = keras.Input((8,))
    return keras.Model([picture], [model.get_layer("found")(model.layers[1](picture))])


def copied(model):
    copy = keras.models.clone_model(without_labels(model))
    copy.set_weights(without_labels(model).get_weights())
    return copy


def new_last_layer(model):
    return keras.Model(model.inputs[0], keras.layers.Dense(2, name="found")(model.get_layer("found").input))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda model: model, "returned that same model, which still asks for the label"),
        (
            lambda model: keras.Model(model.inputs, model.get_layer("found").output),
            "one input, the picture; yours has 2",
        ),
        (lambda model: keras.Model(model.inputs[0], model.output), "is that of interval_loss"),
        (lambda model: keras.Model(model.inputs[0], model.get_layer("interval_loss").output), "that of interval_loss"),
        (lambda model: keras.Model(model.inputs[1], model.get_layer("found").output), "is the label, inputs[1]"),
        (
            lambda model: keras.Model(model.get_layer("found").input, model.get_layer("found").output),
            "shape (None, 16)",
        ),
        (lambda model: keras.Model(model.inputs[0], model.get_layer("found").input), "shape (3, 16); expected (3, 2)"),
        (lambda model: keras.Model(model.inputs[0], [model.get_layer("found").output] * 2), "shape (6, 2)"),
        (copied, "it has copies of them"),
        (lambda model: keras.models.clone_model(without_labels(model)), "weights of its own"),
        (lambda model: without_labels(keras.models.clone_model(model)), "raised TypeError"),  # a Lambda in it
        (new_last_layer, "weights of its own"),
        (lambda model: model.get_layer("found").output, "returned a KerasTensor"),
        (lambda model: model.get_layer("found"), "returned a Dense"),
        (lambda model: keras.Model(model.inputs[0], model.get_layer("fond").output), "raised ValueError"),
        (lambda model: model.predict, "expected a keras.Model"),
    ],
)
def test_without_labels_wrong(says, answer, words):
    says(checks.check_without_labels, answer, "hint: ", "a training model as in the miniature", words)


@pytest.mark.parametrize("answer", [without_labels, without_labels_called])
def test_without_labels_right(says, answer, recwarn):
    says(checks.check_without_labels, answer, "ok")
    assert not recwarn.list  # Keras would warn of an input in another structure


# The line on today's Keras


def compile_today(optimizer=lambda: keras.optimizers.Adam(learning_rate=1e-3), loss=None, back=lambda model: model):
    """Make an answer; the defaults are right, each argument is a common mistake."""
    loss = {"yolo_loss": lambda y_true, y_pred: y_pred} if loss is None else loss

    def answer(model):
        model.compile(optimizer=optimizer(), loss=loss)
        return back(model)

    return answer


def by_name_of_function(model):
    """The same line, written otherwise: the default rate, and a named function."""

    def identity(y_true, y_pred):
        return y_pred

    model.compile("adam", {"yolo_loss": identity})
    return model


def no_loss(model):
    model.compile(keras.optimizers.Adam(1e-3))
    return model


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (compile_today(lambda: keras.optimizers.Adam(lr=1e-3)), "Is lr the old name?"),
        (compile_today(lambda: keras.optimizers.Adam(learning_rate=1e-2)), "the learning rate is 0.01"),
        (
            compile_today(lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 9))),
            "the learning rate is {",
        ),
        (compile_today(lambda: keras.optimizers.SGD(1e-3)), "the optimiser is SGD"),
        (compile_today(lambda: keras.optimizers.AdamW(1e-3)), "the optimiser is AdamW"),
        (compile_today(loss={"interval_loss": lambda y_true, y_pred: y_pred}), "['interval_loss']; expected one key"),
        (
            compile_today(loss=lambda y_true, y_pred: y_pred),
            "no dictionary; expected one with the key 'yolo_loss'. Yours trains the same",
        ),
        (
            compile_today(loss=[lambda y_true, y_pred: y_pred]),
            "no dictionary; expected one with the key 'yolo_loss'. Yours trains the same",
        ),
        (compile_today(loss="mse"), "no dictionary; expected one with the key 'yolo_loss'."),
        (compile_today(loss={"yolo_loss": "mse"}), "That is the squared error"),
        (compile_today(loss={"yolo_loss": "mae"}), "That is the absolute error"),
        (compile_today(loss={"yolo_loss": lambda y_true, y_pred: y_true}), "return y_true, its first argument?"),
        (
            compile_today(loss={"yolo_loss": lambda y_true, y_pred: 2 * y_pred}),
            "evaluate gives 6; the outputs' mean is 3",
        ),
        (compile_today(loss={"yolo_loss": lambda y_pred: y_pred}), "raised TypeError"),
        (no_loss, "without a loss"),
        (compile_today(back=lambda model: None), "compiles the model, but returns None: the return is missing"),
        (compile_today(back=lambda model: model.optimizer), "that model back; your function returned a Adam"),
        (compile_today(back=lambda model: keras.Model(model.inputs, model.output)), "that model back"),
        (lambda model: model, "did not compile it"),
        (lambda model: keras.optimizers.Adm(1e-3), "raised AttributeError"),
        ("compile", "expected a function"),
    ],
)
def test_compile_today_wrong(says, answer, words):
    says(checks.check_compile_today, answer, "hint: ", words)


@pytest.mark.parametrize("answer", [compile_today(), by_name_of_function])
def test_compile_today_right(says, answer):
    says(checks.check_compile_today, answer, "ok")


@pytest.mark.parametrize("check", [checks.check_without_labels, checks.check_compile_today])
@pytest.mark.parametrize("stub", [None, lambda model: None])
def test_a_stub_is_not_done_yet(says, check, stub):
    says(check, stub, "not done yet")


# The shapes of the training model


def training_shapes(batch, height, width, classes):
    y_true = [(batch, height // s, width // s, 3, 5 + classes) for s in (32, 16, 8)]
    return [(batch, height, width, 3), *y_true, (batch, 1)]


def changed(index, change):
    """The right answer with one shape changed."""

    def answer(*arguments):
        shapes = training_shapes(*arguments)
        shapes[index] = change(shapes[index])
        return shapes

    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda b, h, w, c: training_shapes(b, w, h, c), "image is not (8, 128, 96, 3): the numbers are right"),
        (changed(4, lambda shape: shape[:1]), "output is not (8,): it needs 2 numbers"),
        (changed(4, lambda shape: 1), "expected a tuple"),
        (changed(1, lambda shape: (*shape[:3], 3 * shape[4])), "y_true_0 is not (8, 3, 4, 24): it needs 5 numbers"),
        (changed(2, lambda shape: (*shape[:4], 5)), "look at its number 5 of 5"),
        (changed(2, lambda shape: tuple(side / 1 for side in shape[:4]) + (8.5,)), "whole numbers"),
        (lambda *a: [training_shapes(*a)[i] for i in (0, 3, 2, 1, 4)], "y_true_0"),  # the finest head first
        (lambda b, h, w, c: training_shapes(8, h, w, c), "for batch=1"),
        (lambda b, h, w, c: training_shapes(b, h, w, 3), "num_classes=80"),
        (lambda b, h, w, c: training_shapes(b, h, h * 4 // 3, c), "height=416, width=416"),
        (lambda *a: training_shapes(*a)[:4], "expected a list of five shapes"),
        (lambda *a: {"image": training_shapes(*a)[0]}, "expected a list of five shapes"),
        (lambda *a: 1 / 0, "raised ZeroDivisionError"),
        ([], "expected a function"),
    ],
)
def test_training_shapes_wrong(says, answer, words):
    says(checks.check_training_shapes, answer, "hint: ", words)


def test_training_shapes_right(says):
    says(checks.check_training_shapes, training_shapes, "ok")
    as_lists = lambda *a: tuple(list(shape) for shape in training_shapes(*a))  # noqa: E731 - one line says it all
    says(checks.check_training_shapes, as_lists, "ok")
    says(checks.check_training_shapes, lambda *a: None, "not done yet")
