"""Darknet's files for the tests: the cfg of its own networks, and a small network whose numbers come from a seed.

Everything drawn is made from the raw 64-bit words of PCG64, which do not change with NumPy's version, in steps that
float32 holds exactly: every machine has the same bytes, those that darknet's C code was given (`parity/README.md`).
"""

import hashlib
import json
import re
import struct

import numpy as np

ANCHORS = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326"
SEED = 2018
HEADER = (0, 2, 0, 32013312)


def section(kind, **options):
    return f"[{kind}]\n" + "".join(f"{option}={value}\n" for option, value in options.items()) + "\n"


def conv(filters, size, stride=1, pad=1, batch_normalize=1, activation="leaky", **more):
    norm = {"batch_normalize": 1} if batch_normalize else {}
    options = {"filters": filters, "size": size, "stride": stride, "pad": pad, "activation": activation}
    return section("convolutional", **norm, **options, **more)


def yolo(mask, classes, size=1):
    head = conv(3 * (5 + classes), size, batch_normalize=0, activation="linear")
    return head + section("yolo", mask=mask, anchors=ANCHORS, classes=classes, num=9)


def route(*layers):
    return section("route", layers=", ".join(map(str, layers)))


def shortcut(layer, activation="linear"):
    return section("shortcut", **{"from": layer}, activation=activation)


UPSAMPLE = section("upsample", stride=2)
CLASSES = 3
INPUT_SHAPE = (64, 96)
# Each kind of layer in each way that the package reads; the numbers are those by which from= and layers= count.
SMALL = "".join(
    [
        section("net", width=96, height=64, channels=3),
        conv(4, 3),  # 0
        section("maxpool", size=2, stride=2),
        conv(6, 3, stride=2),  # 2
        conv(3, 1),
        conv(6, 3, activation="linear"),  # 4
        shortcut(-3, "leaky"),
        conv(8, 3, stride=2),  # 6
        conv(4, 1, pad=0, batch_normalize=0),
        conv(8, 3, batch_normalize=0),  # 8
        shortcut(6),
        conv(10, 3, stride=2),  # 10
        section("maxpool", size=2, stride=1),
        section("maxpool", size=5, stride=1),  # 12
        route(-1, 11),
        conv(12, 2, stride=2, pad=0),  # 14
        yolo("6,7,8", CLASSES),
        route(-3),  # 17
        conv(5, 1),
        UPSAMPLE,  # 19
        route(-1, 13),
        conv(8, 3),  # 21
        yolo("3,4,5", CLASSES),
        route(21),  # 24
        conv(4, 1),
        UPSAMPLE,  # 26
        route(-1, -18, 6),
        yolo("0,1,2", CLASSES, size=3),  # 28
    ]
)


def fastest(classes):
    """A cfg as that of Yolo-Fastest: depthwise convolutions, and a [dropout] in each residual block."""
    return "".join(
        [
            section("net", width=64, height=96, channels=3),
            conv(8, 3, stride=2),  # 0
            conv(6, 1, pad=0),
            conv(12, 3, stride=2, groups=6),  # 2
            conv(4, 1, pad=0, activation="linear"),
            conv(6, 1, pad=0),  # 4
            conv(6, 5, groups=6),
            conv(4, 1, pad=0, activation="linear"),  # 6
            section("dropout", probability=0.15),
            shortcut(-5),  # 8
            conv(8, 3, stride=2),
            conv(24, 5, stride=2, groups=8),  # 10
            conv(6, 3, stride=2),
            conv(18, 3, groups=6),  # 12, as many filters as a head for one class
            yolo("3,4,5", classes),
            route(-5),  # 15
            conv(24, 3, groups=24, batch_normalize=0),
            conv(4, 1),  # 17
            yolo("0,1,2", classes),
        ]
    )


