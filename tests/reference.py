"""Second opinions for the tests: the targets and the loss as plain loops, one slot at a time, in float64.

And the cases they are asked about: the original's numbers, outputs and targets at random, heads that see given boxes.
"""

import math
from pathlib import Path

import keras
import numpy as np
import pytest

from yolo_helpers.anchors import DATA, Heads
from yolo_helpers.annotations import read_annotations
from yolo_helpers.boxes import letterbox
from yolo_helpers.darknet import build_body, load_weights, read_cfg
from yolo_helpers.run_folder import BEST, write_run
from yolo_helpers.smear import CLASS_NAMES
from yolo_helpers.targets import preprocess_true_boxes

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
GROCERY = SHARED / "data" / "grocery_tiny"
PARITY = Path(__file__).resolve().parent / "parity"  # the numbers of keras-yolo3 and of darknet
ANCHORS = np.array(
    [[10, 13], [16, 30], [33, 23], [30, 61], [62, 45], [59, 119], [116, 90], [156, 198], [373, 326]], np.float32
)
MASKS = {9: [[6, 7, 8], [3, 4, 5], [0, 1, 2]], 6: [[3, 4, 5], [0, 1, 2]]}

needs_grocery = pytest.mark.skipif(
    not GROCERY.is_dir(), reason=f"needs the grocery photographs and the network trained on them, {GROCERY}"
)


def oracle_case(number):
    """One case of the original's numbers as a dict; the tiny one uses the original's masks, quirk included."""
    with np.load(PARITY / "keras_yolo3.npz") as file:
        case = {name.split("/")[1]: file[name] for name in file.files if name.startswith(f"case{number}/")}
    case["heads"] = len(case["anchors"]) // 3
    case["mask"] = [[3, 4, 5], [1, 2, 3]] if case["heads"] == 2 else None
    for name in ("output", "y_true", "grad"):
        case[name] = [case[f"{name}_{head}"] for head in range(case["heads"])]
    case["num_classes"], case["ignore_thresh"] = int(case["num_classes"]), float(case["ignore_thresh"])
    return case


def random_boxes(rng, input_shape=(64, 96), num_classes=3, batch=2, boxes=4):
    """(B, boxes, 5), as `preprocess_true_boxes` takes them."""
    sizes = rng.uniform(4, 40, (batch, boxes, 2))
    centres = rng.uniform(0, 1, (batch, boxes, 2)) * (input_shape[1], input_shape[0])
    labels = rng.integers(0, num_classes, (batch, boxes, 1))
    return np.concatenate([centres - sizes / 2, centres + sizes / 2, labels], -1).astype(np.float32)


def random_case(seed, input_shape=(64, 96), num_classes=3, batch=2, boxes=4, heads=3, true_boxes=None):
    """Outputs and targets where some predictions lie on the truth, so that the ignore mask has work to do."""
    rng = np.random.default_rng(seed)
    anchors = ANCHORS[: 3 * heads]
    if true_boxes is None:
        true_boxes = random_boxes(rng, input_shape, num_classes, batch, boxes)
    y_true = preprocess_true_boxes(true_boxes, input_shape, anchors, num_classes)
    outputs = []
    for target, mask in zip(y_true, MASKS[3 * heads], strict=True):
        raw = rng.normal(0, 1, target.shape).astype(np.float32)
        # All three anchors of a cell with an object predict that object, so that two of them overlap it unasked.
        for b, j, i, k in np.argwhere(target[..., 4]):
            raw[b, j, i, :, 2:4] = np.log(target[b, j, i, k, 2:4] * input_shape[::-1] / anchors[mask])
        outputs.append(raw.reshape(*raw.shape[:3], -1))
    return outputs, y_true, anchors, num_classes


def heads_that_see(true_boxes, image_shape, input_shape=(96, 128), num_classes=3):
    """Raw heads of a network that is sure of exactly these boxes, given in pixels of the photograph."""
    boxes = np.array(true_boxes, np.float32)
    placed = letterbox(image_shape, input_shape).to_input(boxes[:, :4])
    y_true = preprocess_true_boxes([np.column_stack([placed, boxes[:, 4]])], input_shape, ANCHORS, num_classes)
    heads = []
    for target, mask in zip(y_true, MASKS[9], strict=True):
        raw = np.full(target.shape, -9, np.float32)
        rows, columns = target.shape[1:3]
        for b, j, i, k in np.argwhere(target[..., 4]):
            x, y, w, h = target[b, j, i, k, :4]
            offset = np.clip([x * columns - i, y * rows - j], 1e-4, 1 - 1e-4)
            raw[b, j, i, k, :2] = np.log(offset / (1 - offset))
            raw[b, j, i, k, 2:4] = np.log([w * input_shape[1], h * input_shape[0]] / ANCHORS[mask[k]])
            raw[b, j, i, k, 4:] = np.where(target[b, j, i, k, 4:] > 0, 9, -9)
        heads.append(raw.reshape(*raw.shape[:3], -1))
    return heads


@keras.saving.register_keras_serializable("tests")
class Constant(keras.layers.Layer):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def call(self, inputs):
        return keras.ops.repeat(self.value, keras.ops.shape(inputs)[0], axis=0)


def detector_of(heads):
    """A stand-in for a trained network: its heads are constants, whatever the photograph shows."""
    rows, columns = heads[0].shape[1:3]
    image = keras.Input((32 * rows, 32 * columns, 3), dtype="uint8")
    return keras.Model(image, [Constant(head)(image) for head in heads])


