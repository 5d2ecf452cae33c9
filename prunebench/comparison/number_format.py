"""Numbers as a comparison's pages show them."""

from __future__ import annotations

from typing import Any

import numpy as np

from prunebench.intervals import Interval

UNKNOWN = "–"
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def format_number(value: Any, digits: int = 3) -> str:
    """Return a number, or a dash where it is undefined."""
    return UNKNOWN if value is None or np.isnan(value) else f"{value:.{digits}f}"


def format_interval(low: Any, high: Any, digits: int = 3) -> str:
    """Return an interval such as ``0.712 to 0.803``."""
    if low is None or high is None or np.isnan(low) or np.isnan(high):
        return UNKNOWN
    return f"{low:.{digits}f} to {high:.{digits}f}"


def format_mean(value: Interval, digits: int = 3) -> str:
    """Return a mean with its interval, such as ``0.76 (0.71 to 0.80)``."""
    mean = format_number(value.mean, digits)
    if value.low is None:
        return mean
    return f"{mean} ({format_interval(value.low, value.high, digits)})"


def format_share(share: float) -> str:
    """Return a share in whole percent, which says 0% and 100% of none and of all only."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def format_count(count: int | None, unit: str = "") -> str:
    """Return a count such as ``11.7 M``, or ``11.7 MB`` of a unit."""
    if count is None:
        return UNKNOWN
    # From where three digits would round up to the next unit.
    size, prefix = next((each for each in PREFIXES if count >= 0.9995 * each[0]), (1, ""))
    return f"{count / size:.3g} {prefix}{unit}".rstrip()


def format_change(before: int | None, after: int | None) -> str:
    """Return what became of a count, such as ``−40.2%``."""
    if before is None or after is None or before == 0:
        return UNKNOWN
    change = f"{100 * (after / before - 1):+.1f}%".replace("-", "−")
    return "unchanged" if before == after else change
