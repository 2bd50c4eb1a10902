"""Darknet's files: darknet's own numbers and detections, every byte back, and refusals that change nothing."""

import json
import struct
import subprocess
import sys

import keras
import numpy as np
import pytest
from darknet_files import HEADER, digest, fastest, plain_darknet, random_weights, yolov3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from reference import GROCERY, SHARED, needs_grocery

from yolo_helpers.commands import main
from yolo_helpers.darknet import Header, build_body, layers_from, load_weights, read_cfg, save_weights
from yolo_helpers.darknet_cfg import read_sections
from yolo_helpers.detection import yolo_eval
from yolo_helpers.images import letterbox_image
from yolo_helpers.model import (
    EPSILON_HERE,
    inference_model,
    micro_yolo_body,
    output_convolutions,
    tiny_yolo_body,
    yolo_body,
)

CFGS = SHARED / "data/darknet/cfg"
GROCERY_CFG, GROCERY_WEIGHTS = GROCERY / "yolov3-tiny-aix2022.cfg", GROCERY / "yolov3-tiny-aix2022.weights"
PARITY = SHARED / "data/darknet_parity"
FASTEST = SHARED / "data/yolo_fastest"
DARKNET_ON_A_CPU = 1e-7  # the epsilon nearest to what it does

needs_fastest = pytest.mark.skipif(not FASTEST.is_dir(), reason=f"needs Yolo-Fastest 1.1 and its outputs, {FASTEST}")
needs_dog = pytest.mark.skipif(not PARITY.is_dir(), reason=f"needs darknet's photograph of a dog, {PARITY}")


def conv(filters, size, stride=1):
    return (
        f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\n"
        f"stride={stride}\npad=1\nactivation=leaky\n"
    )


def yolo(mask, anchors, classes):
    numbers = ",  ".join(f"{10 * k},{12 * k}" for k in range(1, anchors + 1))
    head = f"[convolutional]\nsize=1\nstride=1\npad=1\nfilters={3 * (5 + classes)}\nactivation=linear\n"
    return f"{head}[yolo]\nmask = {mask}\nanchors = {numbers}\nclasses={classes}\nnum={anchors}\njitter=.3\nrandom=1\n"


def route(*layers):
    return f"[route]\nlayers = {', '.join(map(str, layers))}\n"


NET = "[net]\n# Testing\nbatch=1\nwidth=64\nheight=96  # pixels\nchannels=3\nhue=.1\n\n"
SHORTCUT, UPSAMPLE = "[shortcut]\nfrom=-3\nactivation=linear\n", "[upsample]\nstride=2\n"
# All kinds of layers in few numbers: a residual block, darknet's two sorts of maxpool, and three of these beside it.
SMALL = (
    NET
    + conv(2, 3, 2)
    + "[maxpool]\nsize=2\nstride=2\n"
    + conv(4, 3, 2)
    + conv(2, 1)
    + conv(4, 3)
    + SHORTCUT
    + conv(4, 3, 2)
    + "".join(f"[maxpool]\nstride=1\nsize={size}\n{route(-2)}" for size in (5, 2))
    + "[maxpool]\nstride=1\nsize=3\n"
    + route(-1, -3, -5, 6)
    + conv(3, 3, 2)
    + yolo("3,4,5", 6, 1)
    + route(-3)
    + conv(2, 1)
    + UPSAMPLE
    + route(-1, 6)
    + yolo("0,1,2", 6, 1)
)
TINY = (
    NET
    + "[maxpool]\nsize=2\nstride=2\n".join(conv(filters, 3) for filters in (16, 32, 64, 128, 256, 512))
    + "[maxpool]\nsize=2\nstride=1\n"
    + conv(1024, 3)
    + conv(256, 1)
    + conv(512, 3)
    + yolo("3,4,5", 6, 2)
    + route(-4)
    + conv(128, 1)
    + UPSAMPLE
    + route(-1, 8)
    + conv(256, 3)
    + yolo("0,1,2", 6, 2)
)


def micro(classes):
    """The cfg of the micro network, written down as darknet's yolov3.cfg is."""
    widths, blocks = (8, 8, 24, 48, 64, 96), (0, 0, 1, 1, 1)
    text, made, ends = NET, 0, []
    for narrow, wide, count in zip(widths, widths[1:], blocks):
        text += conv(wide, 3, 2) + count * (conv(narrow, 1) + conv(wide, 3) + SHORTCUT)
        made += 1 + 3 * count
        ends.append(made - 1)
    for stage, mask in ((4, "6,7,8"), (3, "3,4,5"), (2, "0,1,2")):
        narrow, wide = widths[stage], widths[stage + 1]
        if stage < 4:
            text += route(-4) + conv(narrow, 1) + UPSAMPLE + route(-1, ends[stage])
        text += conv(narrow, 1) + conv(wide, 3) + yolo(mask, 9, classes)
    return text


MICRO = micro(2)

# What the fork at AlexeyAB/darknet adds, and sums of outputs with other numbers of channels.
FORK = (
    NET
    + conv(4, 3, 2)
    + conv(8, 3, 2)
    + "[route]\nlayers=-1\ngroups = 2\ngroup_id = 1\n"  # 2, of 4 channels
    + conv(6, 5).replace("pad=1", "padding=2")
    + "[route]\nlayers = -1, 2\ngroups=2\n"  # 4, of 3 + 2 channels
    + conv(6, 4, 2).replace("pad=1", "padding=1")
    + conv(4, 1)
    + "[shortcut]\nfrom=-2\n"  # 6 channels to 4
    + conv(7, 1)
    + "[shortcut]\nfrom=-2\nactivation=leaky\n"  # 4 channels to 7
    + conv(8, 3, 2)
    + conv(3, 3, 2)
    + yolo("3,4,5", 6, 1)
    + route(-4)
    + yolo("1,2,3", 6, 1)
)


@pytest.fixture
def cfg(tmp_path):
    """Writes a cfg and returns its path."""

    def write(text):
        path = tmp_path / "net.cfg"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A body with all kinds of layers, the bytes of a weights file for it, and where each convolution ends in them."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "net.cfg").write_text(SMALL, encoding="utf-8")
    body = build_body(folder / "net.cfg")
    content = random_file(body, 0)
    # Counted from the cfg by hand: filters, channels in, size.
    sizes = [(2, 3, 3), (4, 2, 3), (2, 4, 1), (4, 2, 3), (4, 4, 3), (3, 16, 3), (18, 3, 1), (2, 3, 1), (18, 6, 1)]
    numbers = [out * into * size**2 + out * (1 if out == 18 else 4) for out, into, size in sizes]
    return body, content, (20 + 4 * np.cumsum(numbers)).tolist()


def random_file(body, seed, header=Header(0, 2, 5, 12345)):  # noqa: B008 - a tuple does not change
    """A weights file for a body; positive numbers, so that each of them may be a variance."""
    numbers = np.random.default_rng(seed).uniform(0.01, 1, body.count_params())
    return struct.pack(header.layout, *header) + numbers.astype("<f4").tobytes()


