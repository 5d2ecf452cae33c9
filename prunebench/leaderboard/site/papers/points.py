"""The points of curves: what rows of ours have over the levels of methods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.papers.cards.figures import Curves
from prunebench.leaderboard.papers.cards.work import Experiment
from prunebench.leaderboard.papers.numbers import Number, compare_number
from prunebench.leaderboard.papers.regenerated import Figure, Levels, Regenerated
from prunebench.leaderboard.writers.cells import plain


@dataclass(frozen=True)
class Point:
    """One network on a curve, in the units of the source."""

    row: Row
    x: float
    y: Number

    @property
    def value(self) -> float:
        """Its value; there is always one."""
        return self.y.ours or 0.0

    @property
    def ends(self) -> tuple[float, float]:
        """Its 95% interval; the value itself where it has none."""
        if self.y.low is None or self.y.high is None:
            return self.value, self.value
        return min(self.y.low, self.value), max(self.y.high, self.value)


@dataclass(frozen=True)
class Curve:
    """One value of one method, from the network without compression on.

    Attributes:
        method: Which of the figure's methods.
        key: The column.
        name: What tells it from the others of its figure.
        points: From left to right.
    """

    method: int
    key: str
    name: str
    points: tuple[Point, ...]


def points_of(
    experiment: Experiment, asked: Curves, drawn: Figure, found: Regenerated
) -> Iterator[Curve]:
    """The curves of one figure, method by method; those without any value are left out.

    Args:
        experiment: The experiment.
        asked: The figure as its card has it.
        drawn: Its methods.
        found: The protocol of their rows.
    """
    for index, method in enumerate(drawn.methods):
        for key in asked.y:
            points = sorted(_points(experiment, asked, key, method, found), key=lambda one: one.x)
            if points:
                yield Curve(index, key, _name(experiment, asked, key, drawn, method), tuple(points))


def _points(
    experiment: Experiment, asked: Curves, key: str, method: Levels, found: Regenerated
) -> Iterator[Point]:
    """The points of a curve that have a value; where it starts, no level was asked for."""
    baseline, quantities = found.place.section.baseline, experiment.quantities
    for row in (found.start, *method.rows):
        if row is None:
            continue
        y = compare_number(key, quantities[key], None, row, baseline)
        x = compare_number(asked.x, quantities[asked.x], None, row, baseline).ours
        at = 0.0 if x is None and row is found.start else x
        if at is not None and y.ours is not None:
            yield Point(row, at, y)


def _name(experiment: Experiment, asked: Curves, key: str, drawn: Figure, method: Levels) -> str:
    """What tells a curve from the others of its figure."""
    title = experiment.quantities[key].title
    if len(asked.y) == 1:
        return plain(method.pruner)
    return f"{title}, {plain(method.pruner)}" if len(drawn.methods) > 1 else title
