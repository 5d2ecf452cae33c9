from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import baseline, control, record, suite

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.rank import AxisRanking, PrunerRank, interpolate, rank
from prunebench.leaderboard.board.rows import group_records
from prunebench.record import Record, Value


def ranking(*records: Record, axis: Any = "dense") -> AxisRanking:
    return rank(*group_records(records), axis)


def place(found: AxisRanking, pruner: str) -> PrunerRank:
    return next(place for place in found.places if place.pruner == pruner)


def test_lines_are_read_at_the_compressions_that_all_of_them_cover() -> None:
    # A: 1.0 at 0, 0.8 at 0.4, 0.6 at 0.8; B: 1.0 at 0, 0.9 at 0.2, 0.5 at 0.6.
    # Common: 0.2, 0.4, 0.6. A there: 0.9, 0.8, 0.7; B there: 0.9, 0.7, 0.5.
    found = ranking(
        baseline(),
        control(1.0, half_width=0.0),
        record("a", 0.4, sp2ps=0.8, half_width=0.0),
        record("a", 0.8, sp2ps=0.6, half_width=0.0),
        record("b", 0.2, sp2ps=0.9, half_width=0.0),
        record("b", 0.6, sp2ps=0.5, half_width=0.0),
    )
    assert found.at == pytest.approx((0.2, 0.4, 0.6))
    assert place(found, "a").score == pytest.approx(0.8)
    assert place(found, "b").score == pytest.approx(0.7)
    assert [(p.pruner, p.rank) for p in found.places] == [("a", 1), ("b", 2)]


def test_it_is_the_compression_reached_that_counts_not_the_level_asked_for() -> None:
    found = ranking(
        baseline(),
        control(1.0, half_width=0.0),
        record("asks", 0.8, reached=0.4, sp2ps=0.9, half_width=0.0),
        record("does", 0.4, reached=0.8, sp2ps=0.9, half_width=0.0),
    )
    assert found.at == (0.4,)
    assert place(found, "asks").score == pytest.approx(0.9)
    assert place(found, "does").score == pytest.approx(0.95)


def test_methods_are_averaged() -> None:
    found = ranking(
        baseline(),
        control({"grad-cam": 1.0, "ablation-cam": 1.0}),
        record("a", 0.5, sp2ps={"grad-cam": 0.9, "ablation-cam": 0.7}),
    )
    assert found.cams == ("ablation-cam", "grad-cam")
    assert place(found, "a").score == pytest.approx(0.8)


def test_maps_drawn_at_random_are_no_method() -> None:
    both = {"grad-cam": 0.9, "random-cam": 0.1}
    records = [
        baseline(),
        control(both),
        record("a", 0.5, sp2ps={"grad-cam": 0.8, "random-cam": 0.0}),
        record("b", 0.5, sp2ps={"grad-cam": 0.7, "random-cam": 1.0}),
    ]
    (section,) = board(records)
    places = section.rankings["dense"].places
    assert [(place.pruner, place.rank) for place in places] == [("a", 1), ("b", 2)]
    assert places[0].score == pytest.approx(0.8)
    assert {horizon.cam for horizon in section.horizons} == {"grad-cam"}


def test_levels_that_lose_more_than_two_points_do_not_count() -> None:
    found = ranking(
        baseline(0.90),
        control(1.0),
        record("a", 0.2, sp2ps=0.9, accuracy=0.88),  # exactly 2 points
        record("a", 0.4, sp2ps=0.1, accuracy=0.879),
        record("b", 0.4, sp2ps=0.8, accuracy=0.9),
        record("c", 0.2, sp2ps=0.99, accuracy=0.5),
    )
    assert found.at == (0.2,)
    assert place(found, "a").upto == 0.2
    assert place(found, "a").score == pytest.approx(0.9)
    assert place(found, "c").rank is None
    assert place(found, "c").reason == "no level within 2 points of accuracy"


def test_the_paired_drop_is_preferred_to_the_difference() -> None:
    found = ranking(
        baseline(0.90),
        control(1.0),
        record("a", 0.2, accuracy=0.85, values={"accuracy_drop": Value(mean=0.01)}),
    )
    assert place(found, "a").rank == 1


