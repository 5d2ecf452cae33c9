"""What comparisons of orders say, in sentences made from their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from prunebench.intervals import LEAST_SEEDS
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.questions.answer import Answer
from prunebench.leaderboard.questions.training import SectionTrainingDrops
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain

RARELY, SOMETIMES = 0.05, 0.2
"""Shares of reversed pairs below which an order changes rarely, and sometimes."""
LONGEST = 90  # characters of a name in a table or a sentence


def give_verdict(answer: Answer) -> str:
    """Say how often an order changes beyond noise, in one or two words."""
    if not answer.comparisons:
        return "Every value is the same" if answer.equal else "Not known yet"
    if not answer.separated:
        return "Cannot be told"
    share = answer.reversed / answer.separated
    if not share:
        return "Not beyond noise"
    return "Rarely" if share < RARELY else "Sometimes" if share < SOMETIMES else "Often"


def make_sentence(answer: Answer) -> str:
    """Write the answer over all sections; nothing if there is no comparison."""
    if answer.comparisons:
        found = "; ".join((_describe_best(answer), _describe_taus(answer), _describe_pairs(answer)))
        return f"{found}. {_describe_basis(answer)}."
    if answer.equal:
        what = "the one comparison" if answer.equal == 1 else f"all {answer.equal} comparisons"
        return f"In {what} both orders have equal values. {_describe_basis(answer)}."
    return ""


def _describe_basis(answer: Answer) -> str:
    """Write such as ``This rests on 3 distinct sets of networks, each under one seed``."""
    few, most = min(answer.seeds), max(answer.seeds)
    one = len(answer.seeds) == 1
    sets = "one set of networks" if one else f"{len(answer.seeds)} distinct sets of networks"
    seeds = f"{few} to {most} seeds" if few < most else "one seed" if most == 1 else f"{most} seeds"
    told = ", too few to tell any pruners apart" if most < LEAST_SEEDS else ""
    return f"This rests on {sets}, {'' if one or few < most else 'each '}under {seeds}{told}"


def _describe_best(answer: Answer) -> str:
    total = len(answer.counting)
    stays = sum(each.stays for each in answer.counting)
    if total == 1:
        said = f"In the one comparison the best pruner {'stays' if stays else 'changes'}"
    else:
        some = "all" if stays == total else f"{stays or 'none'} of"
        said = f"In {some} {total} comparisons the best pruner stays"
    if stays == total:
        return said
    beyond = sum(each.changes_beyond_noise for each in answer.counting)
    if total - stays == 1:
        return f"{said} ({'the change is' if beyond else 'no change'} beyond noise)"
    return f"{said} ({beyond or 'none'} of the {total - stays} changes beyond noise)"


def _describe_taus(answer: Answer) -> str:
    taus = answer.taus
    if not taus:
        return "no τ-b, as all values are the same"
    ends = dict.fromkeys(format_coefficient(value) for value in (taus[0], taus[-1]))
    middle = (
        f", median {format_coefficient(median(taus))}" if len(ends) > 1 and len(taus) > 2 else ""
    )
    return f"Kendall's τ-b {' to '.join(ends)}{middle}"


def _describe_pairs(answer: Answer) -> str:
    if not answer.separated:
        return "no pair of pruners is separated by both orders"
    share = 100 * answer.reversed / answer.separated
    percent = f" ({share:.1f}%)" if answer.reversed else ""
    if answer.separated == 1:
        return f"the one pair that both separate is {'' if answer.reversed else 'not '}reversed"
    verb = "is" if answer.reversed == 1 else "are"
    some = answer.reversed or "none"
    return f"{some} of {answer.separated} pairs that both separate {verb} reversed{percent}"


def give_training_verdict(found: Sequence[SectionTrainingDrops]) -> str:
    """Write the control's drop as a share of the compressed networks', over the sets."""
    shares = _list_shares(found)
    if not shares:
        return "Not known yet"
    said = f"{median(shares):.0%} of the drop of compressed networks"
    if len(shares) == 1:
        return f"{said} (one set of networks)"
    lowest, highest = f"{shares[0]:.0%}", f"{shares[-1]:.0%}"
    return f"{said} (median of {len(shares)} sets of networks, {lowest} to {highest})"


def make_training_sentence(found: Sequence[SectionTrainingDrops]) -> str:
    """Write what training alone costs, and which share of the drops that is."""
    drops = sorted(each.drop for each in found if each.counts)
    if not drops:
        return "Every line below lacks a value that can be read."
    many = len(drops) > 1
    costs = _format_range([f"{drop:.3f}" for drop in drops], median(drops), ".3f")
    said = f"Training alone costs {costs} of Sp2PS (1 − Sp2PS of the control)"
    whose = (
        f"One value for each of {len(drops)} distinct sets of networks, its"
        if many
        else "Of one set of networks, the"
    )
    each = f"{whose} median over explanation methods and axes."
    shares = _list_shares(found)
    if not shares:
        return f"{said}. No compressed network dropped by more. {each}"
    part = _format_range([f"{share:.0%}" for share in shares], median(shares), ".0%")
    return (
        f"{said}: {part} of the median drop of the compressed networks that trained as long. {each}"
    )


def _list_shares(found: Sequence[SectionTrainingDrops]) -> list[float]:
    return sorted(each.share for each in found if each.counts and each.share is not None)


def _format_range(texts: Sequence[str], middle: float, form: str) -> str:
    """Write rising numbers such as ``0.010 to 0.050 (median 0.020)``."""
    ends = list(dict.fromkeys((texts[0], texts[-1])))
    return f"{' to '.join(ends)} (median {middle:{form}})" if len(ends) > 1 else ends[0]


def name_sections(sections: Sequence[Section]) -> str:
    """Return the title of a section, or what two that are compared have in common."""
    parts = zip(*(cells.list_title_parts(section.first) for section in sections), strict=True)
    return " · ".join(first for first, *others in parts if first and set(others) <= {first})


def format_coefficient(value: float) -> str:
    """Write a coefficient with two digits and a real minus sign."""
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def format_count(count: int, what: str) -> str:
    """Write such as ``1 pair`` or ``3 pairs``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def shorten(text: str) -> str:
    """Return a name from a record, cut if it is long: its parameters may be many."""
    line = plain(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
