"""What many comparisons answer together: each set of networks counts once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.questions.comparison import Gap, OrderComparison
from prunebench.leaderboard.questions.networks import group_by_networks
from prunebench.record.comparable import section_key


@dataclass
class Findings:
    """Comparisons and gaps of one or several sections.

    Attributes:
        comparisons: Those that could be made.
        gaps: Where there are none.
        unmade: Comparisons not tried, since there would be too many.
        unpaired: Pairs of sections not looked at, since there would be too many.
    """

    comparisons: list[OrderComparison] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    unmade: int = 0
    unpaired: int = 0

    def add(self, more: OrderComparison | Gap) -> None:
        """Add a comparison, or a gap if it is not known already."""
        if isinstance(more, OrderComparison):
            self.comparisons.append(more)
        elif more not in self.gaps:
            self.gaps.append(more)


@dataclass(frozen=True)
class Answer:
    """What all sections say to one question.

    Attributes:
        comparisons: Those that count first; of these and the others the least agreeing first.
        gaps: Where there is no answer.
        equal: Comparisons left out, since every value is the same in both.
        unmade: Comparisons not tried, since there would be too many.
        unpaired: Pairs of sections not looked at, since there would be too many.
        seeds: Of each distinct set of networks that the verdict rests on, how many seeds it has.
    """

    comparisons: tuple[OrderComparison, ...]
    gaps: tuple[Gap, ...]
    equal: int
    unmade: int
    unpaired: int
    seeds: tuple[int, ...]

    @property
    def counting(self) -> tuple[OrderComparison, ...]:
        """The comparisons that the verdict rests on."""
        return tuple(each for each in self.comparisons if each.counts)

    @property
    def separated(self) -> int:
        """Pairs of pruners that both orders separate, over the comparisons that count."""
        return sum(each.swaps.separated for each in self.counting)

    @property
    def reversed(self) -> int:
        """Separated pairs of which each order prefers the other pruner."""
        return sum(each.swaps.reversed for each in self.counting)

    @property
    def taus(self) -> list[float]:
        """The Kendall's tau-b of the comparisons that count, rising."""
        return sorted(each.tau for each in self.counting if each.tau is not None)


def answer_within(sections: Iterable[Section], ask: Callable[[Section], Findings]) -> Answer:
    """Ask every section; of those with the same networks, the first that answers counts.

    Args:
        sections: The board.
        ask: The question.
    """
    sets = group_by_networks(sections)
    whole = Findings()
    for same in sets:
        answered = False
        for section in same:
            found = ask(section)
            whole.comparisons += [replace(each, counts=not answered) for each in found.comparisons]
            whole.gaps += found.gaps
            whole.unmade += found.unmade
            answered = answered or not all(each.equal for each in found.comparisons)
    return answer(whole, sets)


def answer(found: Findings, sets: Sequence[Sequence[Section]]) -> Answer:
    """Sort comparisons by tau-b, then by reversed pairs, and set apart those of equal values.

    Args:
        found: Comparisons without a tau-b are put last.
        sets: The sections of each distinct set of networks.
    """
    says = [each for each in found.comparisons if not each.equal]
    says.sort(
        key=lambda each: (
            not each.counts,
            2.0 if each.tau is None else each.tau,
            -each.swaps.reversed,
        )
    )
    return Answer(
        tuple(says),
        tuple(found.gaps),
        len(found.comparisons) - len(says),
        found.unmade,
        found.unpaired,
        _seeds(says or found.comparisons, sets),
    )


def _seeds(
    comparisons: Iterable[OrderComparison], sets: Sequence[Sequence[Section]]
) -> tuple[int, ...]:
    """Count the networks' seeds, once for each set of networks that is compared."""
    place = {section_key(each.first): index for index, same in enumerate(sets) for each in same}
    seeds: dict[int, int] = {}
    for each in comparisons:
        control = each.sections[0].control
        if each.counts and control is not None:
            seeds[place[section_key(each.sections[0].first)]] = len(control.records)
    return tuple(seeds[index] for index in sorted(seeds))
