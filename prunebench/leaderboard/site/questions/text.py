"""What comparisons of orders say, in sentences made from their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.questions.answer import Answer
from prunebench.leaderboard.questions.training import Trained
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain

RARELY, SOMETIMES = 0.05, 0.2
"""Shares of reversed pairs below which an order changes rarely, and sometimes."""
LONGEST = 90  # characters of a name in a table or a sentence


def verdict(answer: Answer) -> str:
    """How often an order changes beyond noise, in one or two words."""
    if not answer.comparisons:
        return "Every value is the same" if answer.equal else "Not known yet"
    if not answer.told:
        return "Cannot be told"
    share = answer.turned / answer.told
    if not share:
        return "Not beyond noise"
    return "Rarely" if share < RARELY else "Sometimes" if share < SOMETIMES else "Often"


def sentence(answer: Answer) -> str:
    """The answer over all sections; nothing where there is no comparison."""
    if answer.comparisons:
        return f"{_best(answer)}; {_taus(answer)}; {_pairs(answer)}. {_rests(answer)}."
    if answer.equal:
        what = "the one comparison" if answer.equal == 1 else f"all {answer.equal} comparisons"
        return f"In {what} both orders have equal values. {_rests(answer)}."
    return ""


def _rests(answer: Answer) -> str:
    """Such as ``This rests on 3 distinct sets of networks, each under one seed``."""
    few, most = min(answer.seeds), max(answer.seeds)
    one = len(answer.seeds) == 1
    sets = "one set of networks" if one else f"{len(answer.seeds)} distinct sets of networks"
    seeds = f"{few} to {most} seeds" if few < most else "one seed" if most == 1 else f"{most} seeds"
    return f"This rests on {sets}, {'' if one or few < most else 'each '}under {seeds}"


def _best(answer: Answer) -> str:
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


def _taus(answer: Answer) -> str:
    taus = answer.taus
    if not taus:
        return "no τ-b, as all values are the same"
    ends = dict.fromkeys(number(value) for value in (taus[0], taus[-1]))
    middle = f", median {number(median(taus))}" if len(ends) > 1 and len(taus) > 2 else ""
    return f"Kendall's τ-b {' to '.join(ends)}{middle}"


def _pairs(answer: Answer) -> str:
    if not answer.told:
        return "no pair of pruners is told apart by both orders"
    share = 100 * answer.turned / answer.told
    percent = f" ({share:.1f}%)" if answer.turned else ""
    if answer.told == 1:
        return f"the one pair that both tell apart is {'' if answer.turned else 'not '}reversed"
    verb = "is" if answer.turned == 1 else "are"
    some = answer.turned or "none"
    return f"{some} of {answer.told} pairs that both tell apart {verb} reversed{percent}"


def training_verdict(found: Sequence[Trained]) -> str:
    """The control's drop as a share of the compressed networks', the median over the sets."""
    shares = _shares(found)
    if not shares:
        return "Not known yet"
    said = f"{median(shares):.0%} of the drop of compressed networks"
    if len(shares) == 1:
        return f"{said} (one set of networks)"
    lowest, highest = f"{shares[0]:.0%}", f"{shares[-1]:.0%}"
    return f"{said} (median of {len(shares)} sets of networks, {lowest} to {highest})"


def training_sentence(found: Sequence[Trained]) -> str:
    """What training alone costs, and of which share of the drops that is."""
    drops = sorted(each.drop for each in found if each.counts)
    if not drops:
        return "Every line below lacks a value that can be read."
    many = len(drops) > 1
    said = (
        f"Training alone costs {_spread([f'{drop:.3f}' for drop in drops], median(drops), '.3f')} "
        "of Sp2PS (1 − Sp2PS of the control)"
    )
    whose = (
        f"One value for each of {len(drops)} distinct sets of networks, its"
        if many
        else "Of one set of networks, the"
    )
    each = f"{whose} median over explanation methods and axes."
    shares = _shares(found)
    if not shares:
        return f"{said}. No compressed network dropped by more. {each}"
    return (
        f"{said}: {_spread([f'{share:.0%}' for share in shares], median(shares), '.0%')} of the "
        f"median drop of the compressed networks that trained as long. {each}"
    )


def _shares(found: Sequence[Trained]) -> list[float]:
    return sorted(each.share for each in found if each.counts and each.share is not None)


def _spread(texts: Sequence[str], middle: float, form: str) -> str:
    """Such as ``0.010 to 0.050 (median 0.020)`` of numbers that rise."""
    ends = list(dict.fromkeys((texts[0], texts[-1])))
    return f"{' to '.join(ends)} (median {middle:{form}})" if len(ends) > 1 else ends[0]


def place(sections: Sequence[Section]) -> str:
    """What a section is about, or what two that are compared have in common."""
    parts = zip(*(cells.title_parts(section.first) for section in sections), strict=True)
    return " · ".join(first for first, *others in parts if first and set(others) <= {first})


def number(value: float) -> str:
    """A coefficient with two digits and a real minus sign."""
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def counted(count: int, what: str) -> str:
    """Such as ``1 pair`` or ``3 pairs``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def brief(text: str) -> str:
    """A name from a record, cut where it is long: its parameters may be many."""
    line = plain(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
