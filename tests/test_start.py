"""What a training starts from: which weights are taken over, what is new, and how it goes on."""

import struct

import keras
import numpy as np
import pytest
from reference import SHARED

from yolo_helpers.anchors import DATA, Heads, fitting_shape
from yolo_helpers.annotations import Annotation, read_annotations
from yolo_helpers.darknet import UNTRAINED, build_body, load_weights, read_cfg, save_weights
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.model import micro_yolo_body, output_convolutions, with_fine_head, with_heads
from yolo_helpers.run_folder import BEST, load_body, write_run
from yolo_helpers.smear import write_smears
from yolo_helpers.start import start_from
from yolo_helpers.training import Stage, train

CLASSES = ["Platelets", "RBC", "WBC"]
CONVOLUTION = "[convolutional]\nfilters={}\nsize={}\nstride={}\npad=1\nactivation={}\n"
NORMALISED = CONVOLUTION + "batch_normalize=1\n"
YOLO = "[yolo]\nmask={}\nanchors=10,14, 23,27, 37,58, 81,82, 135,169, 344,319\nclasses=4\nnum=6\n"
# Two heads, as Yolo-Fastest and YOLOv3-tiny have them, and a depthwise convolution.
TWO_HEADS = "".join(
    [
        "[net]\nheight=96\nwidth=128\n",
        NORMALISED.format(4, 3, 2, "leaky"),
        NORMALISED.format(4, 3, 2, "leaky") + "groups=4\n",
        NORMALISED.format(6, 3, 2, "leaky"),
        NORMALISED.format(8, 3, 2, "leaky"),
        NORMALISED.format(8, 3, 2, "leaky"),
        CONVOLUTION.format(27, 1, 1, "linear"),
        YOLO.format("3,4,5"),
        "[route]\nlayers=-3\n[upsample]\nstride=2\n[route]\nlayers=-1,3\n",
        CONVOLUTION.format(27, 1, 1, "linear"),
        YOLO.format("0,1,2"),
    ]
)


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    path = write_smears(tmp_path_factory.mktemp("smears"), 6, (96, 128), seed=2)
    return read_annotations(path)[0]


@pytest.fixture
def published(tmp_path):
    """A network of four classes as its author would publish it: cfg and weights."""
    (tmp_path / "net.cfg").write_text(TWO_HEADS, encoding="utf-8")
    keras.utils.set_random_seed(1)
    body = build_body(tmp_path / "net.cfg")
    for variable in body.variables:
        variable.assign(np.abs(np.random.default_rng(len(variable.path)).normal(0.5, 0.2, variable.shape)))
    save_weights(body, tmp_path / "net.weights")
    return tmp_path


def weights_of(body):
    """The weights of each layer that has some, under its name."""
    return {layer.name: layer.get_weights() for layer in body.layers if layer.get_weights()}


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("given", ["net.weights", "."])
def test_all_but_the_heads_of_darknets_weights_is_taken_over(published, smears, given):
    start = start_from(published / given, smears, CLASSES, fine_head=False)
    full = build_body(published / "net.cfg")
    load_weights(full, published / "net.weights")
    heads = {layer.name for layer in output_convolutions(start.body)}
    before, now = weights_of(full), weights_of(start.body)
    assert before.keys() == now.keys() and len(heads) == 2
    assert all(equal(before[name], now[name]) for name in now if name not in heads)
    assert {layer.name for layer in start.new_layers} == heads
    assert [head.shape[-1] for head in start.body.outputs] == [start.heads.channels] * 2 == [24, 24]
    assert "net.weights, all but its heads" in start.description


def test_as_many_classes_as_the_file_has_keep_its_heads_and_anchors(published, smears):
    start = start_from(published / "net.weights", smears, [*CLASSES, "other"])
    cfg = read_cfg(published / "net.cfg")
    assert start.new_layers == [] and "heads included" in start.description
    assert start.heads.input_shape == (96, 128) and np.array_equal(start.heads.anchors, cfg.anchors)
    save_weights(start.body, published / "again.weights")
    assert (published / "again.weights").read_bytes() == (published / "net.weights").read_bytes()