def save_random(body, path):
    """Writes weights for a body that keep its outputs in the range of a trained one's."""
    rng = np.random.default_rng(0)
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    save_weights(body, path)


def weights_of(model):
    return [weight.copy() for weight in model.get_weights()]


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def parity(path, cfg_body, layers):
    """The largest distance of a body's heads from darknet's."""
    with np.load(path) as reference:
        heads = cfg_body(reference["input_chw"].transpose(1, 2, 0)[None])
        return max(abs(np.transpose(head[0], (2, 0, 1)) - reference[name]).max() for head, name in zip(heads, layers))


@pytest.fixture(scope="module")
def grocery():
    body = build_body(GROCERY_CFG, epsilon=DARKNET_ON_A_CPU)
    assert load_weights(body, GROCERY_WEIGHTS) == (11, Header(0, 2, 5, 3212800))
    return body


@needs_grocery
def test_a_trained_network_gives_darknets_outputs(grocery):
    reference = GROCERY / "darknet_ref_aix2022.CAPP_testset_close_10094.jpg.npz"
    assert parity(reference, grocery, ["layer13", "layer20"]) < 1e-3


@needs_dog
def test_the_cfg_and_the_tiny_body_give_darknets_outputs(tmp_path):
    path = tmp_path / "random.weights"  # by the script that made darknet's
    command = [sys.executable, PARITY / "make_random_weights.py", CFGS / "yolov3-tiny.cfg", path]
    subprocess.run(command, check=True, capture_output=True)
    from_cfg = build_body(CFGS / "yolov3-tiny.cfg", epsilon=DARKNET_ON_A_CPU)
    for body in (from_cfg, tiny_yolo_body(keras.Input((416, 416, 3)), 3, 80)):  # its variances are large
        assert load_weights(body, path) == (13, Header(0, 2, 0, 32013312))
        assert parity(PARITY / "darknet_ref_random_tiny.dog.jpg.npz", body, ["layer15", "layer22"]) < 1e-3


@needs_fastest
def test_yolo_fastest_gives_its_own_codes_outputs_and_every_byte_back(tmp_path):
    cfg, weights = FASTEST / "yolo-fastest-1.1.cfg", FASTEST / "yolo-fastest-1.1.weights"
    body = build_body(cfg, epsilon=1e-5)
    count, header = load_weights(body, weights)
    assert count == cfg.read_text(encoding="utf-8").count("[convolutional]")
    reference = FASTEST / "darknet_ref_yolo-fastest-1.1.dog.jpg.npz"
    assert parity(reference, body, ["layer120", "layer129"]) < 1e-4
    save_weights(body, tmp_path / "again.weights", header)
    assert (tmp_path / "again.weights").read_bytes() == weights.read_bytes()


def test_the_cfg_and_the_full_body_give_the_same_outputs(cfg, tmp_path):
    text = yolov3(608, 80).replace("width=608", "width=64").replace("height=608", "height=96")
    from_cfg, plain = build_body(cfg(text), epsilon=EPSILON_HERE), yolo_body(keras.Input((96, 64, 3)), 3, 80)
    assert from_cfg.count_params() == plain.count_params() == 62_001_757
    weights = tmp_path / "random.weights"
    weights.write_bytes(random_weights(text))
    assert weights.stat().st_size == 248_007_048
    assert load_weights(from_cfg, weights)[0] == load_weights(plain, weights)[0] == 75
    image = np.random.default_rng(0).random((1, 96, 64, 3), np.float32)
    for ours, theirs in zip(from_cfg(image), plain(image), strict=True):
        assert np.std(ours) > 0.01
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "side", "classes", "sha256"),
    [
        ("yolov3-spp", 608, 80, "440350b4354054d797c2eafb181efd01255c835131d63f98103cf97e22857dfa"),
        ("yolov3-voc", 416, 20, "a0d8d6509e9bcc10f6a2da0b62910400a7009e22b6cf9facdfdbf7448c317b6e"),
        ("yolov3.AlexeyAB", 416, 80, "72ea58880830032a2d1d5ed0fd9ef160664548d5494a133ba533d9a56aa4d98c"),
        ("yolov3", 608, 80, "a6cc52e3f8dc5a3bd24a58a7d3a8a531cc24cf79992e9dc8edefd30323a7b218"),
    ],
    ids=["spp", "voc", "AlexeyAB", "yolov3"],
)
def test_every_cfg_of_the_family_can_be_built(cfg, name, side, classes, sha256):
    """The digest is that of darknet's file, which is read too where it lies beside the project."""
    text = yolov3(side, classes, spp=name.endswith("spp"))
    assert digest(text) == sha256
    grids = [side // 32, side // 16, side // 8]
    for path in (cfg(text), *CFGS.glob(f"{name}.cfg")):
        heads = build_body(path).outputs
        assert [head.shape for head in heads] == [(None, grid, grid, 3 * (5 + classes)) for grid in grids]
        assert read_cfg(path).anchor_mask == [[6, 7, 8], [3, 4, 5], [0, 1, 2]]


@needs_grocery
@pytest.mark.parametrize("number", [10000, 10008, 10094])
def test_detections_are_darknets(grocery, number):
    """With darknet's letterboxing. With `detect`'s, which averages pixels, this network, trained on unaveraged ones,
    finds 5 to 8 of 11 objects, and with other scores: the difference is in the picture, not in the network."""
    cfg = read_cfg(GROCERY_CFG)
    name = f"CAPP_testset_close_{number}.jpg"
    expected = json.loads((GROCERY / "reference_detections.json").read_bytes())["images"][name]["detections"]
    photo = np.asarray(Image.open(GROCERY / "images" / name).convert("RGB"))
    heads = grocery(letterbox_image(photo, cfg.input_shape)[None])
    boxes, scores, classes = yolo_eval(
        heads, cfg.anchors, cfg.num_classes, photo.shape[:2], 100, 0.24, 0.45, cfg.anchor_mask
    )
    assert sorted(classes) == sorted(detection["cls"] for detection in expected) and len(expected) >= 6
    for detection in expected:
        # Class 7 stands twice on one photograph: of a class, the one with the nearest score is meant.
        same = np.flatnonzero(classes == detection["cls"])
        nearest = same[abs(scores[same] - detection["prob"]).argmin()]
        assert abs(scores[nearest] - detection["prob"]) < 0.02
        np.testing.assert_allclose(boxes[nearest], detection["xyxy_px"], atol=3)


@pytest.mark.parametrize(
    ("photo", "reference"),
    [
        pytest.param(
            GROCERY / "images/CAPP_testset_close_10094.jpg",
            GROCERY / "darknet_ref_aix2022.CAPP_testset_close_10094.jpg.npz",
            marks=needs_grocery,
            id="grocery",
        ),
        pytest.param(
            SHARED / "data/darknet/data/dog.jpg",
            PARITY / "darknet_ref_random_tiny.dog.jpg.npz",
            marks=needs_dog,
            id="dog",
        ),
    ],
)
def test_letterboxing_is_darknets(photo, reference):
    with np.load(reference) as file:
        expected = file["input_chw"].transpose(1, 2, 0)
    found = letterbox_image(np.asarray(Image.open(photo).convert("RGB")), expected.shape[:2])
    assert abs(found - expected).max() < 5 / 255  # darknet has another JPEG reader
    assert abs(found - expected).mean() < 0.1 / 255


def test_letterboxing_keeps_corners_and_leaves_grey_bars():
    photo = np.random.default_rng(0).integers(0, 256, (7, 30, 3), dtype=np.uint8)
    image = letterbox_image(photo, (32, 64))
    rows = np.flatnonzero((image != 0.5).any((1, 2)))
    assert (rows[0], rows[-1]) == (8, 22)  # 15 rows; the odd one of the bars is below, as in darknet
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        np.testing.assert_allclose(image[rows[row], column], photo[row, column] / 255, atol=1e-6)


@needs_grocery
def test_what_is_loaded_is_saved_byte_for_byte(grocery, tmp_path):
    header = load_weights(grocery, GROCERY_WEIGHTS)[1]
    save_weights(grocery, tmp_path / "again.weights", header)
    assert (tmp_path / "again.weights").read_bytes() == GROCERY_WEIGHTS.read_bytes()


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (Header(0, 1, 0, 7), 16),
        (Header(0, 2, 0, 2**40), 20),
        (Header(0, 2, 5, 7), 20),
        (Header(1, 0, 0, 7), 20),
        (Header(1001, 0, 0, 7), 16),
    ],
)
def test_both_headers_come_back_byte_for_byte(small, tmp_path, header, size):
    body, path = small[0], tmp_path / "with header.weights"
    content = random_file(body, 1, header)
    assert len(content) == size + 4 * body.count_params()
    path.write_bytes(content)
    assert load_weights(body, path) == (9, header)
    save_weights(body, path, header)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == [path.name]  # nothing is left beside it


