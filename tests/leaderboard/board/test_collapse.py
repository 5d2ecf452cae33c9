"""Correlations that collapsed networks make, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from synthetic import baseline, control, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.collapse import (
    TwofoldCorrelation,
    correlate_twice,
    find_bar,
    list_working,
)
from prunebench.leaderboard.board.correlations import list_networks
from prunebench.record import Record, Value

NAME = "sp2ps/grad-cam"
ZEROS = "zero_map_fraction/grad-cam"
WORKING = [(0.93, 0.80), (0.92, 0.82), (0.91, 0.78), (0.90, 0.82), (0.89, 0.80), (0.88, 0.80)]
"""Accuracy and Sp2PS of networks that work, hardly related."""
COLLAPSED = [(0.50, 0.30), (0.30, 0.10), (0.10, 0.0)]


def level(index: int, accuracy: float, sp2ps: float, zeros: float | None = 0.0) -> Record:
    values = {} if zeros is None else {ZEROS: Value(mean=zeros)}
    return record(level=0.05 * (index + 1), accuracy=accuracy, sp2ps=sp2ps, values=values)


def levels(points: Sequence[tuple[float, float]]) -> list[Record]:
    """Levels of one pruner; those without preservation have maps that are zero."""
    return [level(index, a, s, 0.9 if s == 0 else 0.02) for index, (a, s) in enumerate(points)]


def twice(found: Sequence[Record], name: str = NAME) -> TwofoldCorrelation:
    (section,) = board(found)
    bar = find_bar(section.baseline, section.control)
    return correlate_twice(list_networks(section.rows, "dense"), [name], bar)[0]


def without_control(points: Sequence[tuple[float, float]]) -> list[Record]:
    return [baseline(0.93), *levels(points)]


def test_a_collapse_that_makes_a_correlation_is_shown_for_what_it_is() -> None:
    found = twice(without_control([*WORKING, *COLLAPSED]))
    assert found.every.pearson is not None
    assert found.working.pearson is not None
    assert found.every.pearson.value > 0.98
    assert abs(found.working.pearson.value) < 0.1
    assert (found.every.points, found.working.points, found.collapsed) == (9, 6, 3)
    assert (found.every.zero_maps, found.working.zero_maps) == (0.9, 0.02)
    said = found.explain_disagreement()
    assert said is not None
    assert said.startswith("Pearson's r is 0.99 with the 3 levels that lost more than 10 points")
    assert said.count(".") - said.count("0.") == 1, "one sentence"


def test_a_correlation_that_holds_without_collapse_is_believed() -> None:
    honest = [(0.93 - 0.01 * i, 0.95 - 0.02 * i) for i in range(6)]
    found = twice(without_control([*honest, (0.3, 0.1)]))
    assert found.collapsed == 1
    assert found.explain_disagreement() is None
    same = twice(without_control(honest))
    assert same.every == same.working


def test_a_coefficient_that_rests_on_collapsed_levels_alone_says_so() -> None:
    found = twice(without_control([WORKING[0], WORKING[1], *COLLAPSED]))
    assert found.working.reason == "2 of the 3 points that are needed"
    said = found.explain_disagreement()
    assert said is not None
    assert "not defined without those that lost more than 10 points of accuracy: 2 of" in said


def test_the_bar_is_the_better_of_baseline_and_control_in_the_mean_over_seeds() -> None:
    seeds: dict[str, Any] = {"seeds": (0, 1)}
    found = [
        made
        for seed in (0, 1)
        for made in (
            baseline(0.80 + 0.02 * seed, seed=seed, **seeds),
            control(accuracy=0.90 + 0.02 * seed, seed=seed, **seeds),
        )
    ]
    (section,) = board(found)
    assert find_bar(section.baseline, section.control) == pytest.approx(0.91)
    assert find_bar(section.baseline, None) == pytest.approx(0.81)
    assert find_bar(None, None) is None


def test_ten_points_are_the_most_that_may_be_lost() -> None:
    (section,) = board([level(0, 0.80, 0.5), level(1, 0.7999, 0.5), level(2, 0.95, 0.5)])
    kept = [row.get("accuracy").mean for row in list_working(section.rows, 0.9)]
    assert sorted(mean or 0 for mean in kept) == [0.80, 0.95]


def test_without_a_bar_nothing_is_said_of_working_networks() -> None:
    found = twice(levels([*WORKING, *COLLAPSED]))
    assert found.every.pearson is not None
    assert found.working.pearson is None
    assert "neither the baseline nor none has an accuracy" in str(found.working.reason)
    assert found.explain_disagreement() is not None


def test_the_share_of_zero_maps_is_the_largest_of_the_levels_used_or_untold() -> None:
    found = without_control(WORKING)
    lacking = [*found, level(8, 0.5, 0.5, zeros=None)]
    assert twice(found).every.zero_maps == 0.02
    assert twice(lacking).every.zero_maps is None
    assert twice(lacking).working.zero_maps == 0.02
    assert twice(found, "sp2ps/other-cam").every.zero_maps is None
