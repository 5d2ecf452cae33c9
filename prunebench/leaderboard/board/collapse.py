"""Correlations without collapsed networks: that ruined ones lose both values tells nothing.

Over levels that reach down to ruin, accuracy and preservation fall together whatever relates them
before: maps that are all zero have a preservation of 0, and accuracy ends at chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prunebench.leaderboard.board.accuracy_bar import find_bars
from prunebench.leaderboard.board.correlations import Correlation, correlate
from prunebench.leaderboard.board.rows import Row

MOST_LOST = 0.1
"""Of accuracy against the bar: levels that lost more (10 points) have collapsed."""
ROUNDING = 1e-9
FAR = 0.3
"""Two coefficients farther apart than this let a reader believe different things."""
COLLAPSED = f"lost more than {100 * MOST_LOST:.0f} points of accuracy"


@dataclass(frozen=True)
class TwofoldCorrelation:
    """Correlations of a value with accuracy, with collapsed networks and without.

    Attributes:
        every: Over all networks.
        working: Over those that lost at most 10 points of accuracy.
    """

    every: Correlation
    working: Correlation

    @property
    def collapsed(self) -> int:
        """Number of networks that are left out of the second."""
        return self.every.points - self.working.points

    def explain_disagreement(self) -> str | None:
        """Say that the two would make a reader believe different things; None if not."""
        pairs = (
            ("Pearson's r", self.every.pearson, self.working.pearson),
            ("Spearman's ρ", self.every.spearman, self.working.spearman),
        )
        found = [
            (abs(first.value - (second.value if second else 0)), name, first, second)
            for name, first, second in pairs
            if first is not None
        ]
        if not found:
            return None
        _, name, first, second = max(found, key=lambda each: each[0])
        other = second.value if second else None
        return explain_disagreement(name, first.value, other, self.collapsed, self.working.reason)


def find_bar(*references: Row | None) -> float | None:
    """Return the accuracy to hold levels against: the mean over seeds of each seed's bar.

    Args:
        references: The baseline and the ``none`` control, where there are any.
    """
    bars = find_bars(*references).values()
    return sum(bars) / len(bars) if bars else None


def list_working(rows: Iterable[Row], bar: float | None) -> list[Row]:
    """Return the rows that lost at most 10 points of accuracy against the bar; none without one."""
    if bar is None:
        return []
    least = bar - MOST_LOST - ROUNDING
    return [row for row in rows if (row.get("accuracy").mean or 0.0) >= least]


def correlate_twice(
    rows: Sequence[Row], names: Sequence[str], bar: float | None
) -> list[TwofoldCorrelation]:
    """Correlate accuracy with values over all rows, and over those that have not collapsed.

    Args:
        rows: Levels of one pruner, or all rows of a protocol.
        names: The values.
        bar: The accuracy that levels are held against (see ``find_bar``).

    Returns:
        One for each name, in their order.
    """
    working = correlate(list_working(rows, bar), names)
    if bar is None:
        reason = "neither the baseline nor none has an accuracy to hold levels against"
        working = [Correlation(name, 0, reason=reason) for name in names]
    pairs = zip(correlate(rows, names), working, strict=True)
    return [TwofoldCorrelation(every, without) for every, without in pairs]


def explain_disagreement(
    name: str, every: float, working: float | None, collapsed: int, reason: str | None
) -> str | None:
    """Say that a coefficient is another without collapsed levels; None if it is much the same.

    Args:
        name: Of the coefficient.
        every: Over all levels.
        working: Over those that have not collapsed; None where it is not defined.
        collapsed: How many have.
        reason: Why it is not defined.
    """
    if working is None:
        return (
            f"{name} is {write_coefficient(every)} over all levels and not defined without those "
            f"that {COLLAPSED}: {reason}."
        )
    if abs(every - working) <= FAR:
        return None
    return (
        f"{name} is {write_coefficient(every)} with the {collapsed} levels that {COLLAPSED} and "
        f"{write_coefficient(working)} without: the first does not hold for networks that work."
    )


def write_coefficient(value: float) -> str:
    """Write a coefficient with two digits and a true minus sign."""
    return f"{value:.2f}".replace("-", "−")