def test_numbers_stand_where_darknet_puts_them(small, tmp_path):
    body, content, _ = small
    (tmp_path / "w").write_bytes(content)
    load_weights(body, tmp_path / "w")
    numbers = np.frombuffer(content, "<f4", offset=20)
    kinds = (keras.layers.Conv2D, keras.layers.BatchNormalization)
    first, norm = (next(layer for layer in body.layers if isinstance(layer, kind)) for kind in kinds)
    beta, gamma, mean, variance, kernel = np.split(numbers[: 8 + 54], [2, 4, 6, 8])
    assert_same(norm.get_weights(), [gamma, beta, mean, variance])
    for out, into, row, column in np.ndindex(2, 3, 3, 3):
        assert first.get_weights()[0][row, column, into, out] == kernel[27 * out + 9 * into + 3 * row + column]


@pytest.mark.parametrize("text", [SMALL, MICRO, FORK, fastest(1)], ids=["small", "micro", "fork", "fastest"])
def test_outputs_are_those_of_darknets_arithmetic(cfg, tmp_path, text):
    body = build_body(cfg(text))
    save_random(body, tmp_path / "w")
    image = np.random.default_rng(0).random((96, 64, 3), np.float32)
    reference = plain_darknet(text, (tmp_path / "w").read_bytes(), image)
    for found, expected in zip(body(image[None]), reference, strict=True):
        assert 0.1 < expected.std() < 100
        np.testing.assert_allclose(np.transpose(found[0], (2, 0, 1)), expected, atol=1e-4 * expected.std())


def depthwise(channels, options):
    """A cfg whose second convolution has these options and so many channels before it; the head sees all it gives."""
    numbers = {"stride": 1, "padding": 0, "pad": 0, "size": 3} | options
    around = numbers["size"] // 2 if numbers["pad"] else numbers["padding"]
    side = (16 + 2 * around - numbers["size"]) // numbers["stride"] + 1
    second = "".join(f"{name}={value}\n" for name, value in options.items())
    head = yolo("0,1,2", 3, 1).replace("size=1\nstride=1\npad=1", f"size={side}")
    net = "[net]\nwidth=32\nheight=32\n"
    return f"{net}{conv(channels, 3, 2)}[convolutional]\n{second}activation=leaky\n{head}"


@pytest.mark.parametrize("around", [{"pad": 1}, {"pad": 0}, {"padding": 2}, {"pad": 1, "batch_normalize": 1}], ids=str)
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("multiplier", [1, 2, 3])
def test_depthwise_convolutions_are_darknets(cfg, tmp_path, multiplier, stride, size, around):
    options = {"groups": 4, "filters": 4 * multiplier, "size": size, "stride": stride} | around
    text = depthwise(4, options)
    content, image = random_weights(text), np.random.default_rng(0).random((32, 32, 3), np.float32)
    (tmp_path / "w").write_bytes(content)
    body = build_body(cfg(text))
    assert load_weights(body, tmp_path / "w") == (3, Header(*HEADER))
    (expected,) = plain_darknet(text, content, image)
    assert 0.1 < expected.std() < 10
    np.testing.assert_allclose(body(image[None])[0, 0, 0], expected[:, 0, 0], rtol=0, atol=1e-5 * expected.std())
    save_weights(body, tmp_path / "again", Header(*HEADER))
    assert (tmp_path / "again").read_bytes() == content


@pytest.mark.parametrize(
    ("channels", "options"),
    [
        (8, {"groups": 2, "filters": 8}),
        (8, {"groups": 8, "filters": 12}),
        (8, {"groups": 8, "filters": 4}),
        (8, {"groups": 16, "filters": 16}),
        (1, {"groups": 2, "filters": 2}),
    ],
    ids=str,
)
def test_groups_that_are_not_built_are_refused(cfg, channels, options):
    text = depthwise(channels, {"size": 3, **options})
    groups, filters = options["groups"], options["filters"]
    path = cfg(text)
    with pytest.raises(ValueError, match=f"groups={groups}, filters={filters} and {channels} channels") as error:
        build_body(path)
    assert str(error.value).startswith(f"{path}, line {line_of(text, '[convolutional]', 2)}: ")
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_one_group_is_none_and_one_channel_is_both(cfg, tmp_path):
    texts = [depthwise(1, {**groups, "filters": 2, "size": 3}) for groups in ({}, {"groups": 1})]
    (tmp_path / "w").write_bytes(random_weights(texts[0]))
    bodies = [build_body(cfg(text)) for text in texts]
    for body in bodies:
        load_weights(body, tmp_path / "w")
    assert_same(bodies[0].get_weights(), bodies[1].get_weights())


def test_dropout_does_nothing_but_in_training(cfg):
    body = build_body(cfg(fastest(1)))
    image = np.random.default_rng(0).random((1, 96, 64, 3), np.float32)
    (dropout,) = (layer for layer in body.layers if isinstance(layer, keras.layers.Dropout))
    assert dropout.rate == 0.15
    x = np.ones((1, 100, 100, 1), np.float32)
    assert_same(dropout(x), x)
    dropped = np.asarray(dropout(x, training=True))
    assert 0.1 < (dropped == 0).mean() < 0.2
    np.testing.assert_allclose(dropped[dropped != 0], 1 / 0.85, rtol=1e-6)  # as darknet's `scale`
    assert_same(body(image), body(image))


