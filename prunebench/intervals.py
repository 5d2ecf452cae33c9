"""Means with intervals: over images by bootstrap, over seeds by Student's t."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunebench.errors import RequestError

RESAMPLES = 1000
CONFIDENCE = 0.95
LEAST_SEEDS = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% interval.

    Attributes:
        mean: Mean of the defined values; None where there is none.
        low: Lower end; None with fewer than two defined values.
        high: Upper end; None with fewer than two defined values.
        n: Number of defined values.
        undefined: Number of values that are NaN (or infinite) and were left out.
        method: How the interval was made, and so what it covers.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    undefined: int
    method: str


def mean_interval(
    values: ArrayLike, seed: int = 0, *, method: str = "bootstrap over images"
) -> Interval:
    """Return mean and percentile interval from 1000 bootstrap resamples.

    All values are resampled, undefined ones too: how many are defined is itself a matter of
    which images were drawn.

    Args:
        values: One number an image, N; NaN where undefined.
        seed: Seed of the resamples. Equal N and seed give equal resamples.
        method: What to call it.

    Raises:
        RequestError: The values are not one-dimensional.
    """
    given = _vector(values)
    defined = np.isfinite(given)
    n, undefined = int(defined.sum()), int((~defined).sum())
    if n == 0:
        return Interval(None, None, None, 0, undefined, method)
    least, most = given[defined].min(), given[defined].max()
    # Rounding must not carry a mean or an end past the values, as in an accuracy above 1.
    mean = float(np.clip(given[defined].mean(), least, most))
    if n == 1:
        return Interval(mean, None, None, 1, undefined, method)
    weights = _resamples(len(given), seed)
    # Around the mean, so that single precision is plenty and equal values give no width.
    deviations = np.where(defined, given - mean, 0.0).astype(np.float32)
    drawn = weights @ defined.astype(np.float32) if undefined else np.float32(n)
    with np.errstate(invalid="ignore"):
        means = (weights @ deviations) / drawn
    tail = (1 - CONFIDENCE) / 2
    low, high = mean + np.nanquantile(means.astype(np.float64), [tail, 1 - tail])
    low, high = float(np.clip(low, least, mean)), float(np.clip(high, mean, most))
    return Interval(mean, low, high, n, undefined, method)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return a 95% interval of the median, whatever the distribution: between two order statistics.

    The j-th lowest and highest of n values, with the largest j for which a binomial (n, 1/2) is
    below j with a probability of at most 2.5% (Conover, Practical Nonparametric Statistics, 3.2).
    With fewer than six values it is their range, which covers less.

    Args:
        values: At least one.
    """
    ordered, count = sorted(values), len(values)
    j = _find_lower_rank(count)
    return ordered[max(j - 1, 0)], ordered[min(count - j, count - 1)]


@lru_cache(maxsize=1024)  # of every row of a board, and few counts differ
def _find_lower_rank(count: int) -> int:
    from scipy.stats import binom

    return int(binom.ppf((1 - CONFIDENCE) / 2, count, 0.5))


def paired_drop(base: ArrayLike, pruned: ArrayLike, seed: int = 0) -> Interval:
    """Return the mean of ``base - pruned`` over images, with a paired bootstrap interval.

    Args:
        base: One number an image for the baseline, N.
        pruned: One number for the same images in the same order, N.
        seed: Seed of the resamples.

    Returns:
        The drop: positive where pruning made the value smaller. An image that is undefined in
        either is left out and counted.

    Raises:
        RequestError: The two are not of one length.
    """
    first, second = _vector(base), _vector(pruned)
    if len(first) != len(second):
        raise RequestError(
            f"a paired drop needs the same images, found {len(first)} and {len(second)} values"
        )
    with np.errstate(invalid="ignore"):
        differences = first - second
    return mean_interval(differences, seed, method="paired bootstrap over images")


def seed_interval(
    means: ArrayLike,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    chosen_from: int = 1,
) -> Interval:
    """Return the mean over seeds with Student's t-interval.

    Args:
        means: One mean a seed; NaN where a seed's mean is undefined.
        bounds: The range of the metric, which the interval does not leave.
        chosen_from: How many such means this one was picked out of, by its value: the interval is
            then wide enough for all of them at once (Bonferroni).

    Raises:
        RequestError: Fewer than three seeds have a mean.
    """
    given = _vector(means)
    defined = given[np.isfinite(given)]
    n = len(defined)
    if n < LEAST_SEEDS:
        raise RequestError(
            f"an interval over seeds needs at least {LEAST_SEEDS} seeds with a mean, found {n}"
        )
    mean = float(defined.mean())
    half = _find_half_width(defined, 1 - (1 - CONFIDENCE) / (2 * chosen_from))
    low, high = max(mean - half, min(bounds[0], mean)), min(mean + half, max(bounds[1], mean))
    return Interval(mean, low, high, n, len(given) - n, "t-interval over seeds")


def seed_bounds(means: ArrayLike) -> tuple[float, float]:
    """Return the one-sided 95% bounds of a mean over seeds, by Student's t.

    The mean lies above the first with 95% confidence, and below the second likewise.

    Args:
        means: One mean a seed, at least two.
    """
    given = _vector(means)
    half = _find_half_width(given, CONFIDENCE)
    return float(given.mean()) - half, float(given.mean()) + half


def _find_half_width(means: Floats, quantile: float) -> float:
    from scipy.special import stdtrit

    spread = float(means.std(ddof=1)) if np.ptp(means) else 0.0
    return float(stdtrit(len(means) - 1, quantile) * spread / len(means) ** 0.5)


def _vector(values: ArrayLike) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise RequestError(f"one number an image is expected, found shape {found.shape}")
    return found


@lru_cache(maxsize=4)
def _resamples(n: int, seed: int) -> NDArray[np.float32]:
    """Count how often each of n images is drawn in each resample: multinomial, RESAMPLES×n."""
    generator = np.random.default_rng([seed, n])
    counts = np.empty((RESAMPLES, n), dtype=np.float32)
    for row in counts:
        row[:] = np.bincount(generator.integers(0, n, n), minlength=n)
    counts.flags.writeable = False
    return counts
