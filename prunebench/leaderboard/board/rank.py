"""Rule 6: the places that pruners may hold, as far as their scores can be told apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from prunebench.intervals import LEAST_SEEDS, seed_interval
from prunebench.leaderboard.board.comparisons import Blocks
from prunebench.leaderboard.board.grid import GRID, Axis
from prunebench.leaderboard.board.references import References
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.board.score import Score, group_by_pruner, score_pruner
from prunebench.leaderboard.board.seeds import LEAST_TO_RANK, find_seed_objection
from prunebench.leaderboard.board.undefined import find_undefined

NOT_TOLD_APART = "not told apart from the others"


@dataclass(frozen=True)
class PrunerRank:
    """The places that one pruner may hold.

    Attributes:
        pruner: Its label.
        first: The best place, from 1: below all pruners that are told apart as better.
        last: The worst place; both are None where it is not ranked.
        score: Mean over seeds; None where there is none.
        low: Lower bound of the score's 95% t-interval over seeds; None with fewer than three.
        high: Upper bound.
        seeds: Seeds behind the score.
        listed: Whether it is one of the protocol's pruners, which are tested against each other;
            entries from elsewhere are tested against these, and change none of their places.
        missing: Points of the grid that its levels do not cover.
        reason: Why it is not ranked.
    """

    pruner: str
    first: int | None = None
    last: int | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int = 0
    listed: bool = True
    missing: tuple[float, ...] = ()
    reason: str | None = None

    @property
    def ranked(self) -> bool:
        """Whether it has a place."""
        return self.first is not None


@dataclass(frozen=True)
class AxisRanking:
    """The places of all pruners of one section on one axis.

    Attributes:
        axis: dense (MACs removed) or masked (weights removed).
        cams: Explanation methods that the score averages.
        grid: Compressions that it averages.
        places: By falling score; those without a score last, by name.
        told_apart: Whether any pair of listed pruners is.
        smallest_difference: Of two scores that could be told apart; None where nobody is ranked.
    """

    axis: Axis
    cams: tuple[str, ...]
    grid: tuple[float, ...]
    places: tuple[PrunerRank, ...]
    told_apart: bool = False
    smallest_difference: float | None = None


def rank(
    rows: Sequence[Row],
    axis: Axis,
    references: References,
    *,
    listed: Collection[str] | None = None,
    closed: str | None = None,
) -> AxisRanking:
    """Rank the pruners of one section on one axis.

    Args:
        rows: Rows of one section; those on the other axis are ignored.
        axis: Which axis.
        references: The section's controls.
        listed: The protocol's pruners; by default those of the control's suite.
        closed: Why nobody is ranked in this section; scores are told all the same.
    """
    scores = [
        score_pruner(p, levels, references, axis) for p, levels in group_by_pruner(rows, axis)
    ]
    entered = _list_own(scores, references)
    listed = entered if listed is None else entered & set(listed)
    reasons = {s.pruner: s.reason or closed or _find_objection(s, references) for s in scores}
    eligible = [score for score in scores if reasons[score.pruner] is None]
    compared = [score for score in eligible if score.pruner in listed]
    seeds = sorted(_list_common_seeds(compared))
    if len(compared) < 2:
        alone = "no other pruner of the protocol can be ranked"
        reasons |= {score.pruner: alone for score in eligible}
        places = [_place(s, listed, reasons[s.pruner]) for s in scores]
        return AxisRanking(axis, references.cams, GRID[axis], _sort(places))
    blocks = Blocks(np.array([[score.by_seed[seed] for seed in seeds] for score in compared]))
    apart = blocks.separate()
    found: dict[str, tuple[int, int]] = {}
    means = blocks.scores.mean(1)
    for index, score in enumerate(compared):
        found[score.pruner] = _find_places(means[index], means, apart[index], own=1)
    for score in eligible:
        if score.pruner not in found and set(seeds) <= score.by_seed.keys():
            own = np.array([score.by_seed[seed] for seed in seeds])
            found[score.pruner] = _find_places(own.mean(), means, blocks.separate_entry(own), own=0)
    if not apart.any():
        found = {}
        reasons |= {score.pruner: NOT_TOLD_APART for score in eligible}
    places = [_place(s, listed, reasons[s.pruner], found.get(s.pruner), seeds) for s in scores]
    return AxisRanking(
        axis,
        references.cams,
        GRID[axis],
        _sort(places),
        bool(apart.any()),
        blocks.smallest_difference,
    )


def _list_own(scores: Sequence[Score], references: References) -> set[str]:
    """Return the pruners all of whose records are of the suite that the control is of."""
    control = references.control
    suites = {record.suite for record in control.records} if control else set()
    return {
        score.pruner
        for score in scores
        if all(record.suite in suites for row in score.rows for record in row.records)
    }


def _find_objection(score: Score, references: References) -> str | None:
    involved = (*references.rows, *score.rows)
    return find_seed_objection(involved, LEAST_TO_RANK) or find_undefined(
        (*(row for row in references.rows if row is not references.baseline), *score.rows),
        references.names,
    )


def _list_common_seeds(scores: Sequence[Score]) -> set[int]:
    """Return the seeds under which all were run: 0 to the fewest of any of them."""
    return set.intersection(*(set(score.by_seed) for score in scores)) if scores else set()


def _find_places(mean: float, means: np.ndarray, apart: np.ndarray, *, own: int) -> tuple[int, int]:
    """Return the best and the worst place, of how many it is told apart from."""
    better = int((apart & (means > mean)).sum())
    worse = int((apart & (means < mean)).sum())
    return 1 + better, len(means) - worse + (1 - own)


def _place(
    score: Score,
    listed: Collection[str],
    reason: str | None,
    places: tuple[int, int] | None = None,
    seeds: Sequence[int] = (),
) -> PrunerRank:
    """Return a pruner's place, with the score of the seeds that it rests on."""
    shared = set(seeds) if set(seeds) <= score.by_seed.keys() else set()
    values = [value for seed, value in score.by_seed.items() if not shared or seed in shared]
    mean = sum(values) / len(values) if values else None
    interval = seed_interval(values, (0.0, 1.0)) if len(values) >= LEAST_SEEDS else None
    first, last = places or (None, None)
    return PrunerRank(
        score.pruner,
        first,
        last,
        mean,
        interval.low if interval else None,
        interval.high if interval else None,
        len(values),
        score.pruner in listed,
        score.missing,
        reason if places is None else None,
    )


def _sort(places: Sequence[PrunerRank]) -> tuple[PrunerRank, ...]:
    return tuple(
        sorted(
            places,
            key=lambda p: (not p.ranked, p.score is None, -(p.score or 0.0), p.pruner),
        )
    )
