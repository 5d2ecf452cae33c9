"""Between sections that differ in one condition: the same networks, explained in another way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Literal

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.agreement import compare_orders_between
from prunebench.leaderboard.board.board import AXES
from prunebench.leaderboard.board.grid import Axis
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.board.score import group_by_pruner
from prunebench.leaderboard.questions.answer import Answer, Findings, answer
from prunebench.leaderboard.questions.comparison import (
    Gap,
    compare_two_orders,
    find_missing_value,
    find_obstacle,
    list_methods,
)
from prunebench.leaderboard.questions.networks import group_by_networks, list_network_keys
from prunebench.record import Record
from prunebench.record.comparable import row_key
from prunebench.trust import MOST_UNDEFINED

MOST_SECTIONS = 6
"""Sections of one group that are compared with each other."""
MOST_METHODS = 14
"""Explanation methods under which two sections are compared."""

Condition = Literal["target_layer", "class_policy"]
Pair = tuple[Section, Section]


def compare_by_condition(sections: Sequence[Section], condition: Condition) -> Answer:
    """Compare the orders by Sp2PS of sections whose conditions are equal but for one.

    Only rows whose networks are the same in both count, explained and measured by the same
    versions: what differs is then how they were explained, and nothing else.

    Args:
        sections: The board.
        condition: The one that differs.
    """
    found = Findings()
    for group in _group_alike(sections, condition):
        shown = group[:MOST_SECTIONS]
        found.unpaired += sum(range(len(shown), len(group)))
        for pair in combinations(shown, 2):
            _compare(pair, condition, found)
    return answer(found, group_by_networks(sections))


def _group_alike(sections: Iterable[Section], condition: Condition) -> list[list[Section]]:
    """Group the sections that are equal but for a condition, one for each of its values."""
    groups: dict[tuple[str, ...], dict[str, Section]] = {}
    for section in sections:
        told = section.first.conditions.model_dump(mode="json")
        value = told.pop(condition)
        alike = (section.first.dataset, section.first.model, json.dumps(told, sort_keys=True))
        groups.setdefault(alike, {}).setdefault(value, section)
    return [[found[value] for value in sorted(found)] for found in groups.values()]


def _compare(pair: Pair, condition: Condition, found: Findings) -> None:
    """Add the comparisons of two sections, under each explanation method and on each axis."""
    common = [cam for cam in list_methods(pair[0]) if cam in list_methods(pair[1])]
    reason = next((why for section in pair if (why := find_obstacle(section))), None)
    rows = _find_shared_rows(*pair)
    if reason is None and not common:
        reason = "they share no explanation method"
    if reason is None and all(row.first.role != "control" for row in rows[0]):
        reason = "their `none` controls are not the same network"
    if reason:
        found.add(Gap(pair, None, reason))
        return
    first, second = (getattr(each.first.conditions, condition) for each in pair)
    axes = [axis for axis in AXES if any(axis in section.rankings for section in pair)]
    found.unmade += len(axes) * len(common[MOST_METHODS:])
    for cam in common[:MOST_METHODS]:
        if why := _find_missing_value(pair, f"sp2ps/{cam}") or _find_version_difference(rows, cam):
            found.add(Gap(pair, None, why))
            continue
        for axis in axes:
            orders = compare_orders_between(
                {first: rows[0], second: rows[1]},
                axis,
                f"sp2ps/{cam}",
                undefined=MOST_UNDEFINED,
                least=0,
            )
            if orders:
                left_out = orders.left_out | _list_unshared_pruners(pair, rows[0], axis)
                found.add(compare_two_orders(pair, cam, replace(orders, left_out=left_out)))


def _find_missing_value(pair: Pair, name: str) -> str | None:
    controls = [section.control for section in pair if section.control]
    return next((why for control in controls if (why := find_missing_value(control, [name]))), None)


def _find_shared_rows(first: Section, second: Section) -> tuple[list[Row], list[Row]]:
    """Return the rows of both sections that are of the same networks."""
    there = {row_key(row.first): row for row in second.rows}
    both = [
        (row, other)
        for row in first.rows
        if (other := there.get(row_key(row.first)))
        and list_network_keys(row) == list_network_keys(other) != []
    ]
    return [row for row, _ in both], [other for _, other in both]


def _list_unshared_pruners(pair: Pair, shared: Sequence[Row], axis: Axis) -> dict[str, str]:
    """Return the pruners of two sections of which no network is the same in both."""
    there = [pruner for section in pair for pruner, _ in group_by_pruner(section.rows, axis)]
    both = {pruner for pruner, _ in group_by_pruner(shared, axis)}
    return {pruner: "no network is the same in both" for pruner in there if pruner not in both}


def _find_version_difference(rows: tuple[list[Row], list[Row]], cam: str) -> str | None:
    """Say which version differs, of the explanation method or of Sp2PS, if records tell it."""
    for row, other in zip(*rows, strict=True):
        for one, two in zip(row.records, other.records, strict=True):
            here, there = _plugins(one), _plugins(two)
            for name in (f"cams/{cam.partition('(')[0]}", "metrics/sp2ps"):
                if name in here and name in there and here[name] != there[name]:
                    return f"{name} is of version {here[name]} in one, {there[name]} in the other"
    return None


def _plugins(record: Record) -> Mapping[str, Any]:
    found = record.provenance.get("plugins")
    return found if isinstance(found, Mapping) else {}
