"""Within one section: does the order change with the explanation method, or with the measure?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import combinations, islice
from math import comb

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.agreement import compare_orders
from prunebench.leaderboard.board.rescaling import compares_maps
from prunebench.leaderboard.questions.answer import Answer, Findings, answer_within
from prunebench.leaderboard.questions.comparison import (
    Gap,
    compare_two_orders,
    find_missing_value,
    find_obstacle,
    list_methods,
)
from prunebench.trust import MOST_UNDEFINED

MOST_PAIRS = 91
"""Pairs of values of one section and axis that are compared: those of 14 explanation methods."""
PUBLISHED = "sp2ps"
PARTS = {"ssim": "sp2ps", "sam": "sp2ps"}
"""What Sp2PS is made of."""
VARIANTS = {
    "ssim_uniform": "ssim",
    "sam_jet": "sam",
    "sp2ps_uniform": "sp2ps",
    "sp2ps_jet": "sp2ps",
    "sp2ps": "sp2ps",  # with other parameters
}
"""Variants, each with what it is a variant of."""
NO_METHODS = "Sp2PS was measured under fewer than two explanation methods"
NO_VARIANT = "no measure was taken beside a variant of it"
NO_PART = "neither SSIM nor SAM was taken beside Sp2PS"
NO_OTHER = "no other measure was taken beside Sp2PS"

Pair = tuple[str, str, str | None]
"""Two values, and the explanation method that both share."""


def compare_by_method(sections: Iterable[Section]) -> Answer:
    """Compare the orders by Sp2PS under every two explanation methods."""
    return answer_within(sections, _compare_methods)


def compare_by_variant(sections: Iterable[Section]) -> Answer:
    """Compare SSIM, SAM and Sp2PS with their variants, under each explanation method."""
    return answer_within(
        sections, partial(_compare_measures, origin_of=VARIANTS.get, missing=NO_VARIANT)
    )


def compare_by_part(sections: Iterable[Section]) -> Answer:
    """Compare Sp2PS with SSIM and SAM, of which it is made, under each explanation method."""
    return answer_within(sections, partial(_compare_measures, origin_of=PARTS.get, missing=NO_PART))


def compare_by_measure(sections: Iterable[Section]) -> Answer:
    """Compare Sp2PS with the other measures of preservation, under each explanation method."""
    return answer_within(
        sections, partial(_compare_measures, origin_of=_beside_sp2ps, missing=NO_OTHER)
    )


def _compare_methods(section: Section) -> Findings:
    names = [f"{PUBLISHED}/{cam}" for cam in list_methods(section)]
    pairs = ((first, second, None) for first, second in combinations(names, 2))
    return _compare(section, pairs, comb(len(names), 2), NO_METHODS)


def _beside_sp2ps(measure: str) -> str | None:
    """Return Sp2PS for other measures of preservation, its parts and all variants left out."""
    other = compares_maps(measure) and measure not in PARTS.keys() | VARIANTS.keys()
    return PUBLISHED if other else None


def _compare_measures(
    section: Section, origin_of: Callable[[str], str | None], missing: str
) -> Findings:
    """Compare each measure with what it is a variant or a part of, where both were taken."""
    names = {name for row in section.rows for name in row.estimates}
    cams = set(list_methods(section))
    pairs = []
    for name in sorted(names, key=lambda name: name.partition("/")[::-1]):
        measure, _, cam = name.partition("/")
        origin = f"{origin_of(measure.partition('(')[0])}/{cam}"
        if cam in cams and origin in names and origin != name:
            pairs.append((origin, name, cam))
    return _compare(section, iter(pairs), len(pairs), missing)


def _compare(section: Section, pairs: Iterator[Pair], count: int, missing: str) -> Findings:
    """Compare the orders by each of some pairs of values, on each axis."""
    found = Findings()
    control, reason = section.control, find_obstacle(section) or (None if count else missing)
    if control is None or reason:
        for axis in section.rankings:
            found.add(Gap((section,), axis, reason or missing))
        return found
    shown = list(islice(pairs, MOST_PAIRS))
    found.unmade = len(section.rankings) * (count - len(shown))
    for first, second, cam in shown if section.rankings else ():
        if why := find_missing_value(control, (first, second)):
            found.add(Gap((section,), None, why))
            continue
        for axis in section.rankings:
            orders = compare_orders(
                section.rows, axis, (first, second), undefined=MOST_UNDEFINED, least=0
            )
            if orders:
                found.add(compare_two_orders((section, section), cam, orders))
    return found