HEADS, YOLOS = (15, 22, 28), (16, 23, 29)  # the layers whose outputs `parity/darknet.npz` holds
# (height, width) of photographs that the detections are brought back to: one higher, one wider than the input.
PHOTOS = [(90, 48), (50, 90)]
SCORE, IOU = 0.4, 0.45  # thresholds; no score and no overlap lies within 1e-4 of them


class Draw:
    """Numbers from 0 up to 1 in steps of 2**-24, the next ones with each call."""

    def __init__(self, seed):
        self.words = np.random.PCG64(seed)

    def __call__(self, *shape):
        numbers = (self.words.random_raw(int(np.prod(shape))) >> 40).astype(np.float32) / np.float32(2**24)
        return numbers.reshape(shape)


def random_weights(text):
    """A weights file for a cfg."""
    draw, channels, parts = Draw(SEED), [], [struct.pack("<3iq", *HEADER)]
    into = 3
    for kind, options in sections(text)[1:]:
        if kind == "convolutional":
            filters, size, norm = int(options["filters"]), int(options["size"]), "batch_normalize" in options
            parts.append(draw(filters) - np.float32(0.5))  # beta, or the bias
            if norm:
                parts += [0.5 + draw(filters), draw(filters) - np.float32(0.5), 0.5 + draw(filters)]
            seen = into // int(options.get("groups", 1))
            kernel = 2 * draw(filters, seen, size, size) - 1
            parts.append(kernel * np.sqrt(np.float32(3) / np.float32(seen * size**2)))
            into = filters
        elif kind == "route":
            into = sum(channels[int(layer)] for layer in options["layers"].split(","))
        channels.append(into)
    return b"".join(part if isinstance(part, bytes) else part.astype("<f4").tobytes() for part in parts)


def small_image():
    """(height, width, 3) float32, 0 to 1: what SMALL is given."""
    return Draw(SEED + 1)(*INPUT_SHAPE, 3)


# (height, width) of a picture and of the input it is drawn on. Darknet cuts the resized sides down to whole pixels and
# the package rounds them; here, as in PHOTOS, that is the same.
LETTERBOXED = [((20, 34), (16, 32)), ((7, 10), (24, 40)), ((131, 70), (32, 24))]


def picture(shape):
    """(height, width, 3) uint8."""
    return (256 * Draw(SEED + 2)(*shape, 3)).astype(np.uint8)


def given_digest():
    """SHA-256 of all that darknet's C code was given."""
    arrays = [small_image(), *(picture(shape) for shape, _ in LETTERBOXED)]
    return hashlib.sha256(b"".join([SMALL.encode(), random_weights(SMALL), *(a.tobytes() for a in arrays)])).hexdigest()


def yolov3(side, classes, spp=False):
    """The cfg of YOLOv3 as far as it decides what the network computes."""
    text = section("net", width=side, height=side, channels=3) + conv(32, 3)
    for stage, blocks in enumerate((1, 2, 8, 8, 4)):
        text += conv(64 << stage, 3, 2) + blocks * (conv(32 << stage, 1) + conv(64 << stage, 3) + shortcut(-3))
    for narrow, end, mask in ((512, None, "6,7,8"), (256, 61, "3,4,5"), (128, 36, "0,1,2")):
        if end is not None:
            text += route(-4) + conv(narrow, 1) + UPSAMPLE + route(-1, end)
        pair = conv(narrow, 1) + conv(2 * narrow, 3)
        if spp and end is None:
            pools = [section("maxpool", stride=1, size=size) for size in (5, 9, 13)]
            pooled = pools[0] + route(-2) + pools[1] + route(-4) + pools[2] + route(-1, -3, -5, -6)
            text += pair + conv(narrow, 1) + pooled + conv(narrow, 1) + conv(2 * narrow, 3) + pair
        else:
            text += 3 * pair
        text += yolo(mask, classes)
    return text


