"""Rule 15: the class and the images that compression takes away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from synthetic import baseline, record

from prunebench.leaderboard.board.damage import find_exemplars, find_worst_class
from prunebench.leaderboard.board.rows import Row
from prunebench.record.per_image import PerImage, pack_classes, pack_sp2ps

SEEDS = (0, 1, 2)


def row(kind: str, each: Sequence[dict[str, Any]]) -> Row:
    make = baseline if kind == "baseline" else record
    records = [
        make(seed=seed, seeds=SEEDS, **fields) for seed, fields in zip(SEEDS, each, strict=True)
    ]
    return Row(tuple(records), SEEDS)


def images(predicted: Sequence[int], sp2ps: Sequence[float] | None = None) -> dict[str, Any]:
    packed = {} if sp2ps is None else {"grad-cam": pack_sp2ps(sp2ps)}
    return {
        "per_image": PerImage(
            images=len(predicted), predicted=pack_classes(predicted, 10), sp2ps=packed
        )
    }


def test_exemplars_are_where_all_seeds_agree_against_the_baselines() -> None:
    base = row("baseline", [images([0, 1, 2, 3]), images([0, 1, 2, 3]), images([0, 9, 2, 4])])
    # Image 1: all say 7, two of three baselines 1. Image 2: one seed differs. Image 3: all say 4,
    # most baselines 3.
    pruned = row(
        "pruned",
        [
            images([0, 7, 5, 4], [0.9, 0.1, 0.8, 0.3]),
            images([0, 7, 5, 4], [0.9, 0.2, 0.8, 0.3]),
            images([0, 7, 2, 4], [0.9, 0.3, 0.8, 0.3]),
        ],
    )
    found = find_exemplars(pruned, base)
    assert found is not None
    assert (found.places, found.explained) == ((1, 3), 4)
    on, rest = found.sp2ps["grad-cam"]
    assert on == pytest.approx((0.2 + 0.3) / 2, abs=0.003)
    assert rest == pytest.approx(0.85, abs=0.003)


def test_where_the_baselines_are_split_no_image_counts() -> None:
    base = row("baseline", [images([3]), images([7]), images([1])])
    found = find_exemplars(row("pruned", [images([7])] * 3), base)
    assert found is not None
    assert found.places == ()


def test_undefined_maps_are_left_out_of_the_means() -> None:
    base = row("baseline", [images([0, 1])] * 3)
    pruned = row("pruned", [images([0, 2], [np.nan, 0.5])] * 2 + [images([0, 2], [0.8, 0.5])])
    found = find_exemplars(pruned, base)
    assert found is not None
    assert found.sp2ps["grad-cam"] == pytest.approx((0.5, 0.8), abs=0.003)


def test_without_three_seeds_or_predictions_nothing_is_said() -> None:
    base = row("baseline", [images([0, 1])] * 3)
    pruned = row("pruned", [images([0, 2])] * 3)
    assert find_exemplars(Row(pruned.records[:2], SEEDS), base) is None
    assert find_exemplars(row("pruned", [images([0, 2])] * 2 + [{}]), base) is None
    assert find_exemplars(row("pruned", [images([0, 2, 1])] * 3), base) is None
    assert find_exemplars(pruned, None) is None
    damaged = PerImage(images=2, predicted="????")
    assert find_exemplars(row("pruned", [{"per_image": damaged}] * 3), base) is None


def test_the_worst_class_is_that_which_falls_most_over_the_seeds() -> None:
    base = row("baseline", [{"recalls": (0.9, 0.9, None)}] * 3)
    # In single seeds class 0 falls farthest; over the seeds it is class 1.
    pruned = row(
        "pruned",
        [
            {"recalls": (0.60, 0.80, None)},
            {"recalls": (0.95, 0.78, None)},
            {"recalls": (0.94, 0.79, None)},
        ],
    )
    found = find_worst_class(pruned, base)
    assert found is not None
    assert found.index == 1
    assert found.change == pytest.approx(-0.11)
    assert found.high is not None
    assert found.high < 0


def test_recalls_of_other_classes_are_not_compared() -> None:
    base = row("baseline", [{"recalls": (0.9, 0.9)}] * 3)
    assert find_worst_class(row("pruned", [{"recalls": (0.9,)}] * 3), base) is None
    assert find_worst_class(row("pruned", [{}] * 3), base) is None
