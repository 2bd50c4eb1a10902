"""Detection: raw heads become boxes on the photograph, with one box for each object (non-maximum suppression).

From a shell, with a trained network: `python -m yolo_helpers.detection --help`.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops
from PIL import Image

from yolo_helpers.anchors import ANCHORS_PER_HEAD, STRIDES, default_anchor_mask
from yolo_helpers.annotations import IMAGE_SUFFIXES, AnnotationError, get_classes, list_files, open_image
from yolo_helpers.boxes import box_iou, clip_boxes, letterbox
from yolo_helpers.darknet import build_body, letterbox_image, load_weights, read_cfg
from yolo_helpers.dataset import place
from yolo_helpers.files import write_json
from yolo_helpers.model import BODIES, inference_model, yolo_head
from yolo_helpers.plots import save_boxes

SETTINGS, BEST = "settings.json", "best.weights.h5"  # what a training leaves in its folder, and a detector is made of


class Detections(NamedTuple):
    """What was found on one photograph: boxes (N, 4) in its pixels, scores (N,) from 0 to 1, classes (N,)."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def yolo_eval(
    yolo_outputs: Sequence,
    anchors: np.ndarray,
    num_classes: int,
    image_shape: tuple[int, int],
    max_boxes: int = 20,
    score_threshold: float = 0.6,
    iou_threshold: float = 0.5,
    anchor_mask: list[list[int]] | None = None,
) -> Detections:
    """Boxes from the raw heads of one letterboxed photograph.

    Args:
        yolo_outputs: the heads (1, h, w, 3 (5 + C)), coarsest first.
        anchors: (A, 2), width and height in pixels of the input.
        num_classes: C.
        image_shape: (height, width) of the photograph in pixels.
        max_boxes: most boxes of a class.
        score_threshold: a box scores confidence times class probability; lower ones are dropped.
        iou_threshold: a box that overlaps a better one of its class by more is dropped.
        anchor_mask: the anchors of each head, coarsest first; darknet's when None.

    Returns:
        Detections, class by class, best first; boxes may reach beyond the photograph.

    Raises:
        ValueError: if the heads hold more or fewer than one photograph, or their number does not fit the anchors.
    """
    anchors = np.asarray(anchors, np.float32).reshape(-1, 2)
    anchor_mask = default_anchor_mask(len(anchors)) if anchor_mask is None else anchor_mask
    if len(yolo_outputs) != len(anchor_mask) or any(len(head) != 1 for head in yolo_outputs):
        shapes = [tuple(ops.shape(head)) for head in yolo_outputs]
        raise ValueError(f"Expected {len(anchor_mask)} heads of one photograph, found heads of shape {shapes}.")
    input_shape = tuple(STRIDES[0] * side for side in ops.shape(yolo_outputs[0])[1:3])
    size = np.tile(np.array(input_shape[::-1], np.float32), 2)
    placement = letterbox(tuple(image_shape), input_shape)

    boxes, scores = [], []
    for head, mask in zip(yolo_outputs, anchor_mask, strict=True):
        xy, wh, confidence, probability = (
            ops.convert_to_numpy(x)
            for x in yolo_head(ops.cast(head, "float32"), anchors[mask], num_classes, input_shape)
        )
        # A raw size of 89 is infinite after exp; a million times the input is as good, and has an area.
        corners = np.concatenate([xy - wh / 2, xy + wh / 2], -1).reshape(-1, 4).clip(-1e6, 1e6)
        boxes.append(placement.to_photo(corners * size))
        scores.append((confidence * probability).reshape(-1, num_classes))
    boxes, scores = np.concatenate(boxes), np.concatenate(scores)
    scores[~np.isfinite(boxes).all(1)] = np.nan  # of a training that diverged: no box, and never above a threshold

    found = []
    for c in range(num_classes):
        candidates = np.flatnonzero(scores[:, c] >= score_threshold)
        kept = candidates[suppress(boxes[candidates], scores[candidates, c], max_boxes, iou_threshold)]
        found.append(Detections(boxes[kept], scores[kept, c], np.full(len(kept), c)))
    return Detections(*(np.concatenate(part) for part in zip(*found, strict=True)))


