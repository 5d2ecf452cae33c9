"""How much of a drop is fine-tuning alone? The control's drop beside those of compressed rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.board import AXES
from prunebench.leaderboard.board.rows import Estimate, Row
from prunebench.leaderboard.board.score import group_by_pruner
from prunebench.leaderboard.questions.comparison import find_missing_value, list_methods
from prunebench.leaderboard.questions.networks import group_by_networks

LEAST_DROP = 1e-3
"""A smaller drop is nothing to take a share of."""


@dataclass(frozen=True)
class DropShare:
    """Some compressed rows' median drop, and the control's as a share of it.

    Attributes:
        drop: 1 - Sp2PS, median over the rows.
        share: The control's drop over it; above 1 where training alone moves maps farther. None
            where the drop is below 0.001, or a value is undefined on too many images.
    """

    drop: float
    share: float | None


@dataclass(frozen=True)
class TrainingDrop:
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
        reason: Why nothing follows from it: the value of one of these rows, or of the control, is
            undefined on more than 5% of images.
    """

    section: Section
    cam: str
    axis: str
    none: Estimate
    rows: int
    others: int
    every: DropShare
    lightest: DropShare
    heaviest: DropShare
    reason: str | None = None

    @property
    def drop(self) -> float:
        """The control's drop, 1 - Sp2PS."""
        return 1 - (self.none.mean or 0.0)


@dataclass(frozen=True)
class SectionTrainingDrops:
    """All that one section tells of training alone.

    Attributes:
        lines: By axis and explanation method; at least one.
        counts: Whether an answer rests on it: not where another section, whose networks are the
            same, has answered already, or where nothing follows from any line.
    """

    lines: tuple[TrainingDrop, ...]
    counts: bool

    @property
    def telling(self) -> tuple[TrainingDrop, ...]:
        """The lines from which something follows."""
        return tuple(line for line in self.lines if line.reason is None)

    @property
    def drop(self) -> float:
        """The control's drop, median over explanation methods; at least one line tells it."""
        return median({line.cam: line.drop for line in self.telling}.values())

    @property
    def share(self) -> float | None:
        """The control's share of the median drop, median over explanation methods and axes."""
        shares = [line.every.share for line in self.telling if line.every.share is not None]
        return median(shares) if shares else None


def list_training_drops(sections: Iterable[Section]) -> list[SectionTrainingDrops]:
    """Return the sections' training drops; one of each distinct set of networks counts.

    Args:
        sections: The board.
    """
    found = []
    for same in group_by_networks(sections):
        answered = False
        for section in same:
            lines = find_training_drops(section)
            counts = not answered and any(line.reason is None for line in lines)
            found += [SectionTrainingDrops(lines, counts)] if lines else []
            answered = answered or counts
    return found


def find_training_drops(section: Section) -> tuple[TrainingDrop, ...]:
    """Return the control's drop beside the compressed rows', by axis and method.

    Args:
        section: Rows of one protocol. Nothing is told of one without a control that trained, or
            whose control lacks seeds.
    """
    control = section.control
    if control is None or control.missing or not section.first.conditions.recovery:
        return ()
    found = []
    for axis in (*AXES, "quantised"):
        lines = [levels for _, levels in group_by_pruner(section.rows, axis)]
        for cam in list_methods(section):
            made = _find_training_drop(section, control, lines, axis, cam)
            found += [made] if made else []
    return tuple(found)


def _find_training_drop(
    section: Section, control: Row, lines: Sequence[Sequence[Row]], axis: str, cam: str
) -> TrainingDrop | None:
    name = f"sp2ps/{cam}"
    none = control.get(name)
    same = [[row for row in levels if _trained_as_long(row, control, name)] for levels in lines]
    same = [levels for levels in same if levels]
    if none.mean is None or not same:
        return None
    rows = [row for levels in same for row in levels]
    reason = next(
        (why for row in (control, *rows) if (why := find_missing_value(row, [name]))), None
    )

    def part(which: Sequence[Row]) -> DropShare:
        middle = median(1 - (row.get(name).mean or 0.0) for row in which)
        share = (1 - (none.mean or 0.0)) / middle if middle >= LEAST_DROP else None
        return DropShare(middle, None if reason else share)

    return TrainingDrop(
        section,
        cam,
        axis,
        none,
        len(rows),
        sum(map(len, lines)) - len(rows),
        part(rows),
        part([levels[0] for levels in same]),
        part([levels[-1] for levels in same]),
        reason,
    )


def _trained_as_long(row: Row, control: Row, name: str) -> bool:
    """Return whether a row has the value and trained as long as the control."""
    as_long = not row.missing and row.images_seen == control.images_seen
    return as_long and row.get(name).mean is not None
