"""Where the boxes of one photograph vanish: the way from its pixels to the detections, checked step by step."""

from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops
from PIL import Image

from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import Annotation
from yolo_helpers.boxes import box_area, box_iou, clip_boxes, letterbox
from yolo_helpers.detection import yolo_eval
from yolo_helpers.diagnosis.arrays import compare_weights
from yolo_helpers.diagnosis.gradients import unchanged
from yolo_helpers.images import open_image, place
from yolo_helpers.model import yolo_head

SWEEP = (0.01, 0.05, 0.1, 0.3, 0.5)  # thresholds for which slots are counted
MET = 0.5  # IoU from which a box counts as that of an object


class Step(NamedTuple):
    """One step of the check.

    Attributes:
        name: of the step.
        seen: what was found there, in numbers.
        mend: what to do; empty where all is well.
    """

    name: str
    seen: str
    mend: str = ""

    def __str__(self):
        return f"{self.name}: {self.seen}" + f"\n-> {self.mend}" * bool(self.mend)


class Nearest(NamedTuple):
    """The slot nearest to a true box: that of the highest score with an IoU from 0.5 on, or else of the highest IoU."""

    true_class: int
    found_class: int
    iou: float
    score: float


class NoBoxes(NamedTuple):
    """Where a photograph loses its boxes.

    Attributes:
        steps: in order, as far as they could be taken.
        nearest: the slot nearest to each true box, where these are known.
    """

    steps: list[Step]
    nearest: list[Nearest]

    @property
    def lost(self) -> Step | None:
        """The first step where something is wrong, if there is one."""
        return next((step for step in self.steps if step.mend), None)

    def __str__(self):
        lines = [f"{'->' if step.mend else '  '} {step.name:10}{step.seen}" for step in self.steps]
        return "\n".join([*lines, f"{self.lost.name}: {self.lost.mend}" if self.lost else "No step loses every box."])


def why_no_boxes(
    detector: keras.Model,
    photograph: Image.Image | str | Path,
    heads: Heads,
    pixels: np.ndarray | None = None,
    weights: str | Path | None = None,
    truth: Annotation | None = None,
    score_threshold: float = 0.3,
) -> NoBoxes:
    """At which step a photograph loses its boxes: input, weights, heads, scores, boxes, objects.

    Args:
        detector: raw heads out, coarsest first; uint8 in, as that of `inference_model`, or a body that takes 0 to 1.
        photograph: one on which boxes are missing.
        heads: anchors, classes and input size with which the detections are made.
        pixels: (h, w, 3), what your own code feeds for this photograph; as `detect` feeds it when None.
        weights: the file that the detector's weights were loaded from (.weights.h5, .keras, .h5), if they are to be
            compared.
        truth: the photograph's true boxes, if they are known.
        score_threshold: from which boxes are kept.

    Raises:
        ValueError: if the photograph or the file of weights cannot be read, or the model takes more than images.

    A network that has learnt nothing:

    >>> from yolo_helpers.anchors import DATA, default_anchors
    >>> from yolo_helpers.model import inference_model, micro_yolo_body
    >>> body = micro_yolo_body(keras.Input((96, 128, 3)), num_anchors=3, num_classes=3)
    >>> heads, photograph = Heads((96, 128), default_anchors(3), 3), DATA / "smears" / "images" / "smear_0000.png"
    >>> found = why_no_boxes(inference_model(body, (96, 128)), photograph, heads)
    >>> found.lost.name, found.lost.seen
    ('weights', '19 of 19 batch normalisations have never been trained')
    """
    photo = photograph.convert("RGB") if isinstance(photograph, Image.Image) else open_image(photograph)
    inputs = getattr(detector, "inputs", None) or []  # a subclassed model has none
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = [tensor.shape for tensor in inputs]
        raise ValueError(
            f"The model {detector.name!r} takes {shapes}: give the detector, a functional model that takes images "
            "alone."
        )
    top = 255 if _scales(detector) or inputs[0].dtype == "uint8" else 1
    drawn = np.asarray(place(photo, letterbox((photo.height, photo.width), heads.input_shape), heads.input_shape))
    pixels = drawn * np.float32(top / 255) if pixels is None else np.squeeze(np.asarray(pixels))
    takes = tuple(side or found for side, found in zip(inputs[0].shape[1:], drawn.shape, strict=True))
    if not pixels.shape == drawn.shape == takes:
        seen = f"pixels of shape {pixels.shape}, the model takes {takes}, the heads {drawn.shape}"
        mend = "give all three the input size of the training, height first, channels last"
        return NoBoxes([Step("input", seen, mend)], [])
    steps = [_input(pixels, photo, drawn, top), _weights(detector, weights)]
    batch = ops.convert_to_tensor(pixels[None].astype(inputs[0].dtype))
    raw = _outputs(detector, batch, training=False)
    steps.append(_heads(raw, heads))
    if steps[-1].mend:
        return NoBoxes(steps, [])
    boxes, objectness, scores = _slots(raw, heads, photo)
    with unchanged(detector):
        own = _outputs(detector, batch, training=True)
    holds_nothing = truth is not None and not len(truth.classes)
    steps.append(_scores(objectness, scores, _slots(own, heads, photo)[2].max(), score_threshold, holds_nothing))
    shape = photo.height, photo.width
    options = {"max_boxes": 100, "score_threshold": score_threshold, "iou_threshold": 0.45}
    kept = yolo_eval(raw, heads.anchors, heads.num_classes, shape, anchor_mask=heads.anchor_mask, **options)
    whole, kept = kept.boxes, kept._replace(boxes=clip_boxes(kept.boxes, shape))
    steps.append(_boxes(kept, (scores >= score_threshold).sum(), score_threshold))
    if truth is None:
        return NoBoxes(steps, [])
    nearest = _nearest(truth, clip_boxes(boxes, shape), scores)
    return NoBoxes([*steps, _objects(truth, kept, whole, nearest)], nearest)


