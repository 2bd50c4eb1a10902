"""The training and the inference graph, judged by what is drawn on the axes."""

import itertools

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.text import Annotation

from yolo_helpers.graph import GRAPH_STEPS, show_graph, show_graph_steps

HEADS = {"image", "scale", "body", "head_0", "head_1", "head_2"}
LABELS = {"y_true_0", "y_true_1", "y_true_2"}
NAMES = {
    "training": HEADS | LABELS | {"yolo_loss", "identity", "target", "mean", "l2", "total", "optimiser"},
    "inference": HEADS | {"yolo_eval", "boxes"},
}
STEPS = [(kind, step) for kind, number in GRAPH_STEPS.items() for step in range(number)]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def boxes_of(ax):
    return {patch.get_gid(): patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)}


def arrows_of(ax):
    return {text.get_gid(): text for text in ax.texts if isinstance(text, Annotation)}


def texts_of(ax):
    """The text of each box, by the name of the box."""
    texts = [text for text in ax.texts if text.get_text() and text.get_gid() != "caption"]
    return {
        name: [text for text in texts if inside(text.get_position(), box.get_bbox(), 0)]
        for name, box in boxes_of(ax).items()
    }


def caption_of(ax):
    return [text.get_text() for text in ax.texts if text.get_gid() == "caption"]


def inside(point, extent, margin=0.13):
    return (
        extent.x0 - margin <= point[0] <= extent.x1 + margin
        and min(extent.y0, extent.y1) - margin <= point[1] <= max(extent.y0, extent.y1) + margin
    )


def is_orange(box):
    return to_hex(box.get_facecolor()) == "#e69f00"


# The whole graph


@pytest.mark.parametrize("kind", NAMES)
def test_graph_has_a_box_with_a_text_for_each_part(kind):
    ax = show_graph(kind)
    assert set(boxes_of(ax)) == NAMES[kind]
    assert {name: len(texts) for name, texts in texts_of(ax).items()} == dict.fromkeys(NAMES[kind], 1)
    extents = [box.get_bbox() for box in boxes_of(ax).values()]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(extents, 2))


@pytest.mark.parametrize("kind", NAMES)
def test_every_text_fits_into_its_box_even_in_bold(kind):
    ax = show_graph(kind, mark=sorted(NAMES[kind]))
    ax.figure.draw_without_rendering()
    for name, (text,) in texts_of(ax).items():
        box, drawn = boxes_of(ax)[name].get_window_extent(), text.get_window_extent()
        assert box.x0 < drawn.x0 and drawn.x1 < box.x1 and box.y0 < drawn.y0 and drawn.y1 < box.y1, name
        assert text.get_fontsize() >= 9
    assert ax.figure.get_figwidth() <= 10


@pytest.mark.parametrize("kind", NAMES)
def test_arrows_run_from_box_to_box(kind):
    ax = show_graph(kind)
    boxes, arrows = boxes_of(ax), arrows_of(ax)
    for name, arrow in arrows.items():
        start, end = name.split()
        assert inside(arrow.xyann, boxes[start].get_bbox()) and inside(arrow.xy, boxes[end].get_bbox()), name
        assert not inside(arrow.xyann, boxes[start].get_bbox(), -0.01), name  # from the edge, not on the text
    assert {name for pair in arrows for name in pair.split()} == set(boxes)  # no box stands alone


def test_labels_go_into_the_loss_layer_in_training_only():
    into_loss = {name for name in arrows_of(show_graph("training")) if name.endswith(" yolo_loss")}
    assert into_loss == {f"{name}_{head} yolo_loss" for name in ("head", "y_true") for head in range(3)}
    assert not any("y_true" in name for name in arrows_of(show_graph("inference")))


def test_mean_and_l2_make_the_total_which_the_optimiser_takes_back_to_the_body():
    arrows = [name.split() for name in arrows_of(show_graph("training"))]
    into = {end: {start for start, other in arrows if other == end} for _, end in arrows}
    assert into["mean"] == {"identity"} and into["total"] == {"mean", "l2"} and into["optimiser"] == {"total"}
    assert into["body"] == {"scale", "optimiser"}


def test_the_target_is_crossed_out_and_the_body_framed():
    ax = show_graph("training")
    (cross,) = ax.lines
    target, identity = boxes_of(ax)["target"].get_bbox(), boxes_of(ax)["identity"].get_bbox()
    assert cross.get_marker() == "x" and identity.y1 < cross.get_ydata()[0] < target.y0
    (frame,) = (patch for patch in ax.patches if isinstance(patch, Rectangle))
    assert all(inside(corner, frame.get_bbox(), 0) for corner in boxes_of(ax)["body"].get_bbox().get_points())
    assert not show_graph("inference").lines


