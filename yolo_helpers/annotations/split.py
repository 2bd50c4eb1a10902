"""Annotations divided at random, for training and validation."""

import itertools
from collections.abc import Sequence

import numpy as np

from yolo_helpers.annotations.record import Annotation


def shared_photographs(parts: dict[str, Sequence[Annotation]]) -> list[str]:
    """How many photographs two parts share, which are no test of what was learnt from them: a sentence for each pair.

    Args:
        parts: annotations by the name of their part.
    """
    sentences = []
    for one, other in itertools.combinations(parts, 2):
        shared = {a.image_path.absolute() for a in parts[one]} & {a.image_path.absolute() for a in parts[other]}
        if shared:
            both = f"{len(shared)} of {len(parts[other])} photographs of {other} are in {one} too"
            sentences.append(f"{both}, so that {other} tells little of new ones; one is {min(shared)}.")
    return sentences


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise ValueError(f"SEED (--seed): expected a whole number from 0 on, found {seed}.")


def split_annotations(
    annotations: Sequence[Annotation], fraction: float, seed: int
) -> tuple[list[Annotation], list[Annotation]]:
    """Two parts chosen at random, both in the order of `annotations`.

    Args:
        annotations: at least two.
        fraction: share of the second part, 0 to 1; it has at least one photograph, and leaves at least one.
        seed: for the choice.

    Raises:
        ValueError: if there are fewer than two annotations, or the seed is negative.
    """
    _check_seed(seed)
    if len(annotations) < 2:
        raise ValueError(
            f"Two parts need at least two photographs, found {len(annotations)}: add some, or give those for "
            "validation apart (--validation)."
        )
    count = min(max(1, round(len(annotations) * fraction)), len(annotations) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(annotations))[:count].tolist())
    parts = [[a for i, a in enumerate(annotations) if (i in chosen) is second] for second in (False, True)]
    return parts[0], parts[1]


def three_parts(parts: dict[str, Sequence[Annotation]], seed: int) -> dict[str, list[Annotation]]:
    """Parts for training, validation and test: those that are there, and what is missing cut from the first.

    Args:
        parts: annotations by the name of their part, as `read_splits` and `look` give them. Without "train", the
            largest part is the one for training.
        seed: for the choice of what is cut.

    Returns:
        "train", "val" and "test", in this order. What was cut is 15 % of what was there for training, and at least one
        photograph.

    Raises:
        ValueError: there are too few photographs for three parts, or the seed is negative.
    """
    _check_seed(seed)
    there = {name: list(each) for name, each in parts.items() if len(each)}
    if "train" not in there and there:
        there["train"] = there.pop(max(there, key=lambda name: len(there[name])))
    missing = [name for name in ("val", "test") if name not in there]
    rest = there.get("train", [])
    if len(rest) <= len(missing):
        wanted = " and ".join(["train", *missing])
        raise ValueError(f"Found {len(rest)} photographs, too few for {wanted} with one each: annotate more.")
    count = max(1, round(0.15 * len(rest)))
    for name in missing:
        rest, there[name] = split_annotations(rest, count / len(rest), seed)
    return {"train": rest, "val": there["val"], "test": there["test"]}
