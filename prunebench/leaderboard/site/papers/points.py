"""The points of curves: what rows of ours have over the levels of methods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.papers.cards.figures import Curves
from prunebench.leaderboard.papers.cards.work import PublishedExperiment
from prunebench.leaderboard.papers.numbers import Number, compare_number
from prunebench.leaderboard.papers.regenerated import Levels, RegeneratedFigure, RegeneratedFigures
from prunebench.leaderboard.writers.cells import plain


@dataclass(frozen=True)
class CurvePoint:
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
class FigureCurve:
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
    points: tuple[CurvePoint, ...]


def list_curves(
    experiment: PublishedExperiment,
    asked: Curves,
    drawn: RegeneratedFigure,
    found: RegeneratedFigures,
) -> Iterator[FigureCurve]:
    """Yield the curves of one figure, method by method; those without any value are left out.

    Args:
        experiment: The experiment.
        asked: The figure as its card has it.
        drawn: Its methods.
        found: The protocol of their rows.
    """
    for index, method in enumerate(drawn.methods):
        for key in asked.y:
            points = sorted(
                _list_points(experiment, asked, key, method, found), key=lambda one: one.x
            )
            if points:
                yield FigureCurve(
                    index, key, _name_curve(experiment, asked, key, drawn, method), tuple(points)
                )


def _list_points(
    experiment: PublishedExperiment,
    asked: Curves,
    key: str,
    method: Levels,
    found: RegeneratedFigures,
) -> Iterator[CurvePoint]:
    """Yield the points of a curve that have a value; the start is at 0 where it has no level."""
    baseline, quantities = found.place.section.baseline, experiment.quantities
    for row in (found.start, *method.rows):
        if row is None:
            continue
        y = compare_number(key, quantities[key], None, row, baseline)
        x = compare_number(asked.x, quantities[asked.x], None, row, baseline).ours
        at = 0.0 if x is None and row is found.start else x
        if at is not None and y.ours is not None:
            yield CurvePoint(row, at, y)


def _name_curve(
    experiment: PublishedExperiment,
    asked: Curves,
    key: str,
    drawn: RegeneratedFigure,
    method: Levels,
) -> str:
    """Name a curve by what differs from the others of its figure."""
    title = experiment.quantities[key].title
    if len(asked.y) == 1:
        return plain(method.pruner)
    return f"{title}, {plain(method.pruner)}" if len(drawn.methods) > 1 else title
