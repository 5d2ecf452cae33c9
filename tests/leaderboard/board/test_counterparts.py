"""Rule 11: networks without levels, beside pruners at the same compression."""

from __future__ import annotations

from typing import Any

import pytest
from synthetic import record
from worlds import FLOOR, world

from prunebench.leaderboard.board import Section, board
from prunebench.leaderboard.board.counterparts import PeerDifference, find_counterpart
from prunebench.record import Record


def without_level(sp2ps: float, *, seeds: int = 5, **fields: Any) -> list[Record]:
    fields = {"pruner_name": "other", **fields}
    return [
        record("other", None, sp2ps=sp2ps + 0.001 * s, seed=s, seeds=range(seeds), **fields)
        for s in range(seeds)
    ]


def counterpart(records: list[Record], pruner: str = "other") -> PeerDifference | None:
    section: Section = next(one for one in board(records) if one.control is not None)
    row = next(row for row in section.rows if row.first.pruner == pruner)
    return find_counterpart(row, section.rows, section.references, section.listed)


def test_a_student_is_held_against_what_pruners_keep_at_its_macs() -> None:
    # At 45%, between 40% and 50%: a keeps 0.9, b 0.7; on average 0.8.
    records = world({"a": 0.9, "b": 0.7}) + without_level(0.85, reached=0.45)
    found = counterpart(records)
    assert found is not None
    assert found.versus == "2 pruners at 45% of MACs"
    assert found.difference == pytest.approx(0.85 + 0.002 - 0.8)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.difference < found.high


def test_what_lost_its_accuracy_counts_as_random_weights() -> None:
    records = world({"a": 0.9, "b": 0.7}) + without_level(0.99, reached=0.45, accuracy=0.8)
    found = counterpart(records)
    assert found is not None
    assert found.difference == pytest.approx(FLOOR - 0.8)


@pytest.mark.parametrize("reached", [-0.5, 0.05, 0.6])
def test_outside_the_grid_there_is_no_counterpart(reached: float) -> None:
    found = counterpart(world({"a": 0.9, "b": 0.7}) + without_level(0.8, reached=reached))
    assert found is not None
    assert found.versus is None
    assert found.reason == f"no counterpart: it lost {reached:.0%} of MACs"


def test_zeros_are_held_against_masked_pruners_at_equal_weights() -> None:
    records = world({"m": 0.6, "n": 0.8}, axis="masked")
    records += without_level(0.7, reached=0.5, axis="masked")
    found = counterpart(records)
    assert found is not None
    assert found.versus == "2 pruners at 50% of weights"
    assert found.difference == pytest.approx(0.002)


def test_eight_bits_are_held_against_none() -> None:
    found = counterpart(world({"a": 0.9, "b": 0.7}) + without_level(0.95, axis="quantised"))
    assert found is not None
    assert found.versus == "`none`"
    assert found.difference == pytest.approx(0.95 + 0.002 - 0.97)


def test_two_seeds_give_no_interval() -> None:
    found = counterpart(
        world({"a": 0.9, "b": 0.7}, seeds=2) + without_level(0.85, seeds=2, reached=0.5)
    )
    assert found is not None
    assert (found.low, found.high, found.seeds) == (None, None, 2)


def test_an_entry_from_elsewhere_moves_nobodys_difference() -> None:
    records = world({"a": 0.9, "b": 0.7}) + without_level(0.85, reached=0.45)
    strange = [r for r in world({"entry": 0.2}) if r.pruner == "entry"]
    beside = [*records, *(r.model_copy(update={"suite": "elsewhere"}) for r in strange)]
    assert counterpart(beside) == counterpart(records)


def test_networks_with_levels_have_none() -> None:
    assert counterpart(world({"a": 0.9, "b": 0.7}), "a") is None