def suppress(boxes: np.ndarray, scores: np.ndarray, max_boxes: int, iou_threshold: float) -> np.ndarray:
    """Non-maximum suppression: the best box, then the best that does not overlap one already kept, and so on.

    Args:
        boxes: (N, 4), x_min, y_min, x_max, y_max.
        scores: (N,).
        max_boxes: most boxes to keep.
        iou_threshold: a box with a larger IoU with a kept one is dropped.

    Returns:
        Indices of the kept boxes, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order) and len(kept) < max_boxes:
        kept.append(order[0])
        overlap = box_iou(boxes[order[:1]], boxes[order[1:]])[0]
        order = order[1:][overlap <= iou_threshold]
    return np.array(kept, int)


def detect(
    detector: keras.Model,
    images: Sequence[Image.Image | str | Path],
    anchors: np.ndarray,
    num_classes: int,
    score_threshold: float = 0.3,
    iou_threshold: float = 0.45,
    max_boxes: int = 100,
    batch_size: int = 8,
    anchor_mask: list[list[int]] | None = None,
    darknet: bool = False,
) -> list[Detections]:
    """Detections on photographs of any size.

    Args:
        detector: the model of `inference_model`: uint8 image in, raw heads out.
        images: photographs, or paths of them.
        anchors, num_classes, score_threshold, iou_threshold, max_boxes, anchor_mask: as in `yolo_eval`.
        batch_size: photographs the network looks at together.
        darknet: for a network that darknet trained: the detector is the body itself, image 0..1 in, and photographs
            are drawn on its input by `letterbox_image`, the way it knows them.

    Returns:
        For each photograph its detections, best first, cut off at its border.
    """
    input_shape = detector.input_shape[1:3]
    found = []
    for start in range(0, len(images), batch_size):
        photos = [x if isinstance(x, Image.Image) else open_image(x) for x in images[start : start + batch_size]]
        shapes = [(photo.height, photo.width) for photo in photos]
        batch = np.stack(
            [
                letterbox_image(np.asarray(photo), input_shape)
                if darknet
                else place(photo, letterbox(shape, input_shape), input_shape)
                for photo, shape in zip(photos, shapes, strict=True)
            ]
        )
        heads = [ops.convert_to_numpy(head) for head in keras.tree.flatten(detector.predict_on_batch(batch))]
        for b, shape in enumerate(shapes):
            boxes, scores, classes = yolo_eval(
                [head[b : b + 1] for head in heads],
                anchors,
                num_classes,
                shape,
                max_boxes,
                score_threshold,
                iou_threshold,
                anchor_mask,
            )
            order = np.argsort(-scores, kind="stable")
            found.append(Detections(clip_boxes(boxes[order], shape), scores[order], classes[order]))
    return found


def load_detector(folder: str | Path) -> tuple[keras.Model, np.ndarray, list[str]]:
    """The detector that a training left in its folder, with its best weights.

    Args:
        folder: the `--folder` of `python -m yolo_helpers.training`.

    Returns:
        The model of `inference_model`, its anchors (A, 2) in pixels of its input, and the names of its classes: what
        `detect` and `evaluate` take.

    Raises:
        ValueError: if the folder lacks a file, or its two files do not fit each other.
    """
    folder = Path(folder)
    for name in (SETTINGS, BEST):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} holds no {name}: give the --folder of a training that has ended an epoch.")
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        input_shape, class_names = tuple(settings["input_shape"]), settings["classes"]
        anchors = np.array(settings["anchors"], np.float32).reshape(-1, 2)
        body = BODIES[settings["body"]](keras.Input((*input_shape, 3)), ANCHORS_PER_HEAD, len(class_names))
        body.load_weights(folder / BEST)
    except (KeyError, TypeError, ValueError, OSError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(
            f"{folder}: {SETTINGS} and {BEST} do not make a detector ({reason:.200}): "
            "copy both again from one training, or train again."
        ) from error
    return inference_model(body, input_shape), anchors, class_names


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m yolo_helpers.detection",
        description="Finds objects on photographs with a trained network. For each photograph it writes a picture with "
        "the boxes (.png) and a list of them (.json): class, score, and x_min, y_min, x_max, y_max in pixels.",
    )
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--folder", type=Path, metavar="RUN", help="the --folder of yolo_helpers.training")
    network.add_argument("--cfg", type=Path, help="a network of darknet's, together with --weights and --classes")
    parser.add_argument("--weights", type=Path, help="darknet's weights file")
    parser.add_argument("--classes", type=Path, help="darknet's .names file, a class name a line")
    parser.add_argument("photographs", nargs="+", type=Path, metavar="PHOTO_OR_FOLDER", help="a folder stands for all")
    parser.add_argument("--out", type=Path, default=Path("detections"), help="where to write (default: %(default)s)")
    parser.add_argument("--threshold", type=float, default=0.3, help="least score, 0 to 1 (default: %(default)s)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Detects from the command line; see `--help`.

    Returns:
        The exit status: 1 if a photograph could not be read, else 0.
    """
    parser = _arguments()
    options = parser.parse_args(arguments)
    if len({option is None for option in (options.cfg, options.weights, options.classes)}) > 1:
        parser.error("--cfg, --weights and --classes go together")
    if not 0 <= options.threshold <= 1:
        parser.error(f"--threshold lies between 0 and 1, found {options.threshold}")
    photos = _photographs(options.photographs, options.out)
    settings = {"score_threshold": options.threshold}
    if options.folder:
        detector, anchors, class_names = load_detector(options.folder)
    else:
        detector, cfg, class_names = _load_darknet(options.cfg, options.weights, options.classes)
        anchors, settings = cfg.anchors, settings | {"anchor_mask": cfg.anchor_mask, "darknet": True}

    options.out.mkdir(parents=True, exist_ok=True)
    unread = 0
    for number, path in enumerate(photos, start=1):
        if len(photos) > 3:
            end = "\n" if number == len(photos) else ""
            print(f"\r{number} of {len(photos)} photographs", end=end, file=sys.stderr, flush=True)
        try:
            photo = open_image(path)
        except AnnotationError as error:
            unread += 1
            print(f"\rerror: {error}", file=sys.stderr)
            continue
        (found,) = detect(detector, [photo], anchors, len(class_names), **settings)
        save_boxes(options.out / f"{path.name}.png", photo, found.boxes, found.classes, class_names, found.scores)
        objects = [
            {"class": class_names[c], "score": round(float(score), 4), "box": np.round(box.astype(float), 2).tolist()}
            for box, score, c in zip(*found, strict=True)
        ]
        write_json(options.out / f"{path.name}.json", {"photo": str(path), "objects": objects})
    print(f"{len(photos) - unread} of {len(photos)} photographs: pictures and boxes are in {options.out}")
    return int(unread > 0)


