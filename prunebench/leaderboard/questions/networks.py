"""Which sections hold the same networks: what they say is one answer, not several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.rows import Row
from prunebench.record.comparable import section_key

Networks = frozenset[tuple[Any, ...]]


def group_by_networks(sections: Iterable[Section]) -> list[list[Section]]:
    """Group sections by the networks that they compare: pruned ones and controls.

    A section all of whose networks are in another one belongs with that one. One with a network
    that is not known is a set of its own.

    Args:
        sections: The board.

    Returns:
        The sections of each distinct set of networks: that with all of them and most values
        first, then by protocol.
    """
    known = [(section, _networks(section)) for section in sections]
    known.sort(key=lambda each: _preference(*each))
    sets: list[tuple[Networks, list[Section]]] = []
    for section, networks in known:
        same = next((found for whole, found in sets if networks and networks <= whole), None)
        if same is None:
            sets.append((networks, [section]))
        else:
            same.append(section)
    return [found for _, found in sets]


def list_network_keys(row: Row) -> list[tuple[int, str]]:
    """Return the key of each seed's network; nothing if any record does not tell it."""
    keys = [(record.seed, record.keys.get("network")) for record in row.records]
    known = [(seed, key) for seed, key in keys if isinstance(key, str) and key]
    return known if len(known) == len(keys) else []


def _networks(section: Section) -> Networks:
    rows = [row for row in section.rows if row.first.role in ("control", "compressed")]
    keys = [list_network_keys(row) for row in rows]
    if not all(keys):
        return frozenset()
    return frozenset(
        (record.role, record.pruner, record.level, record.round, *key)
        for record, found in zip((row.first for row in rows), keys, strict=True)
        for key in found
    )


def _preference(section: Section, networks: Networks) -> tuple[Any, ...]:
    values = sum(len(record.values) for row in section.rows for record in row.records)
    return (-len(networks), -values, section.first.protocol, section_key(section.first))
