"""Rows: the networks of one pruner at one level, one for each seed, and their means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from statistics import quantiles
from typing import Any

from prunebench.intervals import LEAST_SEEDS, seed_interval
from prunebench.record import Reached, Record, Value
from prunebench.record.comparable import row_key, section_key
from prunebench.record.scales import scale_of

LEAST_PASSES = 8  # of which it is told how their times spread
WIDE = 1.5
"""How far apart the quartiles of ratios of times may be before a row says so."""
IMAGES_ONLY = "images only"
"""Begins the name of an interval that tells nothing of other seeds."""
SAID = {
    "baseline": "the baseline",
    "control": "`none`",
    "floor": "random weights",
    "twin": "the twin",
    "retrained": "the retrained explainer",
}
"""What messages call the networks that others are held against."""


@dataclass(frozen=True)
class Estimate:
    """A value over the seeds of a row.

    Attributes:
        mean: Mean over seeds; None if any seed has no value.
        low: Lower bound of the 95% interval; None if there is no interval.
        high: Upper bound.
        interval: What the interval covers.
        seeds: Seeds behind the mean.
        undefined: Share of images left out because the value is not defined there, in [0, 1].
        reason: Why ``mean`` is None.
        measured: Whether it was timed.
    """

    mean: float | None
    low: float | None = None
    high: float | None = None
    interval: str | None = None
    seeds: int = 0
    undefined: float = 0.0
    reason: str | None = None
    measured: bool = False


MISSING = Estimate(None, reason="not measured")


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard: the same network but for its seed.

    Attributes:
        records: One for each seed, by seed.
        planned: All seeds that were asked for.
    """

    records: tuple[Record, ...]
    planned: tuple[int, ...]

    @property
    def first(self) -> Record:
        """The record of the lowest seed: what does not depend on the seed is read here."""
        return self.records[0]

    @property
    def missing(self) -> int:
        """How many of the planned seeds have no record."""
        return len(self.planned) - len(self.records)

    @property
    def seeds(self) -> str:
        """How many seeds there are, such as ``3`` or ``2 of 3``."""
        found, planned = len(self.records), len(self.planned)
        return f"{found} of {planned}" if found < planned else str(found)

    @property
    def flags(self) -> tuple[str, ...]:
        """Things to know about any of the seeds' networks."""
        found = {
            flag
            for record in self.records
            for flag in (*record.flags, *list_unsteady_times(record))
        }
        return tuple(sorted(found))

    @property
    def images_seen(self) -> int:
        """Training images seen since the baseline; the most of any seed."""
        return max(record.images_seen for record in self.records)

    @property
    def failures(self) -> tuple[Record, ...]:
        """The seeds whose network could not be made."""
        return tuple(record for record in self.records if record.failure is not None)

    @cached_property
    def reached(self) -> Reached:
        """Fractions of the baseline removed, mean over the seeds whose network could be made."""
        made = [record for record in self.records if record.failure is None]
        parts = [record.reached for record in made or self.records]
        return Reached(
            **{name: _mean([getattr(p, name) for p in parts]) for name in Reached.model_fields}
        )

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """All values over the seeds, by name."""
        names = sorted({name for record in self.records for name in record.values})
        return {
            name: self._settle(
                combine_seeds(
                    [_find_value(record, name) for record in self.records],
                    [record.seed for record in self.records],
                    _find_bounds(name),
                )
            )
            for name in names
        }

    def _settle(self, found: Estimate) -> Estimate:
        """Return an estimate without an interval where the seeds' values hang together."""
        if self.first.role != "twin" or len(self.records) == 1 or found.low is None:
            return found
        return replace(found, low=None, high=None, interval=None)

    def get(self, name: str) -> Estimate:
        """Return a value over the seeds; one without a mean where nobody measured it."""
        return self.estimates.get(name, MISSING)

    @property
    def pruned(self) -> float:
        """The fraction pruned on this row's own axis: of MACs, or of weights if they are masked.

        As asked for, where no seed's network could be made.
        """
        if len(self.failures) == len(self.records):
            return self.first.level or 0.0
        return self.reached.weights if self.first.axis == "masked" else self.reached.macs

    def pruned_of(self, record: Record) -> float:
        """Return the same of one seed."""
        return record.reached.weights if self.first.axis == "masked" else record.reached.macs

    def drop(self, baseline: Row | None) -> float | None:
        """Return the accuracy lost against the baseline, a fraction (0.02 is 2 points).

        The paired difference of the record, or the difference of the means where there is none.
        """
        paired = self.get("accuracy_drop").mean
        if paired is not None:
            return paired
        here = self.get("accuracy").mean
        there = baseline.get("accuracy").mean if baseline else None
        return None if here is None or there is None else there - here


def list_unsteady_times(record: Record) -> Iterator[str]:
    """Yield a note for each timing whose ratio to the baseline's differs from pass to pass."""
    for place, times in sorted(record.times.items()):
        pairs = zip(times.baseline, times.network, strict=False)
        ratios = [network / baseline for baseline, network in pairs if baseline > 0]
        if len(ratios) < LEAST_PASSES:
            continue
        low, _, high = quantiles(ratios, n=4)
        if high > WIDE * low:
            middle = f"the middle half of the ratios is ×{low:.2f} to ×{high:.2f}"
            yield f"times of {place} are unsteady: {middle}"


