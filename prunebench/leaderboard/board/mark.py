"""Rule 7: the mark of a row under an explanation method with a published threshold."""

from __future__ import annotations

from dataclasses import dataclass

from prunebench.intervals import seed_bounds
from prunebench.leaderboard.board.roles import UNPRUNED
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.board.seeds import LEAST_TO_JUDGE, find_seed_objection
from prunebench.leaderboard.board.undefined import find_undefined
from prunebench.trust import THRESHOLDS


@dataclass(frozen=True)
class Mark:
    """Whether a row's maps can be trusted by a published threshold.

    Attributes:
        trusted: None where that is not decided.
        reason: Why not.
    """

    trusted: bool | None
    reason: str | None = None


def mark_row(row: Row, cam: str) -> Mark:
    """Mark a row: trusted where Sp2PS lies above the threshold with 95% confidence over seeds.

    Not trusted where it lies below with the same confidence; else the seeds do not decide.

    Args:
        row: Any row.
        cam: An explanation method.
    """
    name = f"sp2ps/{cam}"
    if cam not in THRESHOLDS:
        return Mark(None, "no threshold was published for the method")
    if row.first.role in UNPRUNED:
        return Mark(None, "it is what others are held against")
    reason = find_seed_objection((row,), LEAST_TO_JUDGE) or find_undefined((row,), (name,))
    if reason:
        return Mark(None, reason)
    values = [record.mean(name) for record in row.records]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Mark(None, row.get(name).reason)
    if max(known) == min(known):
        return Mark(None, "its seeds agree exactly: nothing was drawn that could have differed")
    low, high = seed_bounds(known)
    if low >= THRESHOLDS[cam]:
        return Mark(True)
    if high < THRESHOLDS[cam]:
        return Mark(False)
    return Mark(None, f"{len(known)} seeds do not decide it: from {low:.3f} to {high:.3f}")
