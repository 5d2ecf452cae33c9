from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from synthetic import baseline, control, record, suite

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.correlations import (
    LEAST_FOR_RANKS,
    correlate,
    list_explanation_values,
    list_networks,
    list_pruner_lines,
)
from prunebench.leaderboard.board.rows import Row

NAME = "sp2ps/grad-cam"
VALUES = st.floats(0, 1).map(lambda value: round(value, 3))


def rows(points: Sequence[tuple[float, float]]) -> list[Row]:
    """Levels with these accuracies and Sp2PS, one seed."""
    found = [
        record(level=0.01 * (index + 1), accuracy=accuracy, sp2ps=sp2ps)
        for index, (accuracy, sp2ps) in enumerate(points)
    ]
    (section,) = board(found)
    return list(section.rows)


@pytest.mark.slow
@given(st.lists(st.tuples(VALUES, VALUES), min_size=3, max_size=20))
def test_both_coefficients_are_scipy_s(points: list[tuple[float, float]]) -> None:
    accuracy, sp2ps = zip(*points, strict=True)
    assume(len(set(accuracy)) > 1 and len(set(sp2ps)) > 1)
    (found,) = correlate(rows(points), [NAME])
    assert found.pearson is not None
    assert found.spearman is not None
    expected = stats.pearsonr(accuracy, sp2ps)
    assert found.pearson.value == pytest.approx(expected.statistic, abs=1e-7)
    assert found.pearson.p == pytest.approx(expected.pvalue, abs=1e-4)
    ranks = stats.spearmanr(accuracy, sp2ps)
    assert found.spearman.value == pytest.approx(ranks.statistic, abs=1e-9)
    if len(points) >= LEAST_FOR_RANKS:
        assert found.spearman.p == pytest.approx(ranks.pvalue, abs=1e-4)
    else:
        assert found.spearman.p is None


def test_what_is_not_defined_says_why() -> None:
    (few,) = correlate(rows([(0.9, 0.9), (0.8, 0.7)]), [NAME])
    assert (few.pearson, few.points) == (None, 2)
    assert few.reason == "2 of the 3 points that are needed"
    (flat,) = correlate(rows([(0.9, 0.5), (0.8, 0.5), (0.7, 0.5)]), [NAME])
    assert flat.reason == "the value is the same at all points"
    (same,) = correlate(rows([(0.9, 0.5), (0.9, 0.4), (0.9, 0.3)]), [NAME])
    assert same.reason == "accuracy is the same at all points"
    (absent,) = correlate(rows([(0.9, 0.5), (0.8, 0.4), (0.7, 0.3)]), ["ssim/grad-cam"])
    assert absent.points == 0


def test_rows_without_a_value_are_left_out_of_that_value_alone() -> None:
    cams = [
        {"grad-cam": 0.9 - 0.1 * i, "layer-cam": None if i == 1 else 0.5 + 0.1 * i}
        for i in range(4)
    ]
    found = [
        record(level=0.1 * (i + 1), accuracy=0.9 - 0.1 * i, sp2ps=each)
        for i, each in enumerate(cams)
    ]
    (section,) = board(found)
    whole, partial = correlate(section.rows, ["sp2ps/grad-cam", "sp2ps/layer-cam"])
    assert (whole.points, partial.points) == (4, 3)
    assert whole.pearson is not None
    assert partial.pearson is not None
    assert whole.pearson.value == pytest.approx(1)
    assert partial.pearson.value == pytest.approx(-1)


def test_rows_with_missing_seeds_are_left_out() -> None:
    found = [record(level=0.1 * i, accuracy=0.9 - 0.1 * i, seeds=(0, 1)) for i in range(1, 5)]
    (section,) = board(found)
    assert correlate(section.rows, [NAME])[0].points == 0


def seeded(noise: float, seeds: Sequence[int]) -> list[Row]:
    found = [
        record(
            level=0.2 * level,
            accuracy=0.9 - 0.1 * level,
            sp2ps=0.9 - 0.15 * level + noise * ((7 * seed + 3 * level) % 5 - 2),
            seed=seed,
            seeds=seeds,
        )
        for seed in seeds
        for level in range(1, 5)
    ]
    (section,) = board(found)
    return list(section.rows)


def test_seeds_make_an_interval_from_three_on() -> None:
    (found,) = correlate(seeded(0.05, (0, 1, 2)), [NAME])
    assert found.pearson is not None
    assert found.pearson.low is not None
    assert found.pearson.high is not None
    assert -1 <= found.pearson.low < found.pearson.high <= 1
    (two,) = correlate(seeded(0.05, (0, 1)), [NAME])
    assert two.pearson is not None
    assert two.pearson.low is None


def test_the_interval_is_student_s_t_of_fisher_s_z_over_the_seeds() -> None:
    found = seeded(0.05, (0, 1, 2, 3))
    (of_means,) = correlate(found, [NAME])
    z = []
    for seed in range(4):
        pairs = [
            (row.records[seed].values["accuracy"].mean, row.records[seed].values[NAME].mean)
            for row in found
        ]
        z.append(np.arctanh(stats.pearsonr(*zip(*pairs, strict=True)).statistic))
    t = stats.t.interval(0.95, 3, loc=np.mean(z), scale=stats.sem(z))
    assert of_means.pearson is not None
    assert of_means.pearson.low == pytest.approx(np.tanh(t[0]), abs=1e-6)
    assert of_means.pearson.high == pytest.approx(np.tanh(t[1]), abs=1e-6)


def test_seeds_that_agree_tell_nothing_of_chance_and_more_noise_more_doubt() -> None:
    def width(noise: float) -> float | None:
        (found,) = correlate(seeded(noise, (0, 1, 2, 3, 4)), [NAME])
        assert found.pearson is not None
        if found.pearson.low is None or found.pearson.high is None:
            return None
        return found.pearson.high - found.pearson.low

    assert width(0.0) is None
    assert (width(0.01) or 9) < (width(0.1) or 0)


def test_a_pruner_s_line_starts_at_the_control_and_all_rows_hold_it_once() -> None:
    (section,) = board(suite(("a", "b"), floors=True))
    found = list_pruner_lines(section.rows, "dense")
    assert [pruner for pruner, _ in found] == ["a", "b"]
    assert all(levels[0].first.role == "control" and len(levels) == 5 for _, levels in found)
    roles = [row.first.role for row in list_networks(section.rows, "dense")]
    assert roles.count("control") == 1
    assert roles.count("compressed") == 8
    assert set(roles) == {"control", "compressed"}


def test_values_of_maps_are_those_with_a_method() -> None:
    (section,) = board([baseline(), control(), record(sp2ps={"b-cam": 0.5, "a-cam": 0.5})])
    names = list_explanation_values(section.rows)
    assert {"sp2ps/a-cam", "sp2ps/b-cam", "sp2ps/grad-cam"} == set(names)
    assert list(names) == sorted(names)
