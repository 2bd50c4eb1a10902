"""Judging: cases worked out by hand, pycocotools used directly, and the corner cases."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from reference import ANCHORS, detector_of, heads_that_see

from yolo_helpers.anchors import Heads
from yolo_helpers.annotations import Annotation
from yolo_helpers.boxes import box_area, box_iou
from yolo_helpers.detection import Detections
from yolo_helpers.evaluation import (
    AveragePrecision,
    Mistake,
    average_precision,
    best_threshold,
    evaluate,
    precision_recall,
    verdicts,
    worst_mistakes,
)
from yolo_helpers.training import Snapshots

NOTHING = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))


def annotation(*boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 5)
    return Annotation(Path("photo.png"), boxes[:, :4], boxes[:, 4].astype(int))


def detections(*boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 6)
    return Detections(boxes[:, :4], boxes[:, 4], boxes[:, 5].astype(int))


def test_a_case_worked_out_by_hand():
    """Class 0: three true boxes; by falling score right, wrong, right: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.

    Made falling from the right that is 1 up to recall 1/3, then 2/3 up to 2/3, then 0: of the 101 recalls 0, 0.01 … 1,
    34 lie up to 1/3 and 33 more up to 2/3.
    """
    truth = [annotation([0, 0, 10, 10, 0], [20, 0, 30, 10, 0]), annotation([0, 0, 10, 10, 0], [50, 50, 70, 70, 1])]
    found = [
        detections([0, 0, 10, 10, 0.9, 0], [40, 40, 50, 50, 0.8, 0]),
        detections([0, 0, 10, 9, 0.7, 0], [50, 50, 70, 70, 0.3, 1]),
    ]
    scores = average_precision(truth, found, ["a", "b"])
    assert scores["AP50"]["a"] == pytest.approx((34 * 1 + 33 * 2 / 3) / 101, abs=1e-6)
    assert scores["AP50"]["b"] == pytest.approx(1)
    assert scores["AP50"]["mean"] == pytest.approx((scores["AP50"]["a"] + 1) / 2)


def test_ap_asks_for_tighter_boxes_than_ap50():
    # IoU 0.8: right at 0.50, 0.55 … 0.80, seven of ten thresholds.
    scores = average_precision([annotation([0, 0, 10, 10, 0])], [detections([0, 0, 10, 8, 0.9, 0])], ["a"])
    assert scores["AP50"]["a"] == pytest.approx(1)
    assert scores["AP"]["a"] == pytest.approx(0.7, abs=0.01)


def test_two_detections_of_one_box_are_one_right_and_one_wrong():
    truth = [annotation([0, 0, 10, 10, 0], [20, 20, 30, 30, 0])]
    once = [detections([0, 0, 10, 10, 0.9, 0], [20, 20, 30, 30, 0.5, 0])]
    twice = [detections([0, 0, 10, 10, 0.9, 0], [0, 0, 10, 10, 0.8, 0], [20, 20, 30, 30, 0.5, 0])]
    assert average_precision(truth, once, ["a"])["AP50"]["a"] == pytest.approx(1)
    assert average_precision(truth, twice, ["a"])["AP50"]["a"] == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-6)


def test_a_class_without_true_boxes_is_left_out_of_the_mean():
    scores = average_precision([annotation([0, 0, 10, 10, 0])], [detections([0, 0, 10, 10, 0.9, 0])], ["a", "b"])
    assert np.isnan(scores["AP50"]["b"]) and scores["AP50"]["mean"] == pytest.approx(1)


def test_three_hundred_boxes_on_a_photograph_are_all_judged():
    """COCO itself looks at the best 100 of a class."""
    boxes = [[x, y, x + 8, y + 8] for x in range(0, 200, 10) for y in range(0, 150, 10)]
    truth, found = [annotation(*([*box, 0] for box in boxes))], [detections(*([*box, 0.9, 0] for box in boxes))]
    assert len(boxes) == 300
    assert average_precision(truth, found, ["a"]) == {"AP50": {"a": 1, "mean": 1}, "AP": {"a": 1, "mean": 1}}
    assert precision_recall(truth, found, ["a"])["a"].precision.min() == 1
    assert worst_mistakes(truth, found, ["a"]) == ([], [])


def test_three_hundred_boxes_on_a_photograph_are_all_looked_for(tmp_path):
    boxes = np.array([[x, y, x + 8, y + 8] for x in range(0, 320, 16) for y in range(0, 240, 16)], np.float32)
    Image.new("RGB", (320, 256)).save(tmp_path / "photo.png")
    true = Annotation(tmp_path / "photo.png", boxes, np.zeros(len(boxes), int))
    detector = detector_of(heads_that_see(np.insert(boxes, 4, 0, 1), (256, 320), (256, 320), num_classes=1))
    assert len(boxes) == 300
    assert evaluate(detector, [true], Heads((256, 320), ANCHORS, 1), ["a"])["AP50"]["a"] > 0.99


def test_the_callback_logs_the_same_figure_and_its_pictures_judge_the_sure_boxes(tmp_path, monkeypatch):
    planted = [[10, 10, 50, 60, 0], [70, 20, 110, 80, 1], [5, 60, 45, 90, 2]]
    heads = heads_that_see(planted, (96, 128))
    heads[1][0, 3, 5, 4] = -1  # of the second box the detector is not sure
    Image.new("RGB", (128, 96)).save(tmp_path / "photo.png")
    empty = replace(annotation(), image_path=tmp_path / "photo.png")
    photograph = replace(annotation(*planted[:2]), image_path=tmp_path / "photo.png")
    photographs, detector, of = [empty, *[photograph] * 4], detector_of(heads), Heads((96, 128), ANCHORS, 3)
    judge = AveragePrecision(detector, photographs, of, "abc", every=2)
    judge.set_params({"epochs": 9})
    drawn = {}
    monkeypatch.setattr("yolo_helpers.training.save_verdicts", lambda path, *shown: drawn.update({path.name: shown}))
    for epoch in (0, 1):
        logs = {}
        judge.on_epoch_end(epoch, logs)
        Snapshots(tmp_path, judge).on_epoch_end(epoch, logs)
    assert logs == {"val_AP50": evaluate(detector, photographs, of, "abc")["AP50"]["mean"]}
    assert list(drawn) == ["found-0002.png"]
    annotations, judged, _, title = drawn["found-0002.png"]
    assert "epoch 2," in title and str(Snapshots.SCORE_THRESHOLD) in title
    assert [one is photograph for one in annotations] == [True, True]  # two, not the one without an object
    for verdict in judged:
        assert verdict.right.classes.tolist() == [0] and verdict.wrong.classes.tolist() == [2]
        assert verdict.missed.tolist() == [planted[1][:4]]
    assert [len(one.boxes) for one in judge.found] == [3] * 5


def test_nothing_found_is_zero():
    scores = average_precision([annotation([0, 0, 10, 10, 0])], [NOTHING], ["a", "b"])
    assert scores["AP50"]["a"] == 0 and scores["AP50"]["mean"] == 0 and np.isnan(scores["AP"]["b"])


def test_as_many_detections_as_photographs():
    with pytest.raises(ValueError, match="detections for 1 photographs, found 2"):
        average_precision([annotation()], [NOTHING, NOTHING], ["a"])


# Five true boxes of one class, of 20 x 20, 50 x 50 and 100 x 100 pixels. By falling score, what is found is right (A),
# wrong, right (B, IoU 0.8), right (C), wrong (B again), right (E), wrong; D is missed. Precision and recall are so far
# 1 and 1/5, 1/2, 2/3 and 2/5, 3/4 and 3/5, 3/5, 4/6 and 4/5, 4/7.
A, B, C = [0, 0, 20, 20], [100, 0, 150, 50], [0, 100, 100, 200]
D, E = [0, 0, 50, 50], [100, 100, 200, 200]
FIVE = [annotation(*([*box, 0] for box in (A, B, C))), annotation(*([*box, 0] for box in (D, E)))]
FOUND = [
    detections([*A, 0.9, 0], [100, 0, 150, 40, 0.7, 0], [*C, 0.6, 0], [100, 0, 140, 50, 0.5, 0]),
    detections([300, 300, 350, 350, 0.8, 0], [*E, 0.4, 0], [300, 0, 400, 100, 0.3, 0]),
]


def test_five_boxes_as_a_curve():
    """Made falling from the right: 1 up to recall 1/5, 3/4 up to 3/5, 4/6 up to 4/5, then 0."""
    curve = precision_recall(FIVE, FOUND, ["a"])["a"]
    for recall, precision, score in (
        (0, 1, 0.9),
        (0.19, 1, 0.9),
        (0.21, 3 / 4, 0.7),
        (0.41, 3 / 4, 0.6),
        (0.59, 3 / 4, 0.6),
        (0.61, 4 / 6, 0.4),
        (0.79, 4 / 6, 0.4),
        (0.81, 0, 0),
        (1, 0, 0),
    ):
        at = round(recall * 100)
        assert (curve.recall[at], curve.precision[at], curve.scores[at]) == pytest.approx((recall, precision, score))
    assert curve.precision.mean() == average_precision(FIVE, FOUND, ["a"])["AP50"]["a"]


def test_five_boxes_at_the_best_threshold():
    """F1 = 2 right / (found + 5), by falling score: 2/6, 2/7, 4/8, 6/9, 6/10, 8/11, 8/12."""
    assert best_threshold(FIVE, FOUND, ["a"]) == pytest.approx((0.4, 8 / 11))


def test_five_boxes_and_their_mistakes():
    wrong, missed = worst_mistakes(FIVE, FOUND, ["a"])
    assert [mistake.score for mistake in wrong] == pytest.approx([0.8, 0.5, 0.3])
    assert [mistake.box.tolist() for mistake in wrong] == [[300, 300, 350, 350], [100, 0, 140, 50], [300, 0, 400, 100]]
    (missed,) = missed
    assert missed.box.tolist() == D and missed.score is None and missed.image_path == FIVE[1].image_path
    assert [len(kind) for kind in worst_mistakes(FIVE, FOUND, ["a"], count=1)] == [1, 1]


def random_case(seed):
    """Boxes of 8 to 200 pixels, and detections that are moved, repeated, of another class, invented or missing."""
    rng = np.random.default_rng(seed)

    def boxes(count):
        corners = rng.uniform(0, 300, (count, 2))
        sides = 8 * 25 ** rng.random((count, 2))
        return np.column_stack([corners, corners + sides, rng.integers(0, 3, count)])

    truth, found = [], []
    for _ in range(12):
        true = boxes(rng.integers(0, 8))
        near = np.concatenate([true, true[::2]])
        near[:, :4] += rng.normal(0, 2, (len(near), 4))
        near = np.concatenate([near[rng.random(len(near)) < 0.8], boxes(3)])
        near[:, 2:4] = np.maximum(near[:, 2:4], near[:, :2] + 1)
        near[rng.random(len(near)) < 0.1, 4] = 1
        scores = rng.integers(1, 60, len(near)) / 60  # few different ones, so that many are equal
        found.append(detections(*np.insert(near, 4, scores, axis=1)))
        truth.append(annotation(*true))
    return truth, found


def plain_pycocotools(truth, found, tmp_path, classes):
    """The way of pycocotools' own demo: files and loadRes, for these classes alone."""

    def boxes(i, one):
        sides = one.boxes[:, 2:] - one.boxes[:, :2]
        for (x, y), (w, h), c in zip(one.boxes[:, :2].tolist(), sides.tolist(), one.classes.tolist()):
            yield {"image_id": i, "category_id": c, "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}

    true_boxes = [box for i, one in enumerate(truth) for box in boxes(i, one)]
    content = {
        "images": [{"id": i} for i in range(len(truth))],
        "annotations": [box | {"id": number} for number, box in enumerate(true_boxes, start=1)],
        "categories": [{"id": c} for c in range(3)],
    }
    results = [
        {"image_id": i, "category_id": box["category_id"], "bbox": box["bbox"], "score": float(score)}
        for i, one in enumerate(found)
        for box, score in zip(boxes(i, one), one.scores)
    ]
    (tmp_path / "truth.json").write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "found.json").write_text(json.dumps(results), encoding="utf-8")
    coco = COCO(tmp_path / "truth.json")
    judge = COCOeval(coco, coco.loadRes(str(tmp_path / "found.json")), "bbox")
    judge.params.catIds = classes
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_pycocotools_used_directly(seed, tmp_path):
    truth, found = random_case(seed)
    scores = average_precision(truth, found, "abc")
    curves = precision_recall(truth, found, "abc")
    for name, classes in {"a": [0], "b": [1], "c": [2], "mean": [0, 1, 2]}.items():
        judge = plain_pycocotools(truth, found, tmp_path, classes)
        assert (scores["AP"][name], scores["AP50"][name]) == pytest.approx(tuple(judge.stats[:2]))
        if name != "mean":
            assert np.array_equal(curves[name].precision, judge.eval["precision"][0, :, 0, 0, 2])
            assert np.array_equal(curves[name].scores, judge.eval["scores"][0, :, 0, 0, 2])


