"""A work's figures from our records: which rows of which protocol draw them again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.papers.cards.figures import Curves, Heatmaps
from prunebench.leaderboard.papers.cards.work import PublishedExperiment
from prunebench.leaderboard.papers.differences import is_of_pruner, list_differences
from prunebench.leaderboard.papers.matching_sections import (
    MatchingSection,
    find_matching_sections,
    measure_suite_distance,
)
from prunebench.leaderboard.papers.readings import read_value


@dataclass(frozen=True)
class Levels:
    """One method's levels, by rising compression."""

    pruner: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class RegeneratedFigure:
    """A figure that a card asks for, and the methods that draw it, in the figure's order."""

    asked: Curves | Heatmaps
    methods: tuple[Levels, ...]

    @property
    def has_levels(self) -> bool:
        """Whether a method has several levels, as a curve needs."""
        return any(len(method.rows) > 1 for method in self.methods)


@dataclass(frozen=True)
class RegeneratedFigures:
    """Figures of one experiment, drawn by rows of one protocol.

    Attributes:
        place: The protocol.
        figures: In the card's order.
        why: What is known to differ from the work, row by row.
    """

    place: MatchingSection
    figures: tuple[RegeneratedFigure, ...]
    why: tuple[tuple[str, ...], ...]

    @property
    def start(self) -> Row | None:
        """The network without compression: the ``none`` control, or else the baseline."""
        return self.place.section.control or self.place.section.baseline


def regenerate(
    experiment: PublishedExperiment, sections: Sequence[Section]
) -> tuple[RegeneratedFigures, ...]:
    """Find the rows that draw an experiment's figures again.

    Rows of the same experiment come first, similar ones after them. A figure for which the first
    protocol found has a single level a method stands there as points; the next protocol that has
    several levels draws it, too, so that there is a curve to look at.

    Args:
        experiment: The experiment.
        sections: The board.

    Returns:
        The protocols that draw at least one figure; none where nothing was run.
    """
    found: list[RegeneratedFigures] = []
    done: list[Curves | Heatmaps] = []
    for meant in (experiment.ours, *experiment.similar):
        places = find_matching_sections(meant, sections, exact=meant is experiment.ours)
        drawn = [_make_figures(experiment, place) for place in places]
        for each in sorted(drawn, key=lambda one: _rank_figures(experiment, one)):
            figures = tuple(
                figure
                for figure in each.figures
                if figure.asked not in done and (figure.has_levels or not found)
            )
            if figures:
                found.append(replace(each, figures=figures))
                done += [figure.asked for figure in figures if figure.has_levels]
    return tuple(found)


def _rank_figures(experiment: PublishedExperiment, drawn: RegeneratedFigures) -> tuple[object, ...]:
    """Return a sort key: the same experiment first, then its own suite, then what draws more.

    What the rows' numbers are does not count.
    """
    record = drawn.place.section.first
    return (
        not drawn.place.exact,
        measure_suite_distance(experiment, record.suite),
        -sum(figure.has_levels for figure in drawn.figures),
        -sum(len(method.rows) for figure in drawn.figures for method in figure.methods),
        sum(map(len, drawn.why)),
        record.protocol,
        record.id,
    )


def _make_figures(experiment: PublishedExperiment, place: MatchingSection) -> RegeneratedFigures:
    figures = []
    for asked in experiment.figures:
        methods = tuple(_choose_methods(experiment, asked, place.section))
        if methods:
            figures.append(RegeneratedFigure(asked, methods))
    rows = {row.first.id: row for each in figures for method in each.methods for row in method.rows}
    why = (
        (
            *place.meant.differs,
            *list_differences(experiment.conditions, experiment.ours, row, place.section),
        )
        for row in rows.values()
    )
    return RegeneratedFigures(place, tuple(figures), tuple(why))


def _choose_methods(
    experiment: PublishedExperiment, asked: Curves | Heatmaps, section: Section
) -> Iterator[Levels]:
    """Yield a method for each pattern: the variant with most levels, then the plainest."""
    for pattern in asked.pruners:
        variants: dict[str, list[tuple[float, Row]]] = {}
        for row in section.rows:
            if row.first.role == "compressed" and is_of_pruner(row.first, (pattern,)):
                at = _find_position(experiment, asked, row, section)
                if at is not None:
                    variants.setdefault(row.first.pruner, []).append((at, row))
        if variants:
            pruner = min(variants, key=lambda name: (-len(variants[name]), len(name), name))
            ordered = sorted(variants[pruner], key=lambda pair: (pair[0], pair[1].first.id))
            yield Levels(pruner, tuple(row for _, row in ordered))


def _find_position(
    experiment: PublishedExperiment, asked: Curves | Heatmaps, row: Row, section: Section
) -> float | None:
    """Return where a row stands among its method's levels; None if it has nothing to show."""
    if isinstance(asked, Heatmaps):
        kept = any(heat.cam in asked.cams for heat in row.first.heatmaps)
        return row.first.level if kept else None
    if all(_read_value(experiment, key, row, section) is None for key in asked.y):
        return None
    return _read_value(experiment, asked.x, row, section)


def _read_value(
    experiment: PublishedExperiment, key: str, row: Row, section: Section
) -> float | None:
    reading = experiment.quantities[key].reading
    return read_value(reading, row, section.baseline).value if reading else None
