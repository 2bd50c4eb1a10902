"""Finds objects on photographs: python detect.py MODEL_FOLDER PHOTO …"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps


def suppress(boxes, scores, score_threshold, iou_threshold):
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    rest = np.argsort(-scores, kind="stable")
    kept, rest = [], rest[scores[rest] >= score_threshold]
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        both = np.prod((high - low).clip(0), axis=1)
        rest = rest[both <= iou_threshold * (areas[best] + areas[rest] - both)]
    return kept


def detect(model, about, photo):
    # Letterbox: as large as fits, in the middle, with grey bars beside it.
    full, canvas = np.array(photo.size), np.array(about["input_shape"][::-1])
    small = np.round(full * (canvas / full).min()).clip(1).astype(int)
    image = photo.resize(tuple(small), Image.BILINEAR, reducing_gap=2)
    x, y = corner = (canvas - small) / 2
    move = Image.AFFINE, (1, 0, -x, 0, 1, -y), Image.BILINEAR
    image = image.transform(tuple(canvas), *move, fillcolor=about["grey"])
    found = model.serve(np.asarray(image)[None])
    boxes, scores = found["boxes"][0].numpy(), found["scores"][0].numpy()
    boxes = (boxes - np.tile(corner, 2)) * np.tile(full / small, 2)
    limits = about["score_threshold"], about["iou_threshold"]
    for c, name in enumerate(about["classes"]):
        for i in suppress(boxes, scores[:, c], *limits):
            box = boxes[i].clip(0, np.tile(full, 2)).round(1).tolist()
            yield {"class": name, "score": float(scores[i, c]), "box": box}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    model = tf.saved_model.load(folder / "saved_model")
    for path in sys.argv[2:]:
        # Telephones store pictures lying, and beside them how to turn them.
        photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        for found in detect(model, about, photo):
            print(json.dumps({"photo": path} | found, ensure_ascii=False))