def test_only_marked_boxes_stand_out_by_more_than_colour():
    plain, marked = boxes_of(show_graph()), show_graph(mark=["yolo_loss", "y_true_1"])
    differ = {name for name, box in boxes_of(marked).items() if box.get_linewidth() > plain[name].get_linewidth()}
    bold = {name for name, (text,) in texts_of(marked).items() if text.get_weight() == "bold"}
    assert differ == bold == {"yolo_loss", "y_true_1"}
    assert {name for name, box in boxes_of(marked).items() if is_orange(box)} == differ


def test_graph_takes_axes_and_title():
    given = plt.subplots()[1]
    assert show_graph("inference", ax=given, title="without labels") is given
    assert given.get_title() == "without labels"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "evaluation"}, r"found 'evaluation'"),
        ({"kind": "inference", "mark": ["body", "yolo_loss"]}, r"no box \['yolo_loss'\] to mark"),
        ({"step": 6}, r"training graph has steps 0 to 5, found 6"),
        ({"kind": "inference", "step": -1}, r"inference graph has steps 0 to 2, found -1"),
    ],
)
def test_graph_names_what_it_does_not_have(settings, words):
    with pytest.raises(ValueError, match=words):
        show_graph(**settings)
    assert not plt.get_fignums()  # no empty figure is left in the notebook


def test_steps_of_an_unknown_graph_are_refused():
    with pytest.raises(ValueError, match="found 'evaluation'"):
        show_graph_steps("evaluation")


# One batch, step by step


def reached(ax):
    return {name for name, box in boxes_of(ax).items() if box.get_alpha() == 1}


@pytest.mark.parametrize("kind", NAMES)
def test_each_step_marks_other_boxes_and_the_last_has_reached_all(kind):
    marked = [
        {name for name, box in boxes_of(show_graph(kind, step=step)).items() if is_orange(box)}
        for step in range(GRAPH_STEPS[kind])
    ]
    assert all(marked) and sum(map(len, marked)) == len(set().union(*marked))
    assert set().union(*marked) == NAMES[kind] - {"target"}
    assert reached(show_graph(kind, step=GRAPH_STEPS[kind] - 1)) == NAMES[kind]


@pytest.mark.parametrize(("kind", "step"), STEPS)
def test_a_step_keeps_what_was_reached_and_pales_what_comes(kind, step):
    ax = show_graph(kind, step=step)
    before = reached(show_graph(kind, step=step - 1)) if step else set()
    now = {name for name, box in boxes_of(ax).items() if is_orange(box)}
    assert before < reached(ax) and reached(ax) - before - {"target"} == now
    for name, arrow in arrows_of(ax).items():
        assert (arrow.arrow_patch.get_alpha() == 1) == (set(name.split()) <= reached(ax)), name
    assert len(caption_of(ax)) == 1


def test_without_a_step_nothing_is_pale_or_marked():
    ax = show_graph()
    assert reached(ax) == NAMES["training"] and not any(map(is_orange, boxes_of(ax).values()))
    assert caption_of(ax) == []


def test_labels_meet_heads_before_the_mean_is_taken():
    at_loss = reached(show_graph(step=2))
    assert LABELS | {"head_0", "yolo_loss"} <= at_loss and not {"identity", "mean", "total"} & at_loss


@pytest.mark.parametrize("step", [None, *range(GRAPH_STEPS["training"])])
def test_the_target_never_joins_by_a_live_arrow(step):
    ax = show_graph("training", step=step)
    grey = boxes_of(ax)["target"].get_edgecolor()[:3]
    (name,) = (name for name in arrows_of(ax) if "target" in name.split())
    assert arrows_of(ax)[name].arrow_patch.get_edgecolor()[:3] == grey != (0, 0, 0)
    assert not is_orange(boxes_of(ax)["target"]) and len(ax.lines) == 1


@pytest.mark.parametrize("kind", NAMES)
def test_all_steps_stand_in_two_columns(kind):
    figure = show_graph_steps(kind)
    drawn = [ax for ax in figure.axes if boxes_of(ax)]
    assert [caption_of(ax) for ax in drawn] == [
        caption_of(show_graph(kind, step=step)) for step in range(GRAPH_STEPS[kind])
    ]
    assert len({round(ax.get_position().x0, 3) for ax in drawn}) == 2
    figure.draw_without_rendering()
    for ax in drawn:
        for name, (text,) in texts_of(ax).items():
            box, words = boxes_of(ax)[name].get_window_extent(), text.get_window_extent()
            assert box.x0 < words.x0 and words.x1 < box.x1, name