def _outputs(detector, batch, training):
    heads = keras.tree.flatten(detector(batch, training=training))
    return [np.float32(ops.convert_to_numpy(head)) for head in heads]  # of half precision too


def _scales(model):
    """Whether the model divides by 255 itself, in a layer or in a model among its layers."""
    return any(isinstance(layer, keras.layers.Rescaling) or _scales(layer) for layer in getattr(model, "layers", []))


def _input(pixels, photo, drawn, top):
    """The values, and how the photograph is drawn: compared with the four ways in which it can be."""
    seen = f"{pixels.min():.3g} to {pixels.max():.3g}, the model takes 0 to {top}"
    stretched = np.asarray(photo.resize(drawn.shape[1::-1], Image.Resampling.BILINEAR))
    ways = {"letterboxed": drawn, "stretched": stretched}
    ways |= {f"{name}, BGR in place of RGB": way[..., ::-1] for name, way in ways.items()}
    # What surrounds the photograph is compared by itself, as its colour may be another.
    placement = letterbox((photo.height, photo.width), drawn.shape[:2])
    inside = np.asarray(place(Image.new("RGB", photo.size), placement, drawn.shape[:2])) == 0

    def differences(unit):
        return {name: np.abs(pixels / unit - way / 255)[inside].mean() for name, way in ways.items()}

    units = sorted((255, 1, 1 / 255), key=lambda unit: unit != top)  # where all are as good, that of the model
    unit = min(units, key=lambda unit: min(differences(unit).values()))
    scaled, off = pixels / unit, differences(unit)
    nearest = min(off, key=off.get)
    nearest = "letterboxed" if off["letterboxed"] < 1.2 * off[nearest] + 0.002 else nearest
    negative = pixels.min() < -0.05  # a little less than 0 comes of resizing
    way = ways[nearest][inside] / 255
    other = way.std() > 0.02 and _correlation(scaled[inside], way) < 0.5
    differs = other or (off[nearest] > 0.15 and not negative)
    if "letterboxed" in nearest and not inside.all() and np.abs(scaled[~inside] - 0.5).mean() > 0.2 and not negative:
        nearest += ", not on grey"
    mends = [
        (negative, f"bring the values to 0 to {top}"),
        (unit > top and not negative, "divide the pixels by 255"),
        (unit < top and not negative, "do not divide the pixels by 255 again"),
        (differs, "compare the pixels with the photograph, which they do not resemble"),
        (
            nearest != "letterboxed" and not differs,
            "draw the photograph as the training did; this course: `place` with `letterbox`, RGB",
        ),
    ]
    return Step("input", f"{seen}; {nearest}", ", and ".join(mend for wrong, mend in mends if wrong))