def test_a_file_of_the_first_layers_leaves_all_behind_them_new(published, smears):
    numbers = (published / "net.weights").read_bytes()
    reach = 4 * 4 + 3 * 9 * 4 + 4 * 4 + 9 * 4  # two convolutions with their normalisation
    (published / "net.conv.2").write_bytes(numbers[: struct.calcsize(UNTRAINED.layout) + 4 * reach])
    start = start_from(published / "net.conv.2", smears, CLASSES, fine_head=False)
    new = {layer.name for layer in start.new_layers}
    assert new == {name for name in weights_of(start.body) if name.rpartition("_")[2] not in ("0", "1")}
    (first, second) = start.stages(10, epochs=8, frozen_epochs=2)
    assert (first.frozen, second.frozen) == (True, False)


def test_a_cfg_alone_gives_random_weights(published, smears):
    start = start_from(published / "net.cfg", smears, CLASSES, (64, 96))
    assert start.new_layers is None and start.description.startswith("random weights")
    assert start.heads.input_shape == (64, 96)


def test_a_third_head_for_small_objects(published, smears):
    start = start_from(published / "net.weights", smears, CLASSES)  # smears have platelets of a few pixels
    assert start.heads.strides == (32, 16, 8) and len(start.heads.anchors) == 9
    assert "third head" in start.description
    old, now = weights_of(build_body(published / "net.cfg")), weights_of(start.body)
    new = {layer.name for layer in start.new_layers if layer.get_weights()}
    assert new == (now.keys() - old.keys()) | {layer.name for layer in output_convolutions(start.body)}
    # Its weights go through darknet's format, behind all others.
    save_weights(start.body, published / "three.weights")
    again = with_fine_head(build_body(published / "net.cfg", num_classes=3, input_shape=start.heads.input_shape), 3)
    load_weights(again, published / "three.weights")
    assert equal(again.get_weights(), start.body.get_weights())


def test_it_is_made_for_small_objects_only(published, smears):
    large = [Annotation(a.image_path, np.array([[8.0, 8.0, 120.0, 90.0]]), np.array([0]), size=a.size) for a in smears]
    assert start_from(published / "net.weights", large, CLASSES).heads.strides == (32, 16)
    assert start_from(published / "net.weights", large, CLASSES, fine_head=True).heads.strides == (32, 16, 8)


@pytest.fixture
def earlier(tmp_path, smears):
    """The folder of a training with three classes and an order of anchors of its own."""
    mask = [[1, 0, 2], [3, 4, 5], [6, 7, 8]]
    anchors = np.arange(18).reshape(9, 2) * 5 + 6
    body = micro_yolo_body(keras.Input((96, 128, 3)), 3, 3)
    write_run(tmp_path / "run", body, Heads((96, 128), anchors, 3, mask), CLASSES, {})
    body.save_weights(tmp_path / "run" / BEST)
    return tmp_path / "run"


@pytest.mark.parametrize("given", ["", BEST])
def test_an_earlier_training_with_other_classes_gives_all_but_its_heads(earlier, smears, given):
    start = start_from(earlier / given, smears, ["one"], (64, 96))
    old, heads = weights_of(load_body(earlier)[0]), output_convolutions(start.body)
    now = weights_of(start.body)
    assert start.new_layers == heads and start.heads.input_shape == (64, 96)
    assert [head.shape[1:] for head in start.body.outputs] == [(2, 3, 18), (4, 6, 18), (8, 12, 18)]
    assert all(equal(old[name], now[name]) for name in now if name not in {layer.name for layer in heads})


def test_an_earlier_training_with_the_same_classes_is_gone_on_with(earlier, smears):
    body, heads, _ = load_body(earlier)
    start = start_from(earlier, smears, CLASSES)
    photograph = np.random.default_rng(0).uniform(size=(1, 96, 128, 3)).astype(np.float32)
    for one, other in zip(start.body(photograph), body(photograph), strict=True):
        np.testing.assert_array_equal(one, other)
    assert start.new_layers == []
    # Each head has the anchors that it had, in the order that it had them.
    of_heads = [[h.anchors[mask].tolist() for mask in h.anchor_mask] for h in (start.heads, heads)]
    assert of_heads[0] == of_heads[1]


def test_new_heads_share_nothing_with_the_old_body():
    old = micro_yolo_body(keras.Input((64, 64, 3)), 3, 2)
    before = [np.copy(value) for value in old.get_weights()]
    new = with_heads(old, 5, (96, 64))
    for variable in new.variables:
        variable.assign(variable + 1)
    assert equal(before, old.get_weights())


