"""The pictures, judged by what is drawn on the axes."""

import re
import warnings

import matplotlib

matplotlib.use("Agg")

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle
from PIL import Image

from yolo_helpers.anchors import Heads, anchor_iou, default_anchors
from yolo_helpers.annotations import Annotation as Photograph
from yolo_helpers.detection import Detections
from yolo_helpers.evaluation import Mistake, Verdict, verdicts
from yolo_helpers.model import micro_yolo_body, output_convolutions
from yolo_helpers.plots import (
    COLOURS,
    save_boxes,
    save_verdicts,
    show_anchors,
    show_boxes,
    show_frozen,
    show_grid,
    show_history,
    show_mistakes,
    show_overlap,
    show_photographs,
    show_progress,
    show_replicas,
    show_slot,
    show_threshold,
    show_timeline,
    show_verdicts,
)

IMAGE = np.full((48, 64, 3), 200, np.uint8)
BOXES = np.array([[2, 3, 22, 33], [30, 10, 60, 40], [5, 35, 15, 45]], np.float32)
NAMES = ["Platelets", "RBC", "WBC"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def rectangles(ax):
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def labels(ax):
    return [text.get_text() for text in ax.texts]


def visible_labels(ax):
    ax.figure.canvas.draw()
    return {text: text.get_window_extent() for text in ax.texts if text.get_visible()}


def assert_apart_and_inside(ax, shown):
    extents = list(shown.values())
    assert not any(one.overlaps(other) for n, one in enumerate(extents) for other in extents[:n])
    assert all(ax.bbox.padded(1).contains(*corner) for extent in extents for corner in extent.corners())


# Boxes


def test_boxes_are_drawn_where_they_are_and_named():
    ax = show_boxes(IMAGE, BOXES, np.array([1, 1, 2]), NAMES, title="a smear")
    drawn = [[*box.get_xy(), box.get_width(), box.get_height()] for box in rectangles(ax)]
    assert drawn == [[2, 3, 20, 30], [30, 10, 30, 30], [5, 35, 10, 10]]
    assert labels(ax) == ["RBC", "RBC", "WBC"] and ax.get_title() == "a smear"
    assert len(ax.images) == 1 and ax.images[0].get_array().shape == (48, 64, 3)
    colours = [to_hex(box.get_edgecolor()).upper() for box in rectangles(ax)]
    assert colours == [COLOURS[1], COLOURS[1], COLOURS[2]]


def test_scores_stand_beside_the_names():
    ax = show_boxes(IMAGE, BOXES[:2], np.array([0, 2]), NAMES, scores=np.array([0.987, 0.3]))
    assert labels(ax) == ["Platelets 0.99", "WBC 0.30"]


def letters_of(family):
    return font_manager.get_font(font_manager.findfont(family)).get_charmap().keys()


def test_a_name_that_needs_another_font_gets_one():
    letter = chr(min(letters_of("STIXGeneral") - letters_of("DejaVu Sans")))
    name = f"cell {letter}"
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = show_boxes(IMAGE, BOXES[:1], np.array([0]), [name])
        ax.figure.canvas.draw()
    assert labels(ax) == [name] and len(ax.texts[0].get_fontfamily()) == 2


def test_a_name_that_no_font_has_is_drawn_as_its_number_and_said_once(tmp_path):
    name, path = "cat \U0010fffd", tmp_path / "\U0010fffd.png"
    Image.fromarray(IMAGE).save(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for classes in ([1, 0], [1, 1]):
            (ax,) = show_photographs([Photograph(path, BOXES[:2], np.array(classes))], ["RBC", name])
            ax.figure.canvas.draw()
            assert labels(ax) == [["RBC", "1"][c] for c in classes] and ax.get_title() == r"\U0010fffd.png"
    assert len(caught) == 1 and "install" in str(caught[0].message)


def test_every_name_can_be_read_on_its_colour():
    names = [str(number) for number in range(len(COLOURS))]
    ax = show_boxes(IMAGE, np.tile(BOXES[:1], (len(names), 1)), range(len(names)), names)
    for text in ax.texts:
        # Relative luminance and contrast as in WCAG 2; 3 is its least for marks and large text.
        ink, paper = (
            np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
            for rgb in (np.array(to_rgb(c)) for c in (text.get_color(), text.get_bbox_patch().get_facecolor()))
        )
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 3, text.get_text()


def test_a_picture_without_boxes_and_axes_of_ones_own():
    given = plt.subplots()[1]
    assert show_boxes(IMAGE, np.zeros((0, 4)), np.zeros(0, int), NAMES, ax=given) is given
    assert not rectangles(given) and not labels(given) and len(given.images) == 1


def test_a_saved_picture_shows_the_photograph_with_boxes_and_leaves_no_figure(tmp_path):
    photo = np.full((1200, 1600, 3), 200, np.uint8)
    save_boxes(tmp_path / "a.png", photo, np.array([[400, 300, 1200, 900]]), [1], NAMES, [0.5])
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"] and not plt.get_fignums()
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape == photo.shape  # pixel for pixel
    blue = (abs(pixels - [0x00, 0x72, 0xB2]) < 40).all(-1)
    rows, columns = np.nonzero(blue)
    rows = rows[columns > 1000]  # without the label, which stands above the left corner
    assert abs(np.array([columns.min(), rows.min(), columns.max(), rows.max()]) - [400, 300, 1200, 900]).max() <= 6
    assert (pixels[600, 500] == 200).all() and (pixels[100, 100] == 200).all()


def test_of_many_boxes_the_surest_are_named_and_no_name_covers_another():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, [54, 38], (300, 2))
    boxes, scores = np.hstack([corners, corners + rng.uniform(2, 10, (300, 2))]), rng.permutation(300) / 300
    ax = show_boxes(IMAGE, boxes, rng.integers(0, 3, 300), NAMES, scores)
    shown = visible_labels(ax)
    assert_apart_and_inside(ax, shown)
    assert 5 < len(shown) < 300 == len(rectangles(ax))
    assert any(text.get_text().endswith(f"{scores.max():.2f}") for text in shown)


@pytest.mark.parametrize("box", [[50, 20, 60, 40], [50, 0, 64, 48], [0, 0, 64, 48], [62, 2, 64, 4]])
def test_a_long_name_is_not_cut_at_the_border(box):
    ax = show_boxes(IMAGE, np.array([box]), np.array([0]), ["a house with a green roof, or with a red one"])
    shown = visible_labels(ax)
    assert_apart_and_inside(ax, shown)
    (text,) = shown
    assert text.get_text().startswith("a house") and text.get_text().endswith("red one")


def test_a_name_stands_outside_its_box_and_hides_no_small_object():
    boxes = np.array([[20, 20, 30, 30], [20, 16, 24, 19]])  # the second just above the first
    ax = show_boxes(IMAGE, boxes, np.array([0, 1]), NAMES)
    to_canvas = ax.transData.transform
    for extent in visible_labels(ax).values():
        for x_min, y_min, x_max, y_max in boxes:
            (left, bottom), (right, top) = to_canvas((x_min, y_max)), to_canvas((x_max, y_min))
            width, height = min(extent.x1, right) - max(extent.x0, left), min(extent.y1, top) - max(extent.y0, bottom)
            assert max(width, 0) * max(height, 0) < 0.1 * (right - left) * (top - bottom)


def test_of_a_part_of_a_photograph_only_its_boxes_are_named():
    ax = show_boxes(IMAGE, BOXES, np.array([0, 1, 2]), NAMES)
    ax.set(xlim=(28, 64), ylim=(48, 0))
    assert [text.get_text() for text in visible_labels(ax)] == ["RBC"]


def test_a_small_photograph_is_enlarged_so_that_names_can_be_read(tmp_path):
    save_boxes(tmp_path / "a.png", IMAGE, BOXES, [0, 1, 2], NAMES)
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (800, 600)


# Right, wrong and missed

NOTHING = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
RIGHT = Detections(BOXES[:1], np.array([0.8]), np.array([1]))
WRONG = Detections(BOXES[1:2], np.array([0.65]), np.array([2]))
NO_BOXES, NO_CLASSES = NOTHING.boxes, NOTHING.classes
VERDICT = Verdict(RIGHT, WRONG, BOXES[2:], np.array([0]), RIGHT.boxes)


def drawn(ax, kind):
    boxes = [box for box in rectangles(ax) if box.get_gid() == kind]
    return [[*box.get_xy(), box.get_xy()[0] + box.get_width(), box.get_xy()[1] + box.get_height()] for box in boxes]


def legend(one):
    return [text.get_text() for text in one.get_texts()]


@pytest.fixture
def show_one(tmp_path):
    """Draws one verdict on a grey photograph; returns its axes and the words of the legend."""
    path = tmp_path / "smear.png"
    Image.fromarray(IMAGE).save(path)

    def show(verdict, class_names=NAMES):
        (ax,) = show_verdicts([Photograph(path, BOXES, np.array([0, 1, 2]))], [verdict], class_names)
        return ax, legend(ax.figure.legends[0])

    return show


def test_a_verdict_is_drawn_and_counted(show_one):
    ax, words = show_one(VERDICT)
    kinds = {"right": RIGHT.boxes, "wrong": WRONG.boxes, "missed": VERDICT.missed}
    assert {kind: drawn(ax, kind) for kind in kinds} == {kind: boxes.tolist() for kind, boxes in kinds.items()}
    assert words == ["1 right", "1 wrong", "1 missed"] and ax.get_title() == "smear.png"
    assert {text.get_gid(): text.get_text() for text in ax.texts} == {"wrong": "WBC 0.65", "missed": "Platelets"}
    boxes = rectangles(ax)
    assert len({box.get_edgecolor() for box in boxes}) == 3
    assert len({(str(box.get_linestyle()), box.get_linewidth()) for box in boxes}) == 3  # told apart without colour


def test_one_class_needs_no_name(show_one):
    one = VERDICT._replace(wrong=WRONG._replace(classes=np.array([0])))
    assert labels(show_one(one, ["cell"])[0]) == ["0.65"]


def test_a_verdict_on_nothing(show_one):
    ax, words = show_one(Verdict(NOTHING, NOTHING, NO_BOXES, NO_CLASSES, NO_BOXES))
    ax.figure.canvas.draw()
    assert not rectangles(ax) and not labels(ax) and words == ["0 right", "0 wrong", "0 missed"]


def test_a_verdict_with_names_that_are_formulas_or_foreign(show_one):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where no font has these letters
        ax, _ = show_one(VERDICT, ["血小板", "$x^$", "$$_{"])
        ax.figure.canvas.draw()
    written = {text.get_gid(): text.get_text() for text in ax.texts}
    assert written["wrong"] == r"\$\$_{ 0.65" and written["missed"] in ("血小板", "0")


def test_labels_do_not_cover_each_other_nor_leave_the_photograph(show_one):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40, (60, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(2, 20, (60, 2))], 1).clip(0, [64, 48, 64, 48])
    crowd = Detections(boxes[:30], rng.random(30), rng.integers(0, 3, 30))
    ax, _ = show_one(Verdict(NOTHING, crowd, boxes[30:], np.zeros(30, int), NO_BOXES))
    shown = visible_labels(ax)
    assert 5 < len(shown) < 60 == len(ax.texts)
    assert_apart_and_inside(ax, shown)
    best = f"{crowd.scores.max():.2f}"
    assert any(text.get_text().endswith(best) for text in shown)  # the surest mistake gets its place first


