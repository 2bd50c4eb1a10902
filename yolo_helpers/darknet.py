"""Darknet's files: a network from any YOLOv3 cfg, and weights in darknet's own format, read and written.

A weights file is a header and then float32 numbers, convolution by convolution in the order of the cfg: beta, gamma,
mean and variance of the batch normalisation, or else the bias; then the kernel (out, in, h, w). It names no layer, so
the count is all there is to check. `model.layers` is sorted by depth and has another order, but the bodies of this
package make their layers in darknet's, and Keras numbers names as layers are made: conv2d, conv2d_1, conv2d_2, ...
"""

import math
import re
import struct
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from yolo_helpers.anchors import STRIDES, Heads
from yolo_helpers.files import replacing
from yolo_helpers.model import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, L2, body_of_heads

# The options that decide what a network computes; None where one has to be given. [net] and [yolo] have others, for
# training; elsewhere another option may change what a layer does, so it is refused.
OPTIONS = {
    "net": {"height": None, "width": None, "channels": 3},
    "convolutional": {"filters": None, "size": None, "stride": 1, "pad": 0, "batch_normalize": 0, "activation": None},
    "maxpool": {"size": None, "stride": None},
    "route": {"layers": None},
    "shortcut": {"from": None, "activation": "linear"},
    "upsample": {"stride": 2},
    "yolo": {"mask": None, "anchors": None, "classes": None},
}
MAX_VALUE = 10_000  # of a number on its own, such as filters=
MAX_NUMBERS = 10**9  # in all kernels together, or in one output; YOLOv3 has 62 million. More is a slip of the pen.
LISTS = ("mask", "anchors", "layers", "from")


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


