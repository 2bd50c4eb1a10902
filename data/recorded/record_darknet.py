"""Write data/recorded/darknet.json: a network that darknet trained, in Keras, beside what darknet's own C code finds.

The network and darknet's numbers (`../shared/data/grocery_tiny`: a narrow YOLOv3-tiny with 60 classes, from
minsikky/yolov3-tiny_int8 @ 51e655df, MIT) are not part of the course. Without them nothing is written.

    KERAS_BACKEND=tensorflow python -m data.recorded.record_darknet
"""

import json
import sys

import keras
import numpy as np
from PIL import Image

from tests.reference import ROOT, SHARED
from yolo_helpers.boxes import box_iou
from yolo_helpers.darknet import build_body, load_weights, read_cfg
from yolo_helpers.detection import detect
from yolo_helpers.files import write_json
from yolo_helpers.model import inference_model

GROCERY = SHARED / "data" / "grocery_tiny"
RECORD = ROOT / "data" / "recorded" / "darknet.json"


def body_with(epsilon: float) -> keras.Model:
    """The network, with this epsilon in its batch normalisation."""
    body = build_body(GROCERY / "yolov3-tiny-aix2022.cfg", epsilon=epsilon)
    load_weights(body, GROCERY / "yolov3-tiny-aix2022.weights")
    return body


def difference(body: keras.Model) -> float:
    """The largest distance of the raw heads from darknet's, on one photograph."""
    with np.load(GROCERY / "darknet_ref_aix2022.CAPP_testset_close_10094.jpg.npz") as reference:
        heads = body.predict(reference["input_chw"].transpose(1, 2, 0)[None], verbose=0)
        names = ["layer13", "layer20"]
        return float(max(abs(h[0].transpose(2, 0, 1) - reference[n]).max() for h, n in zip(heads, names, strict=True)))


def found(detector: keras.Model, darknet: bool) -> tuple[int, int]:
    """How many of darknet's detections are found too, with the same class, an IoU of 0.9 and the probability within
    0.02; and how many darknet has."""
    cfg = read_cfg(GROCERY / "yolov3-tiny-aix2022.cfg")
    expected = json.loads((GROCERY / "reference_detections.json").read_bytes())["images"]
    photos = [Image.open(GROCERY / "images" / name).convert("RGB") for name in expected]
    ours = detect(detector, photos, cfg, 0.24, darknet=darknet)
    total = right = 0
    for detections, (boxes, scores, classes) in zip(expected.values(), ours, strict=True):
        for one in detections["detections"]:
            overlap = box_iou(np.array([one["xyxy_px"]], np.float32), boxes)[0]
            total += 1
            right += bool(((overlap > 0.9) & (classes == one["cls"]) & (abs(scores - one["prob"]) < 0.02)).any())
    return right, total


def compare() -> dict:
    """What the record holds; see `found` and `difference`."""
    body = body_with(1e-7)
    right, total = found(body, darknet=True)
    return {
        "source": "a narrow YOLOv3-tiny trained by darknet on 60 classes of groceries; three photographs",
        "heads": {"epsilon 1e-7": difference(body), "epsilon 1e-3": difference(body_with(1e-3))},
        "detections": {
            "of darknet": total,
            "found, photographs resized as darknet does": right,
            "found, photographs resized otherwise": found(inference_model(body, body.input_shape[1:3]), False)[0],
            "found, with epsilon 1e-3": found(body_with(1e-3), darknet=True)[0],
        },
    }


if __name__ == "__main__":
    if not GROCERY.exists():
        sys.exit("Darknet's numbers are not here; the record stays as it is.")
    write_json(RECORD, compare())
    print(f"wrote {RECORD.relative_to(ROOT)}")
