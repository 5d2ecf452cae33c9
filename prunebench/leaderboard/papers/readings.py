"""Reading a value off our rows, as a work's card asks for it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from prunebench.leaderboard.board.collapse import COLLAPSED, explain_disagreement, list_working
from prunebench.leaderboard.board.correlations import find_zero_maps
from prunebench.leaderboard.board.rows import Estimate, Row
from prunebench.leaderboard.papers.cards.reading import Reading
from prunebench.record import Reached, Record

LEAST_LEVELS = 3
CAUTION = (
    "descriptive only: the levels of one run come from each other or from one network, so they are "
    "not independent observations, and no p-value is given"
)


@dataclass(frozen=True)
class ReadValue:
    """What was read.

    Attributes:
        value: None where there is none.
        low: Lower end of its 95% interval, if it has one.
        high: Upper end.
        note: Why there is no value, or what to know about it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str | None = None


def read_value(reading: Reading, row: Row, baseline: Row | None) -> ReadValue:
    """Read a value off one row.

    Args:
        reading: Not one over levels.
        row: The row.
        baseline: The baseline of its protocol.
    """
    if reading.of_baseline:
        if baseline is None:
            return ReadValue(None, note="its baseline was not recorded")
        row = baseline
    found = _read_named(reading.name, row, baseline)
    if found.value is None or reading.form == "plain":
        return found
    shift = 1.0 if reading.form == "complement" else 0.0
    low, high = (None if end is None else shift - end for end in (found.high, found.low))
    return replace(found, value=shift - found.value, low=low, high=high)


def _read_named(name: str, row: Row, baseline: Row | None) -> ReadValue:
    record = row.first
    kind, _, part = name.partition(".")
    if kind == "reached" and part in Reached.model_fields:
        return ReadValue(getattr(row.reached, part))
    if name == "level":
        return ReadValue(record.level, note=None if record.level is not None else "it has no level")
    if name == "round":
        rounds = record.round if record.role == "compressed" else 0
        return ReadValue(rounds, note=None if rounds is not None else "it has no rounds")
    estimate: Estimate = row.get(name)
    if estimate.mean is None and name == "accuracy_drop":
        return ReadValue(row.drop(baseline), note="a difference of means")
    return ReadValue(estimate.mean, estimate.low, estimate.high, estimate.reason)


def read_levels(reading: Reading, rows: Sequence[Row], bar: float | None) -> ReadValue:
    """Read a value over the levels of one method.

    Args:
        reading: One over levels.
        rows: The rows of one method and one protocol, the uncompressed network first.
        bar: The accuracy that levels are held against (see ``board/collapse.py``).

    Returns:
        The largest, or Pearson's correlation, of the seed means; of the correlation also the
        range over seeds, and what it is without collapsed levels. No value below three levels,
        or where one of the two is constant.
    """
    if len(rows) < LEAST_LEVELS:
        return ReadValue(None, note=f"{len(rows)} levels, of which {LEAST_LEVELS} are needed")
    names = (reading.name, reading.other or reading.name)
    for name in names:
        for row in rows:
            if row.get(name).mean is None:
                return ReadValue(None, note=f"{name} of one level: {row.get(name).reason}")
    first, second = ([_mean(row, name) for row in rows] for name in names)
    if reading.levels == "max":
        return ReadValue(max(first), note=f"of {len(rows)} levels")
    value = _correlate(first, second)
    if value is None:
        return ReadValue(None, note="one of the two is the same at all levels")
    by_seed = _correlate_by_seed(rows, names)
    spread = ""
    if len(by_seed) > 1:
        spread = f"; by seed {min(by_seed):.3f} to {max(by_seed):.3f}".replace("-", "−")
    shares = _describe_zero_maps(rows, names)
    without = _describe_working(value, list_working(rows, bar), len(rows), names)
    return ReadValue(value, note=f"over {len(rows)} levels{spread}{shares}; {without}; {CAUTION}")


def _describe_working(
    every: float, rows: Sequence[Row], levels: int, names: tuple[str, str]
) -> str:
    """Tell of a correlation what it is without the levels that have collapsed."""
    if len(rows) == levels:
        return f"no level {COLLAPSED}"
    reason, value = f"{len(rows)} of the {LEAST_LEVELS} levels that are needed", None
    if len(rows) >= LEAST_LEVELS:
        reason = "one of the two is the same at all levels"
        value = _correlate(*([_mean(row, name) for row in rows] for name in names))
    told = "not defined" if value is None else f"{value:.3f}".replace("-", "−")
    told = f"without the levels that {COLLAPSED} {told}, over {len(rows)} levels"
    told += _describe_zero_maps(rows, names)
    warning = explain_disagreement("Pearson's r", every, value, levels - len(rows), reason)
    return f"{told}. {warning.removesuffix('.')}" if warning else told


def _describe_zero_maps(rows: Sequence[Row], names: tuple[str, str]) -> str:
    """Tell the largest share of zero maps of any level, by the value that is of maps."""
    of_maps = next((name for name in names if "/" in name), None)
    share = find_zero_maps(rows, of_maps) if of_maps else None
    return "" if share is None else f", at most {share:.1%} of a level's maps zero"


def _correlate_by_seed(rows: Sequence[Row], names: tuple[str, str]) -> list[float]:
    """Return the correlation under each seed that all levels share."""
    shared = set.intersection(*({record.seed for record in row.records} for row in rows))
    found = []
    for seed in sorted(shared):
        records = [next(r for r in row.records if r.seed == seed) for row in rows]
        first, second = ([_read_mean(record, name) for record in records] for name in names)
        value = _correlate(first, second)
        if value is not None:
            found.append(value)
    return found


def _mean(row: Row, name: str) -> float:
    return row.get(name).mean or 0.0


def _read_mean(record: Record, name: str) -> float:
    return record.mean(name) or 0.0


def _correlate(first: Sequence[float], second: Sequence[float]) -> float | None:
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return statistics.correlation(first, second)
