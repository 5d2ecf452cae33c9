"""What comparisons of orders say, in sentences made from their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from prunebench.leaderboard.cells import plain
from prunebench.leaderboard.questions.comparison import Answer
from prunebench.leaderboard.questions.training import Training

RARELY, SOMETIMES = 0.05, 0.2
"""Shares of reversed pairs below which an order changes rarely, and sometimes."""
LONGEST = 90  # characters of a pruner's or a method's name in a table or a sentence


def verdict(answer: Answer) -> str:
    """How often an order changes beyond noise, in one or two words."""
    if not answer.comparisons:
        return "Not known yet"
    if not answer.told:
        return "Cannot be told"
    share = answer.turned / answer.told
    if not share:
        return "Not beyond noise"
    return "Rarely" if share < RARELY else "Sometimes" if share < SOMETIMES else "Often"


def sentence(answer: Answer) -> str:
    """The answer over all sections; nothing where there is no comparison."""
    if not answer.comparisons:
        return ""
    return f"{_best(answer)}; {_taus(answer)}; {_pairs(answer)}."


def _best(answer: Answer) -> str:
    total = len(answer.comparisons)
    stays = sum(each.stays for each in answer.comparisons)
    if total == 1:
        said = f"In the one comparison the best pruner {'stays' if stays else 'changes'}"
    else:
        some = "all" if stays == total else f"{stays or 'none'} of"
        said = f"In {some} {total} comparisons the best pruner stays"
    if stays == total:
        return said
    beyond = sum(each.changes_beyond_noise for each in answer.comparisons)
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


def training_verdict(parts: Sequence[Training]) -> str:
    """The control's drop as a share of the compressed networks', the median over all."""
    shares = [part.every.share for part in parts if part.every.share is not None]
    return f"{median(shares):.0%}, as a median" if shares else "Not known yet"


def training_sentence(parts: Sequence[Training]) -> str:
    """What training alone costs, and of which share of the drops that is."""
    by_method = {(each.section.first.protocol, each.cam): each.drop for each in parts}
    drops = sorted(by_method.values())
    sections = len({protocol for protocol, _ in by_method})
    said = (
        f"Training alone costs {_spread([f'{drop:.3f}' for drop in drops], median(drops), '.3f')} "
        f"of Sp2PS (1 − Sp2PS of the control, over {counted(sections, 'section')})"
    )
    shares = sorted(part.every.share for part in parts if part.every.share is not None)
    if not shares:
        return f"{said}. No compressed network dropped by more."
    return (
        f"{said}: {_spread([f'{share:.0%}' for share in shares], median(shares), '.0%')} of the "
        "median drop of the compressed networks that trained as long."
    )


def _spread(texts: Sequence[str], middle: float, form: str) -> str:
    """Such as ``0.010 to 0.050 (median 0.020)`` of numbers that rise."""
    ends = list(dict.fromkeys((texts[0], texts[-1])))
    return f"{' to '.join(ends)} (median {middle:{form}})" if len(ends) > 1 else ends[0]


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
