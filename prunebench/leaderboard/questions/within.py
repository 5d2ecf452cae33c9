"""Within one section: does the order change with the explanation method, or with the measure?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import combinations

from prunebench.leaderboard.agreement import Agreement, agree
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.questions.comparison import (
    MOST_ORDERS,
    Answer,
    Comparison,
    Gap,
    answered,
    compared,
    methods,
    too_few,
    unfit,
)
from prunebench.leaderboard.rescaling import preservation

PUBLISHED = "sp2ps"
VARIANTS = {
    "ssim": "sp2ps",
    "sam": "sp2ps",
    "sp2ps_uniform": "sp2ps",
    "sp2ps_jet": "sp2ps",
    "ssim_uniform": "ssim",
    "sam_jet": "sam",
}
"""The parts and variants of Sp2PS, each with what it is a part or a variant of."""


def by_method(sections: Iterable[Section]) -> Answer:
    """Compares the orders by Sp2PS under every two explanation methods."""
    comparisons: list[Comparison] = []
    gaps: list[Gap] = []
    unmade = 0
    for section in sections:
        cams = methods(section)
        names = [f"{PUBLISHED}/{cam}" for cam in cams[:MOST_ORDERS]]
        unmade += len(section.rankings) * (_pairs(len(cams)) - _pairs(len(names)))
        for axis in section.rankings:
            found = agree(section.rows, axis, names)
            reason = unfit(section) or _alone(found, names) or too_few(found)
            if reason or found is None:
                gaps.append(Gap((section,), axis, reason or "there is nothing to compare"))
                continue
            pairs = combinations([order.name for order in found.orders], 2)
            comparisons += [compared((section, section), None, found, *pair) for pair in pairs]
    return answered(comparisons, gaps, unmade)


def by_variant(sections: Iterable[Section]) -> Answer:
    """Compares Sp2PS with its parts and variants, under each explanation method."""
    return _by_measure(sections, variants=True)


def by_measure(sections: Iterable[Section]) -> Answer:
    """Compares Sp2PS with the other measures of preservation, under each explanation method."""
    return _by_measure(sections, variants=False)


def _by_measure(sections: Iterable[Section], *, variants: bool) -> Answer:
    comparisons: list[Comparison] = []
    gaps: list[Gap] = []
    unmade = 0
    for section in sections:
        cams = methods(section)
        kept = preservation(section.control)
        unmade += len(section.rankings) * len(cams[MOST_ORDERS:])
        for axis in section.rankings:
            made, why = [], unfit(section)
            for cam in cams[:MOST_ORDERS]:
                names = _chosen(kept, cam, variants)
                found = agree(section.rows, axis, names)
                why = unfit(section) or _lonely(names) or too_few(found)
                if found is not None and not why:
                    made += _against(section, cam, found)
            comparisons += made
            if not made:
                gaps.append(Gap((section,), axis, why or "no Sp2PS was measured"))
    return answered(comparisons, gaps, unmade)


def _chosen(kept: set[str], cam: str, variants: bool) -> list[str]:
    """Sp2PS under a method, then the values to compare it with."""
    own = sorted(name for name in kept if name.partition("/")[2] == cam)
    wanted = [name for name in own if (_measure(name) in VARIANTS) == variants]
    published = f"{PUBLISHED}/{cam}"
    return [published, *(name for name in wanted if name != published)][:MOST_ORDERS]


def _against(section: Section, cam: str, found: Agreement) -> list[Comparison]:
    """Each value beside what it is a variant of, or beside Sp2PS where that is not there."""
    there = {order.name for order in found.orders}
    made = []
    for order in found.orders[1:]:
        origin = f"{VARIANTS.get(_measure(order.name), PUBLISHED)}/{cam}"
        first = origin if origin in there else f"{PUBLISHED}/{cam}"
        made.append(compared((section, section), cam, found, first, order.name))
    return made


def _measure(name: str) -> str:
    return re.split(r"[(/]", name)[0]


def _alone(found: Agreement | None, names: Sequence[str]) -> str | None:
    if len(names) < 2 or (found is not None and len(found.orders) < 2):
        return "Sp2PS was measured under fewer than two explanation methods"
    return None


def _lonely(names: Sequence[str]) -> str | None:
    return None if len(names) > 1 else "no such measure was taken beside Sp2PS"


def _pairs(count: int) -> int:
    return count * (count - 1) // 2