def iou(a, b):
    """IoU of two boxes given as x_min, y_min, x_max, y_max."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def plain_targets(true_boxes, input_shape, anchors, num_classes, masks):
    y_true = []
    for head in range(len(masks)):
        stride = 2 ** (5 - head)
        y_true.append(
            np.zeros((len(true_boxes), input_shape[0] // stride, input_shape[1] // stride, 3, 5 + num_classes))
        )
    for b, boxes in enumerate(true_boxes):
        for x0, y0, x1, y1, c in boxes:
            if (x0, y0, x1, y1) == (0, 0, 0, 0):
                continue
            w, h = x1 - x0, y1 - y0
            shapes = [iou((-w / 2, -h / 2, w / 2, h / 2), (-p / 2, -q / 2, p / 2, q / 2)) for p, q in anchors]
            best = shapes.index(max(shapes))
            for head, mask in enumerate(masks):
                if best in mask:
                    stride = 2 ** (5 - head)
                    i = min(math.floor((x0 + x1) / 2 / stride), input_shape[1] // stride - 1)
                    j = min(math.floor((y0 + y1) / 2 / stride), input_shape[0] // stride - 1)
                    one_hot = [float(number == c) for number in range(num_classes)]
                    place = [(x0 + x1) / 2 / input_shape[1], (y0 + y1) / 2 / input_shape[0]]
                    y_true[head][b, j, i, mask.index(best)] = [
                        *place,
                        w / input_shape[1],
                        h / input_shape[0],
                        1,
                        *one_hot,
                    ]
    return y_true


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def cross_entropy(target, raw):
    return max(raw, 0) - raw * target + math.log1p(math.exp(-abs(raw)))


def decode(raw, i, j, anchor, grid, input_shape):
    """A predicted box as fractions of the input, x_min, y_min, x_max, y_max."""
    x, y = (sigmoid(raw[0]) + i) / grid[1], (sigmoid(raw[1]) + j) / grid[0]
    w, h = math.exp(raw[2]) * anchor[0] / input_shape[1], math.exp(raw[3]) * anchor[1] / input_shape[0]
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def plain_ciou(a, b):
    """IoU, distance of the centres and difference of the shapes of two boxes x_min, y_min, x_max, y_max."""
    width, height = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    angle = math.atan2(b[2] - b[0], b[3] - b[1]) - math.atan2(a[2] - a[0], a[3] - a[1])
    v = (2 * angle / math.pi) ** 2
    overlap = iou(a, b)
    return overlap - (dx * dx + dy * dy) / (width**2 + height**2) - (v * v / (1 - overlap + v) if v else 0)


def plain_terms(outputs, y_true, anchors, num_classes, ignore_thresh, masks, across_heads=False, box_loss="xy_wh"):
    """The terms, each (B,): the formula of the module's docstring, read off slot by slot."""
    batch = len(outputs[0])
    input_shape = (32 * outputs[0].shape[1], 32 * outputs[0].shape[2])
    terms = {name: np.zeros(batch) for name in ("xy", "wh", "confidence", "class", "ciou")}
    in_pixels = np.array([*input_shape[::-1]] * 2)

    def corners(target):
        return [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in target[target[..., 4] == 1][:, :4]]

    for b in range(batch):
        for output, target, mask in zip(outputs, y_true, masks, strict=True):
            rows, columns = output.shape[1:3]
            raw = output[b].reshape(rows, columns, 3, 5 + num_classes).astype(float)
            truth = target[b].astype(float)
            boxes = [box for head in (y_true if across_heads else [target]) for box in corners(head[b].astype(float))]
            for j, i, k in np.ndindex(rows, columns, 3):
                r, t, anchor = raw[j, i, k], truth[j, i, k], anchors[mask[k]]
                if t[4] == 1:
                    s = 2 - t[2] * t[3]
                    terms["xy"][b] += s * (
                        cross_entropy(t[0] * columns - i, r[0]) + cross_entropy(t[1] * rows - j, r[1])
                    )
                    for side in (0, 1):
                        wanted = math.log(t[2 + side] * input_shape[1 - side] / anchor[side])
                        terms["wh"][b] += s * 0.5 * (wanted - r[2 + side]) ** 2
                    predicted = decode(r, i, j, anchor, (rows, columns), input_shape) * in_pixels
                    terms["ciou"][b] += 3 * s * (1 - plain_ciou(predicted, corners(t[None])[0] * in_pixels))
                    terms["confidence"][b] += cross_entropy(1, r[4])
                    terms["class"][b] += sum(cross_entropy(t[5 + c], r[5 + c]) for c in range(num_classes))
                else:
                    predicted = decode(r, i, j, anchor, (rows, columns), input_shape)
                    if max((iou(predicted, box) for box in boxes), default=0) < ignore_thresh:
                        terms["confidence"][b] += cross_entropy(0, r[4])
    other = {"xy_wh": ["ciou"], "ciou": ["xy", "wh"]}[box_loss]
    return {name: values for name, values in terms.items() if name not in other}


def write_smear_run(folder, class_names=CLASS_NAMES):
    """The folder of a training that ended with the network in data/, which finds the generated blood cells."""
    cfg, weights = DATA / "smears.cfg", DATA / "smears.weights"
    heads, body = read_cfg(cfg, weights), build_body(cfg)
    load_weights(body, weights)
    write_run(folder, body, heads, class_names, {"train": read_annotations(DATA / "smears" / "annotations.txt")[0]})
    body.save_weights(folder / BEST)
    return folder


def write_small_run(folder):
    """The folder of a training that ended with one convolution, for where it does not matter what is found."""
    inputs = keras.Input((32, 32, 3))
    body = keras.Model(inputs, [keras.layers.Conv2D(18, 32)(inputs)])
    write_run(folder, body, Heads((32, 32), ANCHORS[:3], 1), ["bird"], {"train": []})
    body.save_weights(folder / BEST)
    return folder
