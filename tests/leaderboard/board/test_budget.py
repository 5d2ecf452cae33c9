"""Rule 12: what a method was given that others were not is told."""

from __future__ import annotations

import pytest
from synthetic import baseline, control, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.budget import find_budgets
from prunebench.record import Record

OTHERS = [record(name, images_seen=1000) for name in ("a", "b", "c")]


ALONE = "at equal budget it is compared with no other pruner"


def describe(records: list[Record], pruner: str = "x") -> list[str]:
    (section,) = board([baseline(), control(images_seen=9), *records])
    row = next(row for row in section.rows if row.first.pruner == pruner)
    return list(find_budgets(section.rows)[row.first.id].describe())


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (1000, []),
        (1100, []),
        (1101, ["saw 1.1 times the training images of the others", ALONE]),
        (2500, ["saw 2.5 times the training images of the others", ALONE]),
        (10, []),
    ],
)
def test_who_saw_over_a_tenth_more_images_says_so(seen: int, told: list[str]) -> None:
    assert describe([*OTHERS, record("x", images_seen=seen)]) == told


def test_a_pruner_of_many_levels_counts_once_among_the_others() -> None:
    long = [record("long", level, images_seen=5000) for level in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert describe([*OTHERS, *long, record("x", images_seen=1100)]) == []


def test_the_other_axis_and_the_own_levels_do_not_count() -> None:
    masked = [record(name, axis="masked", images_seen=1) for name in "abc"]
    own = [record("x", level, images_seen=5000) for level in (0.2, 0.4)]
    assert describe([*masked, *own]) == []


def test_others_that_saw_none_are_no_divisor() -> None:
    found = describe([record("a"), record("x", images_seen=2000)])
    assert found == ["saw 2,000 training images, the others none", ALONE]


def test_who_saw_as_many_is_named() -> None:
    same = record("same", images_seen=2400)
    found = describe([*OTHERS, record("x", images_seen=2500), same])
    assert found[1] == "at equal budget it is compared with same"


def test_reading_explanations_is_told() -> None:
    assert describe([*OTHERS, record("x", images_seen=1, reads_explanations=True)]) == [
        "reads explanations"
    ]


def test_controls_have_no_budget() -> None:
    (section,) = board([baseline(), control()])
    assert find_budgets(section.rows) == {}