@pytest.mark.parametrize("box", [[0, 0, 64, 48], [0, 0, 20, 20], [44, 0, 64, 48], [50, 40, 64, 48]])
def test_a_label_finds_a_place_at_the_border(show_one, box):
    found = Detections(np.array([box], float), np.array([0.5]), np.array([0]))
    ax, _ = show_one(Verdict(NOTHING, found, NO_BOXES, NO_CLASSES, NO_BOXES))
    assert len(visible_labels(ax)) == 1


@pytest.fixture
def judged_photographs(tmp_path):
    """Photographs with the same verdict, the last one upright."""
    photographs = []
    for number, size in enumerate([(64, 48), (64, 48), (48, 64)]):
        path = tmp_path / f"photograph-{number}.png"
        Image.new("RGB", size, "grey").save(path)
        photographs.append(Photograph(path, BOXES[[0, 2]], np.array([1, 0])))
    found = Detections(BOXES[:2], np.array([0.8, 0.65]), np.array([1, 2]))
    return photographs, [found] * 3


def test_verdicts_in_rows_have_one_legend(judged_photographs):
    photographs, found = judged_photographs
    axes = show_verdicts(photographs, verdicts(photographs, found, NAMES), NAMES, columns=2, title="after epoch 5")
    assert [ax.get_title() for ax in axes] == [path.image_path.name for path in photographs]
    assert [len(drawn(ax, "wrong")) for ax in axes] == [1, 1, 1]
    (one,) = axes[0].figure.legends
    assert legend(one) == ["3 right", "3 wrong", "3 missed"] and not any(ax.get_legend() for ax in axes)
    assert axes[0].figure.get_suptitle() == "after epoch 5" and len(axes[0].figure.axes) == 4


