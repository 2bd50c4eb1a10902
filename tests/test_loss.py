"""The loss against the original's numbers, against plain loops, and against itself in every way it can be run."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ANCHORS, MASKS, oracle_case, plain_targets, plain_terms, random_boxes, random_case

from yolo_helpers.anchors import objects_gathered
from yolo_helpers.loss import (
    TRUE_BOXES_AT_ONCE,
    YoloLoss,
    best_iou,
    box_iou,
    ciou,
    identity_loss,
    yolo_loss,
    yolo_loss_terms,
)
from yolo_helpers.targets import preprocess_true_boxes


def loss_and_gradient(outputs, y_true, *arguments, jit_compile=False):
    @tf.function(jit_compile=jit_compile)
    def step(outputs):
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            loss = yolo_loss([*outputs, *y_true], *arguments)
        return loss, tape.gradient(loss, outputs)

    loss, gradients = step([tf.constant(output) for output in outputs])
    return loss.numpy(), [gradient.numpy() for gradient in gradients]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_loss_and_gradient_are_the_originals(number):
    case = oracle_case(number)
    arguments = case["anchors"], case["num_classes"], case["ignore_thresh"], case["mask"]
    loss, gradients = loss_and_gradient(case["output"], case["y_true"], *arguments)
    assert loss.shape == (len(case["boxes"]), 1)
    assert loss.mean() == pytest.approx(case["loss"], rel=1e-5)
    for gradient, expected in zip(gradients, case["grad"], strict=True):
        np.testing.assert_allclose(gradient / len(loss), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(32, 32), (64, 32), (32, 96)]),
    num_classes=st.integers(1, 5),
    boxes=st.integers(0, 6),
    heads=st.sampled_from([2, 3]),
    ignore_thresh=st.sampled_from([0.3, 0.5, 0.7]),
    across_heads=st.booleans(),
)
def test_terms_are_those_of_a_plain_loop(seed, shape, num_classes, boxes, heads, ignore_thresh, across_heads):
    outputs, y_true, anchors, _ = random_case(seed, shape, num_classes, boxes=boxes, heads=heads)
    terms = yolo_loss_terms([*outputs, *y_true], anchors, num_classes, ignore_thresh, ignore_across_heads=across_heads)
    expected = plain_terms(outputs, y_true, anchors, num_classes, ignore_thresh, MASKS[3 * heads], across_heads)
    for name, values in expected.items():
        np.testing.assert_allclose(terms[name], values, rtol=1e-4, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("seed, boxes", [(0, 6), (1, 4), (2, 0)])
def test_ciou_takes_the_place_of_xy_and_wh(seed, boxes):
    true_boxes = random_boxes(np.random.default_rng(seed), boxes=boxes)
    outputs, y_true, anchors, num_classes = random_case(seed, true_boxes=true_boxes)
    expected = plain_terms(outputs, y_true, anchors, num_classes, 0.5, MASKS[9], box_loss="ciou")
    for targets in (y_true, [true_boxes]):
        terms = yolo_loss_terms([*outputs, *targets], anchors, num_classes, box_loss="ciou")
        assert tuple(terms) == ("ciou", "confidence", "class")
        for name, values in terms.items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-3, err_msg=name)
    assert (expected["ciou"] > 0).all() == (boxes > 0)


def test_ciou_falls_where_its_gradient_points():
    """Boxes that lie apart too, where the IoU alone has none."""
    rng = np.random.default_rng(0)
    pred, true = (rng.uniform([0, 0, 5, 5], [90, 60, 40, 40], (200, 4)).astype(np.float32) for _ in range(2))
    with tf.GradientTape() as tape:
        variable = tf.Variable(pred)
        value = ciou(variable, true)
    gradient = tape.gradient(value, variable).numpy()
    assert (iou_of(pred, true) == 0).mean() > 0.3 and (np.abs(gradient).sum(1) > 0).all()
    step = 1e-2 * gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
    assert (
        np.asarray(ciou(pred + step, true)) > np.asarray(value)
    ).mean() > 0.97  # the weight of the shape is held fixed
    np.testing.assert_allclose(ciou(true, true), 1, atol=1e-5)


def iou_of(one, other):
    return np.asarray(box_iou(one, other))


def test_an_unknown_box_loss_is_said():
    outputs, y_true, anchors, num_classes = random_case(0)
    with pytest.raises(ValueError, match="box_loss: expected 'xy_wh' or 'ciou', found 'giou'"):
        yolo_loss([*outputs, *y_true], anchors, num_classes, box_loss="giou")


def test_the_random_cases_have_ignored_slots():
    outputs, y_true, anchors, num_classes = random_case(3)
    ignored = yolo_loss_terms([*outputs, *y_true], anchors, num_classes, 0.5)["confidence"]
    punished = yolo_loss_terms([*outputs, *y_true], anchors, num_classes, 1.1)["confidence"]
    assert (np.asarray(punished) > np.asarray(ignored) + 0.5).all()


def test_across_heads_more_slots_are_ignored_than_in_the_own_head():
    """So that the plain loop above has something to tell apart: boxes that predict a box of another head."""
    outputs, y_true, anchors, num_classes = random_case(3)
    y_true[0][:] = 0  # the boxes of the coarsest head are not its own any more
    own, other, *_ = (
        plain_terms(outputs, y_true, anchors, num_classes, 0.1, MASKS[9], across)["confidence"]
        for across in (False, True)
    )
    assert (other < own - 0.5).any()
    found = yolo_loss_terms([*outputs, *y_true], anchors, num_classes, 0.1, ignore_across_heads=True)["confidence"]
    np.testing.assert_allclose(found, other, rtol=1e-4)


@pytest.mark.parametrize("boxes", [0, 4, 3 * TRUE_BOXES_AT_ONCE])
def test_eager_graph_and_xla_agree(boxes):
    outputs, y_true, *arguments = random_case(5, boxes=boxes)
    eager = yolo_loss([*outputs, *y_true], *arguments).numpy()
    graph, graph_gradient = loss_and_gradient(outputs, y_true, *arguments)
    compiled, compiled_gradient = loss_and_gradient(outputs, y_true, *arguments, jit_compile=True)
    np.testing.assert_allclose(graph, eager, rtol=1e-5)
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    for one, other in zip(graph_gradient, compiled_gradient, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def crowd(count):
    """Boxes (1, count, 5) of one picture of 96 x 96 that fill as many slots of the finest head."""
    places = np.argwhere(np.ones((12, 12, 3)))[:count]
    centres, sizes = places[:, 1::-1] * 8 + 4, ANCHORS[places[:, 2]]
    return np.column_stack([centres - sizes / 2, centres + sizes / 2, places[:, 2]])[None]


def test_as_many_objects_as_are_gathered_and_one_more():
    most = objects_gathered(12 * 12 * 3)
    assert TRUE_BOXES_AT_ONCE < most < 12 * 12 * 3
    with pytest.raises(ValueError, match=f"image 0 has {most + 1} objects in the head of stride 8.*at most {most}"):
        preprocess_true_boxes(crowd(most + 1), (96, 96), ANCHORS, 3)
    outputs, _, *_ = random_case(6, input_shape=(96, 96))
    y_true = [np.repeat(target, 2, axis=0) for target in preprocess_true_boxes(crowd(most), (96, 96), ANCHORS, 3)]
    y_true[2][1, 11, 11, 0] = y_true[2][1, 0, 0, 0]  # one more, by hand, in the second image
    terms = yolo_loss_terms([*outputs, *y_true], ANCHORS, 3)
    expected = plain_terms(outputs, y_true, ANCHORS, 3, 0.5, MASKS[9])
    for name, values in expected.items():
        assert float(terms[name][0]) == pytest.approx(values[0], rel=1e-4), name
    loss = yolo_loss([*outputs, *y_true], ANCHORS, 3).numpy()[:, 0]
    assert np.isfinite(loss[0]) and np.isnan(loss[1])


def test_an_image_does_not_feel_its_batch_mates():
    outputs, y_true, *arguments = random_case(7, batch=3, boxes=40)
    y_true = [target.copy() for target in y_true]
    for target in y_true:
        target[1] = 0  # an image without objects between two full ones
    together = yolo_loss([*outputs, *y_true], *arguments).numpy()
    for b in range(3):
        alone = yolo_loss([x[b : b + 1] for x in (*outputs, *y_true)], *arguments).numpy()
        np.testing.assert_allclose(alone[0], together[b], rtol=1e-5)


def test_an_image_without_objects_has_a_confidence_term_alone():
    outputs, y_true, anchors, num_classes = random_case(8, boxes=0)
    terms = {name: np.asarray(term) for name, term in yolo_loss_terms([*outputs, *y_true], anchors, 3).items()}
    assert (terms["confidence"] > 0).all()
    assert not terms["xy"].any() and not terms["wh"].any() and not terms["class"].any()


def test_untrained_confidence_costs_ln_2_a_slot():
    outputs = [np.zeros((1, side, side, 24), np.float32) for side in (13, 26, 52)]
    y_true = [np.zeros((1, side, side, 3, 8), np.float32) for side in (13, 26, 52)]
    loss = yolo_loss([*outputs, *y_true], ANCHORS, 3).numpy()
    assert loss[0, 0] == pytest.approx(10647 * np.log(2), rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(32, 32), (64, 32), (32, 96)]),
    num_classes=st.integers(1, 5),
    boxes=st.integers(1, 12),
    heads=st.sampled_from([2, 3]),
    across_heads=st.booleans(),
    whole=st.booleans(),
)
def test_boxes_give_the_loss_of_their_grids(seed, shape, num_classes, boxes, heads, across_heads, whole):
    """Boxes in any order, with padding between them, often two in a slot, centres on the border: as a plain loop."""
    rng = np.random.default_rng(seed)
    limit = np.array(shape[::-1])
    sizes = rng.uniform(2, 40, (2, boxes, 2))
    centres = rng.uniform(0, 1, (2, boxes, 2)) * limit
    if whole:  # anchors and corners of cells: what lies on an edge must fall to the same side
        sizes, centres = (
            rng.choice(ANCHORS[: 3 * heads], (2, boxes)),
            rng.integers(0, limit // 8 + 1, (2, boxes, 2)) * 8,
        )
    labels = rng.integers(0, num_classes, (2, boxes, 1))
    true_boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2, labels], -1).astype(np.float32)
    true_boxes[rng.random((2, boxes)) < 0.3] = 0
    anchors = ANCHORS[: 3 * heads]
    y_true = plain_targets(true_boxes, shape, anchors, num_classes, MASKS[3 * heads])
    y_true = [target.astype(np.float32) for target in y_true]
    outputs = [rng.normal(0, 1, (*target.shape[:3], 3 * (5 + num_classes))).astype(np.float32) for target in y_true]
    found = yolo_loss_terms([*outputs, true_boxes], anchors, num_classes, 0.3, ignore_across_heads=across_heads)
    expected = plain_terms(outputs, y_true, anchors, num_classes, 0.3, MASKS[3 * heads], across_heads)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("boxes", [1, 60])
def test_boxes_have_the_gradient_of_their_grids(boxes, jit_compile):
    true_boxes = random_boxes(np.random.default_rng(boxes), boxes=boxes)
    outputs, y_true, *arguments = random_case(11, true_boxes=true_boxes)
    written = sum(target[..., 4].sum() for target in y_true)
    assert written == 2 if boxes == 1 else written < 2 * boxes  # of 60, some share a slot
    loss, gradients = loss_and_gradient(outputs, y_true, *arguments, jit_compile=jit_compile)
    same, same_gradients = loss_and_gradient(outputs, [true_boxes], *arguments, jit_compile=jit_compile)
    np.testing.assert_allclose(same, loss, rtol=1e-5)
    for one, other in zip(same_gradients, gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("mask", [[[0, 1, 2], [3, 4, 5]], [[5, 0, 3], [2, 4, 1]], [[3, 4, 5], [1, 2, 3]], [[0, 1, 2]]])
def test_boxes_find_their_slots_under_any_mask(mask):
    true_boxes = random_boxes(np.random.default_rng(4), boxes=40)
    y_true = [target.astype(np.float32) for target in plain_targets(true_boxes, (64, 96), ANCHORS[:6], 3, mask)]
    assert all(target[..., 4].any() for target in y_true)
    outputs = [np.random.default_rng(5).normal(0, 1, (*x.shape[:3], 24)).astype(np.float32) for x in y_true]
    loss = yolo_loss([*outputs, true_boxes], ANCHORS[:6], 3, 0.5, mask)
    expected = sum(plain_terms(outputs, y_true, ANCHORS[:6], 3, 0.5, mask).values())
    np.testing.assert_allclose(loss[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("head", [0, 1, 2])
def test_a_head_alone_has_the_loss_that_it_has_among_others(head):
    true_boxes = random_boxes(np.random.default_rng(6), boxes=20)
    outputs, y_true, anchors, num_classes = random_case(14, true_boxes=true_boxes)
    for other in {0, 1, 2} - {head}:  # so sure that nothing is there that they cost nothing
        outputs[other][:], y_true[other][:] = -100, 0
    settings = {"ignore_thresh": 0.5, "anchor_mask": MASKS[9][head : head + 1], "input_shape": (64, 96)}
    expected = yolo_loss([*outputs, *y_true], anchors, num_classes)
    for targets in (y_true[head], true_boxes):
        loss = yolo_loss([outputs[head], targets], anchors, num_classes, **settings)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_any_number_of_boxes_an_image():
    """More than the grids may hold for one head."""
    outputs, _, *_ = random_case(6, input_shape=(96, 96), batch=1)
    count = 3 * 12 * 12
    assert count > objects_gathered(count)
    loss = yolo_loss([*outputs, crowd(count)], ANCHORS, 3).numpy()
    y_true = [x.astype(np.float32) for x in plain_targets(crowd(count), (96, 96), ANCHORS, 3, MASKS[9])]
    assert loss[0, 0] == pytest.approx(
        sum(plain_terms(outputs, y_true, ANCHORS, 3, 0.5, MASKS[9]).values())[0], rel=1e-4
    )


def test_wrong_number_of_tensors_is_said():
    outputs, y_true, *arguments = random_case(9)
    with pytest.raises(
        ValueError, match=r"3 outputs and 3 targets in args, or 3 outputs and boxes \(B, T, 5\), found 5"
    ):
        yolo_loss([*outputs, *y_true[:2]], *arguments)
    for wrong in ([outputs, y_true], [*outputs, y_true[0]], outputs):
        with pytest.raises(ValueError, match=f"found {len(wrong)} tensors"):
            yolo_loss(wrong, *arguments)


def test_photographs_of_another_size_are_refused_in_one_sentence():
    """TensorFlow then traces the loss anew, for any size, and a grid of any size has no slots."""
    outputs, y_true, *arguments = random_case(9)
    any_size = [tf.TensorSpec((None, None, None, *x.shape[3:]), tf.float32) for x in (*outputs, *y_true)]
    traced = tf.function(lambda *args: yolo_loss(list(args), *arguments), input_signature=any_size)
    with pytest.raises(ValueError, match="build body and training model anew for each input_shape"):
        traced(*outputs, *y_true)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_box_iou_is_that_of_keras(seed):
    centres = np.random.default_rng(seed).uniform(0.1, 1, (2, 5, 4)).astype(np.float32)
    one, other = centres[0][:, None], centres[1][None]
    expected = keras.utils.bounding_boxes.compute_iou(centres[0], centres[1], "center_xywh")
    np.testing.assert_allclose(box_iou(one, other), expected, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 2 * TRUE_BOXES_AT_ONCE + 1))
def test_best_iou_is_the_largest_of_all(seed, count):
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(0.1, 1, (2, 7, 4)).astype(np.float32)
    true_boxes = rng.uniform(0.1, 1, (2, count, 4)).astype(np.float32)
    true_boxes[1, rng.integers(0, count + 1) :] = 0
    true_boxes[0, rng.integers(0, count)] = 0  # padding between boxes counts for nothing either
    found = np.asarray(best_iou(predicted, true_boxes))
    for b, n in np.ndindex(2, 7):
        assert found[b, n] == pytest.approx(
            max(float(box_iou(predicted[b, n], box)) for box in true_boxes[b]), abs=1e-5
        )


def test_identity_loss_hands_on_what_it_gets():
    y_pred = np.array([[3.0], [4.0]])
    assert identity_loss(np.full((2, 1), np.nan), y_pred) is y_pred


def layer_model(outputs, y_true, layer):
    inputs = [keras.Input(x.shape[1:]) for x in (*outputs, *y_true)]
    return keras.Model(inputs, layer(inputs))


def test_the_layer_is_the_function_and_survives_saving(tmp_path):
    outputs, y_true, anchors, num_classes = random_case(10)
    model = layer_model(outputs, y_true, YoloLoss(anchors, num_classes, ignore_thresh=0.6))
    model.compile(optimizer="sgd", loss={"yolo_loss": identity_loss})
    expected = yolo_loss([*outputs, *y_true], anchors, num_classes, 0.6)
    np.testing.assert_allclose(model.predict([*outputs, *y_true], verbose=0), expected, rtol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")  # safe mode is on by default
    assert again.output_names == ["yolo_loss"] and again.output_shape == (None, 1)
    evaluated = again.evaluate([*outputs, *y_true], np.zeros((2, 1)), verbose=0, return_dict=True)
    assert evaluated["loss"] == pytest.approx(float(np.mean(expected)), rel=1e-6)


@pytest.mark.parametrize("box_loss", ["xy_wh", "ciou"])
def test_the_layer_logs_the_mean_of_each_term(box_loss):
    outputs, y_true, anchors, num_classes = random_case(13, batch=5)
    model = layer_model(outputs, y_true, YoloLoss(anchors, num_classes, box_loss=box_loss))
    assert model.weights == []  # the means are no weights: what is saved fits a body without the layer
    model.compile(loss={"yolo_loss": identity_loss})
    terms = yolo_loss_terms([*outputs, *y_true], anchors, num_classes, box_loss=box_loss)
    for _ in range(2):  # the second time, nothing of the first is left in the means
        logged = model.evaluate([*outputs, *y_true], np.zeros((5, 1)), batch_size=2, verbose=0, return_dict=True)
        for name, values in terms.items():
            assert logged[name] == pytest.approx(float(np.mean(values)), rel=1e-5)
        assert sum(logged[name] for name in terms) == pytest.approx(logged["loss"], rel=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_the_layer_computes_in_float32_under_any_policy(policy):
    outputs, y_true, anchors, num_classes = random_case(11)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        layer = YoloLoss(anchors, num_classes)
    finally:
        keras.config.set_dtype_policy(before)
    loss = layer([*outputs, *y_true])
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    np.testing.assert_allclose(loss, yolo_loss([*outputs, *y_true], anchors, num_classes), rtol=1e-6)


def test_a_mask_may_be_a_list_or_an_array():
    outputs, y_true, anchors, num_classes = random_case(12, heads=2)
    swapped = [[0, 1, 2], [3, 4, 5]]
    expected = yolo_loss([*outputs, *y_true], anchors, num_classes, 0.5, swapped)
    assert not np.allclose(expected, yolo_loss([*outputs, *y_true], anchors, num_classes))
    np.testing.assert_array_equal(
        expected, yolo_loss([*outputs, *y_true], anchors, num_classes, 0.5, np.array(swapped))
    )
    layer = YoloLoss(anchors, num_classes, anchor_mask=np.array(swapped))
    np.testing.assert_array_equal(expected, YoloLoss.from_config(layer.get_config())([*outputs, *y_true]))
