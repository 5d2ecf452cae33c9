from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from synthetic import baseline, control, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.site.board.pareto import Point, mark_front, mark_pareto
from prunebench.record import Record, Value

numbers = st.integers(0, 4).map(float) | st.floats(-1, 1)
points = st.lists(st.tuples(numbers, numbers, numbers), max_size=30)


def dominates(a: Point, b: Point) -> bool:
    return a != b and all(x >= y for x, y in zip(a, b, strict=True))


@given(points)
def test_the_front_is_that_of_brute_force(found: list[Point]) -> None:
    assert mark_front(found) == [not any(dominates(a, b) for a in found) for b in found]


@given(points, st.randoms())
def test_the_front_does_not_depend_on_the_order(found: list[Point], chance: object) -> None:
    marked = dict(zip(found, mark_front(found), strict=True))
    chance.shuffle(found)  # type: ignore[attr-defined]
    assert dict(zip(found, mark_front(found), strict=True)) == marked


@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=30))
def test_every_point_off_the_front_is_dominated_by_one_on_it(found: list[Point]) -> None:
    marks = mark_front(found)
    best = [point for point, mark in zip(found, marks, strict=True) if mark]
    assert best
    for point, mark in zip(found, marks, strict=True):
        assert mark or any(dominates(other, point) for other in best)


def marks(*records: Record) -> dict[str, bool | str]:
    (section,) = board([baseline(), control(), *records])
    return mark_pareto(section.rows, section.control)


def test_axes_are_apart_and_masked_networks_count_their_weights() -> None:
    found = marks(
        record(id="dense", reached=0.5, accuracy=0.8, sp2ps=0.8),
        record(id="worse", level=0.6, reached=0.4, accuracy=0.8, sp2ps=0.7),
        record("m", id="masked", axis="masked", reached=0.1, accuracy=0.1, sp2ps=0.1),
        record("n", id="more", axis="masked", reached=0.2, accuracy=0.1, sp2ps=0.1),
    )
    assert found == {"dense": True, "worse": False, "masked": False, "more": True}


def test_equals_are_both_on_the_front() -> None:
    found = marks(
        record("a", id="a", reached=0.5, accuracy=0.8),
        record("b", id="b", reached=0.5, accuracy=0.8),
    )
    assert found == {"a": True, "b": True}


def test_what_lacks_a_number_is_not_judged_and_judges_nothing() -> None:
    blind = record("a", id="a", reached=0.9, sp2ps={"grad-cam": None})
    unknown = Value(mean=None, reason="lost")
    dull = record("b", id="b", reached=0.9, values={"accuracy": unknown})
    some = record("c", id="c", reached=0.9, seeds=(0, 1))
    seen = record("d", id="d", reached=0.1, accuracy=0.5, sp2ps=0.5)
    found = marks(blind, dull, some, seen)
    assert found == {
        "a": "Sp2PS is not known under every method",
        "b": "accuracy is not known",
        "c": "1 of 2 seeds",
        "d": True,
    }