def test_verdicts_are_saved(judged_photographs, tmp_path):
    photographs, found = judged_photographs
    save_verdicts(tmp_path / "found.png", photographs[:2], verdicts(photographs[:2], found[:2], NAMES), NAMES)
    with Image.open(tmp_path / "found.png") as picture:
        assert picture.height > picture.width and not plt.get_fignums()


def test_long_names_of_photographs_are_shortened(tmp_path):
    path = tmp_path / f"{'IMG_2026' * 8}_last.png"
    Image.fromarray(IMAGE).save(path)
    (ax,) = show_photographs([Photograph(path, BOXES, np.array([0, 1, 2]))], NAMES)
    assert ax.get_title().startswith("IMG_") and ax.get_title().endswith("last.png") and len(ax.get_title()) <= 24


# A threshold


def many_found(photographs, seed=0):
    """The true boxes, moved, and others, with few different scores."""
    rng = np.random.default_rng(seed)
    for photograph in photographs:
        corners = rng.uniform(0, 30, (12, 2))
        boxes = np.concatenate([photograph.boxes + rng.normal(0, 1, (2, 4)), np.hstack([corners, corners + 12])])
        yield Detections(boxes, rng.integers(1, 20, len(boxes)) / 20, rng.integers(0, 2, len(boxes)))


