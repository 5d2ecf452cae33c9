"""The trust horizon: how far a pruner can go before its heatmaps or its accuracy give way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prunebench.leaderboard.board.rank import (
    CLOSE,
    MOST_ACCURACY_LOST,
    Axis,
    group_by_pruner,
    list_cams,
)
from prunebench.leaderboard.board.rows import Row, find_role, format_level
from prunebench.trust import THRESHOLDS

BELOW_CONTROL = 0.05
"""The second threshold: this much below the ``none`` control."""


@dataclass(frozen=True)
class HorizonOutcome:
    """Where a line gave way.

    Attributes:
        state: ``at`` a place; ``beyond`` the last level; ``unreachable`` because the control
            fails already; or ``unknown`` for lack of a value.
        at: Fraction removed: the crossing, the last level, or the last level that is known.
        cause: What gave way first.
        reason: Why it is unknown.
    """

    state: Literal["at", "beyond", "unreachable", "unknown"]
    at: float | None = None
    cause: Literal["sp2ps", "accuracy"] | None = None
    reason: str | None = None

    def __str__(self) -> str:
        place = "" if self.at is None else f"{100 * self.at:.1f}%"
        cause = "Sp2PS" if self.cause == "sp2ps" else "accuracy"
        if self.state == "at":
            return f"{place} ({cause})"
        if self.state == "beyond":
            return f"> {place}"
        return f"unreachable ({cause})" if self.state == "unreachable" else f"? ({self.reason})"


@dataclass(frozen=True)
class Horizon:
    """The trust horizon of one pruner for one explanation method and threshold.

    Attributes:
        pruner: Its label.
        axis: dense (MACs removed) or masked (weights removed).
        cam: The explanation method.
        versus: Which threshold: the published one, or 0.05 below the ``none`` control.
        threshold: The Sp2PS not to fall below.
        outcome: Where its line gave way.
    """

    pruner: str
    axis: Axis
    cam: str
    versus: Literal["published", "none - 0.05"]
    threshold: float
    outcome: HorizonOutcome


@dataclass(frozen=True)
class HorizonPoint:
    """What is known of one level.

    Attributes:
        x: Fraction removed.
        sp2ps: Mean Sp2PS; None if it is missing.
        drop: Accuracy lost against the baseline, a fraction; None if it is missing.
        missing: What to say if one of them is missing.
    """

    x: float
    sp2ps: float | None
    drop: float | None
    missing: str = "not measured"


def find_horizons(rows: Sequence[Row], axis: Axis) -> list[Horizon]:
    """Find the trust horizons of all pruners of one protocol on one axis.

    Args:
        rows: Rows of one protocol, baseline and control among them.
        axis: Which axis; rows on the other are ignored.
    """
    baseline = find_role(rows, "baseline")
    control = find_role(rows, "control")
    if control is None:
        return []
    found = []
    for pruner, levels in group_by_pruner(rows, axis):
        for cam in list_cams(control):
            start = _make_point(control, baseline, cam)
            points = [start, *(_make_point(row, baseline, cam) for row in levels)]
            if cam in THRESHOLDS:
                outcome = find_crossing(points, THRESHOLDS[cam])
                found.append(Horizon(pruner, axis, cam, "published", THRESHOLDS[cam], outcome))
            if start.sp2ps is not None:
                threshold = start.sp2ps - BELOW_CONTROL
                outcome = find_crossing(points, threshold)
                found.append(Horizon(pruner, axis, cam, "none - 0.05", threshold, outcome))
    return found


def find_crossing(points: Sequence[HorizonPoint], threshold: float) -> HorizonOutcome:
    """Follow the lines between measured levels to the first limit that one crosses.

    Args:
        points: The control at 0, then the levels by rising compression.
        threshold: The Sp2PS not to fall below.
    """
    start = points[0]
    if start.sp2ps is None or start.drop is None:
        return HorizonOutcome("unknown", reason=start.missing)
    if start.sp2ps < threshold - CLOSE:
        return HorizonOutcome("unreachable", cause="sp2ps")
    if start.drop > MOST_ACCURACY_LOST + CLOSE:
        return HorizonOutcome("unreachable", cause="accuracy")
    left_x, left_sp2ps, left_drop = start.x, start.sp2ps, start.drop
    for point in points[1:]:
        if point.sp2ps is None or point.drop is None:
            return HorizonOutcome("unknown", left_x, reason=point.missing)
        # How far along the segment each line is when it passes its limit; above 1 it does not.
        kept = _find_share_used(left_sp2ps - threshold, left_sp2ps - point.sp2ps)
        spent = _find_share_used(MOST_ACCURACY_LOST - left_drop, point.drop - left_drop)
        if min(kept, spent) < 1:
            at = left_x + min(kept, spent) * (point.x - left_x)
            return HorizonOutcome("at", at, "sp2ps" if kept <= spent else "accuracy")
        left_x, left_sp2ps, left_drop = point.x, point.sp2ps, point.drop
    return HorizonOutcome("beyond", left_x)


def _find_share_used(reserve: float, fall: float) -> float:
    """Return the part of a fall that uses up a reserve; infinite if it does not."""
    return max(reserve, 0.0) / fall if fall > reserve + CLOSE and fall > 0 else math.inf


def _make_point(row: Row, baseline: Row | None, cam: str) -> HorizonPoint:
    x = 0.0 if row.first.role == "control" else max(row.pruned, 0.0)
    if row.missing:
        return HorizonPoint(x, None, None, f"{format_level(row)} has {row.seeds} seeds")
    value, drop = row.get(f"sp2ps/{cam}"), row.drop(baseline)
    missing = f"sp2ps/{cam}" if value.mean is None else "accuracy"
    return HorizonPoint(x, value.mean, drop, f"{format_level(row)} has no {missing}")