def test_overlapping_intervals_share_a_rank_and_the_next_counts_them() -> None:
    def at(pruner: str, sp2ps: float) -> Record:
        return record(pruner, 0.5, sp2ps=sp2ps, half_width=0.03)

    found = ranking(
        baseline(), control(1.0), at("a", 0.90), at("b", 0.85), at("c", 0.80), at("d", 0.60)
    )
    # a and c do not overlap, but b overlaps both.
    assert [(p.pruner, p.rank) for p in found.places] == [("a", 1), ("b", 1), ("c", 1), ("d", 4)]


def test_three_seeds_give_a_t_interval_of_the_score() -> None:
    seeds = (0, 1, 2)
    records = []
    for seed, sp2ps in zip(seeds, (0.89, 0.90, 0.91), strict=True):
        common: Any = {"seed": seed, "seeds": seeds}
        records += [baseline(**common), control(1.0, **common)]
        records += [record("a", 0.5, sp2ps=sp2ps, **common)]
    found = place(ranking(*records), "a")
    assert found.score == pytest.approx(0.9)
    assert found.high == pytest.approx(0.9 + 4.302653 * 0.01 / 3**0.5, abs=1e-6)


def test_missing_seeds_are_not_ranked() -> None:
    found = ranking(baseline(), control(), record("a", seeds=(0, 1, 2)), record("b"))
    assert place(found, "a").rank is None
    assert place(found, "a").reason == "50% has 1 of 3 seeds"
    assert place(found, "b").rank == 1


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([baseline(), record("a")], "no `none` control to start from"),
        ([baseline(), control(seeds=(0, 1)), record("a")], "the `none` control has 1 of 2 seeds"),
        ([control(), record("a")], "the accuracy lost is not known"),
        (
            [baseline(), control(), record("a", sp2ps={"grad-cam": None})],
            "50% has no sp2ps/grad-cam: both maps are zero",
        ),
        ([baseline(), control(), record("a", reached=0.0)], "nothing is removed on this axis"),
    ],
)
def test_what_cannot_be_ranked_says_why(records: list[Record], reason: str) -> None:
    found = place(ranking(*records), "a")
    assert found.rank is None
    assert found.reason == reason


def test_axes_are_ranked_apart() -> None:
    records = (baseline(), control(), record("a"), record("b", axis="masked"))
    assert [p.pruner for p in ranking(*records).places] == ["a"]
    assert [p.pruner for p in ranking(*records, axis="masked").places] == ["b"]


def test_interpolation_averages_points_of_equal_place() -> None:
    heights = interpolate([0, 0.5, 0.5, 1], [1.0, 0.6, 0.4, 0.1], [0.5, 0.75, 2.0])
    assert heights == pytest.approx([0.5, 0.3, 0.1])


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(order=st.randoms(use_true_random=False))
def test_rank_does_not_depend_on_the_order_of_records(order: random.Random) -> None:
    records = suite(seeds=(0, 1, 2))
    shuffled = list(records)
    order.shuffle(shuffled)
    (before,), (after,) = board(records), board(shuffled)
    assert after.rankings == before.rankings
    assert after.horizons == before.horizons


@settings(max_examples=25, deadline=None)
@given(
    sp2ps=st.floats(0.05, 0.95),
    reached=st.floats(0.05, 0.95),
    accuracy=st.floats(0.02, 0.98),
    axis=st.sampled_from(["dense", "masked"]),
)
def test_another_protocol_changes_nothing(
    sp2ps: float, reached: float, accuracy: float, axis: str
) -> None:
    stranger = record(
        "stranger",
        0.5,
        protocol="p2",
        sp2ps=sp2ps,
        reached=reached,
        accuracy=accuracy,
        axis=axis,
    )
    (alone,) = board(suite())
    beside = board([*suite(), stranger])[0]
    assert beside.rankings == alone.rankings
    assert beside.horizons == alone.horizons