def counts_at(photographs, found, threshold):
    judged = verdicts(photographs, found, NAMES, threshold)
    sizes = [(len(one.right.boxes), len(one.wrong.boxes), len(one.missed)) for one in judged]
    return np.sum(sizes, axis=0).tolist()


@pytest.mark.parametrize("threshold, cut", [(0.1, ["wrong"]), (0.5, ["wrong"]), (0.85, [])])
def test_a_threshold_moves_photograph_counts_and_point(judged_photographs, threshold, cut):
    photographs, _ = judged_photographs
    found = list(many_found(photographs))
    right, wrong, missed = counts_at(photographs, found, threshold)
    picture, bars, curve = show_threshold(photographs, verdicts(photographs, found, NAMES), NAMES, threshold)
    verdict = verdicts(photographs, found, NAMES, threshold)[0]
    for kind, boxes in (("right", verdict.right.boxes), ("wrong", verdict.wrong.boxes), ("missed", verdict.missed)):
        shown, expected = (np.reshape(sorted(each), (-1, 4)) for each in (drawn(picture, kind), boxes.tolist()))
        np.testing.assert_allclose(shown, expected, rtol=1e-5)
    counts = {"right": right, "wrong": wrong, "missed": missed}
    lengths = {bar.get_gid(): bar.get_width() for bar in rectangles(bars)}
    assert [kind for kind, count in counts.items() if lengths[kind] != count] == cut
    assert all(right + missed <= lengths[kind] < counts[kind] for kind in cut)
    assert len(bars.patches) == 3 + len(cut)  # a bar that is cut has a point
    shown = visible_labels(bars)
    assert [text.get_text() for text in shown] == [str(count) for count in counts.values()]
    for extent, length in zip(shown.values(), lengths.values(), strict=True):
        assert bars.transData.transform((length, 0))[0] < extent.x0 and extent.x1 < bars.bbox.x1
    (point,) = [line for line in curve.lines if line.get_gid() == "threshold"]
    x, y = point.get_xydata()[0]
    assert (x, y) == pytest.approx((right / (right + missed), right / (right + wrong)))
    assert f"{x:.2f}" in curve.get_title() and f"{y:.2f}" in curve.get_title()


def test_the_curve_has_a_point_for_every_score(judged_photographs):
    photographs, _ = judged_photographs
    found = list(many_found(photographs))
    *_, curve = show_threshold(photographs, verdicts(photographs, found, NAMES), NAMES, 0.5)
    scores = np.unique(np.concatenate([one.scores for one in found]))[::-1]
    expected = []
    for score in scores:
        right, wrong, missed = counts_at(photographs, found, score)
        expected.append([right / (right + missed), right / (right + wrong)])
    np.testing.assert_allclose(curve.lines[0].get_xydata(), expected)


def test_under_a_slider_the_axes_stay(judged_photographs):
    photographs, _ = judged_photographs
    judged, shown = verdicts(photographs, list(many_found(photographs)), NAMES), []
    for threshold in (0.05, 0.5, 0.9, 1.0):
        axes = show_threshold(photographs, judged, NAMES, threshold)
        axes[0].figure.canvas.draw()
        shown.append([(ax.get_xlim(), ax.get_ylim(), ax.get_position().bounds) for ax in axes])
    assert all(one == shown[0] for one in shown)


def test_a_threshold_where_nothing_is_found_or_nothing_is_true(judged_photographs):
    photographs, found = judged_photographs
    empty = [Photograph(one.image_path, np.zeros((0, 4)), np.zeros(0, int)) for one in photographs]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for truth, detections, counts in (
            (photographs, [NOTHING] * 3, ["0", "0", "6"]),
            (empty, found, ["0", "6", "0"]),
            (empty, [NOTHING] * 3, ["0", "0", "0"]),
        ):
            picture, bars, curve = show_threshold(truth, verdicts(truth, detections, NAMES), NAMES, 0.5)
            picture.figure.canvas.draw()
            assert labels(bars) == counts
            assert not [line for line in curve.lines if line.get_gid() == "threshold"]


