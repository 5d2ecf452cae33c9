"""A row without levels beside what has levels, in a sentence."""

from __future__ import annotations

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.counterparts import find_counterpart
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.writers.cells import plain


def describe_counterpart(row: Row, section: Section) -> str | None:
    """Say what a network without levels keeps more than its counterpart; None for other rows."""
    found = find_counterpart(row, section.rows, section.references, section.listed)
    if found is None:
        return None
    if found.difference is None:
        versus = f"Against {plain(found.versus)}: " if found.versus else ""
        return f"{versus}{plain(found.reason or 'not known')}."
    cams = ", ".join(map(plain, section.references.cams))
    if found.low is None or found.high is None:
        told = f"{_sign(found.difference)}, under {found.seeds} seeds: too few for an interval"
    else:
        apart = found.low > 0 or found.high < 0
        told = (
            f"{_sign(found.difference)} [{_sign(found.low)}, {_sign(found.high)}] over "
            f"{found.seeds} seeds{'' if apart else ', not told apart'}"
        )
    return (
        f"Against {plain(found.versus or '')}, it keeps {told}: the paired difference in Sp2PS "
        f"({cams}), as far as the networks are accurate."
    )


def _sign(number: float) -> str:
    return f"{number:+.3f}".replace("-", "−")
