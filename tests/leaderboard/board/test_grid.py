"""Rules 3 to 5: the bar, the grid and the score, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunebench.leaderboard.board.accuracy_bar import weigh_accuracy
from prunebench.leaderboard.board.grid import GRID, NEAR, WIDEST_GAP, Point, read_point
from prunebench.leaderboard.board.score import read_cell, score_cells


@pytest.mark.parametrize(
    ("accuracy", "weight"),
    [(0.95, 1.0), (0.90, 1.0), (0.89, 1.0), (0.88, 0.5), (0.875, 0.25), (0.87, 0.0), (0.2, 0.0)],
)
def test_accuracy_counts_less_and_less_from_one_to_three_points_below_the_bar(
    accuracy: float, weight: float
) -> None:
    assert weigh_accuracy(accuracy, 0.90) == pytest.approx(weight)


def test_a_level_within_two_points_counts_as_measured_there() -> None:
    points = [Point(0, 1.0, 1), Point(0.219, 0.9, 1), Point(0.36, 0.7, 1)]
    assert read_point(points, 0.2) == points[1]
    assert read_point(points, 0.4) is None  # beyond the last, and not within 2 points


def test_between_two_levels_the_less_accurate_of_them_counts() -> None:
    points = [Point(0, 1.0, 1), Point(0.15, 0.9, 1), Point(0.35, 0.5, 0.25)]
    found = read_point(points, 0.25)
    assert found is not None
    assert found == pytest.approx((0.25, 0.7, 0.25))


def test_no_value_is_read_across_a_wide_gap() -> None:
    assert read_point([Point(0, 1.0, 1), Point(0.25, 0.9, 1)], 0.1) is None
    assert read_point([Point(0, 1.0, 1), Point(0.21, 0.9, 1)], 0.1) is not None


@settings(max_examples=200, deadline=None)
@given(
    places=st.lists(st.floats(0.001, 0.99), min_size=0, max_size=8),
    at=st.sampled_from([*GRID["dense"], *GRID["masked"]]),
)
def test_what_is_read_lies_between_neighbours_that_are_near(places: list[float], at: float) -> None:
    points = [Point(place, 1 - place, 1.0) for place in (0.0, *places)]
    found = read_point(points, at)
    reach = max(place for place in (0.0, *places))
    if found is None:
        return
    assert at <= reach + NEAR + 1e-9
    if abs(found.pruned - at) > 1e-9:  # measured near it
        assert abs(found.pruned - at) <= NEAR + 1e-9
    else:
        left = max(place for place in (0.0, *places) if place <= at)
        right = min(place for place in (0.0, *places) if place >= at)
        assert right - left <= WIDEST_GAP + 1e-9
        assert 1 - right - 1e-6 <= found.value <= 1 - left + 1e-6


def test_a_score_counts_values_as_far_as_they_are_accurate() -> None:
    cells = [Point(0.1, 0.9, 1.0), Point(0.2, 0.8, 0.5), Point(0.3, 0.95, 0.0)]
    # 0.9; half of 0.8 and half of 0.2; 0.2.
    assert score_cells(cells, floor=0.2) == pytest.approx((0.9 + 0.5 + 0.2) / 3)


FLOOR = 0.2
network = st.tuples(st.floats(-0.1, 0.1), st.floats(0, 1), st.floats(0, 1))


@settings(max_examples=300, deadline=None)
@given(networks=st.lists(network, min_size=5, max_size=5), crashed=st.integers(0, 4))
def test_a_crashed_cell_never_raises_a_score(
    networks: list[tuple[float, float, float]], crashed: int
) -> None:
    # Each network misses its level by up to ten points; where one crashed, it stands at the level
    # that was asked for.
    asked = GRID["dense"]
    made = [Point(at + off, v, w) for at, (off, v, w) in zip(asked, networks, strict=True)]
    gone = [*made[:crashed], Point(asked[crashed], FLOOR, 0.0), *made[crashed + 1 :]]
    before, after = score_grid(made), score_grid(gone, FLOOR)
    if before is not None and after is not None:
        assert after <= before + 1e-9


def score_grid(networks: list[Point], failed: float | None = None) -> float | None:
    cells = [read_cell([Point(0, 0.97, 1), *networks], at, failed) for at in GRID["dense"]]
    known = [cell for cell in cells if cell is not None]
    return score_cells(known, FLOOR) if len(known) == len(cells) else None


def test_of_two_networks_at_one_place_the_accurate_one_counts() -> None:
    points = [Point(0.2, 0.5, 0.0), Point(0.2, 0.9, 1.0)]
    assert read_point(points, 0.2) == read_point(points[::-1], 0.2) == points[1]