def _correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-12)


def _weights(detector, file):
    """Whether they are finite, those of the file, and trained."""
    variances = [v for v in detector.weights if v.path.endswith("moving_variance")]
    fresh = sum((v.numpy() == 1).all() for v in variances)
    broken = [v.path for v in detector.weights if not np.isfinite(v.numpy()).all()]
    if broken:
        seen = f"{len(broken)} hold inf or NaN, {broken[0]} is the first"
        return Step("weights", seen, "load weights from before the training diverged")
    if file is not None:
        other = compare_weights(detector, file).not_in_file
        seen = f"{len(detector.weights) - len(other)} of {len(detector.weights)} are those of {Path(file).name}"
        if other:
            return Step(
                "weights",
                f"{seen}; {other[0][0]} {other[0][1]} is not",
                "build the network of the training, and load without skip_mismatch and by_name, which leave layers out",
            )
    else:
        seen = f"{len(detector.weights)} arrays, all finite; not compared with a file"
    if fresh:
        seen = f"{fresh} of {len(variances)} batch normalisations have never been trained"
        return Step("weights", seen, "load the weights of a training into this model")
    return Step("weights", seen)


def _heads(raw, heads):
    """Whether the shapes are those of the anchors and classes, and the numbers finite."""
    found, wanted = [head.shape[1:] for head in raw], [(*grid, heads.channels) for grid in heads.grids]
    per_head = len(heads.anchor_mask[0])
    seen = f"{len(raw)} heads of {raw[0].shape[-1]} channels; {per_head} x (5 + {heads.num_classes}) = {heads.channels}"
    mend = ""
    classes = found[0][-1] / per_head - 5
    if any(len(shape) != 3 for shape in found) or classes < 1 or classes % 1:
        mend = f"shapes {found} are not raw heads (h, w, {per_head} (5 + classes)): give the body's outputs"
    elif len(found) != len(wanted):
        mend = f"the anchors are those of {len(wanted)} heads: take the anchors of the training"
    elif {shape[-1] for shape in found} != {heads.channels}:
        mend = f"the network has {classes:g} classes: take the class names of the training"
    elif found != wanted:
        mend = f"the grids are {[s[:2] for s in found]}, expected {heads.grids}: give the heads coarsest first"
    elif not all(np.isfinite(head).all() for head in raw):
        seen, mend = "outputs of inf or NaN", "look at the input and the weights, or load weights from before"
    else:
        seen += f"; raw numbers up to {max(np.abs(head).max() for head in raw):.3g}"
    return Step("heads", seen, mend)


def _slots(raw, heads, photo):
    """Of all slots: boxes (S, 4) in pixels of the photograph, objectness (S,), scores (S, C)."""
    height, width = heads.input_shape
    parts = []
    for head, mask in zip(raw, heads.anchor_mask, strict=True):
        found = yolo_head(head, heads.anchors[mask], heads.num_classes, heads.input_shape)
        parts.append([ops.convert_to_numpy(part).reshape(-1, part.shape[-1]) for part in found])
    xy, wh, objectness, classes = map(np.concatenate, zip(*parts, strict=True))
    corners = np.concatenate([xy - wh / 2, xy + wh / 2], 1).clip(-1e6, 1e6) * [width, height, width, height]
    placement = letterbox((photo.height, photo.width), heads.input_shape)
    return placement.to_photo(corners), objectness[:, 0], objectness * classes