def read_cfg(cfg_path: str | Path) -> Heads:
    """Input size, classes, anchors and their masks from a cfg: what the data set, the loss and the decoder need.

    Args:
        cfg_path: darknet's cfg file of a YOLOv3 network.

    Raises:
        ValueError: if the file is no such cfg; the message names the line.

    >>> from yolo_helpers.anchors import DATA
    >>> heads = read_cfg(DATA / "smears.cfg")
    >>> heads.input_shape, heads.num_classes, heads.anchor_mask
    ((192, 256), 3, [[6, 7, 8], [3, 4, 5], [0, 1, 2]])
    """
    net, *rest = _read_sections(cfg_path)
    input_shape = net.options["height"], net.options["width"]
    if any(side % STRIDES[0] for side in input_shape):
        raise ValueError(f"{net.where} takes multiples of {STRIDES[0]} as height and width, found {input_shape}.")
    heads = [section for section in rest if section.kind == "yolo"]
    if not heads:
        raise ValueError(f"{net.where} is followed by no [yolo]: give the cfg of a YOLOv3 network.")
    if len(heads) > len(STRIDES):
        raise ValueError(f"{heads[len(STRIDES)].where} is one too many: at most {len(STRIDES)} heads, coarsest first.")
    anchors, num_classes, first_mask = (heads[0].options[name] for name in ("anchors", "classes", "mask"))
    if len(anchors) % 2 or not all(1 / MAX_VALUE <= side <= MAX_VALUE for side in anchors):
        raise ValueError(
            f"{heads[0].where} takes pairs of positive numbers as anchors, up to {MAX_VALUE}, found {anchors}."
        )
    for where, _, options in heads:
        if (options["anchors"], options["classes"], len(options["mask"])) != (anchors, num_classes, len(first_mask)):
            raise ValueError(f"{where} has other anchors, classes or length of mask than the first [yolo]: mend one.")
        if not set(options["mask"]) <= set(range(len(anchors) // 2)):
            raise ValueError(f"{where} counts anchors from 0 to {len(anchors) // 2 - 1}, found mask={options['mask']}.")
    return Heads(input_shape, np.reshape(anchors, (-1, 2)), num_classes, [head.options["mask"] for head in heads])


def build_body(cfg_path: str | Path) -> keras.Model:
    """The network of a cfg, untrained; with darknet's weights it gives darknet's numbers.

    Args:
        cfg_path: darknet's cfg file with [net], [convolutional], [maxpool], [route], [shortcut], [upsample], [yolo].

    Returns:
        A model: image (B, height, width, channels) with values 0 to 1 in, raw heads (B, h, w, anchors (5 + C)) out,
        coarsest first.

    Raises:
        ValueError: if the cfg holds anything else, or layers that do not fit; the message names the line.
    """
    cfg, sections = read_cfg(cfg_path), _read_sections(cfg_path)
    x = inputs = keras.Input((*cfg.input_shape, sections[0].options["channels"]))
    made: list[Any] = []  # the output of each layer so far, as from= and layers= count them; None for a [yolo]
    heads: list[Any] = []
    kernels = 0
    for previous, section in pairwise(sections):
        if previous.kind == "yolo" and section.kind != "route":
            raise ValueError(f"{section.where} follows a [yolo], which hands nothing on: put a [route] between them.")
        if section.kind == "yolo":
            _check_head(previous, section, cfg, x, heads)
            heads.append(x)
            made.append(None)
            continue
        if section.kind == "convolutional":
            kernels += section.options["filters"] * section.options["size"] ** 2 * x.shape[-1]
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
    return body_of_heads(inputs, heads, len(cfg.anchor_mask[0]), cfg.num_classes)


def load_weights(model: keras.Model, path: str | Path) -> tuple[int, Header]:
    """Darknet's weights into a body. A file of the first layers only, such as darknet53.conv.74, will do.

    Args:
        model: a body from `build_body` or yolo_helpers.model. It stays as it is unless the whole file fits.
        path: darknet's weights file.

    Returns:
        The number of convolutions that the file reaches, which are those loaded; and its header.

    Raises:
        ValueError: if the file ends inside a convolution or holds more numbers than the model, or the model is no
            such body.
    """
    content = Path(path).read_bytes()
    layout = Header(*struct.unpack("<3i", content[:12].ljust(12, b"\0"))).layout
    start = struct.calcsize(layout)
    if len(content) < start:
        raise ValueError(f"{path}: expected a header of {start} bytes, found {len(content)}: fetch the file again.")
    header = Header(*struct.unpack_from(layout, content))

    convolutions = _in_darknets_order(model)
    ends = np.cumsum([sum(int(np.prod(variable.shape)) for variable in each) for each in convolutions]).tolist()
    found = (len(content) - start) / 4  # with a fraction if the file ends inside a number
    if found not in ends:
        reached = next((i for i, end in enumerate(ends) if end > found), len(ends) - 1)
        raise ValueError(
            f"{path}: expected {ends[reached]} numbers up to convolution {reached + 1} of {len(ends)}, "
            f"found {found:.12g}; nothing was loaded: build the body from this file's cfg, or fetch it again."
        )
    numbers = np.frombuffer(content, "<f4", offset=start)
    count = ends.index(found) + 1
    for variable in chain(*convolutions[:count]):
        values, numbers = np.split(numbers, [int(np.prod(variable.shape))])
        if len(variable.shape) == 4:
            height, width, channels, filters = variable.shape
            values = values.reshape(filters, channels, height, width).transpose(2, 3, 1, 0)
        variable.assign(values)
    return count, header


def save_weights(model: keras.Model, path: str | Path, header: Header = UNTRAINED) -> None:
    """A body's weights as darknet's file, for darknet and all that reads its files.

    Args:
        model: a body from `build_body` or yolo_helpers.model.
        path: the file; if it exists, it is replaced once the new one is complete.
        header: as `load_weights` returned it, for a file that starts like the one the weights came from.

    Raises:
        ValueError: if the model is no such body.
    """
    values = [ops.convert_to_numpy(variable) for variable in chain(*_in_darknets_order(model))]
    with replacing(path) as beside, beside.open("wb") as file:
        file.write(struct.pack(header.layout, *header))
        for array in values:
            file.write((array.transpose(3, 2, 0, 1) if array.ndim == 4 else array).astype("<f4").tobytes())


def _in_darknets_order(model: keras.Model) -> list[list[keras.Variable]]:
    """For each convolution, in the order in which they were made, its variables as a weights file has them."""
    convolutions, normalisations = (
        sorted((layer for layer in model.layers if isinstance(layer, kind)), key=_number)
        for kind in (layers.Conv2D, layers.BatchNormalization)
    )
    numbers = {_number(convolution) for convolution in convolutions}
    with_norm = sum(not convolution.use_bias for convolution in convolutions)
    if not convolutions or len(numbers) < len(convolutions) or with_norm != len(normalisations):
        raise ValueError(
            f"The model {model.name!r} is no body with the names that Keras gave its layers: "
            "give what build_body or yolo_helpers.model returned, not a model around it."
        )
    variables = []
    for convolution in convolutions:
        if convolution.use_bias:
            first = [convolution.bias]
        else:
            norm = normalisations.pop(0)  # made just after its convolution, so both rows have the same order
            first = [norm.beta, norm.gamma, norm.moving_mean, norm.moving_variance]
        variables.append([*first, convolution.kernel])
    return variables


def _number(layer: keras.Layer) -> int:
    return int(re.search(r"(?:_(\d+))?$", layer.name)[1] or 0)


class _Section(NamedTuple):
    where: str  # file, line and kind, for messages
    kind: str
    options: dict[str, Any]


def _read_sections(path: str | Path) -> list[_Section]:
    sections: list[_Section] = []
    for line, text in enumerate(Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        text = re.split("[#;]", text)[0].strip()
        if not text:
            continue
        option, equals, value = (part.strip() for part in text.partition("="))
        if text.startswith("["):
            kind = text.strip("[] ")
            if kind not in OPTIONS or (kind == "net") != (not sections):
                raise ValueError(
                    f"{path}, line {line}: expected [net] first and once, then {', '.join(OPTIONS)}, "
                    f"found {text:.60}: give the cfg of a YOLOv3 network."
                )
            sections.append(_Section(f"{path}, line {line}: [{kind}]", kind, {}))
        elif not (sections and equals):
            raise ValueError(f"{path}, line {line}: expected a [section], then option=value, found {text!r:.60}.")
        elif option in OPTIONS[kind]:
            # Of two, darknet takes the first.
            sections[-1].options.setdefault(option, _value(f"{path}, line {line}: [{kind}]", option, value))
        elif kind not in ("net", "yolo"):
            raise ValueError(f"{path}, line {line}: [{kind}] knows {', '.join(OPTIONS[kind])}; remove {option:.60}=.")
    if not sections:
        raise ValueError(f"{path}: the file holds no [section]: give the cfg of a YOLOv3 network.")
    for where, kind, options in sections:
        for option, default in OPTIONS[kind].items():
            if options.setdefault(option, default) is None:
                raise ValueError(f"{where} has no {option}=: add it.")
    return sections


def _value(where: str, option: str, text: str) -> Any:
    if option == "activation":
        if text not in ("leaky", "linear"):
            raise ValueError(
                f"{where} knows activation=leaky and linear, found {text!r:.60}: give the cfg of a YOLOv3."
            )
        return text
    try:
        numbers = [float(number) if option == "anchors" else int(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"{where} takes numbers with commas between them, found {option}={text:.60}.") from None
    least = 0 if option in ("pad", "batch_normalize") else 1
    if option not in LISTS and (len(numbers) > 1 or not least <= numbers[0] <= MAX_VALUE):
        raise ValueError(f"{where} takes one number from {least} to {MAX_VALUE}, found {option}={text:.60}.")
    return numbers if option in LISTS else numbers[0]


# What each kind of layer makes of the output before it; `made` holds those of all layers so far.


def _convolution(section: _Section, x, made: list):
    size, stride, pad = (section.options[name] for name in ("size", "stride", "pad"))
    if min(x.shape[1:3]) + 2 * (size // 2) * bool(pad) < size:
        raise ValueError(f"{section.where} has a larger size than its input {x.shape[1:3]}: add pad=1, or mend size.")
    same = pad and stride == 1 and size % 2
    if pad and not same:
        x = layers.ZeroPadding2D(size // 2)(x)  # on all sides; with a stride, "same" would begin elsewhere
    x = layers.Conv2D(
        section.options["filters"],
        size,
        strides=stride,
        padding="same" if same else "valid",
        use_bias=not section.options["batch_normalize"],
        kernel_regularizer=keras.regularizers.L2(L2),
    )(x)
    if section.options["batch_normalize"]:
        x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON)(x)
    return _activation(section, x)


def _maxpool(section: _Section, x, made: list):
    size, stride = section.options["size"], section.options["stride"]
    # Darknet adds size - 1 rows and columns, the odd one below and right; "same" is that in these cases.
    if stride != 1 and (size, stride) != (2, 2):
        raise ValueError(
            f"{section.where} takes stride=1 with any size, or stride=2 with size=2, found {section.options}."
        )
    return layers.MaxPooling2D(size, stride, padding="same")(x)


def _upsample(section: _Section, x, made: list):
    return layers.UpSampling2D(section.options["stride"])(x)


def _shortcut(section: _Section, x, made: list):
    terms = [*_earlier(section, "from", made), x]
    if [term.shape for term in terms] != [x.shape] * 2:
        raise ValueError(f"{section.where} adds two outputs of one shape, found {[t.shape[1:] for t in terms]}.")
    return _activation(section, layers.Add()(terms))


def _route(section: _Section, x, made: list):
    parts = _earlier(section, "layers", made)
    if len({part.shape[1:3] for part in parts}) > 1:
        raise ValueError(f"{section.where} joins outputs of one size, found {[p.shape[1:3] for p in parts]}.")
    return layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


BUILDERS = {
    "convolutional": _convolution,
    "maxpool": _maxpool,
    "upsample": _upsample,
    "shortcut": _shortcut,
    "route": _route,
}


def _check_head(previous: _Section, section: _Section, cfg: Heads, x, heads: list) -> None:
    """Refuses a [yolo] that does not stand behind its output convolution, or on a coarser grid than the one before."""
    wanted = {"filters": cfg.channels, "activation": "linear", "batch_normalize": 0}
    if previous.kind != "convolutional" or not wanted.items() <= previous.options.items():
        raise ValueError(f"{section.where} needs a [convolutional] just before it with {wanted}: mend that one.")
    if heads and x.shape[1] <= heads[-1].shape[1]:
        raise ValueError(f"{section.where} has no finer grid than the [yolo] before: heads stand coarsest first.")


def _earlier(section: _Section, option: str, made: list) -> list:
    """The outputs that an option names: from 0 on they count from the first layer, below 0 back from the last."""
    indices = section.options[option]
    places = [index if index >= 0 else len(made) + index for index in indices]
    if any(not 0 <= place < len(made) or made[place] is None for place in places):
        raise ValueError(f"{section.where} points at {indices}: a [yolo], or none of the {len(made)} layers before it.")
    return [made[place] for place in places]


def _activation(section: _Section, x):
    return layers.LeakyReLU(negative_slope=0.1)(x) if section.options["activation"] == "leaky" else x
