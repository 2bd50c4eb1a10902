"""Make data/smears.cfg and data/smears.weights: the micro network in darknet's form, trained on generated smears.

Some two minutes on two cores. Another processor rounds otherwise, so the file is not the same everywhere; how good a
network it holds is tested (tests/test_data.py).

    KERAS_BACKEND=tensorflow python -m data.make_weights
"""

import tempfile
from pathlib import Path

import keras

from yolo_helpers.anchors import DATA, Heads, box_sizes, default_anchors, kmeans_anchors
from yolo_helpers.annotations import read_annotations
from yolo_helpers.darknet import Header, save_weights
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.model import micro_yolo_body
from yolo_helpers.smear import CLASS_NAMES, write_file, write_smears
from yolo_helpers.training import Stage, train

INPUT_SHAPE, COUNT, EPOCHS, BATCH = (192, 256), 320, 14, 8


def cfg_text(anchors) -> str:
    """The micro network in darknet's form, with its anchors."""

    def conv(filters, size, stride=1):
        return (
            f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\n"
            "activation=leaky\n\n"
        )

    def yolo(mask):
        numbers = ", ".join(f"{width:g},{height:g}" for width, height in anchors)
        filters = 3 * (5 + len(CLASS_NAMES))
        return (
            f"[convolutional]\nfilters={filters}\nsize=1\nstride=1\npad=1\nactivation=linear\n\n"
            f"[yolo]\nmask={mask}\nanchors={numbers}\nclasses={len(CLASS_NAMES)}\nnum={len(anchors)}\n\n"
        )

    def block(narrow, wide):
        return conv(narrow, 1) + conv(wide, 3) + "[shortcut]\nfrom=-3\nactivation=linear\n\n"

    def up(narrow, end):
        return f"[route]\nlayers=-4\n\n{conv(narrow, 1)}[upsample]\nstride=2\n\n[route]\nlayers=-1,{end}\n\n"

    height, width = INPUT_SHAPE
    text = f"# micro_yolo_body of yolo_helpers in darknet's form\n[net]\nheight={height}\nwidth={width}\nchannels=3\n\n"
    text += conv(8, 3, 2) + conv(24, 3, 2)
    text += conv(48, 3, 2) + block(24, 48)  # ends with layer 5, stride 8
    text += conv(64, 3, 2) + block(48, 64)  # layer 9, stride 16
    text += conv(96, 3, 2) + block(64, 96)
    text += conv(64, 1) + conv(96, 3) + yolo("6,7,8")
    text += up(48, 9) + conv(48, 1) + conv(64, 3) + yolo("3,4,5")
    text += up(24, 5) + conv(24, 1) + conv(48, 3) + yolo("0,1,2")
    return text.rstrip("\n") + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        smears, _ = read_annotations(write_smears(Path(folder) / "smears", COUNT, INPUT_SHAPE, seed=1))
        anchors = kmeans_anchors(box_sizes(smears, INPUT_SHAPE), default_anchors(3)).round()
        keras.utils.set_random_seed(1)
        body = micro_yolo_body(keras.Input((*INPUT_SHAPE, 3)), 3, len(CLASS_NAMES))
        heads = Heads(INPUT_SHAPE, anchors, len(CLASS_NAMES))
        data = YoloDataset(smears, heads, BATCH, workers=2)
        data.augment = False
        train(body, data, [Stage(EPOCHS, 5e-3)], Path(folder) / "training", verbose=2)
    save_weights(body, DATA / "smears.weights", Header(0, 2, 0, EPOCHS * len(smears)))
    write_file(DATA / "smears.cfg", cfg_text(anchors).encode())
