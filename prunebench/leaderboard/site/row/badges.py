"""What stands under a row's title: marks, place, score, and what to know before comparing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.budget import Budget
from prunebench.leaderboard.board.mark import mark_row
from prunebench.leaderboard.board.rank import PrunerRank
from prunebench.leaderboard.board.roles import UNPRUNED
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.board.seeds import LEAST_TO_JUDGE, find_seed_objection
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain
from prunebench.trust import THRESHOLDS


@dataclass(frozen=True)
class ShownRow:
    """A row with what surrounds it on the board.

    Attributes:
        row: The row.
        place: Its pruner's place; None where it has none.
        section: Its protocol.
        pareto: Whether it is on the Pareto front, or why that is not known; None for controls.
        levels: The rows of its pruner on its axis, by rising compression.
        ranked: How many pruners have a rank on its axis.
        budget: What its method was given; None for controls.
    """

    row: Row
    place: PrunerRank | None
    section: Section
    pareto: bool | str | None
    levels: Sequence[Row]
    ranked: int
    budget: Budget | None = None


def list_marks(row: Row, section: Section) -> Iterator[dict[str, str]]:
    """Yield the verdict under each method with a published threshold."""
    if row.first.role in UNPRUNED:
        return
    words = {True: "trusted", False: "not trusted", None: "no verdict"}
    for cam in section.cams:
        if cam in THRESHOLDS:
            found = mark_row(row, cam)
            told = words[found.trusted] + (f": {plain(found.reason)}" if found.reason else "")
            yield {"cam": cam, "mark": cells.format_verdict(found.trusted), "words": told}


def tell_rank(shown: ShownRow) -> str | None:
    """Return the places that its pruner may hold, or why it has none."""
    place, row = shown.place, shown.row
    if row.first.role != "compressed":
        return None
    if place is None:
        return "not ranked: networks on this axis have no rank"
    if not place.ranked:
        return f"not ranked: {plain(place.reason or '')}"
    return f"rank {cells.format_place(place)} of {shown.ranked} on the axis {row.first.axis}"


def tell_score(place: PrunerRank | None) -> str | None:
    """Return its pruner's score with its interval; None where there is none."""
    if place is None or place.score is None:
        return None
    between = "no interval with fewer than three seeds"
    if place.low is not None:
        between = f"[{place.low:.3f}, {place.high or 0:.3f}] over {place.seeds} seeds"
    return f"score {place.score:.3f}, {between}"


def list_remarks(shown: ShownRow) -> Iterator[str]:
    """Yield what to know before a row is compared with others."""
    if reason := find_seed_objection((shown.row,), LEAST_TO_JUDGE):
        few = len(shown.row.records) < LEAST_TO_JUDGE
        yield f"preliminary: {plain(reason)}{'; intervals are of images only' if few else ''}"
    if shown.budget:
        yield from shown.budget.describe()


def tell_pareto(mark: bool | str | None) -> str | None:
    """Return whether it is on the Pareto front, or why that is not known; None for controls."""
    if mark is None:
        return None
    if isinstance(mark, str):
        return f"Pareto front not judged: {mark}"
    return "on the Pareto front" if mark else "not on the Pareto front"
