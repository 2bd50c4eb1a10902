"""The text of darknet's cfg: its sections and their options, each as darknet reads it, or refused with its line.

What an option does, and the values that darknet takes where one is missing, is read off `parser.c` of darknet,
https://github.com/pjreddie/darknet, and of its fork, https://github.com/AlexeyAB/darknet, which knows more options.
"""

import difflib
import re
from pathlib import Path
from typing import Any, NamedTuple

from yolo_helpers.files import other_kind

# The options that decide what a network computes; None where one has to be given. Darknet would go on without it, but
# with a value that nobody means, such as one filter, or anchors of half a pixel. (A probability that is not given is
# 0.5 for darknet and 0.2 for its fork.)
OPTIONS = {
    "net": {"height": None, "width": None},
    "convolutional": {"filters": None, "size": None, "stride": 1, "pad": 0, "padding": 0}
    | {"groups": 1, "batch_normalize": 0, "activation": None},
    "dropout": {"probability": 0.5},
    "maxpool": {"size": None, "stride": None},
    "route": {"layers": None, "groups": 1, "group_id": 0},
    "shortcut": {"from": None, "activation": "linear"},
    "upsample": {"stride": 2},
    "yolo": {"mask": None, "anchors": None, "classes": None, "num": 0},
}
# These decide it too, or what is detected, and are not built: the values at which they change nothing, and what they do
# at others.
UNBUILT = {
    "net": {
        "channels": (["3"], "photographs have three channels here"),
        "letter_box": (["1"], "darknet stretches photographs then, and here grey bars keep their shape"),
    },
    "convolutional": {
        "dilation": (["1"], "the kernel has gaps"),
        "stride_x": ([], "columns and rows may have different strides"),
        "stride_y": ([], "columns and rows may have different strides"),
        "antialiasing": (["0"], "a blur follows the layer"),
        "binary": (["0"], "the kernel is rounded to two values"),
        "xnor": (["0"], "the kernel and its input are rounded to two values"),
        "flipped": (["0"], "the kernel lies turned in the weights file"),
    },
    "maxpool": {
        "padding": ([], "the windows begin elsewhere"),
        "maxpool_depth": (["0"], "the maximum is that of channels"),
        "antialiasing": (["0"], "a blur follows the layer"),
    },
    "shortcut": {
        "weights_type": (["none"], "the sum has weights, as in some of YOLOv4's family"),
        "alpha": (["1"], "the sum has weights"),
        "beta": (["1"], "the sum has weights"),
    },
    "upsample": {"scale": (["1"], "the output is multiplied by it")},
    "yolo": {
        "scale_x_y": (["1"], "it stretches the centres of boxes beyond their cells, as in YOLOv4"),
        "new_coords": (["0"], "boxes are decoded by a square in place of exp, as in Scaled-YOLOv4"),
        # Greedy is by IoU, as the default (https://github.com/AlexeyAB/darknet/issues/4943); later copies take DIoU.
        "nms_kind": (["default", "greedynms"], "boxes are dropped by another measure than IoU"),
    },
}
OF_ANY_LAYER = {
    "dontload": (["0"], "the weights file leaves this layer out"),
    "dontloadscales": (["0"], "the weights file leaves the normalisation of this layer out"),
}
# These are for training, for tracking objects through a film, for what darknet shows meanwhile, or for values of
# nms_kind that are refused. In [net] all others are: forks wrote much there.
FOR_TRAINING = {"burnin_update", "dont_update", "learning_rate", "onlyforward", "stopbackward", "train_only_bn"}
FOR_TRAINING_OF = {
    "dropout": {"dropblock", "dropblock_size_abs", "dropblock_size_rel"},
    "yolo": {"beta_nms", "cls_normalizer", "counters_per_class", "delta_normalizer", "dets_for_show", "dets_for_track"}
    | {"embedding_layer", "focal_loss", "ignore_thresh", "iou_loss", "iou_normalizer", "iou_thresh"}
    | {"iou_thresh_kind", "jitter", "label_smooth_eps", "map", "max", "max_delta", "obj_normalizer"}
    | {"objectness_smooth", "random", "resize", "show_details", "sim_thresh", "track_ciou_norm"}
    | {"track_history_size", "truth_thresh"},
}
# Sections and activations that tell of another network.
SIGNS = {
    "avgpool": "a classifier",
    "connected": "a classifier or YOLOv1",
    "detection": "YOLOv1",
    "Gaussian_yolo": "Gaussian YOLOv3",
    "local": "YOLOv1",
    "region": "YOLOv2",
    "reorg": "YOLOv2",
    "reorg3d": "YOLOv2",
    "scale_channels": "EfficientNet",
    "softmax": "a classifier",
    "logistic": "Scaled-YOLOv4",
    "mish": "YOLOv4",
    "swish": "YOLOv4's family or EfficientNet",
}
MAX_VALUE = 10_000  # of a number on its own, such as filters=
LISTS = ("mask", "anchors", "layers", "from")
FRACTIONS = ("anchors", "probability")
FROM_ZERO = ("pad", "padding", "batch_normalize", "group_id")
MEND = "give the cfg of a YOLOv3 network"


