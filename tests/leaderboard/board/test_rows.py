from __future__ import annotations

import pytest
from synthetic import record, suite

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.rows import combine_seeds, group_records
from prunebench.record import Times, Value


def bootstrap(mean: float, width: float = 0.1) -> Value:
    return Value(
        mean=mean, low=mean - width, high=mean + width, interval="bootstrap over images", n=100
    )


def test_one_seed_keeps_the_interval_over_images_under_its_name() -> None:
    found = combine_seeds([bootstrap(0.5)], [0])
    assert (found.mean, found.low, found.high) == (0.5, 0.4, 0.6)
    assert found.interval == "images only: bootstrap over images"


def test_two_seeds_have_the_mean_of_their_intervals() -> None:
    found = combine_seeds([bootstrap(0.4, 0.1), bootstrap(0.6, 0.2)], [0, 1])
    assert found.mean == pytest.approx(0.5)
    assert [found.low, found.high] == pytest.approx([0.35, 0.65])
    assert found.interval == "images only: bootstrap over images, mean of 2 seeds"


def test_three_seeds_have_a_t_interval() -> None:
    found = combine_seeds([bootstrap(x) for x in (1.0, 2.0, 3.0)], [0, 1, 2])
    # t(0.975, 2 degrees of freedom) = 4.302653; standard error 1/sqrt(3)
    assert found.high == pytest.approx(2 + 4.302653 / 3**0.5, abs=1e-5)
    assert found.low == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-5)
    assert found.interval == "t-interval over 3 seeds"


def test_seeds_that_agree_exactly_are_no_certainty() -> None:
    found = combine_seeds([bootstrap(0.5)] * 3, [0, 1, 2])
    assert [found.low, found.high] == pytest.approx([0.4, 0.6])
    assert found.interval == "images only: bootstrap over images, mean of 3 seeds"


def test_a_seed_without_a_value_leaves_no_mean() -> None:
    missing = Value(mean=None, reason="both maps are zero", undefined=100)
    found = combine_seeds([bootstrap(0.5), missing], [0, 7])
    assert found.mean is None
    assert found.reason == "seed 7: both maps are zero"
    assert found.undefined == 0.5
    assert combine_seeds([bootstrap(0.5), None], [0, 7]).reason == "seed 7: not measured"


def test_seeds_are_inside_a_row_and_missing_ones_are_counted() -> None:
    seeds = (0, 1, 2)
    (rows,) = group_records([record(seed=seed, seeds=seeds) for seed in (2, 0)])
    assert len(rows) == 1
    assert rows[0].seeds == "2 of 3"
    assert rows[0].missing == 1
    assert [found.seed for found in rows[0].records] == [0, 2]


def test_a_seed_counts_once_and_the_fuller_record_stands() -> None:
    more = {"pe_score/grad-cam": Value(mean=0.8)}
    (rows,) = group_records([record(id="a", values=more), record(id="b")])
    assert len(rows) == 1
    assert [found.id for found in rows[0].records] == ["a"]


def test_levels_rounds_pruners_and_protocols_are_different_rows() -> None:
    first = record()
    others = [
        record(level=0.6),
        record("l2-filter"),
        record(round=1),
        record(protocol="p2"),
        record(axis="masked"),
    ]
    assert sum(map(len, group_records([first, *others]))) == 6


def test_one_digest_over_different_conditions_is_not_one_protocol() -> None:
    mine = record()
    other = mine.conditions.model_copy(update={"explained_images": 5})
    forged = record("sneaky", conditions=other)
    assert mine.protocol == forged.protocol
    assert len(board([mine, forged])) == 2


def test_a_table_starts_with_the_baseline_and_the_control() -> None:
    (section,) = board(suite())
    for axis in ("dense", "masked"):
        roles = [row.first.role for row, _ in section.table(axis)]
        assert roles[:3] == ["baseline", "control", "compressed"]
        assert all(row.first.axis == axis for row, _ in section.table(axis)[2:])


def test_times_whose_ratio_differs_from_pass_to_pass_are_flagged() -> None:
    baseline = tuple(1.0 for _ in range(20))
    steady = tuple(2.0 + 0.01 * k for k in range(20))
    wild = tuple(0.5 if k % 2 else 8.0 for k in range(20))

    def flags(network: tuple[float, ...], passes: int = 20) -> tuple[str, ...]:
        times = {"cpu_b1": Times(baseline=baseline[:passes], network=network[:passes])}
        (row,) = group_records([record(times=times)])[0]
        return row.flags

    assert flags(steady) == ()
    assert flags(wild) == (
        "times of cpu_b1 are unsteady: the middle half of the ratios is ×0.50 to ×8.00",
    )
    assert flags(wild, passes=4) == ()  # too few to tell
    # Both networks slowed down together: the ratio holds.
    baseline = wild
    assert flags(tuple(2 * time for time in wild)) == ()