def _scores(objectness, scores, with_own_averages, threshold, holds_nothing):
    """The highest of them, and how many slots pass some thresholds."""
    best = scores.max(1)
    counts = ", ".join(f"{t:g}: {(best >= t).sum()}" for t in SWEEP)
    seen = f"objectness up to {objectness.max():.2g}, score up to {best.max():.2g}; slots from {counts}"
    if best.max() >= threshold or holds_nothing:
        return Step("scores", seen)
    if with_own_averages >= max(threshold, 2 * best.max()):
        mend = (
            f"with the averages of this photograph the score is {with_own_averages:.2g}: those that the batch "
            "normalisations collected are not filled (train more steps, or with momentum 0.9), or the photograph is "
            "unlike those of the training"
        )
    elif objectness.max() >= threshold and best.max() < threshold / 2:
        mend = "an object is seen, and no class is sure: look at the classes of the training's labels"
    elif best.max() >= SWEEP[1]:
        mend = f"the threshold of {threshold:g} lies above every score: lower it, or train longer"
    else:
        mend = "the network sees nothing here: if there is something, train longer, or on photographs like this one"
    return Step("scores", seen, mend)


def _boxes(kept, scores, threshold):
    """What is left after suppression, on the photograph."""
    visible = int((box_area(kept.boxes) >= 1).sum())
    seen = f"{scores} scores from {threshold:g} on, {visible} boxes after suppression"
    mend = "the boxes lie outside the photograph or are smaller than a pixel: are the anchors in pixels of the input?"
    return Step("boxes", seen, "" if visible or not scores else mend)


def _nearest(truth, boxes, scores):
    """For each true box the slot of the highest score that meets it, or else that of the highest IoU."""
    nearest = []
    for one, overlap in zip(truth.classes, box_iou(truth.boxes, boxes), strict=True):
        best = scores.max(1)
        slot = np.where(overlap >= MET, 1 + best, overlap).argmax()
        nearest.append(Nearest(int(one), int(scores[slot].argmax()), float(overlap[slot]), float(best[slot])))
    return nearest


def _objects(truth, kept, whole, nearest):
    """How many true boxes are met, by the right class; if none, what the boxes have in common."""
    overlap = box_iou(truth.boxes, kept.boxes)
    met = (overlap >= MET).any(1)
    right = ((overlap >= MET) & (truth.classes[:, None] == kept.classes)).any(1)
    seen = (
        f"{right.sum()} of {len(right)} true boxes are met (IoU from {MET:g}), {(met & ~right).sum()} by another class"
    )
    below = [n.score for n, found in zip(nearest, met, strict=True) if not found and n.iou >= MET]
    if below:
        seen += f"; {len(below)} more by slots that score {max(below):.2g} or less"
    if right.any() or not len(right) or not len(kept.boxes):
        return Step("objects", seen)
    if 2 * met.sum() >= len(met):
        return Step(
            "objects", seen, "the boxes fit and the classes do not: take the names in the order of the training"
        )
    # Found boxes whose centre is near that of a true one: how much larger are they, not cut off at the border?
    centre, extent = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2, truth.boxes[:, 2:] - truth.boxes[:, :2]
    away = np.abs((whole[:, :2] + whole[:, 2:]) / 2 - centre[:, None]) / extent.clip(1)[:, None]  # (T, N, 2)
    true, found = np.nonzero((away < 0.25).all(-1))
    if len(set(true)) < len(right) / 2:
        mend = (
            "the boxes lie elsewhere: is the photograph like those of the training, and are the true boxes its own, "
            "x_min, y_min, x_max, y_max in its pixels?"
        )
        return Step("objects", seen, mend)
    ratio = np.sqrt(np.median(box_area(whole[found]) / box_area(truth.boxes[true])))
    size = "of another shape" if 0.8 < ratio < 1.25 else f"{ratio:.2g} times as large"
    return Step("objects", seen, f"the boxes lie on the objects and are {size}: take the anchors of the training")
