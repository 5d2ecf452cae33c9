from __future__ import annotations

from typing import Any

import pytest
from synthetic import CONDITIONS, baseline, control, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.questions.training import find_training_drops
from prunebench.record import Record

UNTRAINED = CONDITIONS.model_copy(update={"recovery": None})


def drops(records: list[Record]) -> Any:
    (section,) = board(records)
    return find_training_drops(section)


def test_training_alone_is_a_share_of_each_drop() -> None:
    levels = {0.2: 0.9, 0.5: 0.8, 0.8: 0.6}
    rows = [record("x", level, sp2ps=mean) for level, mean in levels.items()]
    (found,) = drops([baseline(), control(0.95), *rows, record("y", 0.5, sp2ps=0.7)])
    assert found.drop == pytest.approx(0.05)
    assert (found.rows, found.others) == (4, 0)
    assert (found.lightest.drop, found.lightest.share) == pytest.approx((0.2, 0.25))
    assert (found.heaviest.drop, found.heaviest.share) == pytest.approx((0.35, 1 / 7))
    assert (found.every.drop, found.every.share) == pytest.approx((0.25, 0.2))


def test_rows_that_trained_longer_are_no_match_for_the_control() -> None:
    rows = [
        record("x", 0.5, sp2ps=0.8, images_seen=100),
        record("y", 0.5, sp2ps=0.1, images_seen=300),
        record("z", 0.5, sp2ps=0.1, images_seen=0),
    ]
    (found,) = drops([baseline(), control(0.95, images_seen=100), *rows])
    assert (found.rows, found.others) == (1, 2)
    assert found.every.drop == pytest.approx(0.2)


def test_a_share_of_nothing_is_not_told() -> None:
    (found,) = drops([baseline(), control(0.95), record("x", 0.5, sp2ps=1.0, half_width=0)])
    assert found.every.share is None


@pytest.mark.parametrize(
    "records",
    [
        [baseline(), record()],
        [baseline(), control(0.9)],
        [baseline(), control(0.9, seeds=(0, 1)), record()],
        [baseline(), control({}), record(sp2ps={})],
        [
            each.model_copy(update={"conditions": UNTRAINED})
            for each in (baseline(), control(), record())
        ],
    ],
    ids=["no control", "no rows", "seeds missing", "no Sp2PS", "no recovery"],
)
def test_without_a_trained_control_nothing_is_told(records: list[Record]) -> None:
    (section,) = board(records)
    assert find_training_drops(section) == ()