@pytest.mark.parametrize(
    "sizes, expected",
    [
        ([(480, 640)] * 3, (288, 384)),
        ([(640, 480)] * 3, (384, 288)),
        ([(100, 100)] * 3, (320, 320)),
        ([(100, 100), (480, 640), (480, 640)], (288, 384)),
        ([(100, 5000)] * 3, (224, 448)),
    ],
)
def test_the_input_has_the_photographs_proportions(sizes, expected):
    annotations = [Annotation("a.png", np.zeros((0, 4)), np.zeros(0, int), size=size) for size in sizes]
    found = fitting_shape(annotations, 320**2)
    assert found == expected and all(side % 32 == 0 for side in found)


def test_a_training_from_there_leaves_frozen_what_was_taken_over(published, smears, tmp_path):
    start = start_from(published / "net.weights", smears, CLASSES, (64, 96))
    before = weights_of(start.body)
    data = YoloDataset(smears, start.heads, 3, augment=True, targets="boxes")
    train(start.body, data, [Stage(1, 1e-2, frozen=True)], tmp_path / "out", new_layers=start.new_layers, verbose=0)
    now, new = weights_of(start.body), {layer.name for layer in start.new_layers}
    changed = {name for name in now if not equal(before[name], now[name])}
    assert changed == new & now.keys()


@pytest.mark.skipif(not (SHARED / "data/yolo_fastest").is_dir(), reason="needs the files of Yolo-Fastest")
def test_yolo_fastest_itself(smears):
    start = start_from(SHARED / "data/yolo_fastest/yolo-fastest-1.1.weights", smears, CLASSES)
    small = {layer.name for layer in start.new_layers if layer.get_weights()}
    assert len(start.body.outputs) == 3 and len(small) == 7  # three heads; two convolutions with normalisation
    assert [stage.frozen for stage in start.stages(100)] == [False]


def test_heads_of_other_names_or_out_of_reach_are_made_anew(published, smears):
    """The number of classes is not enough: a file of the first layers holds no heads."""
    numbers = (published / "net.weights").read_bytes()
    (published / "net.conv.2").write_bytes(numbers[: 20 + 4 * (4 * 4 + 3 * 9 * 4 + 4 * 4 + 9 * 4)])
    start = start_from(published / "net.conv.2", smears, ["a", "b", "c", "d"], fine_head=False)
    assert "all but its heads" in start.description
    assert {layer.name for layer in output_convolutions(start.body)} <= {layer.name for layer in start.new_layers}


def test_what_can_have_no_third_head_or_frozen_stage_says_so(published, smears):
    with pytest.raises(ValueError, match="third head"):
        start_from("micro", smears, CLASSES, fine_head=True)
    kept = start_from(published / "net.weights", smears, ["a", "b", "c", "d"])
    with pytest.raises(ValueError, match="frozen-epochs would train nothing"):
        kept.stages(10, frozen_epochs=1)
    with pytest.raises(ValueError, match="multiples of 32"):
        start_from(published / "net.weights", smears, CLASSES, (100, 96))


def test_an_earlier_training_is_gone_on_with_in_todays_precision(earlier, smears):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        start = start_from(earlier, smears, ["one"])
    finally:
        keras.config.set_dtype_policy(before)
    assert {layer.compute_dtype for layer in start.body.layers if layer.get_weights()} == {"bfloat16"}
    assert {str(weight.dtype) for layer in start.body.layers for weight in layer.get_weights()} == {"float32"}


def test_an_earlier_training_with_other_classes_takes_the_photographs_proportions(earlier, smears):
    upright = [Annotation(a.image_path, a.boxes[:, [1, 0, 3, 2]], a.classes, size=(128, 96)) for a in smears]
    assert start_from(earlier, upright, ["a", "b", "c"]).heads.input_shape == (128, 96)


def test_the_courses_own_network_gives_all_but_its_heads(smears):
    start = start_from("smears", smears, CLASSES)  # the classes that it was trained with, in that order
    old = build_body(DATA / "smears.cfg")
    load_weights(old, DATA / "smears.weights")
    old, now, heads = weights_of(old), weights_of(start.body), output_convolutions(start.body)
    names = {layer.name for layer in heads}
    assert start.new_layers == heads and len(heads) == 3
    for name in now:
        assert equal(old[name], now[name]) == (name not in names)
    height, width = start.heads.input_shape
    assert height * width == 192 * 256 and height / width == 96 / 128
    assert start_from("smears", smears, ["one"], (64, 96)).heads.num_classes == 1
