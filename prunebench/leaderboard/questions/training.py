"""How much of a drop is fine-tuning alone? The control's drop beside those of compressed rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from prunebench.leaderboard.board import AXES, Section
from prunebench.leaderboard.questions.comparison import methods
from prunebench.leaderboard.rank import by_pruner
from prunebench.leaderboard.rows import Estimate, Row

LEAST_DROP = 1e-3
"""A smaller drop is nothing to take a share of."""


@dataclass(frozen=True)
class Part:
    """Some compressed rows' median drop, and the control's as a share of it.

    Attributes:
        drop: 1 - Sp2PS, median over the rows.
        share: The control's drop over it; above 1 where training alone moves maps farther. None
            where the drop is below 0.001.
    """

    drop: float
    share: float | None


@dataclass(frozen=True)
class Training:
    """What training alone costs beside what compression and training cost together.

    Attributes:
        section: Where.
        cam: Under which explanation method.
        axis: Of the compressed rows.
        none: Sp2PS of the control.
        rows: Compressed rows that trained as long as the control.
        others: Compressed rows that did not; they are not looked at.
        every: Of all these rows.
        lightest: Of each pruner's row with the least removed.
        heaviest: Of each pruner's row with the most removed.
    """

    section: Section
    cam: str
    axis: str
    none: Estimate
    rows: int
    others: int
    every: Part
    lightest: Part
    heaviest: Part

    @property
    def drop(self) -> float:
        """The control's drop, 1 - Sp2PS."""
        return 1 - (self.none.mean or 0.0)


def training(section: Section) -> tuple[Training, ...]:
    """The control's drop beside the compressed rows', by axis and explanation method.

    Args:
        section: Rows of one protocol. Nothing is told of one without a control that trained, or
            whose control lacks seeds.
    """
    control = section.control
    if control is None or control.missing or not section.first.conditions.recovery:
        return ()
    found = []
    for axis in (*AXES, "quantised"):
        lines = [levels for _, levels in by_pruner(section.rows, axis)]
        for cam in methods(section):
            made = _training(section, control, lines, axis, cam)
            found += [made] if made else []
    return tuple(found)


def _training(
    section: Section, control: Row, lines: Sequence[Sequence[Row]], axis: str, cam: str
) -> Training | None:
    name = f"sp2ps/{cam}"
    none = control.get(name)
    same = [[row for row in levels if _as_long(row, control)] for levels in lines]
    drops = [
        [1 - mean for row in levels if (mean := row.get(name).mean) is not None] for levels in same
    ]
    drops = [each for each in drops if each]
    if none.mean is None or not drops:
        return None
    alone = 1 - none.mean
    rows = sum(map(len, drops))
    return Training(
        section,
        cam,
        axis,
        none,
        rows,
        sum(map(len, lines)) - rows,
        _part(alone, [drop for each in drops for drop in each]),
        _part(alone, [each[0] for each in drops]),
        _part(alone, [each[-1] for each in drops]),
    )


def _as_long(row: Row, control: Row) -> bool:
    return not row.missing and row.images_seen == control.images_seen


def _part(alone: float, drops: Sequence[float]) -> Part:
    middle = median(drops)
    return Part(middle, alone / middle if middle >= LEAST_DROP else None)