def find_role(rows: Iterable[Row], role: str) -> Row | None:
    """Return the row of a role, such as the baseline; None if there is none.

    Of several controls it is ``none``.
    """
    found = [row for row in rows if row.first.role == role]
    return next((row for row in found if row.first.pruner == "none"), next(iter(found), None))


def format_level(row: Row) -> str:
    """Write a row's level: ``40%``, ``round 3 (49%)``, a dash, or ``none``."""
    record = row.first
    if record.role == "control":
        return "none"
    level = "–" if record.level is None else f"{100 * record.level:.4g}%"
    return level if record.round is None else f"round {record.round} ({level})"


def describe_row(row: Row) -> str:
    """Return what messages call a row: ``none``, ``random weights``, or its level."""
    return SAID.get(row.first.role) or format_level(row)


def combine_seeds(
    values: Sequence[Value | None],
    seeds: Sequence[int],
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Bring the values of several seeds together.

    With three seeds or more the interval is a t-interval over seeds, within the value's range. With
    fewer, or where all seeds agree exactly (nothing random happened, so that they tell nothing of
    chance), it is the mean of the records' own intervals, and is named as of images only.

    Args:
        values: One value for each seed; None where a record lacks it.
        seeds: The seeds.
        bounds: The range of the value.
    """
    if len(values) == 1 and (only := values[0]) is not None:
        return _estimate_single_seed(only)
    present = [value for value in values if value is not None]
    left_out = sum(value.undefined for value in present)
    images = sum(value.n or 0 for value in present) + left_out
    undefined = left_out / images if images else 0.0
    measured = any(value.measured for value in present)
    for value, seed in zip(values, seeds, strict=True):
        if value is None or value.mean is None:
            why = value.reason if value else "not measured"
            reason = why if len(seeds) == 1 else f"seed {seed}: {why}"
            return Estimate(None, undefined=undefined, reason=reason, measured=measured)
    means = [value.mean for value in present if value.mean is not None]
    low, high, interval = _find_interval(present, means, bounds)
    return Estimate(_mean(means), low, high, interval, len(means), undefined, measured=measured)


def _estimate_single_seed(value: Value) -> Estimate:
    """Return what ``combine_seeds`` would of one seed; faster, and most rows have one."""
    left_out = value.undefined
    undefined = left_out / ((value.n or 0) + left_out) if left_out else 0.0
    if value.mean is None:
        why = value.reason
        return Estimate(None, undefined=undefined, reason=why, measured=value.measured)
    if value.low is None or value.high is None:
        return Estimate(value.mean, seeds=1, undefined=undefined, measured=value.measured)
    kind = _name_interval(value.interval or "unnamed interval", value.measured)
    return Estimate(value.mean, value.low, value.high, kind, 1, undefined, measured=value.measured)


def _name_interval(name: str, measured: bool) -> str:
    return name if measured else f"{IMAGES_ONLY}: {name}"


def _find_interval(
    values: Sequence[Value], means: Sequence[float], bounds: tuple[float, float]
) -> tuple[float | None, float | None, str | None]:
    if len(means) >= LEAST_SEEDS and max(means) > min(means):
        found = seed_interval(means, bounds)
        return found.low, found.high, f"t-interval over {len(means)} seeds"
    lows = [value.low for value in values if value.low is not None]
    highs = [value.high for value in values if value.high is not None]
    if not values or len(lows) < len(values) or len(highs) < len(values):
        return None, None, None
    name = " / ".join(sorted({value.interval or "unnamed interval" for value in values}))
    name = _name_interval(name, any(value.measured for value in values))
    if len(values) > 1:
        name = f"{name}, mean of {len(values)} seeds"
    return _mean(lows), _mean(highs), name


def is_over_seeds(value: Estimate) -> bool:
    """Return whether an interval tells of other seeds too, not of images alone."""
    return bool(value.interval) and str(value.interval).startswith("t-interval")


def _find_value(record: Record, name: str) -> Value | None:
    if record.failure is not None:
        return Value(mean=None, reason=f"the network could not be made: {record.failure}")
    return record.values.get(name)


@lru_cache(maxsize=4096)
def _find_bounds(name: str) -> tuple[float, float]:
    scale = scale_of(name)
    return scale.bounds if scale else (-math.inf, math.inf)


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def group_records(records: Iterable[Record]) -> list[list[Row]]:
    """Group records into rows, and rows by what must be equal for them to be compared.

    The result does not depend on the records' order. Where two records are of one network under
    one seed, the one with more values stands.

    Returns:
        For each data set, model and protocol its rows: baseline, control, floor, compressed.
    """
    protocols: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        protocols.setdefault(section_key(record), []).append(record)
    return [_make_rows(protocols[key]) for key in sorted(protocols)]


def _make_rows(records: Sequence[Record]) -> list[Row]:
    networks: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        networks.setdefault(row_key(record), []).append(record)
    rows = []
    for key in sorted(networks):
        by_seed: dict[int, Record] = {}
        planned: set[int] = set()
        for record in sorted(networks[key], key=lambda found: (len(found.values), found.id)):
            planned.update(record.seeds)
            by_seed[record.seed] = record
        rows.append(Row(tuple(by_seed[seed] for seed in sorted(by_seed)), tuple(sorted(planned))))
    return rows


def explain_undefined(row: Row, value: Estimate) -> str | None:
    """Say why a preservation value is missing, or on how many images it is not defined."""
    if row.first.role == "baseline":
        return None
    if value.mean is None:
        return value.reason
    return f"not defined on {100 * value.undefined:.2g}% of images" if value.undefined else None
