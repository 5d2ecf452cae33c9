"""Figures that a work's card asks for: of its table, or drawn again from our records."""

from __future__ import annotations

from pydantic import Field, field_validator

from prunebench.leaderboard.papers.cards.card_part import CardPart, Key, Patterns, Text


class Plot(CardPart):
    """A figure of an experiment: two of its columns."""

    x: Key
    y: Key


class Curves(CardPart):
    """A figure of curves over the levels of one or several methods, drawn again from our records.

    Every method has one curve for each of ``y``; all share one axis.

    Attributes:
        source: Which figure of the work.
        title: What it shows.
        pruners: Patterns of the methods that have a curve, in the figure's order.
        x: The column of the horizontal axis.
        y: Columns of the vertical axis, all of one unit.
        axis: Heading of the vertical axis; by default that of the columns.
    """

    source: Text
    title: Text
    pruners: Patterns = Field(min_length=1)
    x: Key
    y: tuple[Key, ...] = Field(min_length=1)
    axis: Text | None = None

    @field_validator("y")
    @classmethod
    def _differ(cls, y: tuple[str, ...]) -> tuple[str, ...]:
        for key in y:
            if y.count(key) > 1:
                raise ValueError(f"column {key!r} is named twice")
        return y


class Heatmaps(CardPart):
    """Figures of one image's heatmaps at every level, drawn again from our records.

    Attributes:
        pruners: Patterns of the methods that have a line, in the figures' order.
        cams: Explanation methods, each with the figure of the work that shows it.
    """

    pruners: Patterns = Field(min_length=1)
    cams: dict[Text, Text] = Field(min_length=1)
