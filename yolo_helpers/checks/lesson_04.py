"""Checks around the training of one's own: small boxes, frozen layers, precision and recall.

That of non-maximum suppression is in `suppression`.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np

from yolo_helpers.checks.compare import expect_done, likely, one_number
from yolo_helpers.checks.verdict import Hint, NotDone, call, task

# small_share

SIZE_CASES = [  # words, sizes (N, 2), side
    ("five boxes, one of them small in both directions", [[40, 30], [9, 8], [50, 60], [25, 70], [33, 44]], 16),
    (
        "boxes that are wide and flat, or tall and narrow",
        [[60, 10], [12, 80], [50, 40], [24, 9], [70, 8], [30, 35], [11, 45], [14, 13], [90, 15], [9, 21]],
        16,
    ),
    ("boxes with a side of exactly 16", [[16, 40], [12, 50], [30, 16], [30, 30]], 16),
    ("boxes with fractions of a pixel", [[31.5, 40], [32.5, 80.25], [64, 15.75], [100, 120]], 32),
    ("boxes all of which are small", [[5, 20], [6, 7], [30, 8]], 10),
    ("boxes none of which is small", [[20, 20], [50, 30]], 8),
]


def small_share(
    small: Callable = lambda sizes, side: (sizes < side).any(axis=1),
    share: Callable = np.mean,
) -> Callable:
    """Make an answer `small_share`; the defaults are right, each argument is a common mistake.

    Args:
        small: takes sizes (N, 2) and the side, says which are small, (N,) or (N, 2).
        share: takes what `small` returned.
    """
    return lambda sizes, side: share(small(sizes, side))


SIZE_MISTAKES = [
    (
        "It is enough that one of the two is below; yours asks for both.",
        small_share(lambda sizes, side: (sizes < side).all(axis=1)),
    ),
    ("Compare the width and the height, not the area.", small_share(lambda sizes, side: sizes.prod(axis=1) < side**2)),
    (
        "Compare the width and the height, not their mean.",
        small_share(lambda sizes, side: sizes.mean(axis=1) < side),
    ),
    ("A side of exactly that many pixels is not below: <, not <=.", small_share(lambda s, side: (s <= side).any(1))),
    ("That looks at the width alone.", small_share(lambda sizes, side: sizes[:, 0] < side)),
    ("That looks at the height alone.", small_share(lambda sizes, side: sizes[:, 1] < side)),
    ("That is the share of all sides; expected that of the boxes.", small_share(lambda sizes, side: sizes < side)),
    (
        "A box counts once, also where both of its sides are below.",
        small_share(lambda sizes, side: sizes < side, lambda small: small.sum() / len(small)),
    ),
    (
        "Divide by the number of boxes; sizes.size is twice that.",
        small_share(share=lambda small: small.sum() / (2 * len(small))),
    ),
    ("That is the number of small boxes; divide it by that of all.", small_share(share=np.sum)),
    ("That is a percentage; expected a number from 0 to 1.", small_share(share=lambda small: 100 * small.mean())),
    ("That is the share of the others, which are not small.", small_share(share=lambda small: 1 - small.mean())),
]


@task
def check_small_share(function: Callable) -> None:
    """Check `small_share(sizes, side)`.

    Args:
        function: the reader's answer; takes (N, 2), width and height in pixels, and a side in pixels, returns a
            number from 0 to 1.
    """
    for words, sizes, side in SIZE_CASES:
        sizes, given = np.array(sizes, float), f"{words}, and side {side},"
        found = one_number(call(function, sizes.copy(), side, given=given), given)
        expected = small_share()(sizes, side)
        if not np.isclose(found, expected, rtol=1e-4, atol=1e-6):
            why = likely(found, SIZE_MISTAKES, sizes, side)
            raise Hint(f"for {given} your function gave {found:.4g}; expected {expected:.4g}.{why}")


# freeze_all_but

LAYERS = ["conv_1", "norm_1", "conv_2", "norm_2", "conv_10"]  # those with weights
FREEZE_CASES = [  # words, which layers are trainable before, which are new
    ("a fresh body", LAYERS, ["conv_10"]),
    ("a fresh body", LAYERS, ["conv_2", "norm_2"]),
    ("a fresh body", LAYERS, ["conv_1"]),
    ("a body of an earlier call, which left conv_10 alone trainable, now", ["conv_10"], ["conv_2", "norm_2"]),
]


def freeze_all_but(
    is_new: Callable = lambda body, new_layers: [layer in new_layers for layer in body.layers],
    skipped: Callable = lambda layer, new: False,
) -> Callable:
    """Make an answer `freeze_all_but`; the defaults are right, each argument is a common mistake.

    Args:
        is_new: takes the body and its new layers, says of each layer what its `trainable` becomes.
        skipped: takes a layer and whether it is new, says whether it is left as it is.
    """

    def answer(body, new_layers):
        for layer, new in zip(body.layers, is_new(body, new_layers), strict=True):
            if not skipped(layer, new):
                layer.trainable = new

    return answer


def the_last(count: int | None = None) -> Callable:
    """Say which layers are new by their place alone: the last `count`, or as many as there are new ones."""

    def is_new(body, new_layers):
        old = len(body.layers) - (count or len(new_layers))
        return [place >= old for place in range(len(body.layers))]

    return is_new


NORM = "Batch normalisation counts as any other layer: frozen where it is old, trained where it is new."
PLACE = "Do you go by the place? The new layers need not be the last."
FREEZE_MISTAKES = [
    (
        "It is the new layers that are trained, and the others that are frozen.",
        freeze_all_but(lambda body, new_layers: [layer not in new_layers for layer in body.layers]),
    ),
    (
        "Set True as well: an earlier call may have frozen what is new now. With TensorFlow, body.trainable = True "
        "changes nothing where it is True already.",
        freeze_all_but(skipped=lambda layer, new: new),
    ),
    (
        "Nothing is frozen: set False as well, and leave body.trainable, which Keras hands down to every layer.",
        freeze_all_but(skipped=lambda layer, new: not new),
    ),
    (NORM, freeze_all_but(skipped=lambda layer, new: isinstance(layer, keras.layers.BatchNormalization))),
    (
        NORM,
        freeze_all_but(
            lambda body, new_layers: [layer in new_layers and "norm" not in layer.name for layer in body.layers]
        ),
    ),
    (PLACE, freeze_all_but(the_last())),
    *((PLACE, freeze_all_but(the_last(count))) for count in range(1, 6)),
    (
        "One name may be the beginning of another: compare the layers themselves, or whole names.",
        freeze_all_but(
            lambda body, new_layers: [any(new.name in layer.name for new in new_layers) for layer in body.layers]
        ),
    ),
    (
        "All are frozen. Do you compare layers with names? Those are never equal.",
        freeze_all_but(lambda body, new_layers: [False] * len(body.layers)),
    ),
]


def _little_body() -> keras.Model:
    """Make a body with the layers of `LAYERS`, in this order, and one without weights."""
    image = keras.Input((8, 8, 3))
    features = image
    for name in LAYERS:
        norm = keras.layers.BatchNormalization(name=name)
        features = (norm if name.startswith("norm") else keras.layers.Conv2D(2, 1, name=name))(features)
        if name == "norm_1":
            features = keras.layers.LeakyReLU()(features)
    return keras.Model(image, features)


def _after_call(
    function: Callable, body: keras.Model, trainable: Sequence[str], new: Sequence[str], given: str
) -> tuple[np.ndarray, object]:
    """Let a function freeze a body.

    Args:
        function: the reader's answer, or one with a mistake.
        body: of `_little_body`.
        trainable: names of the layers that are trainable before.
        new: names of the new layers.
        given: both in words.

    Returns:
        Whether each of `LAYERS` is trainable afterwards, (5,) bool, and what the function returned.
    """
    for layer in body.layers:
        layer.trainable = layer.name in trainable
    result = None
    with contextlib.suppress(NotDone):  # the right answer returns None as well
        result = call(function, body, [body.get_layer(name) for name in new], given=given)
    return np.array([body.get_layer(name).trainable for name in LAYERS]), result


@task
def check_freeze(function: Callable) -> None:
    """Check `freeze_all_but(body, new_layers)`.

    Args:
        function: the reader's answer; takes a body and a list of its layers, sets `trainable` of all its layers.
    """
    cases = []
    for words, before, new in FREEZE_CASES:
        given = f"{words} with the new layer{'s' * (len(new) > 1)} {' and '.join(new)},"
        body = _little_body()
        cases.append((body, before, new, given, *_after_call(function, body, before, new, given)))
    if all(np.array_equal(found, np.isin(LAYERS, before)) for _, before, *_, found, _ in cases):
        body, *_, given, _, result = cases[0]
        if isinstance(result, keras.Model) and result is not body:
            raise Hint(f"for {given} you return another model, and the body that you got stays as it was.")
        raise NotDone("trainable of no layer changes")
    mistakes = [(words, functools.partial(_after_call, wrong)) for words, wrong in FREEZE_MISTAKES]
    for body, before, new, given, found, _ in cases:
        expected = np.isin(LAYERS, new)
        if not np.array_equal(found, expected):
            place = int(np.flatnonzero(found != expected)[0])
            is_now, wanted = ("trainable", "frozen") if found[place] else ("frozen", "trainable")
            why = likely(found, mistakes, _little_body(), before, new, given, part=0)
            if not body.trainable:
                why = " body.trainable is False, and Keras hands that down to every layer."
            raise Hint(f"for {given} {LAYERS[place]} is {is_now}; expected {wanted}.{why}")
        if not body.trainable:
            raise Hint(
                f"for {given} each layer is as it should be, but body.trainable is False, so that "
                "body.trainable_weights is empty. Set the layers one by one, and leave the body's own."
            )


# precision_recall

COUNT_CASES = [  # words, and how many are right, wrong, missed
    ("a detector that misses more than it invents", (8, 2, 4)),
    ("a detector that invents more than it misses", (30, 60, 15)),
    ("a detector that finds all, with wrong ones among them", (6, 3, 0)),
    ("a detector that is never wrong, but misses most", (2, 0, 7)),
    ("a detector that finds nothing but wrong ones", (0, 5, 3)),
]


def precision(right: int, wrong: int, missed: int) -> float:
    """Return the share of what was found that is right."""
    return right / (right + wrong)


def recall(right: int, wrong: int, missed: int) -> float:
    """Return the share of what is there that was found."""
    return right / (right + missed)


def _mistakes_with(share: Callable) -> list[tuple[str, Callable]]:
    """Return the mistakes that both shares have in common, for one of them."""
    return [
        ("Right over all three together is neither of the two.", lambda r, w, m: r / (r + w + m)),
        ("That is a percentage; expected a number from 0 to 1.", lambda *counts: 100 * share(*counts)),
        ("That is the share of the others.", lambda *counts: 1 - share(*counts)),
        ("Divide with /, which keeps the fraction; // cuts it off.", lambda *counts: np.floor(share(*counts))),
        ("Do not round.", lambda *counts: round(share(*counts), 1)),
        ("Do not round.", lambda *counts: round(share(*counts), 2)),
        ("Do not round.", lambda *counts: round(share(*counts), 3)),
        ("That is a count, not a share.", lambda r, w, m: r),
    ]


SHARES = {  # the share, and its mistakes
    "precision": (
        precision,
        [
            ("That is the recall; precision asks how much of what was found is right.", recall),
            ("Mind the brackets: right / right + wrong divides first.", lambda r, w, m: r / max(r, 1) + w),
            ("Divide by all that was found, of which the right ones are a part.", lambda r, w, m: r / max(w, 1)),
            *_mistakes_with(precision),
        ],
    ),
    "recall": (
        recall,
        [
            ("That is the precision; recall asks how much of what is there was found.", precision),
            ("Mind the brackets: right / right + missed divides first.", lambda r, w, m: r / max(r, 1) + m),
            ("Divide by all that is there, of which the right ones are a part.", lambda r, w, m: r / max(m, 1)),
            ("Divide by what is there; detections may be fewer or more.", lambda r, w, m: (r + w) / (r + m)),
            *_mistakes_with(recall),
        ],
    ),
}


def precision_recall(precision: Callable = precision, recall: Callable = recall) -> Callable:
    """Make an answer `precision_recall`; the defaults are right, each argument may be a common mistake."""
    return lambda *counts: (precision(*counts), recall(*counts))


@task
def check_precision_recall(function: Callable) -> None:
    """Check `precision_recall(right, wrong, missed)`.

    Args:
        function: the reader's answer; takes three counts, returns precision and recall, from 0 to 1.
    """
    for words, counts in COUNT_CASES:
        given = f"{words}: right {counts[0]}, wrong {counts[1]}, missed {counts[2]},"
        result = call(function, *counts, given=given)
        if isinstance(result, np.ndarray) and result.ndim:
            result = list(result)
        if not isinstance(result, tuple | list) or len(result) != 2:
            what = f"{len(result)} parts" if isinstance(result, tuple | list) else f"a {type(result).__name__}"
            raise Hint(f"for {given} expected two numbers, precision and recall; you return {what}.")
        expect_done(dict(zip(SHARES, result)))
        found = [one_number(part, f"{name} of {given}") for name, part in zip(SHARES, result)]
        expected = [share(*counts) for share, _ in SHARES.values()]
        if np.allclose(found, expected[::-1], rtol=1e-4) and not np.isclose(*expected):
            raise Hint(f"for {given} precision and recall are exchanged: precision is {expected[0]:.4g}.")
        for (name, (_, mistakes)), is_now, wanted in zip(SHARES.items(), found, expected):
            if not np.isclose(is_now, wanted, rtol=1e-4, atol=1e-6):
                why = likely(is_now, mistakes, *counts)
                raise Hint(f"for {given} {name} is {is_now:.4g}; expected {wanted:.4g}.{why}")