@pytest.mark.parametrize(
    ("text", "rate"), [("", 0.5), ("probability=0", 0), ("probability = .2 # a fifth", 0.2), ("probability=1e-1", 0.1)]
)
def test_the_probability_of_dropout_is_read(cfg, text, rate):
    body = build_body(cfg(fastest(1).replace("probability=0.15", text)))
    assert [layer.rate for layer in body.layers if isinstance(layer, keras.layers.Dropout)] == [rate]


@pytest.mark.parametrize("epsilon", [1e-3, 1e-7])
def test_epsilon_is_added_to_the_variance(cfg, tmp_path, epsilon):
    """So a body with another one is the same where its variances are as much smaller."""
    plain, other = build_body(cfg(SMALL)), build_body(cfg(SMALL), epsilon=epsilon)
    save_random(plain, tmp_path / "w")
    for body in (plain, other):
        load_weights(body, tmp_path / "w")
        for layer in body.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.moving_variance.assign(2e-3 * layer.moving_variance + (1e-5 - epsilon if body is other else 0))
    image = np.random.default_rng(0).random((1, 96, 64, 3), np.float32)
    for ours, theirs in zip(other(image), plain(image), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.std(theirs))


@pytest.mark.parametrize("make", [fastest, micro], ids=["fastest", "micro"])
@pytest.mark.parametrize(
    ("arguments", "classes", "shape"),
    [
        ({"num_classes": 4}, 4, (96, 64)),
        ({"input_shape": (32, 160)}, 1, (32, 160)),
        ({"input_shape": [np.int64(64), 64]}, 1, (64, 64)),
        ({"num_classes": np.int64(80), "input_shape": (64, 32)}, 80, (64, 32)),
    ],
    ids=str,
)
def test_another_number_of_classes_or_input_size_is_that_of_a_cfg_that_says_so(
    cfg, tmp_path, make, arguments, classes, shape
):
    body = build_body(cfg(make(1)), **arguments)
    height, width = shape
    text = make(classes).replace("height=96", f"height={height}").replace("width=64", f"width={width}")
    same = build_body(cfg(text))
    strides = (32, 16, 8)[: len(body.outputs)]
    expected = [(None, height // stride, width // stride, 3 * (5 + classes)) for stride in strides]
    assert [head.shape for head in body.outputs] == [head.shape for head in same.outputs] == expected
    for convolution in output_convolutions(body):
        objectness = np.asarray(convolution.bias)[4 :: 5 + classes]
        np.testing.assert_allclose(objectness, np.log(0.01 / 0.99), rtol=1e-6)
        assert len(objectness) == 3
    save_random(same, tmp_path / "w")
    for each in (body, same):
        load_weights(each, tmp_path / "w")
    image = np.random.default_rng(0).random((1, *shape, 3), np.float32)
    assert_same(body(image), same(image))


@pytest.mark.parametrize("num_classes", [0, -1, 2.5, 3.0, "3", [3], 10**9], ids=str)
def test_a_number_of_classes_that_is_none_gives_one_sentence(cfg, num_classes):
    with pytest.raises(ValueError, match="num_classes.*found|larger than 1,000,000,000 numbers") as error:
        build_body(cfg(SMALL), num_classes=num_classes)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize(
    "shape",
    [(0, 64), (-32, 64), (100, 64), (64, 2.5), (64, float("nan")), (64,), (64, 64, 3), 64, (), (32e6, 32e6)],
    ids=str,
)
def test_an_input_size_that_is_none_gives_one_sentence(cfg, shape):
    with pytest.raises(
        ValueError, match="input_shape .height, width. needs multiples of 32|over 1,000,000,000"
    ) as error:
        build_body(cfg(SMALL), input_shape=shape)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_a_new_network_is_saved_as_untrained(small, tmp_path):
    save_weights(small[0], tmp_path / "new.weights")
    assert (tmp_path / "new.weights").read_bytes()[:20] == struct.pack("<iiiq", 0, 2, 0, 0)


@pytest.mark.parametrize(
    ("text", "build", "classes"), [(MICRO, micro_yolo_body, 2), (TINY, tiny_yolo_body, 2)], ids=["micro", "tiny"]
)
def test_one_file_fits_the_cfg_and_the_body_of_the_package(cfg, tmp_path, text, build, classes):
    from_cfg, plain = build_body(cfg(text), epsilon=EPSILON_HERE), build(keras.Input((96, 64, 3)), 3, classes)
    save_random(from_cfg, tmp_path / "w")
    counts = [load_weights(body, tmp_path / "w")[0] for body in (from_cfg, plain)]
    assert counts[0] == counts[1] == sum(isinstance(layer, keras.layers.Conv2D) for layer in plain.layers)
    image = np.random.default_rng(0).random((2, 96, 64, 3), np.float32)
    for ours, theirs in zip(from_cfg(image), plain(image), strict=True):
        assert 0.1 < np.std(ours) < 100
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.std(ours))
    # Depth, by which `model.layers` is sorted, gives another order: taking that one would not have gone unnoticed.
    made = [layer.name for layer in plain.layers if isinstance(layer, keras.layers.Conv2D)]
    assert made != sorted(made, key=lambda name: int("0" + name.removeprefix("conv2d").removeprefix("_")))


@pytest.mark.parametrize("text", [SMALL, FORK, fastest(1)], ids=["small", "fork", "fastest"])
def test_the_order_survives_saving_in_keras_own_format(cfg, tmp_path, text):
    body = build_body(cfg(text))
    content = random_file(body, 0)
    (tmp_path / "w").write_bytes(content)
    load_weights(body, tmp_path / "w")
    body.save(tmp_path / "body.keras")
    save_weights(keras.models.load_model(tmp_path / "body.keras"), tmp_path / "again", Header(0, 2, 5, 12345))
    assert (tmp_path / "again").read_bytes() == content


def test_the_same_numbers_behind_any_header_give_the_same_network(small, tmp_path):
    """Of 16 bytes from the first darknet and, of 20, from the later one and its forks."""
    body, content, _ = small
    headers = [struct.pack("<3iI", 0, 1, 0, 7), struct.pack("<3iQ", 0, 2, 0, 7), struct.pack("<3iQ", 0, 2, 5, 2**63)]
    headers.append(struct.pack("<3fI", 0.001, 0.9, 0.0005, 7))  # darknet of 2015: learning rate, momentum, decay
    for header in headers:
        body.set_weights([np.full_like(weight, 0.5) for weight in weights_of(body)])
        (tmp_path / "a.weights").write_bytes(header + content[20:])
        assert load_weights(body, tmp_path / "a.weights")[0] == 9
        save_weights(body, tmp_path / "again", Header(0, 2, 5, 12345))
        assert (tmp_path / "again").read_bytes() == content


NO_WEIGHTS = {
    "nothing": (b"", "0 bytes.*fetch it again"),
    "zeros": (bytes(4000), "4000 bytes, all of them zero.*fetch it again"),
    "a web page": (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "a web page.*download the file itself"),
    "XML of a server": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
    "a server's JSON": (b'{"message": "Not Found"}', "a server's answer"),
    "a server's text": (b"404: Not Found", "a server's answer"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 248007048\n", "LFS.*run git lfs pull"),
    "a cfg": (MICRO.encode(), "text, such as that of a cfg"),
    "a cfg of Windows": (MICRO.replace("\n", "\r\n").encode(), "text, such as that of a cfg"),
    "PyTorch's zip": (b"PK\3\4" + bytes(26) + b"archive/data.pkl" + bytes(200), "PyTorch"),
    "PyTorch's pickle": (b"\x80\2\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + bytes(200), "PyTorch"),
    "safetensors": (struct.pack("<Q", 40) + b'{"__metadata__":{}}' + bytes(200), "another library"),
    "a .keras": (b"PK\3\4" + bytes(26) + b"metadata.json" + bytes(200), "Keras.*load_model"),
    "a zip": (b"PK\3\4" + bytes(26) + b"yolov3.weights" + bytes(200), "archive.*unpack it"),
    "gzip": (b"\x1f\x8b\x08" + bytes(200), "archive.*unpack it"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(200), r"HDF5.*\.weights\.h5"),
    "a version below 0": (struct.pack("<3iQ", 0, -2, 5, 0) + bytes(400), "a version below 0"),
}


@pytest.mark.parametrize(("content", "message"), NO_WEIGHTS.values(), ids=NO_WEIGHTS)
def test_what_is_no_weights_file_is_said_and_changes_nothing(small, tmp_path, content, message):
    (tmp_path / "yolov3.weights").write_bytes(content)
    before = weights_of(small[0])
    with pytest.raises(ValueError, match=f"(?i){message}") as error:
        load_weights(small[0], tmp_path / "yolov3.weights")
    sentence = str(error.value)
    assert sentence.startswith(f"{tmp_path / 'yolov3.weights'}: ") and sentence.endswith(".")
    assert "\n" not in sentence and "not a weights file" in sentence and "nothing was loaded" in sentence
    assert_same(before, weights_of(small[0]))


@pytest.mark.parametrize(
    ("first", "numbers", "message"),
    [
        (-1, [np.nan], "convolution 9 of 9 has numbers that are NaN or infinite"),
        (70, [-np.inf], "convolution 2 of 9 has numbers that are NaN or infinite"),
        (6, [-0.5], "convolution 1 of 9 has variances below 0"),  # after two betas, gammas and means
        (-126, [0] * 126, "convolution 9 of 9 has nothing but zeros"),
    ],
)
def test_numbers_that_no_network_has_are_refused_and_change_nothing(small, tmp_path, first, numbers, message):
    body, content, _ = small
    damaged = np.frombuffer(content, "<f4", offset=20).copy()
    damaged[first : first + len(numbers) or None] = numbers
    (tmp_path / "a.weights").write_bytes(content[:20] + damaged.tobytes())
    before = weights_of(body)
    with pytest.raises(ValueError, match=f"a.weights: {message}.*nothing was loaded: fetch it again, or"):
        load_weights(body, tmp_path / "a.weights")
    assert_same(before, weights_of(body))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MICRO, "cut off in the middle"),
        (micro(80), "it fits 80 classes, 255 channels .* and this network has 2 classes, 21 channels"),
        (micro(1), "it fits 1 classes, 18 channels .* and this network has 2 classes, 21 channels"),
        (TINY, "larger network"),
        (SMALL, "or fetch it again"),
    ],
    ids=["cut", "more classes", "fewer classes", "larger", "smaller"],
)
def test_weights_of_another_count_say_the_likely_cause(cfg, tmp_path, text, message):
    content = random_file(build_body(cfg(text)), 0)
    (tmp_path / "a.weights").write_bytes(content[: -2 if text == MICRO else None])
    with pytest.raises(ValueError, match=f"expected .* found .*; nothing was loaded: .*{message}"):
        load_weights(build_body(cfg(MICRO)), tmp_path / "a.weights")