def plain_verdicts(truth, found, threshold):
    """Plain loops: the best detection first takes the true box of its class that it overlaps most, from IoU 0.5.

    For each photograph, the numbers of the detections that are right and wrong, and of the true boxes that are missed.
    """
    for one, other in zip(truth, found):
        right, wrong = [], []
        free = set(range(len(one.boxes)))
        for d in np.argsort(-other.scores, kind="stable"):
            if other.scores[d] < threshold:
                continue
            overlaps = [(box_iou(other.boxes[[d]], one.boxes[[t]])[0, 0], t) for t in free]
            best = max((o for o in overlaps if one.classes[o[1]] == other.classes[d]), default=(0, None))
            (right if best[0] >= 0.5 else wrong).append(d)
            free -= {best[1]} if best[0] >= 0.5 else set()
        yield right, wrong, sorted(free)


def plain_matches(truth, found, threshold):
    """The scores of what is right and wrong on all photographs, and the areas of what is missed."""
    right, wrong, missed = [], [], []
    for one, other, verdict in zip(truth, found, plain_verdicts(truth, found, threshold)):
        right += other.scores[verdict[0]].tolist()
        wrong += other.scores[verdict[1]].tolist()
        missed += [box_area(one.boxes[t]) for t in verdict[2]]
    return right, wrong, missed


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_verdicts_are_those_of_plain_loops(seed, threshold):
    truth, found = random_case(seed)
    truth, found = [annotation(), annotation(), *truth], [NOTHING, found[0], *found]
    judged = verdicts(truth, found, "abc", threshold)
    assert len(judged) == len(truth)
    for one, other, verdict, numbers in zip(truth, found, judged, plain_verdicts(truth, found, threshold)):
        right, wrong, missed = map(sorted, numbers)
        for detections_, expected in ((verdict.right, right), (verdict.wrong, wrong)):
            assert all(np.array_equal(part, whole[expected]) for part, whole in zip(detections_, other))
        assert np.array_equal(verdict.missed, one.boxes[missed])
        assert np.array_equal(verdict.missed_classes, one.classes[missed])
        assert len(verdict.taken) == len(right) and np.all(np.diag(box_iou(verdict.right.boxes, verdict.taken)) >= 0.5)
    if threshold == 0.5:
        assert min(sum(len(part) for part in parts) for parts in zip(*plain_verdicts(truth, found, 0.5))) > 3