# Mistakes


def test_a_gallery_shows_each_mistake_in_its_part_of_the_photograph(tmp_path):
    path = tmp_path / "smear.png"
    Image.new("RGB", (640, 480)).save(path)
    mistakes = [
        Mistake(path, np.array([300.0, 200, 340, 220]), 1, 0.93),
        Mistake(path, np.array([0.0, 440, 20, 480]), 2, None),
        Mistake(path, np.array([0.0, 0, 640, 480]), 0, 0.5),
    ]
    first, second, third = show_mistakes(mistakes, NAMES, columns=2)
    assert [ax.get_title() for ax in (first, second, third)] == [
        "wrong, smear.png",
        "missed, smear.png",
        "wrong, smear.png",
    ]
    assert [labels(ax) for ax in (first, second, third)] == [["RBC 0.93"], ["WBC"], ["Platelets 0.50"]]
    assert [rectangles(first)[0].get_xy(), rectangles(first)[0].get_width()] == [(300, 200), 40]
    assert (first.get_xlim(), first.get_ylim()) == ((260, 380), (270, 150))
    assert (second.get_xlim(), second.get_ylim()) == ((0, 120), (480, 360))  # moved into the photograph
    assert (third.get_xlim(), third.get_ylim()) == ((0, 640), (480, 0))
    assert len(first.figure.axes) == 4 and not first.figure.axes[3].axison  # two rows of two, the last one empty
    assert len(show_mistakes(mistakes, NAMES)[0].figure.axes) == 3  # one row, without an empty one


def test_a_gallery_shows_the_true_boxes_beside_the_mistakes(judged_photographs):
    photographs, _ = judged_photographs
    path = photographs[1].image_path
    truth = Photograph(path, np.array([[2, 3, 22, 33], [24, 3, 44, 33], [50, 3, 60, 33]]), np.array([1, 0, 0]))
    mistakes = [
        Mistake(path, np.array([12, 3, 40, 33]), 1, 0.9),  # badly fits two, one of them of another class
        Mistake(path, np.array([24, 3, 44, 33]), 0, None),
        Mistake(path, np.array([24, 3, 44, 33]), 2, 0.8),  # well placed, of another class
    ]
    given = [photographs[0], truth, photographs[2]]
    axes = show_mistakes(mistakes, NAMES, given)
    others = truth.boxes[[0, 2]].tolist()
    assert [drawn(ax, "true") for ax in axes] == [truth.boxes.tolist(), others, truth.boxes.tolist()]
    named = [[text.get_text() for text in ax.texts if text.get_gid() == "true"] for ax in axes]
    assert named == [["Platelets"], [], ["Platelets"]]
    lines = {str(box.get_linestyle()) for ax in axes for box in rectangles(ax)}
    assert len(lines) == 3 and axes[0].figure.get_suptitle()  # told apart without colour, and explained
    axes = show_mistakes(mistakes, NAMES)
    assert not any(drawn(ax, "true") for ax in axes) and not axes[0].figure.get_suptitle()
    with pytest.raises(ValueError, match=path.name):
        show_mistakes(mistakes, NAMES, photographs[::2])


def test_a_gallery_without_mistakes_is_empty():
    assert show_mistakes([], NAMES) == []


# The grid


def test_grid_draws_the_square_the_box_and_the_centre_of_each_filled_slot():
    y_true = np.zeros((3, 4, 3, 8), np.float32)
    y_true[1, 2, 0, :5] = 0.625, 0.5, 0.25, 0.5, 1  # centre (40, 24), 16 x 24 pixels
    y_true[0, 0, 2, :5] = 0.125, 0.125, 0.125, 0.25, 1
    ax = show_grid(IMAGE, y_true, title="stride 16")
    boxes = [[*box.get_xy(), box.get_width(), box.get_height()] for box in rectangles(ax)]
    assert sorted(boxes) == [[0, 0, 16, 16], [4, 0, 8, 12], [32, 12, 16, 24], [32, 16, 16, 16]]
    assert sorted(line.get_xydata()[0].tolist() for line in ax.lines) == [[8, 6], [40, 24]]
    assert sorted(labels(ax)) == [" 0", " 2"]
    assert len(ax.get_xticks()) == 5 and len(ax.get_yticks()) == 4


# The ignore mask


