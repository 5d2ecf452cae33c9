from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from synthetic import baseline, control, record, suite

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.agreement import (
    OrderAgreement,
    compare_orders,
    describe_taus,
    list_leaders,
)
from prunebench.record import Record

CAMS = ("a-cam", "b-cam")
NAMES = [f"sp2ps/{cam}" for cam in CAMS]
SCORES = st.integers(0, 10).map(lambda score: score / 10)


def compare(records: list[Record], names: list[str] = NAMES) -> OrderAgreement | None:
    (section,) = board(
        [baseline(sp2ps=dict.fromkeys(CAMS, 1.0)), control(dict.fromkeys(CAMS, 1.0)), *records]
    )
    return compare_orders(section.rows, "dense", names)


def at_half(scores: Mapping[str, tuple[float, float]]) -> list[Record]:
    """One level a pruner, all at 50%."""
    return [
        record(pruner, 0.5, sp2ps=dict(zip(CAMS, both, strict=True)), half_width=0.0)
        for pruner, both in scores.items()
    ]


@pytest.mark.slow
@given(st.lists(st.tuples(SCORES, SCORES), min_size=3, max_size=8))
def test_tau_is_scipy_s_and_the_matrix_is_symmetric(scores: list[tuple[float, float]]) -> None:
    found = compare(at_half({f"p{index}": both for index, both in enumerate(scores)}))
    assert found is not None
    first, second = zip(*scores, strict=True)
    tau = found.tau(*NAMES)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert tau is None
    else:
        assert tau == pytest.approx(stats.kendalltau(first, second).statistic)
        assert found.taus(NAMES) == [[pytest.approx(1), tau], [tau, pytest.approx(1)]]


def test_orders_and_who_leads() -> None:
    found = compare(at_half({"x": (0.9, 0.5), "y": (0.8, 0.6), "z": (0.7, 0.7)}))
    assert found is not None
    assert [list(order.heights) for order in found.orders] == [["x", "y", "z"], ["z", "y", "x"]]
    assert found.tau(*NAMES) == pytest.approx(-1)
    assert list_leaders(found.orders) == {"x": ("sp2ps/a-cam",), "z": ("sp2ps/b-cam",)}


def test_all_are_read_at_the_largest_compression_of_the_grid_that_all_cover() -> None:
    records = [
        record("far", 0.3, sp2ps=dict.fromkeys(CAMS, 1.0)),
        record("far", 0.5, sp2ps=dict.fromkeys(CAMS, 0.2)),
        record("near", 0.4, sp2ps=dict.fromkeys(CAMS, 0.7)),
    ]
    found = compare(records)
    assert found is not None
    assert found.at == pytest.approx(0.4)
    # Half of the way from 1.0 to 0.2.
    assert found.orders[0].heights["far"].value == pytest.approx(0.6)
    assert found.orders[0].leader == "near"


@pytest.mark.parametrize(("seeds", "tied"), [((0, 1, 2), ("y",)), ((0,), ("y", "z"))])
def test_those_that_are_not_told_apart_from_the_leader_are_named(
    seeds: tuple[int, ...], tied: tuple[str, ...]
) -> None:
    records = []
    for seed in seeds:
        common: dict[str, Any] = {"seed": seed, "seeds": seeds}
        shift = 0.008 * (seed - 1)  # intervals of 0.02 to either side
        records += [
            baseline(sp2ps=dict.fromkeys(CAMS, 1.0), **common),
            control(dict.fromkeys(CAMS, 0.98 + shift), **common),
            *(
                record(pruner, 0.5, sp2ps=dict.fromkeys(CAMS, mean + shift), **common)
                for pruner, mean in {"x": 0.90, "y": 0.87, "z": 0.80}.items()
            ),
        ]
    (section,) = board(records)
    found = compare_orders(section.rows, "dense", NAMES)
    assert found is not None
    assert found.orders[0].tied == tied


def test_pruners_that_cannot_be_compared_are_left_out_with_the_reason() -> None:
    records = [
        *at_half({"x": (0.9, 0.5), "y": (0.8, 0.6)}),
        record("gap", 0.5, sp2ps={"a-cam": 0.5, "b-cam": None}),
        record("seeds", 0.5, sp2ps=dict.fromkeys(CAMS, 0.5), seeds=(0, 1)),
        record("nothing", 0.5, sp2ps=dict.fromkeys(CAMS, 0.5), reached=0.0),
    ]
    found = compare(records)
    assert found is not None
    assert found.pruners == ("x", "y")
    assert found.left_out == {
        "gap": "a level has no sp2ps/b-cam",
        "nothing": "nothing is removed on this axis",
        "seeds": "a level has 1 of 2 seeds",
    }
    assert found.tau(*NAMES) is None  # two pruners have no order worth comparing


def test_without_a_control_or_a_second_pruner_there_is_nothing_to_compare() -> None:
    (section,) = board([record("x"), record("y")])
    assert compare_orders(section.rows, "dense", ["sp2ps/grad-cam"]) is None
    assert compare(at_half({"x": (0.9, 0.5)})) is None
    assert compare(at_half({"x": (0.9, 0.5), "y": (0.8, 0.6)}), ["sp2ps/no-cam"]) is None


def test_pruners_that_lost_accuracy_are_compared_too() -> None:
    (section,) = board(suite(("a", "b", "c"), levels=(0.5, 0.9)))
    found = compare_orders(section.rows, "dense", ["accuracy", "sp2ps/grad-cam"])
    assert found is not None
    assert len(found.pruners) == 3
    assert found.at == 0.5


@pytest.mark.parametrize(
    ("least", "words"),
    [(0.9, "nearly the same"), (0.6, "similar"), (0.3, "partly different"), (-1, "very different")],
)
def test_words_follow_the_least_agreement(least: float, words: str) -> None:
    assert describe_taus([1.0, least]) == words