def sections(text):
    """A cfg as pairs of kind and options, read as simply as can be."""
    found = []
    for line in re.sub(r"#.*", "", text).split("\n"):
        if line.startswith("["):
            found.append((line.strip("[] "), {}))
        elif "=" in line:
            option, value = line.split("=")
            found[-1][1][option.strip()] = value.replace(" ", "").strip()
    return found


def plain_darknet(text, content, image):
    """The heads of a cfg, (channels, h, w) in float64, with darknet's arithmetic from its code for GPUs, channel first.

    Args:
        text: the cfg.
        content: a weights file whose header has 20 bytes.
        image: (h, w, 3).
    """
    numbers, made, heads = np.frombuffer(content, "<f4", offset=20).astype(float), [], []
    x = image.astype(float).transpose(2, 0, 1)
    for kind, options in sections(text)[1:]:
        size, stride, groups = (int(options.get(name, 1)) for name in ("size", "stride", "groups"))
        layers = [int(number) for number in options.get("layers", options.get("from", "0")).split(",")]
        chosen = [made[index] for index in layers] if kind in ("route", "shortcut") else []
        if kind == "convolutional":
            out, seen = int(options["filters"]), x.shape[0] // groups
            parts = 4 if "batch_normalize" in options else 1
            first, kernel, numbers = np.split(numbers, np.cumsum([parts * out, out * seen * size**2]))
            around = size // 2 if options.get("pad") == "1" else int(options.get("padding", 0))
            padded = np.pad(x, ((0, 0), *[(around, around)] * 2))
            kernels = np.split(kernel.reshape(out, seen, size, size), groups)
            x = np.concatenate(
                [convolved(*group, stride) for group in zip(kernels, np.split(padded, groups), strict=True)]
            )
            first = first.reshape(parts, out, 1, 1)
            if parts == 4:
                beta, gamma, mean, variance = first
                x = gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta
            else:
                x = x + first[0]
        elif kind == "maxpool":
            before = (size - 1) // 2
            padded = np.pad(x, ((0, 0), *[(before, size - 1 - before)] * 2), constant_values=-np.inf)
            x = np.array([window for _, _, window in windows(padded, size, stride)]).max(0)
        elif kind == "upsample":
            x = x.repeat(stride, 1).repeat(stride, 2)
        elif kind == "shortcut":
            x = x.copy()
            for channel in range(min(len(x), len(chosen[0]))):
                x[channel] += chosen[0][channel]
        elif kind == "route":
            group = int(options.get("group_id", 0))
            parts = []
            for memory in (layer.ravel() for layer in chosen):  # as it lies there, channel after channel
                part = len(memory) // groups
                parts.append(memory[part * group : part * (group + 1)])
            x = np.concatenate(parts).reshape(-1, *chosen[0].shape[1:])
        elif kind == "yolo":
            heads.append(x)
        if options.get("activation") == "leaky":
            x = np.where(x > 0, x, 0.1 * x)
        made.append(x)  # of a [dropout], which does nothing but in training, that of the layer before
    assert len(numbers) == 0
    return heads


def convolved(kernel, padded, stride):
    """(out, h, w) of a kernel (out, in, size, size) on (in, ...)."""
    parts = windows(padded, kernel.shape[-1], stride)
    return sum(np.einsum("oc,chw->ohw", kernel[:, :, j, i], window) for j, i, window in parts)


def windows(padded, size, stride):
    """What each place of a kernel sees, as (row, column, the part of the input at this distance from each window)."""
    rows, columns = ((side - size) // stride + 1 for side in padded.shape[1:])
    for j, i in np.ndindex(size, size):
        yield j, i, padded[:, j : j + stride * rows : stride, i : i + stride * columns : stride][:, :rows, :columns]


def digest(text):
    """SHA-256 of what decides what the network of a cfg computes, however it is written down."""
    kept = {"net": ("width", "height", "channels"), "yolo": ("mask", "anchors", "classes")}
    said = [
        (kind, {o: v for o, v in options.items() if o in kept.get(kind, options)}) for kind, options in sections(text)
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