def test_overlap_frames_the_squares_with_a_ignored_slot_and_dots_those_with_an_object():
    iou, positive = np.zeros((3, 4, 3)), np.zeros((3, 4, 3), bool)
    iou[1, 2], positive[1, 2, 0] = (0.9, 0.2, 0.1), True  # the object itself is not ignored
    iou[0, 1], positive[0, 1, 1] = (0.6, 0.9, 0.1), True  # its neighbour in the same square is
    iou[2, 3, 2] = 0.5  # an empty square, just at the threshold
    ax = show_overlap(IMAGE, iou, positive, 0.5, title="ignored")
    assert sorted(frame.get_xy() for frame in rectangles(ax)) == [(16, 0), (48, 32)]
    assert sorted(map(tuple, ax.lines[0].get_xydata())) == [(24, 8), (40, 24)]
    np.testing.assert_array_equal(ax.images[1].get_array(), iou.max(-1))
    assert ax.get_title() == "ignored"


# Anchors


@pytest.fixture
def boxes_of_all_sizes(tmp_path):
    """Photographs as large as the input, with boxes of 20 classes, of which the first are the most frequent."""
    Image.new("RGB", (416, 416)).save(tmp_path / "a.png")
    rng = np.random.default_rng(0)
    sides = 4 * 80 ** rng.random((300, 2))
    classes = np.concatenate([np.arange(20), np.minimum(rng.geometric(0.2, 280) - 1, 19)])
    return [Photograph(tmp_path / "a.png", np.hstack([0 * sides, sides]), classes)], sides, classes


def dots(ax, gid):
    return np.concatenate([line.get_xydata() for line in ax.lines if line.get_gid() == gid])


def test_anchors_are_drawn_over_the_sizes_of_the_boxes(boxes_of_all_sizes):
    photographs, sides, classes = boxes_of_all_sizes
    photographs = [Photograph(photographs[0].image_path, photographs[0].boxes, classes % 3)]
    anchors = default_anchors(3)
    anchors[-1] = 2000, 1500  # no box is as large, and yet it is seen
    heads = Heads((416, 416), anchors, 3)
    ax = show_anchors(photographs, NAMES, heads)
    ax.figure.canvas.draw()
    for c, name in enumerate(NAMES):
        np.testing.assert_allclose(dots(ax, name), sides[classes % 3 == c], rtol=1e-5)
    for stride, mask in zip((32, 16, 8), heads.anchor_mask):
        assert sorted(dots(ax, f"stride {stride}").tolist()) == sorted(anchors[mask].tolist())
    (low, high), shown = ax.get_xlim(), np.concatenate([sides, anchors])
    assert (low, high) == ax.get_ylim() and low < shown.min() and shown.max() < high
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    assert {"8", "64", "512"} <= set(ticks)
    best = anchor_iou(sides, anchors).argmax(1)
    texts = " ".join(legend(ax.get_legend()))
    for stride, mask in zip((32, 16, 8), heads.anchor_mask):
        assert re.search(rf"stride {stride}\b.*?: best fit of {np.isin(best, mask).mean():.0%}", texts)
    assert f"fit no box best ({9 - len(set(best))})" in texts


def test_the_shade_says_which_head_fits(boxes_of_all_sizes):
    heads = Heads((416, 416), default_anchors(3), 20)
    ax = show_anchors(boxes_of_all_sizes[0], list(map(str, range(20))), heads)
    (mesh,) = ax.collections
    shades = mesh.get_array()
    side = np.geomspace(*ax.get_xlim(), len(shades))
    for row, column in ((10, 10), (75, 75), (140, 140), (20, 120), (120, 60)):
        overlaps = []
        for mask in heads.anchor_mask:
            for width, height in heads.anchors[mask]:
                both = min(width, side[column]) * min(height, side[row])
                overlaps.append(both / (width * height + side[column] * side[row] - both))
        assert shades[row, column] == np.argmax(overlaps) // 3


def test_of_many_classes_the_most_frequent_have_names(boxes_of_all_sizes):
    photographs, sides, classes = boxes_of_all_sizes
    names = [f"${number}$" for number in range(20)]
    ax = show_anchors(photographs, names, Heads((416, 416), default_anchors(2), 20))
    ax.figure.canvas.draw()
    counts = np.bincount(classes)
    named = [c for c in range(20) if rf"\${c}\$: {counts[c]}" in legend(ax.get_legend())]
    assert len(named) == 8 and counts[named].min() >= np.delete(counts, named).max()
    assert len(dots(ax, "12 other classes")) == len(sides) - counts[named].sum()


# What is taken over


@pytest.fixture(scope="module")
def body():
    return micro_yolo_body(keras.Input((64, 64, 3)), 3, 2)


