"""Between sections that differ in one condition: the same networks, explained in another way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Literal

from prunebench.leaderboard.agreement import agree_between
from prunebench.leaderboard.board import AXES, Section
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
from prunebench.leaderboard.rows import Row, same_row

MOST_SECTIONS = 6
"""Sections of one group that are compared with each other."""

Condition = Literal["target_layer", "class_policy"]


def by_condition(sections: Iterable[Section], condition: Condition) -> Answer:
    """Compares the orders by Sp2PS of sections whose conditions are equal but for one.

    Only rows whose networks are the same in both count: what differs is then how they were
    explained, and nothing else.

    Args:
        sections: The board.
        condition: The one that differs.
    """
    comparisons: list[Comparison] = []
    gaps: list[Gap] = []
    unmade = 0
    for group in _groups(sections, condition):
        shown = group[:MOST_SECTIONS]
        unmade += sum(range(len(shown), len(group)))
        for pair in combinations(shown, 2):
            made, missing = _compare(pair, condition)
            comparisons += made
            gaps += missing
    return answered(comparisons, gaps, unmade)


def _groups(sections: Iterable[Section], condition: Condition) -> list[list[Section]]:
    """Sections that are alike but for a condition, one for each of its values."""
    groups: dict[tuple[str, ...], dict[str, Section]] = {}
    for section in sections:
        told = section.first.conditions.model_dump(mode="json")
        value = told.pop(condition)
        alike = (section.first.dataset, section.first.model, json.dumps(told, sort_keys=True))
        groups.setdefault(alike, {}).setdefault(value, section)
    return [[found[value] for value in sorted(found)] for found in groups.values()]


def _compare(
    pair: tuple[Section, Section], condition: Condition
) -> tuple[list[Comparison], list[Gap]]:
    first, second = (getattr(each.first.conditions, condition) for each in pair)
    common = [cam for cam in methods(pair[0]) if cam in methods(pair[1])][:MOST_ORDERS]
    whole = next((why for section in pair if (why := unfit(section))), None)
    if whole or not common:
        return [], [Gap(pair, None, whole or "they share no explanation method")]
    rows = _shared(*pair)
    if all(row.first.role != "control" for row in rows[0]):
        return [], [Gap(pair, None, "their `none` controls are not the same network")]
    made, gaps = [], []
    for axis in AXES:
        if not any(axis in section.rankings for section in pair):
            continue
        reason = None
        for cam in common:
            sides = dict(zip((first, second), rows, strict=True))
            found = agree_between(sides, axis, f"sp2ps/{cam}")
            reason = too_few(found)
            if found is not None and not reason:
                made.append(compared(pair, cam, found, first, second))
        if reason and not any(each.axis == axis for each in made):
            gaps.append(Gap(pair, axis, f"of the same networks, {reason}"))
    return made, gaps


def _shared(first: Section, second: Section) -> tuple[list[Row], list[Row]]:
    """The rows of both sections that are of the same networks."""
    there = {same_row(row.first): row for row in second.rows}
    both = [
        (row, other)
        for row in first.rows
        if (other := there.get(same_row(row.first))) and _networks(row) == _networks(other) != []
    ]
    return [row for row, _ in both], [other for _, other in both]


def _networks(row: Row) -> Sequence[tuple[int, str]]:
    """The key of each seed's network; none at all where a record does not tell it."""
    keys = [(record.seed, record.keys.get("network")) for record in row.records]
    known = [(seed, key) for seed, key in keys if isinstance(key, str) and key]
    return known if len(known) == len(keys) else []
