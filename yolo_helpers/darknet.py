"""Darknet's files: a network from any YOLOv3 cfg, and weights in darknet's own format, read and written.

A weights file is a header and then float32 numbers, convolution by convolution in the order of the cfg: beta, gamma,
mean and variance of the batch normalisation, or else the bias; then the kernel (out, in, h, w). It names no layer, so
all there is to check is the count, and that no number is one that no network has. `model.layers` is sorted by depth and
has another order, so darknet's is read off the names: `build_body` numbers its layers by the section, and Keras those
of yolo_helpers.model as they are made, which is in darknet's order too: conv2d, conv2d_1, conv2d_2, ...
"""

import hashlib
import math
import re
import struct
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from yolo_helpers.anchors import ANCHORS_PER_HEAD, STRIDES, Heads
from yolo_helpers.darknet_cfg import MAX_VALUE, MEND, Section, read_sections
from yolo_helpers.download import NETWORKS
from yolo_helpers.files import other_kind, replacing
from yolo_helpers.model import (
    BATCH_NORM_EPSILON,
    BATCH_NORM_MOMENTUM,
    L2,
    FusedBatchNormalization,
    body_of_heads,
    output_convolutions,
)

MAX_NUMBERS = 10**9  # in all kernels together, or in one output; YOLOv3 has 62 million. More is a slip of the pen.


class Header(NamedTuple):
    """The start of a weights file: darknet's version, and how many photographs the network was trained with."""

    major: int = 0
    minor: int = 2
    revision: int = 0
    seen: int = 0

    @property
    def layout(self) -> str:
        """The header for `struct`: `seen` has 64 bits from version 0.2 on (`load_weights_upto`, darknet's parser.c)."""
        wide = self.major * 10 + self.minor >= 2 and self.major < 1000 and self.minor < 1000
        return "<3iQ" if wide else "<3iI"


UNTRAINED = Header()