@pytest.mark.parametrize("which", ["heads", "all", "none"])
def test_new_layers_are_told_apart(body, which):
    heads = output_convolutions(body)
    convolutions = [layer for layer in body.layers if isinstance(layer, keras.layers.Conv2D)]
    given, new = {"heads": (heads, heads), "all": (None, convolutions), "none": ([], [])}[which]
    ax = show_frozen(body, given)
    ax.figure.canvas.draw()
    for kind, expected in (("new", new), ("taken over", [layer for layer in convolutions if layer not in new])):
        bars = [bar for bar in rectangles(ax) if bar.get_gid() == kind]
        assert [bar.get_height() for bar in bars] == [layer.count_params() for layer in expected]
    parameters = body.count_params() if which == "all" else sum(layer.count_params() for layer in new)
    assert f"new: {len(new)} of {len(convolutions)} " in ax.get_title()
    assert f"{100 * parameters / body.count_params():.3g}%" in ax.get_title()
    assert f"new: {parameters:,} parameters" in legend(ax.get_legend())
    low, high = ax.get_ylim()
    assert all(low < layer.count_params() < high for layer in convolutions)


# The snapshots of a training


@pytest.mark.parametrize("epochs, chosen", [([5], [5]), ([5, 10, 15], [5, 10, 15]), (range(5, 55, 5), [5, 20, 35, 50])])
def test_progress_goes_from_the_first_snapshot_to_the_last(tmp_path, epochs, chosen):
    for epoch in epochs:
        Image.new("RGB", (120 + epoch, 200), (epoch, 0, 0)).save(tmp_path / f"found-{epoch:04d}.png")
    axes = show_progress(tmp_path)
    assert [int(ax.images[0].get_array()[0, 0, 0]) for ax in axes] == chosen
    assert [round(ax.bbox.width) for ax in axes] == [120 + epoch for epoch in chosen]  # pixel for pixel


def test_progress_of_a_folder_without_snapshots(tmp_path):
    with pytest.raises(ValueError, match=r"holds no found-0005\.png"):
        show_progress(tmp_path)


# The curves of a training