def by_name(body):
    """Layer -> its weights, of those that have some."""
    return {layer.name: layer.get_weights() for layer in body.layers if layer.weights}


@pytest.fixture
def weights_file(tmp_path):
    """Writes what is to be read as weights and returns the path."""

    def write(content):
        (tmp_path / "a.weights").write_bytes(content)
        return tmp_path / "a.weights"

    return write


# In the file of the micro network, two heads of three stand in the middle.
@pytest.mark.parametrize("make", [fastest, micro], ids=["fastest", "micro"])
@pytest.mark.parametrize("here", [3, 80, 90])
def test_all_but_the_heads_is_taken_over(cfg, weights_file, make, here):
    path = weights_file(random_weights(make(80)))
    trained, body = build_body(cfg(make(80))), build_body(cfg(make(80)), num_classes=here)
    count = make(80).count("[convolutional]")
    assert load_weights(trained, path)[0] == count
    before, expected = by_name(body), by_name(trained)
    heads = {layer.name for layer in output_convolutions(body)}
    assert load_weights(body, path, but_heads=True)[0] == count and layers_from(body, count) == []
    for name, weights in by_name(body).items():
        assert_same(weights, before[name] if name in heads else expected[name])
    assert 2 <= len(heads) < len(before)


def test_a_body_of_the_package_takes_all_but_the_heads_over(cfg, weights_file):
    path = weights_file(random_weights(micro(80)))
    plain, from_cfg = micro_yolo_body(keras.Input((96, 64, 3)), 3, 2), build_body(cfg(micro(2)), epsilon=EPSILON_HERE)
    for body in (plain, from_cfg):
        load_weights(body, path, but_heads=True)
    for one, other in zip(output_convolutions(plain), output_convolutions(from_cfg), strict=True):
        one.set_weights(other.get_weights())
    image = np.random.default_rng(0).random((1, 96, 64, 3), np.float32)
    for ours, theirs in zip(from_cfg(image), plain(image), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.std(ours))


@pytest.mark.parametrize("but_heads", [False, True])
@pytest.mark.parametrize("make", [fastest, micro], ids=["fastest", "micro"])
def test_the_layers_before_the_heads_fit_any_number_of_classes(cfg, weights_file, make, but_heads):
    first = make(80)[: make(80).rindex("[convolutional]", 0, make(80).index("[yolo]"))]
    trained, body = build_body(cfg(make(80))), build_body(cfg(make(3)))
    before, count = by_name(body), first.count("[convolutional]")
    path = weights_file(random_weights(first))
    assert load_weights(body, path, but_heads)[0] == load_weights(trained, path)[0] == count
    rest = {layer.name for layer in layers_from(body, count)}
    assert {layer.name for layer in output_convolutions(body)} < rest < set(before)
    for name, weights in by_name(body).items():
        assert_same(weights, before[name] if name in rest else by_name(trained)[name])