class Section(NamedTuple):
    """A section with its options; where the file says nothing they have darknet's values, and `num` has 0."""

    where: str  # file, line and kind, for messages
    kind: str
    options: dict[str, Any]


def read_sections(path: str | Path) -> list[Section]:
    """All sections of a cfg, [net] first, with the options that decide what the network computes.

    Args:
        path: darknet's cfg file.

    Raises:
        ValueError: if it is no such file, or holds a section, an option or a value that changes what is computed in a
            way that is not built; the message names the line.
    """
    content = Path(path).read_bytes()
    other = content and other_kind(content)
    if b"\0" in content and not other:
        other = "a binary file, such as weights, or text in UTF-16", f"{MEND}, saved as UTF-8"
    if other:
        raise ValueError(f"{path}: expected darknet's cfg, found {other[0]}: {other[1]}.")
    sections: list[Section] = []
    lines = re.split("\r\n|\r|\n", content.decode("utf-8-sig", errors="replace"))
    for where, text in ((f"{path}, line {number}", text.strip()) for number, text in enumerate(lines, start=1)):
        if not text or text[0] in "#;":
            continue
        if text[0] == "[":
            kind = _kind(where, text, first=not sections)
            sections.append(Section(f"{where}: [{kind}]", kind, {}))
            continue
        option, equals, value = text.partition("=")
        if not (sections and equals):
            raise ValueError(f"{where}: expected a [section], then option=value, found {text!r:.60}.")
        kind, option = sections[-1].kind, option.strip()
        read = _option(f"{where}: [{kind}]", kind, option, value.strip())
        if read is not None:
            sections[-1].options.setdefault(option, read)  # of two, darknet takes the first
    if not sections:
        raise ValueError(f"{path}: the file holds no [section]: {MEND}.")
    for where, kind, options in sections:
        for option, default in OPTIONS[kind].items():
            if options.setdefault(option, default) is None:
                raise ValueError(f"{where} has no {option}=: add it.")
    return sections


def _kind(where: str, text: str, first: bool) -> str:
    kind = re.split("[#;]", text)[0].strip().removeprefix("[").removesuffix("]").strip()
    if kind not in OPTIONS or (kind == "net") != first:
        sign = f", as in {SIGNS[kind]}" if kind in SIGNS else ""
        raise ValueError(
            f"{where}: expected [net] first and once, then {', '.join(OPTIONS)}, found {text:.60}{sign}: {MEND}."
        )
    return kind


def _option(where: str, kind: str, option: str, text: str) -> Any:
    """The value of an option that decides what is computed, None for one that does not; refuses all others."""
    if option in OPTIONS[kind]:
        return _value(where, option, text)
    unbuilt = UNBUILT.get(kind, {}) | OF_ANY_LAYER
    if option in unbuilt:
        neutral, effect = unbuilt[option]
        if not any(_same(text, value) for value in neutral):
            raise ValueError(
                f"{where} has {option}={text:.60}, which is not built here ({effect}): "
                f"{MEND}{f', with {option}={neutral[0]}' if neutral else ''}."
            )
    elif kind != "net" and option not in FOR_TRAINING | FOR_TRAINING_OF.get(kind, set()):
        near = difflib.get_close_matches(option, OPTIONS[kind], n=1)
        mend = f"if {near[0]}= is meant, write that" if near else f"if it changes what the network computes, {MEND}"
        raise ValueError(
            f"{where} knows {', '.join(OPTIONS[kind])}, found {option:.60}=: {mend}; if it does nothing, remove it."
        )
    return None


def _same(text: str, value: str) -> bool:
    try:
        return float(re.split("[#;]", text)[0]) == float(value)
    except ValueError:
        return text == value


def _value(where: str, option: str, text: str) -> Any:
    if option == "activation":
        # Darknet takes a comment behind it for a part of the name, and ReLU for a name that it does not know.
        if text not in ("leaky", "linear"):
            name = re.split("[#;]", text)[0].strip()
            mend = "put the comment on a line of its own, since darknet computes ReLU with it"
            if name not in ("leaky", "linear"):
                mend = MEND if name not in SIGNS else f"this is how {SIGNS[name]} is written, {MEND}"
            raise ValueError(f"{where} knows activation=leaky and linear, found {text!r:.60}: {mend}.")
        return text
    numbers, comment = re.fullmatch("([^#;]*)(.*)", text).groups()
    if option in LISTS and "," in comment:
        raise ValueError(
            f"{where} has commas in the comment behind {option}=, which darknet counts: put it on a line of its own."
        )
    try:
        if "_" in numbers or not numbers.isascii():  # Python would read 1_000 or other alphabets' digits
            raise ValueError
        kind = float if option in FRACTIONS else int
        read = [kind(number) for number in numbers.split(",")]
    except ValueError:
        raise ValueError(f"{where} takes numbers with commas between them, found {option}={text:.60}.") from None
    if option in LISTS:
        return read
    if option == "probability":
        fits, limits = 0 <= read[0] < 1, "0 to below 1"
    else:
        least = 0 if option in FROM_ZERO else 1
        fits, limits = least <= read[0] <= MAX_VALUE, f"{least} to {MAX_VALUE}"
    if len(read) > 1 or not fits:
        raise ValueError(f"{where} takes one number from {limits}, found {option}={text:.60}.")
    return read[0]
