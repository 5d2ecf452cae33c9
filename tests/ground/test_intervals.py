"""Intervals cover what they say they cover."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from prunebench.errors import RequestError
from prunebench.intervals import mean_interval, median_interval, paired_drop, seed_interval


def test_bootstrap_covers_the_truth_in_95_percent() -> None:
    draws = np.random.default_rng(1).beta(5, 2, size=(600, 150))
    found = [mean_interval(values) for values in draws]
    covered = np.mean([i.low <= 5 / 7 <= i.high for i in found])
    # Binomial with p = 0.95 and 600 draws: standard deviation 0.9%.
    assert 0.92 <= covered <= 0.975


def test_bootstrap_is_close_to_the_normal_interval() -> None:
    values = np.random.default_rng(0).random(10_000)
    found, half = mean_interval(values), 1.96 * values.std() / 100
    assert found.mean == pytest.approx(values.mean(), abs=1e-12)
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)
    assert (found.n, found.undefined, found.method) == (10_000, 0, "bootstrap over images")


def test_undefined_values_are_left_out_and_counted() -> None:
    values = np.array([0.2, np.nan, 0.4, np.nan, 0.9, np.inf])
    found = mean_interval(values)
    assert found.mean == pytest.approx(0.5)
    assert (found.n, found.undefined) == (3, 3)
    assert 0.2 <= found.low <= 0.5 <= found.high <= 0.9


def test_undefined_values_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(0).random(4000)
    values[::2] = np.nan
    found, alone = mean_interval(values), mean_interval(values[1::2])
    assert found.mean == pytest.approx(alone.mean, abs=1e-12)
    assert found.high - found.low == pytest.approx(alone.high - alone.low, rel=0.15)


@pytest.mark.parametrize(("values", "undefined"), [([], 0), ([np.nan, np.nan], 2)])
def test_nothing_defined_has_no_mean(values: list[float], undefined: int) -> None:
    found = mean_interval(values)
    assert (found.mean, found.low, found.high) == (None, None, None)
    assert (found.n, found.undefined) == (0, undefined)


def test_one_value_has_no_interval() -> None:
    found = mean_interval([np.nan, 0.3])
    assert (found.mean, found.low, found.high, found.n) == (0.3, None, None, 1)


@pytest.mark.slow
@given(st.floats(-1, 1), st.integers(2, 30))
def test_equal_values_have_no_width(value: float, n: int) -> None:
    found = mean_interval([value] * n)
    assert found.low <= found.mean <= found.high
    assert found.high - found.low <= 1e-12


@pytest.mark.slow
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_interval_holds_the_mean_and_stays_among_the_values(values: list[float]) -> None:
    found = mean_interval(values)
    assert min(values) <= found.low <= found.mean <= found.high <= max(values)


def test_the_seed_decides_and_nothing_else_does() -> None:
    values = np.random.default_rng(0).random(50)
    np.random.seed(0)
    first = mean_interval(values, seed=3)
    np.random.seed(1)
    assert mean_interval(values, seed=3) == first
    assert mean_interval(values, seed=4) != first


def test_paired_drop_of_identical_arrays_is_exactly_zero() -> None:
    values = np.random.default_rng(0).random(200)
    found = paired_drop(values, values.copy())
    assert (found.mean, found.low, found.high) == (0, 0, 0)


def test_paired_drop_is_narrower_than_unpaired() -> None:
    generator = np.random.default_rng(0)
    base = (generator.random(2000) < 0.9).astype(float)
    pruned = np.where(generator.random(2000) < 0.02, 0.0, base)
    drop, alone = paired_drop(base, pruned), mean_interval(base)
    assert drop.mean == pytest.approx(base.mean() - pruned.mean(), abs=1e-12)
    assert drop.low > 0
    assert drop.high - drop.low < 0.7 * (alone.high - alone.low)


def test_paired_drop_leaves_out_images_undefined_in_either() -> None:
    found = paired_drop([1.0, np.nan, 0.5, 1.0], [0.5, 0.1, np.nan, 0.7])
    assert found.mean == pytest.approx(0.4)
    assert (found.n, found.undefined) == (2, 2)
    assert found.method == "paired bootstrap over images"


def test_seed_interval_is_that_of_student() -> None:
    means = [0.91, 0.93, 0.90, 0.94]
    found = seed_interval(means)
    low, high = scipy.stats.t.interval(0.95, 3, np.mean(means), scipy.stats.sem(means))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.n, found.undefined, found.method) == (4, 0, "t-interval over seeds")


def test_seed_interval_of_equal_seeds_has_no_width() -> None:
    found = seed_interval([0.9, 0.9, 0.9, np.nan])
    assert found.low == found.mean == found.high
    assert (found.n, found.undefined) == (3, 1)


@pytest.mark.parametrize("means", [[], [0.9, 0.8], [0.9, 0.8, np.nan]])
def test_seed_interval_needs_three_seeds(means: list[float]) -> None:
    with pytest.raises(RequestError, match="at least 3 seeds"):
        seed_interval(means)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(RequestError, match="same images, found 2 and 3"):
        paired_drop([1, 2], [1, 2, 3])
    with pytest.raises(RequestError, match=r"found shape \(2, 2\)"):
        mean_interval(np.ones((2, 2)))


def test_the_interval_of_a_median_covers_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    for count in (6, 15, 30):
        intervals = [median_interval(draw.exponential(size=count).tolist()) for _ in range(2000)]
        covered = np.mean([low <= np.log(2) <= high for low, high in intervals])
        assert 0.94 <= covered <= 0.99
    assert median_interval([3.0, 1.0]) == (1.0, 3.0)