def test_history_leaves_out_what_is_none():
    ax = show_history(
        {"loss": [5.0, 3.0, 2.0], "val_AP50": [None, 0.5, None], "other": [1, 1, 1]}, ["loss", "val_AP50"]
    )
    loss, score = ax.lines
    assert loss.get_xydata().tolist() == [[1, 5], [2, 3], [3, 2]]
    assert score.get_xydata().tolist() == [[2, 0.5]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["loss", "val_AP50"]
    assert loss.get_marker() != score.get_marker()  # never by colour alone


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_epochs_are_whole_numbers(epochs):
    ax = show_history({"loss": [2.5] * epochs, "val_AP50": [None] * epochs}, ["loss", "val_AP50"])
    ax.figure.canvas.draw()
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert ticks and all(tick in range(1, epochs + 1) for tick in ticks)
    assert low < 1 and epochs < high and len(ax.get_legend().get_texts()) == 2


def test_an_average_precision_is_drawn_between_0_and_1():
    score, loss = (show_history({name: [0.00069, 0.00076]}, [name]).get_ylim() for name in ("val_AP50", "loss"))
    assert score == pytest.approx((0, 1), abs=0.05) and loss == pytest.approx((0.00069, 0.00076), rel=0.05)


# One slot

SQUARE = (16, 8, 24, 16)
SLOT_BOXES = {"true box": (10, 4, 34, 26), "anchor": (9, 2, 31, 22), "prediction": (12, 5, 30, 20)}
TERMS = {"xy": 0.25, "wh": 0.5, "confidence": 11.25, "class": 1.0}


def test_slot_draws_square_boxes_and_their_centres():
    picture, _ = show_slot(IMAGE, SQUARE, SLOT_BOXES, TERMS)
    square, *boxes = [patch.get_bbox().extents.tolist() for patch in rectangles(picture)]
    assert square == list(SQUARE) and boxes == [list(box) for box in SLOT_BOXES.values()]
    assert [tuple(line.get_xydata()[0]) for line in picture.lines] == [(22, 15), (20, 12), (21, 12.5)]
    drawn = rectangles(picture)[1:]
    assert len({box.get_edgecolor() for box in drawn}) == len({box.get_linestyle() for box in drawn}) == 3
    assert [text.get_text() for text in picture.get_legend().get_texts()] == ["grid square", *SLOT_BOXES]


def test_slot_moves_the_prediction_and_not_the_picture():
    first = show_slot(IMAGE, SQUARE, SLOT_BOXES, TERMS)
    moved = show_slot(IMAGE, SQUARE, SLOT_BOXES | {"prediction": (-90, -70, 190, 150)}, dict.fromkeys(TERMS, 99.0))
    for one, other in zip(first, moved, strict=True):
        assert (one.get_xlim(), one.get_ylim()) == (other.get_xlim(), other.get_ylim())
    (left, right), (bottom, top) = first[0].get_xlim(), first[0].get_ylim()
    assert left < 9 and right > 34 and top < 2 and bottom > 26  # all boxes are seen


def test_slot_has_a_bar_and_its_number_for_each_term_however_long():
    _, bars = show_slot(IMAGE, SQUARE, SLOT_BOXES, TERMS)
    assert [bar.get_width() for bar in rectangles(bars)] == [0.25, 0.5, 8, 1] and bars.get_xlim() == (0, 8)
    assert labels(bars) == ["0.25", "0.50", "11.25", "1.00"] and "13.00" in bars.get_title()
    assert [label.get_text() for label in bars.get_yticklabels()] == list(TERMS)


def test_slot_draws_on_given_axes():
    given = tuple(plt.subplots(1, 2)[1])
    assert show_slot(IMAGE, SQUARE, SLOT_BOXES, TERMS, given) == given and len(plt.get_fignums()) == 1


def test_a_box_of_a_slot_keeps_its_line_and_colour_whatever_stands_beside_it():
    def style(*names):
        picture, _ = show_slot(IMAGE, SQUARE, {name: SLOT_BOXES[name] for name in names}, TERMS)
        drawn = {box.get_gid(): box for box in rectangles(picture)[1:]}
        return drawn["prediction"].get_edgecolor(), drawn["prediction"].get_linestyle()

    assert style("true box", "prediction") == style("prediction", "true box", "anchor") == style(*SLOT_BOXES)


@pytest.mark.parametrize("boxes", [{"anchor": SQUARE}, {"true box": SQUARE, "predicted": SQUARE}])
def test_slot_says_which_boxes_it_takes(boxes):
    with pytest.raises(ValueError, match=rf"^Expected 'true box'.*{list(boxes)[-1]}"):
        show_slot(IMAGE, SQUARE, boxes, TERMS)


# Two replicas


def numbers(ax):
    """All numbers with a decimal point that stand on the axes."""
    return [float(number) for text in labels(ax) for number in re.findall(r"\d+\.\d+", text)]


def test_replicas_divide_a_loss_per_image_and_not_a_scalar():
    losses = np.array([1, 2, 3, 4, 5, 6, 7, 10], np.float32)
    per_image, scalar = show_replicas(losses[:, None])
    assert numbers(per_image) == [1, 2, 3, 4, 2.5, 1.2, 5, 6, 7, 10, 7, 3.5, 4.8]  # the mean is 4.75
    assert numbers(scalar) == [1, 2, 3, 4, 2.5, 5, 6, 7, 10, 7, 9.5]
    assert rectangles(per_image)[-1].get_edgecolor() != rectangles(scalar)[-1].get_edgecolor()
    assert sum(box.get_linestyle() == "--" for box in rectangles(scalar)) == 2  # the places of the division


def test_replicas_of_a_large_batch_leave_out_images_but_not_from_the_mean():
    per_image, _ = show_replicas(np.arange(0, 24, 2))
    assert numbers(per_image) == [0, 2, 4, 5, 2.5, 12, 14, 16, 17, 8.5, 11]
    assert "6-11" in " ".join(labels(per_image))


@pytest.mark.parametrize("losses", [[], [1.0, 2.0, 3.0]])
def test_replicas_share_an_even_number_of_images(losses):
    with pytest.raises(ValueError, match=f"even number of images, found {len(losses)}"):
        show_replicas(np.array(losses))


def test_timeline_has_a_row_for_each_worker_and_hatches_what_the_device_waits():
    made = {1: (10.5, 12.5), 0: (10.0, 11.0), 2: (11.0, 12.0)}
    ax = show_timeline(made, [(11.0, 11.5), (12.5, 13.0), (13.0, 13.5)])
    bars = [(bar.get_y() + bar.get_height() / 2, bar.get_x(), bar.get_width()) for bar in ax.patches]
    assert np.allclose(bars[:3], [(0, 0, 1), (1, 0.5, 2), (0, 1, 1)])
    assert np.allclose(bars[3:6], [(2, 1, 0.5), (2, 2.5, 0.5), (2, 3, 0.5)])
    assert np.allclose(bars[6:], [(2, 0, 1), (2, 1.5, 1), (2, 3, 0)])
    assert [bool(bar.get_hatch()) for bar in ax.patches] == [False] * 6 + [True] * 3
    assert [text.get_text() for text in ax.texts] == ["0", "1", "2", "0", "1", "2"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["worker 1", "worker 2", "device"]