def test_the_first_layers_are_not_taken_for_all_layers_of_fewer_classes(cfg, weights_file):
    """What follows the first head has 6 + 42 numbers here, as many as a class in both heads, 3 (14 + 2)."""
    first = NET + conv(2, 3, 16) + conv(13, 3, 2) + yolo("3,4,5", 6, 2)
    body = build_body(cfg(first + route(0) + conv(1, 1) + yolo("0,1,2", 6, 2)))
    content = random_weights(first)
    before, heads = by_name(body), [layer.name for layer in output_convolutions(body)]
    assert load_weights(body, weights_file(content), but_heads=True)[0] == 3
    changed = {name for name, weights in by_name(body).items() if not np.array_equal(weights[0], before[name][0])}
    assert changed == set(before) - set(heads) - {layer.name for layer in layers_from(body, 3)} and len(changed) == 4


NO_BACKBONE = {
    "another network": (lambda content: random_weights(SMALL), "expected .* numbers"),
    "one of this kind": (lambda content: random_weights(fastest(80)), "expected .* numbers"),
    "a number too many": (lambda content: content + bytes(4), "expected .* numbers"),
    "a number too few": (lambda content: content[:-4], "expected .* numbers"),
    "cut in a number": (lambda content: content[:-2], "cut off in the middle"),
    "cut in the middle": (lambda content: content[: len(content) // 8 * 4], "expected .* numbers"),
    "NaN": (lambda content: content[:200] + struct.pack("<f", np.nan) + content[204:], "NaN"),
    "NaN in a head": (lambda content: content[:-4] + struct.pack("<f", np.nan), "NaN"),
    "variances below 0": (lambda content: content[:20] + 400 * struct.pack("<f", -1) + content[1620:], "below 0"),
    "a page": (lambda content: b"<!DOCTYPE html>", "web page"),
}


@pytest.mark.parametrize(("change", "message"), NO_BACKBONE.values(), ids=NO_BACKBONE)
@pytest.mark.parametrize("classes", [3, 80])
def test_what_has_no_such_layers_before_the_heads_is_refused_and_changes_nothing(
    cfg, weights_file, change, message, classes
):
    body, path = build_body(cfg(micro(classes))), weights_file(change(random_weights(micro(80))))
    before = weights_of(body)
    with pytest.raises(ValueError, match=message) as error:
        load_weights(body, path, but_heads=True)
    sentence = str(error.value)
    assert sentence.startswith(f"{path}: ") and "nothing was loaded" in sentence
    assert "\n" not in sentence and sentence.endswith(".")
    assert_same(before, weights_of(body))


def test_a_file_of_the_first_convolutions_loads_these_alone(small, tmp_path):
    body, content, ends = small
    before = weights_of(body)
    body.set_weights([np.full_like(weight, 0.5) for weight in before])
    (tmp_path / "net.conv.5").write_bytes(content[: ends[3]])
    assert load_weights(body, tmp_path / "net.conv.5") == (4, Header(0, 2, 5, 12345))
    save_weights(body, tmp_path / "all", Header(0, 2, 5, 12345))
    saved = (tmp_path / "all").read_bytes()
    assert saved[: ends[3]] == content[: ends[3]]
    assert set(np.frombuffer(saved[ends[3] :], "<f4")) == {0.5}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_anywhere_is_refused_and_changes_nothing(small, tmp_path, data):
    body, content, ends = small
    near = [position for end in (0, 12, 16, 20, *ends) for position in range(end - 5, end + 6)]
    cut = data.draw(st.integers(0, len(content) - 1) | st.sampled_from([p for p in near if 0 <= p < len(content)]))
    path = tmp_path / "cut.weights"
    path.write_bytes(content[:cut])
    before = weights_of(body)
    if cut in ends:
        assert load_weights(body, path)[0] == ends.index(cut) + 1
        return
    with pytest.raises(ValueError, match="cut.weights: expected") as error:
        load_weights(body, path)
    assert "found" in str(error.value) and "\n" not in str(error.value) and error.value.__context__ is None
    assert_same(before, weights_of(body))


@pytest.mark.parametrize("extra", [1, 4, 6, 400])
def test_numbers_left_over_are_refused_and_change_nothing(small, tmp_path, extra):
    body, content, ends = small
    (tmp_path / "long.weights").write_bytes(content + bytes(extra))
    before, numbers = weights_of(body), (ends[-1] - 20) // 4
    message = (
        f"expected {numbers} numbers up to convolution 9 of 9, found {numbers + extra / 4:.12g}; nothing was loaded"
    )
    with pytest.raises(ValueError, match=message):
        load_weights(body, tmp_path / "long.weights")
    assert_same(before, weights_of(body))


def test_a_short_file_says_what_was_expected(small, tmp_path):
    body, content, ends = small
    (tmp_path / "short.weights").write_bytes(content[: ends[0] + 8])
    with pytest.raises(
        ValueError, match=r"expected 150 numbers up to convolution 2 of 9, found 64; nothing was loaded"
    ):
        load_weights(body, tmp_path / "short.weights")
    (tmp_path / "short.weights").write_bytes(content[:17])
    with pytest.raises(ValueError, match=r"expected a header of 20 bytes, found 17: fetch the file again"):
        load_weights(body, tmp_path / "short.weights")


def named_by_hand():
    image = keras.Input((32, 32, 3))
    return keras.Model(image, keras.layers.Conv2D(2, 1, name="b")(keras.layers.Conv2D(2, 1, name="a")(image)))


def without_its_normalisation():
    image = keras.Input((32, 32, 3))
    return keras.Model(image, keras.layers.Conv2D(2, 1, use_bias=False)(image))


@pytest.mark.parametrize(
    "make",
    [
        lambda: inference_model(micro_yolo_body(keras.Input((32, 32, 3)), 3, 1), (32, 32)),
        named_by_hand,
        without_its_normalisation,
    ],
    ids=["detector", "named", "no normalisation"],
)
def test_models_whose_order_is_not_known_are_refused(small, tmp_path, make):
    path = tmp_path / "kept.weights"
    path.write_bytes(small[1])
    with pytest.raises(ValueError, match="give what build_body or yolo_helpers.model returned"):
        save_weights(make(), path)
    with pytest.raises(ValueError, match="give what build_body or yolo_helpers.model returned"):
        load_weights(make(), path)
    assert path.read_bytes() == small[1]


def test_the_cfg_says_what_data_set_and_decoder_need(cfg):
    found = read_cfg(cfg(SMALL))
    assert found.input_shape == (96, 64) and found.num_classes == 1
    assert found.anchor_mask == [[3, 4, 5], [0, 1, 2]]
    np.testing.assert_array_equal(found.anchors, [[10 * k, 12 * k] for k in range(1, 7)])
    assert found.anchors.dtype == np.float32
    assert read_cfg(cfg(SMALL.replace("num=6\n", ""))).anchors.shape == (6, 2)


def test_the_heads_of_a_cfg_start_as_those_of_the_package(cfg):
    body = build_body(cfg(SMALL))
    assert [head.shape for head in body.outputs] == [(None, 3, 2, 18), (None, 6, 4, 18)]
    for convolution in body.layers[-2:]:
        bias = np.asarray(convolution.bias).reshape(3, 6)
        np.testing.assert_allclose(1 / (1 + np.exp(-bias[:, 4])), 0.01, rtol=1e-5)


def test_a_head_that_the_network_goes_on_from_starts_as_the_others(cfg):
    """Found by fuzzing: its convolution is not among the last layers then."""
    body = build_body(cfg(SMALL.replace(route(-3), route(-2))))
    heads = [layer for layer in body.layers if isinstance(layer, keras.layers.Conv2D) and layer.filters == 18]
    assert len(heads) == 2 and heads[0] not in body.layers[-2:]
    for convolution in heads:
        np.testing.assert_allclose(1 / (1 + np.exp(-np.asarray(convolution.bias)[4::6])), 0.01, rtol=1e-5)


def line_of(text, part, which=1):
    """The line where a part of a text stands for the first time, or for a later one."""
    return part.join(text.split(part)[:which]).count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "at", "message"),
    [
        ("[upsample]", "[crop]", "[crop]", "expected .net. first and once, then net, convolutional"),
        ("[upsample]", "[net]\n[upsample]", "[net]\n[up", "expected .net. first and once"),
        ("[net]", "[maxpool]", "[maxpool]", "expected .net. first and once"),
        ("[net]", "width=1\n[net]", "width=1", "expected a .section., then option=value, found 'width=1'"),
        ("hue=.1", "hue", "hue", "expected a .section., then option=value, found 'hue'"),
        (
            "stride=2\npad=1",
            "stride=2\nfilter=2",
            "filter=2",
            "knows filters, size, .* found filter=: if filters= is meant",
        ),
        (
            "stride=2\npad=1",
            "stride=2\nshare_index=2",
            "share",
            "knows filters, size, .* found share_index=: if it changes",
        ),
        ("hue=.1", "channels=1", "channels=1", "channels=1, which is not built here .photographs have three"),
        ("hue=.1", "letter_box=0", "letter_box", "letter_box=0, which is not built here .darknet stretches"),
        ("stride=2\npad=1", "stride=2\ngroups=2", "[conv", "groups=2, filters=2 and 3 channels before it; built here"),
        ("stride=2\npad=1", "stride=2\ngroups=0", "groups", "takes one number from 1 to 10000, found groups=0"),
        (
            "stride=2\npad=1",
            "stride=2\ndilation=2",
            "dilation",
            "dilation=2, which is not built here .the kernel has gaps",
        ),
        ("stride=2\npad=1", "stride=2\nstride_x=1", "stride_x", "stride_x=1, which is not built here"),
        ("stride=2\npad=1", "stride=2\nflipped=1", "flipped", "flipped=1, which is not built here"),
        ("stride=2\npad=1", "stride=2\ndontload=1", "dontload", "dontload=1, .*the weights file leaves this layer out"),
        (
            "from=-3",
            "from=-3\nweights_type = per_feature",
            "weights_type",
            "weights_type=per_feature, which is not built",
        ),
        ("from=-3", "from=-3,-2", "[shortcut]", "adds two outputs of one shape, found"),
        ("[upsample]", "[upsample]\nscale=2", "scale", "scale=2, which is not built here .the output is multiplied"),
        ("size=2\nstride=2", "size=2\nstride=2\npadding=0", "padding", "padding=0, which is not built here"),
        ("num=6", "num=6\nscale_x_y = 1.05", "scale_x_y", "scale_x_y=1.05, which is not built here .*YOLOv4"),
        ("num=6", "num=6\nnew_coords=1", "new_coords", "new_coords=1, which is not built here .*YOLOv4"),
        ("num=6", "num=6\nnms_kind=diounms", "nms_kind", "nms_kind=diounms, which is not built here .*IoU"),
        *(
            (
                "[upsample]",
                f"[dropout]\nprobability={bad}\n[upsample]",
                "probability",
                f"{message}, found probability={bad}",
            )
            for bad, message in (
                ("1", "takes one number from 0 to below 1"),
                ("-.1", "takes one number from 0 to below 1"),
                ("nan", "takes one number from 0 to below 1"),
                (".1,.2", "takes one number from 0 to below 1"),
                ("", "takes numbers with commas between them"),
                ("half", "takes numbers with commas between them"),
            )
        ),
        ("[upsample]", "[dropout]\nprobabilities=.1\n[upsample]", "probab", "found probabilities=: if probability="),
        ("[upsample]", "[dropout]\nseed=1\n[upsample]", "seed", "knows probability, found seed=: if it changes"),
        ("[upsample]", "[dropout]\ndontload=1\n[upsample]", "dontload", "dontload=1, which is not built here"),
        (
            "num=6",
            "num=6\nyolo_point=left_top",
            "yolo_point",
            "knows mask, anchors, .* found yolo_point=: if it changes",
        ),
        ("num=6", "num=9", "[yolo]", "has num=9 and 6 anchors: mend one"),
        (
            "layers = -1, 6",
            "layers = -1, 6\ngroups=2\ngroup_id=2",
            "[route]\nlayers = -1, 6",
            "takes part 2 of 2, counted",
        ),
        ("layers = -1, 6", "layers = -1, 6\ngroups=4", "[route]\nlayers = -1, 6", r"of outputs with \[2, 4\] channels"),
        ("layers = -1, 6", "layers = -1, 6 # fine, coarse", "layers = -1, 6", "commas in the comment behind layers="),
        (
            "activation=leaky",
            "activation=mish",
            "activation=mish",
            "knows activation=leaky and linear, found 'mish': .*YOLOv4",
        ),
        (
            "activation=leaky",
            "activation=leaky # or mish",
            "activation=leaky",
            "found 'leaky # or mish': put the comment",
        ),
        ("filters=2", "filters=1_0", "filters=1_0", "takes numbers with commas between them, found filters=1_0"),
        ("[upsample]", "[region]", "[region]", "expected .net. first .* found .region., as in YOLOv2"),
        (
            "size=2\nstride=2",
            "size=2\nstride=1",
            "[yolo]",
            r"has a grid of \(6, 4\), expected \(3, 2\), since the heads",
        ),
        ("filters=2\n", "", "[convolutional]", "has no filters=: add it"),
        ("filters=2", "filters=two", "filters=two", "takes numbers with commas between them, found filters=two"),
        ("filters=2", "filters=2,3", "filters=2,3", "takes one number from 1 to 10000, found filters=2,3"),
        # Found by fuzzing, and beside it: sizes that fill the memory or fit no input, anchors without end.
        ("size=3", "size=999999999", "size=999999999", "takes one number from 1 to 10000, found size=999999999"),
        (
            "filters=2\nsize=3",
            "filters=9999\nsize=9999",
            "[convolutional]",
            "makes the network larger than 1,000,000,000",
        ),
        ("size=3\nstride=2\npad=1", "size=97\nstride=2", "[conv", r"larger size than its input \(96, 64\): add pad=1"),
        (
            "[upsample]\nstride=2",
            "[upsample]\nstride=9999",
            "[upsample]",
            r"gives an output of \(29997, 19998, 2\), over",
        ),
        (
            "anchors = 10,12",
            "anchors = inf,12",
            "[yolo]",
            r"takes pairs of positive numbers as anchors, up to 10000, found \[inf",
        ),
        ("stride=2", "stride=0", "stride=0", "takes one number from 1 to 10000, found stride=0"),
        ("width=64", "width=70", "[net]", r"multiples of 32 as height and width, found \(96, 70\)"),
        ("size=2\nstride=2", "size=3\nstride=3", "[maxpool]", "takes stride=1 with any size, or stride=2 with size=2"),
        ("from=-3", "from=-9", "[shortcut]", r"points at \[-9\]: a .yolo., or none of the 5 layers before it"),
        ("from=-3", "from=0", "[shortcut]", r"adds two outputs of one shape, found \[\(48, 32, 2\), \(12, 8, 4\)\]"),
        ("layers = -1, 6", "layers = -1, 0", "[route]\nlayers = -1, 0", "joins outputs of one size, found"),
        ("layers = -1, 6", "layers = -1, 99", "[route]\nlayers = -1, 99", r"points at \[-1, 99\]: a .yolo., or none"),
        ("layers = -3\n", "layers = -1\n", "[route]\nlayers = -1\n", r"points at \[-1\]: a .yolo., or none"),
        ("filters=18", "filters=255", "[yolo]", "needs a .convolutional. just before it with {'filters': 18, "),
        ("classes=1", "classes=2", "[yolo]\nmask = 0", "has other anchors, classes or length of mask than the first"),
        ("mask = 3,4,5", "mask = 3,4,6", "[yolo]", r"counts anchors from 0 to 5, found mask=\[3, 4, 6\]"),
        ("mask = 3,4,5", "mask = 3,4", "[yolo]\nmask = 0", "has other anchors, classes or length of mask"),
    ],
)
def test_a_faulty_cfg_gives_one_sentence_with_the_line(cfg, old, new, at, message):
    assert old in SMALL
    text = SMALL.replace(old, new, 1)
    path = cfg(text)
    with pytest.raises(ValueError, match=message) as error:
        build_body(path)
    assert str(error.value).startswith(f"{path}, line {line_of(text, at)}: ")
    assert "\n" not in str(error.value)


