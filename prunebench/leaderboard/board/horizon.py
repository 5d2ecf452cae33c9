"""Rule 7: how far a pruner was seen to go before its heatmaps or its accuracy gave way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from prunebench.intervals import seed_bounds
from prunebench.leaderboard.board.accuracy_bar import is_accurate
from prunebench.leaderboard.board.grid import CLOSE, Axis
from prunebench.leaderboard.board.references import References, list_cams
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.board.score import group_by_pruner
from prunebench.leaderboard.board.seeds import LEAST_TO_JUDGE, find_seed_objection
from prunebench.leaderboard.board.undefined import find_undefined
from prunebench.trust import THRESHOLDS

MOST_LOST = 0.05
"""Sp2PS that may be lost against ``none`` within the relative horizon."""
LEAST_LEVELS = 3

Versus = Literal["published", "none - 0.05"]
Cause = Literal["sp2ps", "accuracy"]
State = Literal["between", "below the first level", "beyond the last level", "not measurable"]


@dataclass(frozen=True)
class HorizonOutcome:
    """Between which measured levels a pruner gave way.

    Attributes:
        state: None where too little is known for any.
        at: The last level up to which all hold; None where the first gives way.
        next: The first level that gave way; None beyond the last.
        cause: What gave way there.
        reason: Why nothing is told.
    """

    state: State | None
    at: float | None = None
    next: float | None = None
    cause: Cause | None = None
    reason: str | None = None

    def __str__(self) -> str:
        cause = "Sp2PS" if self.cause == "sp2ps" else "accuracy"
        if self.state == "between":
            return f"[{_percent(self.at)}, {_percent(self.next)}) ({cause})"
        if self.state == "below the first level":
            return f"below the first level, {_percent(self.next)} ({cause})"
        if self.state == "beyond the last level":
            return f"beyond the last level, {_percent(self.at)}"
        if self.state == "not measurable":
            return f"not measurable here: `none` gives way ({cause})"
        return f"? ({self.reason})"


@dataclass(frozen=True)
class Horizon:
    """The trust horizon of one pruner for one explanation method.

    Attributes:
        pruner: Its label.
        axis: dense (MACs removed) or masked (weights removed).
        cam: The explanation method.
        versus: The published threshold, or the relative one: 0.05 below ``none``.
        threshold: The Sp2PS not to fall below.
        outcome: Between which levels it gave way.
    """

    pruner: str
    axis: Axis
    cam: str
    versus: Versus
    threshold: float
    outcome: HorizonOutcome


def find_horizons(rows: Sequence[Row], axis: Axis, references: References) -> list[Horizon]:
    """Find the trust horizons of all pruners of one section on one axis.

    Args:
        rows: Rows of one section.
        axis: Which axis; rows on the other are ignored.
        references: The section's controls.
    """
    control = references.control
    if control is None:
        return []
    found = []
    for pruner, levels in group_by_pruner(rows, axis):
        for cam in list_cams(control):
            name = f"sp2ps/{cam}"
            if cam in THRESHOLDS:
                outcome = _follow(levels, references, name, THRESHOLDS[cam])
                found.append(Horizon(pruner, axis, cam, "published", THRESHOLDS[cam], outcome))
            start = control.get(name).mean
            if start is not None:
                outcome = _follow(levels, references, name, None)
                found.append(Horizon(pruner, axis, cam, "none - 0.05", start - MOST_LOST, outcome))
    return found


def _follow(
    levels: Sequence[Row], references: References, name: str, threshold: float | None
) -> HorizonOutcome:
    """Follow the measured levels as far as every one of them holds.

    Args:
        levels: Of one pruner, by rising compression.
        references: The section's controls.
        name: The value, such as ``sp2ps/grad-cam``.
        threshold: The least value; None for what ``none`` keeps, less 0.05, seed by seed.
    """
    control, bars = references.control, dict(references.bars)
    reason = (
        find_seed_objection((references.baseline, control, *levels), LEAST_TO_JUDGE)
        or find_undefined((control,), (name,))
        or (len(levels) < LEAST_LEVELS and f"it has {len(levels)} of {LEAST_LEVELS} levels")
        or None
    )
    if reason or control is None:
        return HorizonOutcome(None, reason=reason)
    none = {record.seed: record.mean(name) for record in control.records}
    start = judge_level(control, bars, name, none, threshold)
    if start.unknown:
        return HorizonOutcome(None, reason=start.unknown)
    if start.cause:
        return HorizonOutcome("not measurable", cause=start.cause)
    last: float | None = None
    for row in levels:
        if undefined := find_undefined((row,), (name,)):
            return HorizonOutcome(None, last, reason=undefined)
        found = judge_level(row, bars, name, none, threshold)
        if found.unknown:
            return HorizonOutcome(None, last, reason=found.unknown)
        if found.cause:
            state: State = "below the first level" if last is None else "between"
            return HorizonOutcome(state, last, _place(row), found.cause)
        last = _place(row)
    return HorizonOutcome("beyond the last level", last)


class LevelVerdict(NamedTuple):
    """Whether a level holds.

    Attributes:
        cause: What gives way; None where it holds, or that is not known.
        unknown: What is missing to tell.
    """

    cause: Cause | None = None
    unknown: str | None = None


def judge_level(
    row: Row,
    bars: Mapping[int, float],
    name: str,
    none: Mapping[int, float | None],
    threshold: float | None,
) -> LevelVerdict:
    """Return whether a level holds, or what gives way there.

    Accuracy gives way where its mean over seeds is more than 1 point below the bar; Sp2PS where it
    cannot be told, with 95% confidence over seeds, to be at or above the threshold (or, without
    one, to have lost less than 0.05 against ``none`` under the same seed).
    """
    accurate = is_accurate(row, dict(bars))
    if accurate is None:
        return LevelVerdict(unknown="the accuracy is not known")
    if not accurate:
        return LevelVerdict("accuracy")
    values, references = [], []
    for record in row.records:
        value, reference = record.mean(name), none.get(record.seed)
        if value is None or reference is None:
            return LevelVerdict(unknown=f"{name} is missing")
        values.append(value)
        references.append(reference)
    if threshold is not None:
        return LevelVerdict(None if seed_bounds(values)[0] >= threshold - CLOSE else "sp2ps")
    losses = [reference - value for value, reference in zip(values, references, strict=True)]
    return LevelVerdict(None if seed_bounds(losses)[1] < MOST_LOST + CLOSE else "sp2ps")


def _place(row: Row) -> float:
    return round(max(row.pruned, 0.0), 12)


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.3g}%"
