from __future__ import annotations

import pytest
from synthetic import baseline, control, record

from prunebench.leaderboard.board.horizon import (
    HorizonOutcome,
    HorizonPoint,
    find_crossing,
    find_horizons,
)
from prunebench.leaderboard.board.rows import group_records
from prunebench.record import Record


def follow(
    *points: tuple[float, float | None, float | None], threshold: float = 0.9
) -> HorizonOutcome:
    return find_crossing([HorizonPoint(*point) for point in points], threshold)


def test_a_crossing_between_two_levels() -> None:
    # From 0.96 at 0.2 to 0.84 at 0.6: 0.90 is half way.
    found = follow((0, 1.0, 0), (0.2, 0.96, 0), (0.6, 0.84, 0), (0.8, 0.99, 0))
    assert found.state == "at"
    assert found.cause == "sp2ps"
    assert found.at == pytest.approx(0.4)


def test_accuracy_first() -> None:
    # Accuracy passes 2 points at 0.25, Sp2PS falls to 0.9 at 0.5 only.
    found = follow((0, 1.0, 0.0), (0.5, 0.9, 0.04), (0.8, 0.5, 0.3))
    assert (found.state, found.cause) == ("at", "accuracy")
    assert found.at == pytest.approx(0.25)


def test_both_in_one_segment_takes_the_nearer() -> None:
    found = follow((0, 1.0, 0.0), (0.4, 0.6, 0.04))
    assert found.at == pytest.approx(0.1)
    assert found.cause == "sp2ps"


def test_unreachable_if_the_control_fails_already() -> None:
    assert follow((0, 0.89, 0), (0.2, 0.99, 0)) == HorizonOutcome("unreachable", cause="sp2ps")
    assert follow((0, 0.99, 0.03), (0.2, 0.99, 0)) == HorizonOutcome(
        "unreachable", cause="accuracy"
    )


def test_never_crossed() -> None:
    found = follow((0, 1.0, 0), (0.2, 0.95, 0.01), (0.8, 0.91, 0.02))
    assert (found.state, found.at) == ("beyond", 0.8)
    assert str(found) == "> 80.0%"


def test_touching_is_not_falling_below() -> None:
    assert follow((0, 0.9, 0.02), (0.5, 0.9, 0.02)).state == "beyond"
    found = follow((0, 0.95, 0), (0.5, 0.9, 0), (0.7, 0.7, 0))
    assert found.at == pytest.approx(0.5)


def test_a_missing_value_is_no_promise() -> None:
    assert follow((0, 1.0, 0), (0.2, 0.95, 0), (0.4, None, 0)).state == "unknown"
    assert follow((0, 1.0, 0), (0.2, 0.5, 0), (0.4, None, 0)).state == "at"


def find(
    records: list[Record], versus: str = "published", axis: str = "dense"
) -> list[HorizonOutcome]:
    found = find_horizons(*group_records(records), axis)  # type: ignore[arg-type]
    return [horizon.outcome for horizon in found if horizon.versus == versus]


def test_horizons_of_records() -> None:
    records = [
        baseline(0.9),
        control(0.99),
        record("a", 0.5, reached=0.4, sp2ps=0.91),
        record("m", 0.5, reached=0.8, sp2ps=0.91, axis="masked"),
    ]
    # 0.99 falls to 0.95 half way to 0.91; below 0.99 - 0.05 = 0.94 five eighths of the way: 0.25.
    assert [found.at for found in find(records)] == [pytest.approx(0.2)]
    assert [found.at for found in find(records, "none - 0.05")] == [pytest.approx(0.25)]
    assert [found.at for found in find(records, axis="masked")] == [pytest.approx(0.4)]


def test_seed_means_make_the_line() -> None:
    records = []
    for seed, sp2ps in ((0, 0.93), (1, 0.89)):
        records += [
            baseline(seed=seed, seeds=(0, 1)),
            control(0.99, seed=seed, seeds=(0, 1)),
            record("a", 0.4, sp2ps=sp2ps, seed=seed, seeds=(0, 1)),
        ]
    assert [found.at for found in find(records)] == [pytest.approx(0.2)]


def test_no_published_threshold_for_grad_cam_plus_plus() -> None:
    records = [baseline(), control({"grad-cam++": 0.99}), record(sp2ps={"grad-cam++": 0.5})]
    assert find(records) == []
    assert len(find(records, "none - 0.05")) == 1


def test_missing_seeds_leave_the_horizon_open() -> None:
    (found,) = find([baseline(), control(0.99), record("a", 0.4, seeds=(0, 1))])
    assert found.state == "unknown"
    assert found.reason == "40% has 1 of 2 seeds"