def as_sets(verdict):
    """The boxes of each kind with their class and score, in any order."""
    kinds = [np.column_stack([one.boxes, one.classes, one.scores]) for one in (verdict.right, verdict.wrong)]
    kinds.append(np.column_stack([verdict.missed, verdict.missed_classes]))
    kinds.append(np.column_stack([verdict.right.boxes, verdict.taken]))
    return [sorted(kind.tolist()) for kind in kinds]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9, 1.1])
def test_a_verdict_above_a_threshold_is_that_on_what_reaches_it(seed, threshold):
    truth, found = random_case(seed)
    judged = zip(verdicts(truth, found, "abc"), verdicts(truth, found, "abc", threshold), strict=True)
    assert all(as_sets(one.above(threshold)) == as_sets(anew) for one, anew in judged)


def test_verdicts_of_no_photograph():
    assert verdicts([], [], "abc") == []


@pytest.mark.parametrize("seed", range(3))
def test_threshold_and_mistakes_are_those_of_plain_loops(seed):
    truth, found = random_case(seed)
    boxes = sum(len(one.boxes) for one in truth)

    def f1(threshold):
        right, wrong, _ = plain_matches(truth, found, threshold)
        return 2 * len(right) / (len(right) + len(wrong) + boxes)

    threshold, best = best_threshold(truth, found, "abc")
    candidates = np.unique(np.concatenate([one.scores for one in found]))
    candidates = candidates[candidates >= 0.05]
    assert f1(threshold) == pytest.approx(best) and best == pytest.approx(max(f1(score) for score in candidates))
    # With the threshold, `detect` would find just these: the comparison is its own.
    kept = [Detections(*(part[one.scores >= threshold] for part in one)) for one in found]
    _, wrong, missed = plain_matches(truth, kept, 0)
    mistakes = worst_mistakes(truth, kept, "abc", count=1000)
    assert [mistake.score for mistake in mistakes[0]] == sorted(wrong, reverse=True)
    areas = [box_area(mistake.box) for mistake in mistakes[1]]
    assert areas == pytest.approx(sorted(missed, reverse=True), rel=1e-4) and len(areas) > 3


