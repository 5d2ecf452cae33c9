"""Published numbers beside ours: for each the nearest row measured, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.papers.cards.work import PublishedExperiment, PublishedRow, Work
from prunebench.leaderboard.papers.differences import (
    list_differences,
    list_protocol_differences,
    list_seed_differences,
)
from prunebench.leaderboard.papers.matching_sections import (
    MatchingSection,
    find_matching_sections,
    measure_suite_distance,
)
from prunebench.leaderboard.papers.nearest import (
    choose_levels,
    explain_choice,
    explain_other_level,
    find_nearest,
    list_candidates,
)
from prunebench.leaderboard.papers.numbers import Number, compare_number, list_printed_numbers
from prunebench.leaderboard.papers.regenerated import RegeneratedFigures, regenerate

State = Literal["run", "similar rows only", "not run yet"]


@dataclass(frozen=True)
class Counterpart:
    """A published row and the row of ours that stands beside it.

    Attributes:
        published: The published row.
        numbers: Its columns.
        row: Our nearest row; None where there is none.
        exact: Whether it is of the same experiment: data set, network and method.
        differs: What is known to make the protocol of our row another than the published one.
        why: This and how many seeds there are; without a row, why there is none.
        levels: The levels of its method that the numbers are read over, from the network without
            compression on; none where they are the row's own.
        baseline: The baseline of the row's protocol.
    """

    published: PublishedRow
    numbers: tuple[Number, ...]
    row: Row | None = None
    exact: bool = False
    differs: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    levels: tuple[Row, ...] = ()
    baseline: Row | None = None

    def chosen_by(self, experiment: PublishedExperiment) -> str | None:
        """Return the column by which the level was chosen; None if there was no choice."""
        chosen = self.row and self.published.role == "compressed" and not self.levels
        return experiment.nearest if chosen else None


@dataclass(frozen=True)
class OwnRow:
    """A row of ours with its readings of a table's columns, and what is known to differ."""

    row: Row
    numbers: tuple[Number, ...]
    why: tuple[str, ...] = ()

    def get(self, key: str) -> float | None:
        """Return its reading of a column, in the unit of the source."""
        return next((number.ours for number in self.numbers if number.key == key), None)


@dataclass(frozen=True)
class ComparedExperiment:
    """An experiment of a work with what we have measured of it.

    Attributes:
        experiment: As its card has it.
        rows: Every published row, in the order of the source.
        own: All our compressed rows of the same data set and network, where they can be sorted in
            or drawn.
        figures: Its figures drawn again, by the protocols that draw them.
    """

    experiment: PublishedExperiment
    rows: tuple[Counterpart, ...]
    own: tuple[OwnRow, ...] = ()
    figures: tuple[RegeneratedFigures, ...] = ()

    @property
    def state(self) -> State:
        """Whether it was run: with its own data set, network and one of its methods."""
        exact = [beside.exact for beside in self.rows if beside.row]
        if any(exact) or any(each.place.exact for each in self.figures):
            return "run"
        similar = self.own or self.figures or exact
        return "similar rows only" if similar else "not run yet"


def compare_works(
    works: Mapping[str, Work], sections: Sequence[Section]
) -> dict[str, tuple[ComparedExperiment, ...]]:
    """Compare all experiments of all works with the board.

    Args:
        works: By name.
        sections: The board.

    Returns:
        The comparisons by the work's name, in the order of its experiments.
    """
    return {
        name: tuple(compare_experiment(experiment, sections) for experiment in work.experiments)
        for name, work in works.items()
    }


def compare_experiment(
    experiment: PublishedExperiment, sections: Sequence[Section]
) -> ComparedExperiment:
    """Find the nearest row of ours for every published row of one experiment.

    Rows of the same data set, network and method come first, and among them those of the suite
    that repeats the experiment; only where there are none, similar ones. All columns of a row are
    read off one row of ours, at the level that is nearest; nothing is interpolated.

    Args:
        experiment: The experiment.
        sections: The board.
    """
    ours = list(find_matching_sections(experiment.ours, sections, exact=True))
    places = list(ours)
    for similar in experiment.similar:
        places += find_matching_sections(similar, sections, exact=False)
    rows = tuple(_find_counterpart(experiment, published, places) for published in experiment.rows)
    own, figures = tuple(_list_own_rows(experiment, ours)), regenerate(experiment, sections)
    return ComparedExperiment(experiment, rows, own, figures)


