"""Two orders of the same pruners, and what keeps others from being compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.agreement import LEAST_PRUNERS, OrderAgreement
from prunebench.leaderboard.board.grid import Axis
from prunebench.leaderboard.board.orders import Order, Swaps
from prunebench.leaderboard.board.references import DRAWN
from prunebench.leaderboard.board.rows import Row, explain_undefined, format_level
from prunebench.trust import MOST_UNDEFINED

EQUAL = 1e-6
"""Values nearer than this are one: maps are stored in 16 bits."""


@dataclass(frozen=True)
class OrderComparison:
    """Two orders of the same pruners at the same compression.

    Attributes:
        sections: Where each order is from; the same section twice within one.
        cam: The explanation method that both share; None where that is what differs.
        axis: dense (MACs removed) or masked (weights removed).
        at: The compression, a fraction.
        first: An order.
        second: An order of the same pruners.
        tau: Kendall's tau-b; None where a value is the same for all.
        swaps: The pairs that both separate, and those that they reverse.
        left_out: Pruners that are not compared, with the reason.
        counts: Whether a verdict rests on it: not where another section, whose networks are the
            same, has answered already.
    """

    sections: tuple[Section, Section]
    cam: str | None
    axis: Axis
    at: float
    first: Order
    second: Order
    tau: float | None
    swaps: Swaps
    left_out: Mapping[str, str] = field(default_factory=dict)
    counts: bool = True

    @property
    def stays(self) -> bool:
        """Whether the best pruner is the same in both."""
        return self.first.leader == self.second.leader

    @property
    def changes_beyond_noise(self) -> bool:
        """Whether the best pruners differ, and each order tells them apart its own way round."""
        one, other = self.first.leader, self.second.leader
        return self.first.separates(one, other) and self.second.separates(other, one)

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
        left_out: Pruners that cannot be compared, with the reason.
    """

    sections: tuple[Section, ...]
    axis: Axis | None
    reason: str
    left_out: Mapping[str, str] = field(default_factory=dict)


def compare_two_orders(
    sections: tuple[Section, Section], cam: str | None, found: OrderAgreement
) -> OrderComparison | Gap:
    """Compare an agreement's two orders, or say why they cannot be compared.

    Args:
        sections: Where each order is from.
        cam: The explanation method that both share, if they do.
        found: Two orders of any number of pruners.

    Returns:
        A gap where there are fewer than three pruners.
    """
    if len(found.pruners) < LEAST_PRUNERS:
        where = sections[:1] if sections[0] is sections[1] else sections
        return Gap(where, found.axis, _explain_too_few(len(found.pruners)), found.left_out)
    first, second = found.orders
    return OrderComparison(
        sections,
        cam,
        found.axis,
        found.at,
        first,
        second,
        found.tau(first.name, second.name),
        found.swaps(first.name, second.name),
        found.left_out,
    )


def list_methods(section: Section) -> tuple[str, ...]:
    """Return a section's explanation methods that look at the network."""
    return tuple(cam for cam in section.cams if cam.partition("(")[0] != DRAWN)


def find_obstacle(section: Section) -> str | None:
    """Say why no orders can be read in a section; None if they can: it takes a whole control."""
    if section.control is None:
        return "there is no `none` control"
    if section.control.missing:
        return f"the `none` control has {section.control.seeds} seeds"
    return None


def find_missing_value(row: Row, names: Iterable[str]) -> str | None:
    """Say why values of a row cannot be read; None if all can.

    Args:
        row: Such as the ``none`` control.
        names: Such as ``sp2ps/grad-cam``. A value counts up to 5% of images without a defined one.
    """
    control = row.first.role == "control"
    who = "the `none` control" if control else f"{row.first.pruner_name} {format_level(row)}"
    for name in names:
        value = row.get(name)
        if value.mean is None:
            return f"{who} has no {name}: {value.reason}"
        if value.undefined > MOST_UNDEFINED:
            return f"{name} of {who} is {explain_undefined(row, value)}"
    return None


def _explain_too_few(pruners: int) -> str:
    counted = "1 pruner" if pruners == 1 else f"{pruners or 'no'} pruners"
    return f"{counted} can be compared, and it takes {LEAST_PRUNERS}"