def _photographs(paths: Sequence[Path], out: Path) -> list[Path]:
    """The photographs meant, each of which must have a name of its own: the results are called after them."""
    photos = []
    for path in paths:
        inside = list_files(path, IMAGE_SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"{path}: no photographs in this folder, expected {', '.join(IMAGE_SUFFIXES)}.")
        photos += inside
    name, count = Counter(photo.name for photo in photos).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{count} photographs are called {name}, and so would be their results: take one at a time.")
    if out.resolve() in {photo.resolve().parent for photo in photos}:
        raise ValueError(f"{out}: the next run would take the pictures there for photographs: choose another --out.")
    return photos


def _load_darknet(cfg_path, weights_path, classes_path):
    cfg, body, class_names = read_cfg(cfg_path), build_body(cfg_path), get_classes(classes_path)
    if len(class_names) != cfg.num_classes:
        raise ValueError(
            f"{classes_path}: found {len(class_names)} names, expected {cfg.num_classes} as in {cfg_path}."
        )
    loaded, _ = load_weights(body, weights_path)
    total = sum(isinstance(layer, keras.layers.Conv2D) for layer in body.layers)
    if loaded < total:
        raise ValueError(f"{weights_path}: holds {loaded} of {total} convolutions, no trained heads: train them first.")
    return body, cfg, class_names


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped: the files written so far are whole")
