"""Rule 12: pruners that read explanations, or that were trained for longer than the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.board.score import group_by_pruner

MOST = 1.1
"""Training images, as a multiple of the others' median, beyond which a row says so."""


@dataclass(frozen=True)
class Budget:
    """Resources that a row's method was given and others were not.

    Attributes:
        reads_explanations: Whether it chooses by explanations what it removes.
        images_seen: Training images seen since the baseline; the most of any seed.
        others: Median over the other pruners on its axis, each by the median of its levels; None
            where it is the only one.
        peers: The other pruners that saw as many, within 10%: with them it is compared at equal
            budget.
    """

    reads_explanations: bool
    images_seen: int
    others: float | None = None
    peers: tuple[str, ...] = ()

    @property
    def exceeds(self) -> bool:
        """True where it saw over 10% more training images than the others."""
        return self.others is not None and self.images_seen > MOST * self.others

    def describe(self) -> Iterator[str]:
        """Yield what a reader must know of it; nothing where it is like the others."""
        if self.reads_explanations:
            yield "reads explanations"
        if self.exceeds and self.others:
            times = self.images_seen / self.others
            yield f"saw {times:.3g} times the training images of the others"
        elif self.exceeds:
            yield f"saw {self.images_seen:,} training images, the others none"
        if self.exceeds:
            equal = ", ".join(self.peers) or "no other pruner"
            yield f"at equal budget it is compared with {equal}"


def find_budgets(rows: Sequence[Row]) -> dict[str, Budget]:
    """Hold every compressed row's training against that of the other pruners on its axis.

    Args:
        rows: All rows of one section.

    Returns:
        By the id of a row's first record.
    """
    found: dict[str, Budget] = {}
    for axis in {row.first.axis for row in rows}:
        pruners = group_by_pruner(rows, axis)
        seen = {name: median(row.images_seen for row in levels) for name, levels in pruners}
        for name, levels in pruners:
            others = [images for other, images in seen.items() if other != name]
            middle = float(median(others)) if others else None
            peers = tuple(
                other for other in seen if other != name and _is_equal(seen[other], seen[name])
            )
            for row in levels:
                reads = any(record.reads_explanations for record in row.records)
                found[row.first.id] = Budget(reads, row.images_seen, middle, peers)
    return found


def _is_equal(images: float, others: float) -> bool:
    return max(images, others) <= MOST * min(images, others)
