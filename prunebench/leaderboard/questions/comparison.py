"""Two orders of the same pruners, and what many such comparisons answer together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prunebench.leaderboard.agreement import LEAST_PRUNERS, Agreement
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.orders import Order, Swaps
from prunebench.leaderboard.rank import Axis

MOST_ORDERS = 14
"""Orders of one section that are compared with each other; the pairs grow with the square."""
EQUAL = 1e-6
"""Values nearer than this are one: maps are stored in 16 bits."""
DRAWN = "random-cam"
"""The explanation method whose maps are drawn: a floor for methods, and no opinion of pruners."""


@dataclass(frozen=True)
class Comparison:
    """Two orders of the same pruners at the same compression.

    Attributes:
        sections: Where each order is from; the same section twice within one.
        cam: The explanation method that both share; None where that is what differs.
        axis: dense (MACs removed) or masked (weights removed).
        at: The compression, a fraction.
        first: An order.
        second: An order of the same pruners.
        tau: Kendall's tau-b; None where a value is the same for all.
        swaps: The pairs that both tell apart, and those that they turn round.
    """

    sections: tuple[Section, Section]
    cam: str | None
    axis: Axis
    at: float
    first: Order
    second: Order
    tau: float | None
    swaps: Swaps

    @property
    def stays(self) -> bool:
        """Whether the best pruner is the same in both."""
        return self.first.leader == self.second.leader

    @property
    def changes_beyond_noise(self) -> bool:
        """Whether the best pruners differ, and each order tells them apart its own way round."""
        one, other = self.first.leader, self.second.leader
        return self.first.tells_apart(one, other) and self.second.tells_apart(other, one)

    @property
    def equal(self) -> bool:
        """Whether every value is the same in both: what differs is then nothing to the maps."""
        there = self.second.heights
        apart = (abs(each.value - there[name].value) for name, each in self.first.heights.items())
        return max(apart) <= EQUAL


@dataclass(frozen=True)
class Gap:
    """Where a question cannot be answered.

    Attributes:
        sections: The section, or the two between which it was asked.
        axis: Where the answer is for an axis.
        reason: What is missing there.
    """

    sections: tuple[Section, ...]
    axis: Axis | None
    reason: str


@dataclass(frozen=True)
class Answer:
    """What all sections say to one question.

    Attributes:
        comparisons: The least agreeing first.
        gaps: Where there is no answer.
        equal: Comparisons left out, since every value is the same in both.
        unmade: Comparisons not made, since there would be too many.
    """

    comparisons: tuple[Comparison, ...]
    gaps: tuple[Gap, ...]
    equal: int
    unmade: int

    @property
    def told(self) -> int:
        """Pairs of pruners that both orders tell apart, over all comparisons."""
        return sum(each.swaps.told for each in self.comparisons)

    @property
    def turned(self) -> int:
        """Those of them that are reversed."""
        return sum(each.swaps.turned for each in self.comparisons)

    @property
    def taus(self) -> list[float]:
        """The comparisons' Kendall's tau-b, rising."""
        return sorted(each.tau for each in self.comparisons if each.tau is not None)


def compared(
    sections: tuple[Section, Section], cam: str | None, found: Agreement, first: str, second: str
) -> Comparison:
    """Compares two orders of an agreement.

    Args:
        sections: Where each order is from.
        cam: The explanation method that both share, if they do.
        found: The orders, of three pruners or more.
        first: Name of an order.
        second: Name of another.
    """
    return Comparison(
        sections,
        cam,
        found.axis,
        found.at,
        found.order(first),
        found.order(second),
        found.tau(first, second),
        found.swaps(first, second),
    )


def answered(comparisons: Iterable[Comparison], gaps: Iterable[Gap], unmade: int) -> Answer:
    """Sorts comparisons by tau-b, then by reversed pairs, and sets apart those that say nothing.

    Args:
        comparisons: Those without a tau-b are put last.
        gaps: Where there are none.
        unmade: How many were not made.
    """
    made = list(comparisons)
    says = [each for each in made if not each.equal]
    says.sort(key=lambda each: (2.0 if each.tau is None else each.tau, -each.swaps.turned))
    return Answer(tuple(says), tuple(gaps), len(made) - len(says), unmade)


def methods(section: Section) -> tuple[str, ...]:
    """A section's explanation methods that look at the network."""
    return tuple(cam for cam in section.cams if cam.partition("(")[0] != DRAWN)


def unfit(section: Section) -> str | None:
    """Why no orders can be read in a section: without a whole control no line has a start."""
    if section.control is None:
        return "there is no `none` control"
    if section.control.missing:
        return f"the `none` control has {section.control.seeds} seeds"
    return None


def too_few(found: Agreement | None) -> str | None:
    """Why an order would mean little; None where there are three pruners or more."""
    pruners = 0 if found is None else len(found.pruners)
    if pruners >= LEAST_PRUNERS:
        return None
    counted = "1 pruner" if pruners == 1 else f"{pruners or 'fewer than 2'} pruners"
    return f"{counted} can be compared, and it takes {LEAST_PRUNERS}"