def explain_not_run(experiment: PublishedExperiment) -> str:
    """Say of an experiment without a row of ours that it was not run, and what repeats it."""
    return f"not run yet: {experiment.suite or 'no suite repeats it so far'}"


def _find_counterpart(
    experiment: PublishedExperiment, published: PublishedRow, places: Iterable[MatchingSection]
) -> Counterpart:
    reason = _explain_unmatched(experiment, published)
    if reason:
        return Counterpart(published, list_printed_numbers(published), why=(reason,))
    found = [_find_in_section(experiment, published, place) for place in places]
    choices = [beside for beside in found if beside is not None]
    if not choices:
        return Counterpart(
            published, list_printed_numbers(published), why=(explain_not_run(experiment),)
        )
    return min(choices, key=lambda beside: _rank_counterpart(experiment, beside))


def _explain_unmatched(experiment: PublishedExperiment, published: PublishedRow) -> str | None:
    """Say why no row of ours could ever match a published one; None if one could."""
    if published.role != "compressed":
        return None
    if published.pruners == ():
        return "no compressor of this kind here"
    if experiment.nearest and not isinstance(published.values.get(experiment.nearest), str):
        title = experiment.quantities[experiment.nearest].title
        return f"the source gives no {title} by which to find the level"
    return None


def _rank_counterpart(experiment: PublishedExperiment, beside: Counterpart) -> tuple[object, ...]:
    """Return a sort key: the same experiment first, then its own suite, then the rest.

    Among these, what answers more columns and differs less. How near our numbers are to the
    published ones does not count: the choice would flatter us. Nor does, for that reason, whether
    the level is the published one.
    """
    assert beside.row is not None
    record = beside.row.first
    missing = sum(number.printed is not None and number.ours is None for number in beside.numbers)
    suite = measure_suite_distance(experiment, record.suite)
    level = explain_other_level(experiment, beside.published, beside.numbers)
    differing = sum(text not in level for text in beside.why)
    return (not beside.exact, suite, missing, differing, record.protocol, record.id)


def _find_in_section(
    experiment: PublishedExperiment, published: PublishedRow, place: MatchingSection
) -> Counterpart | None:
    """Find the row of one section that matches a published one; None if there is none."""
    section, quantities = place.section, experiment.quantities
    rows = list_candidates(place.rows, published)
    if not rows:
        return None
    readings = [quantities[key].reading for key in published.values]
    if any(reading and reading.levels for reading in readings):
        levels = choose_levels(rows, section)
        row = levels[-1]
    else:
        levels = []
        row = find_nearest(experiment, published, rows, section)
    numbers = tuple(
        compare_number(key, quantities[key], published, row, section.baseline, levels)
        for key in published.values
    )
    differs = dict.fromkeys(
        (
            *place.meant.differs,
            *explain_choice(experiment, published, () if levels else rows),
            *explain_other_level(experiment, published, numbers),
            *list_protocol_differences(experiment.conditions, experiment.ours, row, section),
        )
    )
    return Counterpart(
        published,
        numbers,
        row,
        place.exact,
        tuple(differs),
        (*differs, *list_seed_differences(experiment.conditions, row)),
        tuple(levels),
        section.baseline,
    )


def _list_own_rows(
    experiment: PublishedExperiment, places: Iterable[MatchingSection]
) -> Iterator[OwnRow]:
    """Yield our compressed rows of the same data set and network, for a table or a figure.

    Left out is what lies at 0 of the column they are sorted by: masks, where that is FLOPs.
    """
    if experiment.sorted_by is None and experiment.plot is None:
        return
    columns = {
        key: quantity
        for key, quantity in experiment.quantities.items()
        if quantity.reading and not quantity.reading.levels
    }
    for place in places:
        for row in place.rows:
            if row.first.role == "compressed":
                numbers = tuple(
                    compare_number(key, quantity, None, row, place.section.baseline)
                    for key, quantity in columns.items()
                )
                why = list_differences(experiment.conditions, experiment.ours, row, place.section)
                own = OwnRow(row, numbers, why)
                if experiment.sorted_by is None or own.get(experiment.sorted_by):
                    yield own
