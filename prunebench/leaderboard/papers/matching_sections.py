"""Where rows of an experiment may be found: sections of its data set, network and methods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.papers.cards.work import PublishedExperiment, RowPatterns
from prunebench.leaderboard.papers.differences import is_of_model, is_of_pruner, matches


@dataclass(frozen=True)
class MatchingSection:
    """A section in which rows may be found, and how they are meant.

    Attributes:
        section: The section.
        meant: Which rows the card asks for.
        exact: Whether they are of the same experiment.
        rows: Those of the section, its baseline and controls among them.
    """

    section: Section
    meant: RowPatterns
    exact: bool
    rows: tuple[Row, ...]


def find_matching_sections(
    meant: RowPatterns, sections: Iterable[Section], *, exact: bool
) -> Iterator[MatchingSection]:
    """Yield the sections of this data set and network in which one of the pruners was run.

    Args:
        meant: Which rows the card asks for.
        sections: The board.
        exact: Whether the card means rows of the same experiment by them.
    """
    for section in sections:
        if matches(section.first.dataset, meant.datasets) and is_of_model(section.first, meant):
            rows = tuple(row for row in section.rows if _is_meant(row, meant))
            if any(row.first.role == "compressed" for row in rows):
                # The first is the work's own data; the others are only like it.
                own = matches(section.first.dataset, meant.datasets[:1])
                yield MatchingSection(section, meant, exact and own, rows)


def _is_meant(row: Row, meant: RowPatterns) -> bool:
    return row.first.role != "compressed" or is_of_pruner(row.first, meant.pruners)


def measure_suite_distance(experiment: PublishedExperiment, suite: str) -> int:
    """Return how far a suite is from the one that repeats an experiment.

    Returns:
        0 for that suite, 1 for one reduced from it (its name with a suffix), 2 for any other.
    """
    own = experiment.suite_name
    if own is None or not f"{suite}-".startswith(f"{own}-"):
        return 2
    return int(suite != own)