def read_cfg(cfg_path: str | Path, weights_path: str | Path | None = None) -> Heads:
    """Input size, classes, anchors and their masks from a cfg: what the data set, the loss and the decoder need.

    What the cfg says of training is passed over, such as `ignore_thresh` or `iou_loss`: `train` has its own. An option
    that changes what is computed or detected is applied, or refused.

    Args:
        cfg_path: darknet's cfg file of a YOLOv3 network.
        weights_path: the weights that belong to it. The official yolov3-tiny.weights were trained with the masks 3,4,5
            and 1,2,3, and the cfg published beside them says 3,4,5 and 0,1,2: for these the former count.

    Raises:
        ValueError: if the file is no such cfg; the message names the line.

    >>> from yolo_helpers.anchors import DATA
    >>> heads = read_cfg(DATA / "smears.cfg")
    >>> heads.input_shape, heads.num_classes, heads.anchor_mask
    ((192, 256), 3, [[6, 7, 8], [3, 4, 5], [0, 1, 2]])
    """
    net, *rest = read_sections(cfg_path)
    input_shape = net.options["height"], net.options["width"]
    if any(side % STRIDES[0] for side in input_shape):
        raise ValueError(f"{net.where} takes multiples of {STRIDES[0]} as height and width, found {input_shape}.")
    heads = [section for section in rest if section.kind == "yolo"]
    if not heads:
        raise ValueError(f"{net.where} is followed by no [yolo]: {MEND}.")
    if len(heads) > len(STRIDES):
        raise ValueError(f"{heads[len(STRIDES)].where} is one too many: at most {len(STRIDES)} heads, coarsest first.")
    anchors, num_classes, first_mask = (heads[0].options[name] for name in ("anchors", "classes", "mask"))
    if len(anchors) % 2 or not all(1 / MAX_VALUE <= side <= MAX_VALUE for side in anchors):
        raise ValueError(
            f"{heads[0].where} takes pairs of positive numbers as anchors, up to {MAX_VALUE}, found {_short(anchors)}."
        )
    for where, _, options in heads:
        if (options["anchors"], options["classes"], len(options["mask"])) != (anchors, num_classes, len(first_mask)):
            raise ValueError(
                f"{where} has other anchors, classes or length of mask than the first [yolo], and here all heads have "
                f"the same: mend one of them, or {MEND}."
            )
        if options["num"] not in (0, len(anchors) // 2):
            raise ValueError(f"{where} has num={options['num']} and {len(anchors) // 2} anchors: mend one of the two.")
        if not set(options["mask"]) <= set(range(len(anchors) // 2)):
            mask = _short(options["mask"])
            raise ValueError(f"{where} counts anchors from 0 to {len(anchors) // 2 - 1}, found mask={mask}.")
    masks = [head.options["mask"] for head in heads]
    if weights_path is not None and len(anchors) == 12 and _is_official_tiny(Path(weights_path)):
        masks = [[3, 4, 5], [1, 2, 3]]
    return Heads(input_shape, np.reshape(anchors, (-1, 2)), num_classes, masks)


def _is_official_tiny(path: Path) -> bool:
    tiny = NETWORKS["tiny"].weights
    return (
        path.is_file()
        and path.stat().st_size == tiny.size
        and hashlib.sha256(path.read_bytes()).hexdigest() == tiny.sha256
    )


def build_body(
    cfg_path: str | Path,
    num_classes: int | None = None,
    input_shape: tuple[int, int] | None = None,
    epsilon: float = BATCH_NORM_EPSILON,
) -> keras.Model:
    """The network of a cfg, untrained; with darknet's weights it gives darknet's numbers.

    Args:
        cfg_path: darknet's cfg file with [net], [convolutional], [dropout], [maxpool], [route], [shortcut], [upsample],
            [yolo].
        num_classes: C of the heads; that of the cfg when None.
        input_shape: (height, width) in pixels, multiples of 32; those of the cfg when None.
        epsilon: what is added to the variance in each batch normalisation: see BATCH_NORM_EPSILON. For the numbers of
            pjreddie's darknet on a CPU, 1e-7 comes nearest.

    Returns:
        A model: image (B, height, width, 3) with values 0 to 1 in, raw heads (B, h, w, anchors (5 + C)) out, coarsest
        first.

    Raises:
        ValueError: if the cfg holds anything else, or layers that do not fit; the message names the line. Also if
            input_shape or num_classes are no such numbers.
    """
    cfg, sections = read_cfg(cfg_path), read_sections(cfg_path)
    given = {"num_classes": num_classes, "input_shape": input_shape}
    wanted = replace(cfg, **{name: value for name, value in given.items() if value is not None})
    for previous, section in pairwise(sections):
        if section.kind == "convolutional":
            section.options["epsilon"] = epsilon
        elif section.kind == "yolo":
            _check_output_convolution(previous, section, cfg.channels)
            previous.options["filters"] = wanted.channels
    x = inputs = keras.Input((*wanted.input_shape, 3))
    made: list[Any] = []  # the output of each layer so far, as from= and layers= count them; None for a [yolo]
    heads: list[Any] = []
    kernels = 0
    for previous, section in pairwise(sections):
        if previous.kind == "yolo" and section.kind != "route":
            raise ValueError(f"{section.where} follows a [yolo], which hands nothing on: put a [route] between them.")
        if section.kind == "yolo":
            _check_grid(section, wanted, x, heads)
            heads.append(x)
            made.append(None)
            continue
        if section.kind == "convolutional":
            options = section.options
            kernels += options["filters"] * options["size"] ** 2 * x.shape[-1] // options["groups"]
        if kernels > MAX_NUMBERS:
            raise ValueError(
                f"{section.where} makes the network larger than {MAX_NUMBERS:,} numbers: mend its options."
            )
        x = BUILDERS[section.kind](section, x, made)
        if math.prod(x.shape[1:]) > MAX_NUMBERS:
            raise ValueError(
                f"{section.where} gives an output of {x.shape[1:]}, over {MAX_NUMBERS:,} numbers: mend its options."
            )
        made.append(x)
    return body_of_heads(inputs, heads, len(wanted.anchor_mask[0]), wanted.num_classes)


def load_weights(model: keras.Model, path: str | Path, but_heads: bool = False) -> tuple[int, Header]:
    """Darknet's weights into a body. A file of the first layers only, such as darknet53.conv.74, will do.

    Args:
        model: a body from `build_body` or yolo_helpers.model. It stays as it is unless the whole file fits.
        path: darknet's weights file.
        but_heads: leave the output convolutions as they are, for a network of other classes than the file's.

    Returns:
        The number of convolutions that the file reaches, which are those loaded, but for the output convolutions if
        `but_heads` is set; and its header.

    Raises:
        ValueError: if it is no weights file, ends inside a convolution, holds more numbers than the model or such as no
            network has, or the model is no such body.
    """
    content = Path(path).read_bytes()
    _check_kind(path, content)
    layout = Header(*struct.unpack("<3i", content[:12].ljust(12, b"\0"))).layout
    start = struct.calcsize(layout)
    if len(content) < start:
        raise ValueError(f"{path}: expected a header of {start} bytes, found {len(content)}: fetch the file again.")
    header = Header(*struct.unpack_from(layout, content))

    convolutions, heads = _in_darknets_order(model), output_convolutions(model)
    found = (len(content) - start) / 4  # with a fraction if the file ends inside a number
    shapes = [convolution.shapes for convolution in convolutions]
    ends = _ends(shapes)
    channels = None if found in ends else _channels_in_file(heads, ends[-1], found)
    if but_heads and channels:
        for convolution, of_convolution in zip(convolutions, shapes, strict=True):
            if convolution.layer in heads:
                of_convolution[:] = [(channels, *shape[1:]) for shape in of_convolution]
        ends = _ends(shapes)
    if found not in ends:
        reached = next((i for i, end in enumerate(ends) if end > found), len(ends) - 1)
        raise ValueError(
            f"{path}: expected {ends[reached]} numbers up to convolution {reached + 1} of {len(ends)}, "
            f"found {found:.12g}; nothing was loaded: {_why_not(heads, channels, header, ends[-1], found)}."
        )
    numbers = np.frombuffer(content, "<f4", offset=start)
    count = ends.index(found) + 1
    values = []
    for number, of_convolution in enumerate(shapes[:count], start=1):
        *parts, numbers = np.split(numbers, np.cumsum([math.prod(shape) for shape in of_convolution]))
        if fault := _fault(parts):
            raise ValueError(
                f"{path}: convolution {number} of {len(ends)} has {fault}, so the file is damaged, of another network, "
                "or from a training that diverged; nothing was loaded: fetch it again, or take one saved earlier."
            )
        values.append([part.reshape(shape) for part, shape in zip(parts, of_convolution, strict=True)])
    for convolution, of_convolution in zip(convolutions, values, strict=False):
        if not (but_heads and convolution.layer in heads):
            convolution.assign(of_convolution)
    return count, header


def layers_from(model: keras.Model, count: int) -> list[keras.Layer]:
    """The layers with weights that a file of the first `count` convolutions does not reach.

    Args:
        model: a body from `build_body` or yolo_helpers.model.
        count: as `load_weights` returns it.
    """
    return [layer for convolution in _in_darknets_order(model)[count:] for layer in convolution if layer is not None]


def save_weights(model: keras.Model, path: str | Path, header: Header = UNTRAINED) -> None:
    """A body's weights as darknet's file, for darknet and all that reads its files.

    Args:
        model: a body from `build_body` or yolo_helpers.model.
        path: the file; if it exists, it is replaced once the new one is complete.
        header: as `load_weights` returned it, for a file that starts like the one the weights came from.

    Raises:
        ValueError: if the model is no such body.
    """
    values = list(chain(*(convolution.values() for convolution in _in_darknets_order(model))))
    with replacing(path) as beside, beside.open("wb") as file:
        file.write(struct.pack(header.layout, *header))
        for array in values:
            file.write(array.astype("<f4").tobytes())


def _check_kind(path: str | Path, content: bytes) -> None:
    """Refuses what is no weights file. One begins with the numbers of a version, which are no text."""
    other = other_kind(content)
    if not other and re.fullmatch(rb"[\t\n\r -~]+", content[:64]):
        other = "text, such as that of a cfg", "give the file of weights that belongs to it"
    if not other and len(content) >= 12 and min(struct.unpack("<3i", content[:12])) < 0:
        other = "a version below 0 at its beginning", "fetch it again, since it is damaged or of another kind"
    if other:
        raise ValueError(
            f"{path}: expected darknet's weights, found {other[0]}: this is not a weights file, so nothing was loaded; "
            f"{other[1]}."
        )


def _ends(shapes: list[list[tuple[int, ...]]]) -> list[int]:
    """How many numbers there are up to the end of each convolution."""
    return np.cumsum([sum(map(math.prod, of_convolution)) for of_convolution in shapes]).tolist()


def _channels_in_file(heads: list[keras.Layer], expected: int, found: float) -> int | None:
    """The channels of each head if the file is of this network but for the number of its classes; None if not."""
    if found % 1 or not all(isinstance(head, layers.Conv2D) for head in heads):
        return None
    # Numbers that one more channel in each head adds: a kernel and a bias.
    step = sum(math.prod(head.kernel.shape[:3]) + 1 for head in heads)
    if len({head.filters for head in heads}) > 1 or (int(found) - expected) % step:
        return None
    channels = heads[0].filters + (int(found) - expected) // step
    return channels if 0 < _classes(channels) <= MAX_VALUE and _classes(channels) % 1 == 0 else None


def _classes(channels: int) -> float:
    """Classes of a head with three anchors; no whole number if there is none with so many channels."""
    return channels / ANCHORS_PER_HEAD - 5


def _why_not(heads: list[keras.Layer], channels: int | None, header: Header, expected: int, found: float) -> str:
    """The likely cause that a file has other numbers than the expected ones of a model, and what to do."""
    if max(header[:3]) >= 1000:
        version = ".".join(map(str, header[:3]))
        return f"its beginning is not that of darknet's weights (version {version}): fetch it again, or give another"
    if found % 1:
        return "it is cut off in the middle of a number: fetch it again"
    if channels and _classes(heads[0].filters) > 0:
        return (
            f"it fits {_classes(channels):.0f} classes, {channels} channels a head, and this network has "
            f"{_classes(heads[0].filters):.0f} classes, {heads[0].filters} channels: take over all but the heads "
            "(but_heads=True), or build the body from this file's cfg"
        )
    if found > expected:
        return "build the body from this file's cfg, which is that of a larger network"
    return "build the body from this file's cfg, or fetch it again"


def _fault(parts: list[np.ndarray]) -> str:
    """What no network has in the numbers of a convolution; empty if all is well."""
    if not all(np.isfinite(part).all() for part in parts):
        return "numbers that are NaN or infinite"
    if not any(part.any() for part in parts):
        return "nothing but zeros"
    if len(parts) == 5 and (parts[3] < 0).any():  # beta, gamma, mean, variance, kernel
        return "variances below 0"
    return ""


class _Convolution(NamedTuple):
    """A convolution and the normalisation behind it, if there is one, as a weights file has them."""

    layer: keras.Layer
    norm: keras.Layer | None

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of Keras' kernel (h, w, in, out) in darknet's order (out, in, h, w). A depthwise one has in place of
        `out` the filters of each channel, which darknet counts channel after channel, with an `in` of 1."""
        return (2, 3, 0, 1) if isinstance(self.layer, layers.DepthwiseConv2D) else (3, 2, 0, 1)

    @property
    def variables(self) -> list[keras.Variable]:
        """In the file's order, the kernel last."""
        norm = self.norm
        first = [norm.beta, norm.gamma, norm.moving_mean, norm.moving_variance] if norm else [self.layer.bias]
        return [*first, self.layer.kernel]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the variables, in the file."""
        *first, kernel = (tuple(variable.shape) for variable in self.variables)
        return [*first, tuple(kernel[axis] for axis in self.axes)]

    def values(self) -> list[np.ndarray]:
        """The arrays that the file holds."""
        *first, kernel = map(ops.convert_to_numpy, self.variables)
        return [*first, kernel.transpose(self.axes)]

    def assign(self, values: list[np.ndarray]) -> None:
        """Sets the variables to arrays of a file."""
        *first, kernel = values
        for variable, value in zip(self.variables, [*first, kernel.transpose(np.argsort(self.axes))], strict=True):
            variable.assign(value)


def _in_darknets_order(model: keras.Model) -> list[_Convolution]:
    """All convolutions in the order in which they were made."""
    convolutions, normalisations = (
        sorted((layer for layer in model.layers if isinstance(layer, kind)), key=_number)
        for kind in ((layers.Conv2D, layers.DepthwiseConv2D), layers.BatchNormalization)
    )
    numbers = {_number(convolution) for convolution in convolutions}
    with_norm = sum(not convolution.use_bias for convolution in convolutions)
    if not convolutions or len(numbers) < len(convolutions) or with_norm != len(normalisations):
        raise ValueError(
            f"The model {model.name!r} is no body with the names that its layers were made with: "
            "give what build_body or yolo_helpers.model returned, not a model around it."
        )
    # A normalisation is made just after its convolution, so both rows have the same order.
    return [_Convolution(each, None if each.use_bias else normalisations.pop(0)) for each in convolutions]


def _number(layer: keras.Layer) -> int:
    return int(re.search(r"(?:_(\d+))?$", layer.name)[1] or 0)


# What each kind of layer makes of the output before it; `made` holds those of all layers so far.


def _convolution(section: Section, x, made: list):
    options = section.options
    filters, size, stride, groups = (options[name] for name in ("filters", "size", "stride", "groups"))
    padding = size // 2 if options["pad"] else options["padding"]
    if min(x.shape[1:3]) + 2 * padding < size:
        raise ValueError(f"{section.where} has a larger size than its input {x.shape[1:3]}: add pad=1, or mend size.")
    if groups > 1 and (groups != x.shape[-1] or filters % groups):
        raise ValueError(
            f"{section.where} has groups={groups}, filters={filters} and {x.shape[-1]} channels before it; built here "
            f"are groups=1, and as many groups as channels with a multiple of them as filters: mend one, or {MEND}."
        )
    same = padding == size // 2 and stride == 1 and size % 2
    if padding and not same:
        x = layers.ZeroPadding2D(padding)(x)  # on all sides; with a stride, "same" would begin elsewhere
    settings = {"strides": stride, "padding": "same" if same else "valid", "use_bias": not options["batch_normalize"]}
    settings["name"] = f"conv2d_{len(made)}"  # Keras would number the depthwise ones for themselves
    penalty = keras.regularizers.L2(L2)
    if groups > 1:
        settings["depth_multiplier"] = filters // groups
        x = layers.DepthwiseConv2D(size, depthwise_regularizer=penalty, **settings)(x)
    else:
        x = layers.Conv2D(filters, size, kernel_regularizer=penalty, **settings)(x)
    if options["batch_normalize"]:
        settings = {"momentum": BATCH_NORM_MOMENTUM, "epsilon": options["epsilon"]}
        x = FusedBatchNormalization(name=f"batch_normalization_{len(made)}", **settings)(x)
    return _activation(section, x)


def _dropout(section: Section, x, made: list):
    return layers.Dropout(section.options["probability"])(x)


def _maxpool(section: Section, x, made: list):
    size, stride = section.options["size"], section.options["stride"]
    # Darknet adds size - 1 rows and columns, the odd one below and right; "same" is that in these cases.
    if stride != 1 and (size, stride) != (2, 2):
        raise ValueError(
            f"{section.where} takes stride=1 with any size, or stride=2 with size=2, found {section.options}."
        )
    return layers.MaxPooling2D(size, stride, padding="same")(x)


def _upsample(section: Section, x, made: list):
    return layers.UpSampling2D(section.options["stride"])(x)


def _shortcut(section: Section, x, made: list):
    terms = [*_earlier(section, "from", made), x]
    # Of two sizes darknet and its fork make different things, and the fork alone adds a third output.
    if [term.shape[1:3] for term in terms] != [x.shape[1:3]] * 2:
        raise ValueError(
            f"{section.where} adds two outputs of one shape, found {_short([term.shape[1:] for term in terms])}: only "
            "their channels may differ in number, mend from= or the layers it names."
        )
    added, channels = terms[0], x.shape[-1]
    if added.shape[-1] > channels:
        added = ops.split(added, [channels], axis=-1)[0]
    elif added.shape[-1] < channels:
        # The channels that both have are added, and the others of the layer before stay as they are.
        x, others = ops.split(x, [added.shape[-1]], axis=-1)
        return _activation(section, layers.Concatenate()([layers.Add()([added, x]), others]))
    return _activation(section, layers.Add()([added, x]))


def _route(section: Section, x, made: list):
    parts = _earlier(section, "layers", made)
    groups, group = section.options["groups"], section.options["group_id"]
    if len({part.shape[1:3] for part in parts}) > 1:
        raise ValueError(f"{section.where} joins outputs of one size, found {_short([p.shape[1:3] for p in parts])}.")
    if group >= groups or any(part.shape[-1] % groups for part in parts):
        raise ValueError(
            f"{section.where} takes part {group} of {groups}, counted from 0, of outputs with "
            f"{_short([part.shape[-1] for part in parts])} channels: mend groups= or group_id=."
        )
    if groups > 1:  # the same part of each (`forward_route_layer` of the fork's route_layer.c)
        parts = [ops.split(part, groups, axis=-1)[group] for part in parts]
    return layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


BUILDERS = {
    "convolutional": _convolution,
    "dropout": _dropout,
    "maxpool": _maxpool,
    "upsample": _upsample,
    "shortcut": _shortcut,
    "route": _route,
}


def _check_output_convolution(previous: Section, section: Section, channels: int) -> None:
    """Refuses a [yolo] that does not stand behind its output convolution."""
    needed = {"filters": channels, "activation": "linear", "batch_normalize": 0}
    if previous.kind != "convolutional" or not needed.items() <= previous.options.items():
        raise ValueError(f"{section.where} needs a [convolutional] just before it with {needed}: mend that one.")


def _check_grid(section: Section, wanted: Heads, x, heads: list) -> None:
    """Refuses a [yolo] on a coarser grid than the one before, or than those of heads."""
    if heads and x.shape[1] <= heads[-1].shape[1]:
        raise ValueError(
            f"{section.where} has no finer grid than the [yolo] before: heads stand coarsest first, not as in YOLOv4."
        )
    grid = wanted.grids[len(heads)]
    if x.shape[1:3] != grid:
        raise ValueError(
            f"{section.where} has a grid of {x.shape[1:3]}, expected {grid}, since the heads here have strides of 32, "
            "then 16, then 8: mend the layers before it."
        )


def _earlier(section: Section, option: str, made: list) -> list:
    """The outputs that an option names: from 0 on they count from the first layer, below 0 back from the last."""
    indices = section.options[option]
    places = [index if index >= 0 else len(made) + index for index in indices]
    if any(not 0 <= place < len(made) or made[place] is None for place in places):
        raise ValueError(
            f"{section.where} points at {_short(indices)}: a [yolo], or none of the {len(made)} layers before it."
        )
    return [made[place] for place in places]


def _activation(section: Section, x):
    return layers.LeakyReLU(negative_slope=0.1)(x) if section.options["activation"] == "leaky" else x


def _short(found: list) -> str:
    return f"{found}" if len(found) <= 20 else f"{found[:20]} and {len(found) - 20} more"