def test_a_curve_of_a_class_without_true_boxes_is_unknown_and_of_one_never_found_is_zero():
    curves = precision_recall([annotation([0, 0, 10, 10, 0])], [NOTHING], ["a", "b"])
    assert (curves["a"].precision == 0).all() and np.isnan(curves["b"].precision).all()


def test_the_best_threshold_is_no_lower_than_a_twentieth():
    """Four more boxes are right at 0.03, where F1 would be 10 / 10; at 0.07 it is 2 / (1 + 5)."""
    boxes = [[20 * n, 0, 20 * n + 10, 10] for n in range(5)]
    weak = detections(*([*box, score, 0] for box, score in zip(boxes, [0.07, 0.03, 0.03, 0.03, 0.03], strict=True)))
    true = [annotation(*([*box, 0] for box in boxes))]
    assert best_threshold(true, [weak], ["a"]) == pytest.approx((0.07, 2 / 6))
    weak.scores[0] = 0.045
    with pytest.raises(ValueError, match="No detection .* fits a true box"):
        best_threshold(true, [weak], ["a"])


def test_there_is_no_best_threshold_if_nothing_is_right():
    with pytest.raises(ValueError, match="No detection .* fits a true box"):
        best_threshold([annotation([0, 0, 10, 10, 0])], [detections([50, 50, 60, 60, 0.9, 0])], ["a"])
    with pytest.raises(ValueError, match="No detection .* fits a true box"):
        best_threshold([annotation()], [NOTHING], ["a"])


def test_without_mistakes_both_lists_are_empty():
    assert worst_mistakes([annotation([0, 0, 9, 9, 0])], [detections([0, 0, 9, 9, 0.9, 0])], ["a"]) == ([], [])


def test_what_was_never_found_at_all_is_missed():
    missed = worst_mistakes([annotation([0, 0, 9, 9, 0], [0, 0, 20, 20, 1])], [NOTHING], ["a", "b"])[1]
    assert all(isinstance(mistake, Mistake) for mistake in missed)
    assert [(mistake.class_index, mistake.box.tolist()) for mistake in missed] == [
        (1, [0, 0, 20, 20]),
        (0, [0, 0, 9, 9]),
    ]