def test_heads_stand_coarsest_first_behind_routes_with_anchors_in_pairs(cfg):
    odd = SMALL.replace(",  60,72", ",  60")
    with pytest.raises(ValueError, match=f"line {line_of(odd, '[yolo]')}: .yolo. takes pairs of positive numbers"):
        read_cfg(cfg(odd))
    without = SMALL[: SMALL.index("[yolo]")]
    with pytest.raises(ValueError, match="line 1: .net. is followed by no .yolo."):
        read_cfg(cfg(without))
    again = SMALL + route(-2) + yolo("0,1,2", 6, 1)
    with pytest.raises(ValueError, match="has no finer grid than the .yolo. before: heads stand coarsest first"):
        build_body(cfg(again))
    unrouted = SMALL.replace(route(-3), "")
    with pytest.raises(ValueError, match="line 85: .convolutional. follows a .yolo., which hands nothing on: put a"):
        build_body(cfg(unrouted))
    for empty in ("", "# nothing\n\n"):
        with pytest.raises(ValueError, match="the file holds no .section."):
            read_cfg(cfg(empty))


CFG_OF_ANOTHER_KIND = {
    "a web page": (b"<!DOCTYPE html><html></html>", "a web page: download the file itself"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS .*: run git lfs pull"),
    "weights": (struct.pack("<3iQ", 0, 2, 5, 0) + b"\1\2\3\4" * 100, "a binary file, such as weights"),
    "UTF-16": (SMALL.encode("utf-16"), "UTF-16.*saved as UTF-8"),
}


@pytest.mark.parametrize(("content", "message"), CFG_OF_ANOTHER_KIND.values(), ids=CFG_OF_ANOTHER_KIND)
def test_what_is_no_cfg_is_said(tmp_path, content, message):
    (tmp_path / "yolov3.cfg").write_bytes(content)
    for read in (read_cfg, build_body):
        with pytest.raises(ValueError, match=f"yolov3.cfg: expected darknet's cfg, found .*{message}"):
            read(tmp_path / "yolov3.cfg")


def test_dropblock_is_for_training(cfg):
    """`forward_dropout_layer_gpu` of the fork returns before it unless it trains."""
    text = fastest(1)
    blocks = text.replace("[dropout]\n", "[dropout]\ndropblock=1\ndropblock_size_abs=7\ndropblock_size_rel=0.1\n")
    assert blocks != text
    plain, same = ([section[1:] for section in read_sections(cfg(each))] for each in (text, blocks))
    assert same == plain


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", "\r\n"),
        ("=", "\t = "),
        ("[net]", "\ufeff[net]"),
        ("[yolo]", "[yolo]  # a head"),
        ("filters=2", "filters=2 ; two"),
        ("layers = -1, 6", "layers=-1,6"),
        ("stride=2\npad=1", "stride=2\ngroups=1\ndilation=1\nantialiasing=0\nstopbackward=1\npad=1"),
        ("from=-3", "from=-3\nweights_type=none\nalpha=1\nbeta=1.0"),
        ("layers = -1, 6", "layers = -1, 6\ngroups=1"),
        ("num=6", "num=6\nscale_x_y=1.0\nnew_coords=0\nnms_kind=greedynms\nbeta_nms=0.6\niou_loss=ciou\nmax=200"),
        ("num=6", "num=6\nignore_thresh=.7\ntruth_thresh=1\ncounters_per_class=10\nobjectness_smooth=1"),
        ("hue=.1", "letter_box=1\ninput_calibration = 256, 8\nmosaic=1\n"),
        ("channels=3\n", ""),
        ("filters=2\n", "filters=2\nfilters=3\n"),  # of two, darknet takes the first
    ],
)
def test_what_changes_nothing_is_passed_over(cfg, old, new):
    plain = [(section.kind, section.options) for section in read_sections(cfg(SMALL))]
    assert old in SMALL
    path = cfg("")
    path.write_bytes(SMALL.replace(old, new).encode())
    assert [(section.kind, section.options) for section in read_sections(path)] == plain


def test_a_cfg_is_refused_before_its_weights_are_looked_for(cfg, tmp_path):
    Image.new("RGB", (64, 96)).save(tmp_path / "a.png")
    path = cfg(SMALL.replace("from=-3", "from=0"))
    arguments = [f"--cfg={path}", f"--weights={tmp_path / 'gone.weights'}", f"--classes={tmp_path / 'gone.names'}"]
    with pytest.raises(ValueError, match="net.cfg, line .*: .shortcut. adds two outputs of one shape"):
        main(["detect", *arguments, str(tmp_path / "a.png"), f"--out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()
