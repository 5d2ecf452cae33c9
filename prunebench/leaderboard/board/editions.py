"""Records of older versions of a plugin: told as such, and kept apart from newer ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from prunebench.record import Record
from prunebench.record.comparable import list_plugin_versions, section_key

OLDER = "older-"
"""Begins the protocol of records that are older than others of their own protocol."""


def separate_editions(records: Iterable[Record]) -> Sequence[Record]:
    """Return records, with those marked that newer versions of the same plugins have outdated.

    An explanation method or metric of another version makes rows incomparable: its records get a
    protocol of their own. A compression method of another version makes other networks: they stay
    beside the newer ones, as another method. What is newest is told by the records alone.

    Args:
        records: Any records.
    """
    records = list(records)
    versions = [list_plugin_versions(record) for record in records]
    if _find_newest(versions) == _find_newest(versions, oldest=True):
        return records
    protocols: dict[tuple[str, ...], list[int]] = {}
    for index, record in enumerate(records):
        protocols.setdefault(section_key(record), []).append(index)
    for same in protocols.values():
        newest = _find_newest([versions[index] for index in same])
        for index in same:
            behind = {k: v for k, v in versions[index].items() if v < newest[k]}
            if behind:
                records[index] = _mark(records[index], behind, newest)
    return records


def is_older(record: Record) -> bool:
    """Return whether a record was marked as one of older explanation methods or metrics."""
    return record.protocol.startswith(OLDER)


def _find_newest(versions: Iterable[Mapping[str, int]], *, oldest: bool = False) -> dict[str, int]:
    found: dict[str, int] = {}
    choose = min if oldest else max
    for each in versions:
        for name, version in each.items():
            found[name] = choose(found.get(name, version), version)
    return found


def _mark(record: Record, behind: Mapping[str, int], newest: Mapping[str, int]) -> Record:
    flags = tuple(
        f"made with version {version} of {name.partition('/')[2]}, of which there is version "
        f"{newest[name]}"
        for name, version in sorted(behind.items())
    )
    pruner, protocol = record.pruner, record.protocol
    measured = sorted((k, v) for k, v in behind.items() if k.startswith(("cams/", "metrics/")))
    if measured:
        edition = blake2b(repr(measured).encode(), digest_size=2).hexdigest()
        protocol = f"{OLDER}{edition}-{protocol}"
    if own := behind.get(f"pruners/{record.pruner_name}"):
        pruner = f"{pruner} (version {own})"
    changed = {"flags": (*record.flags, *flags), "protocol": protocol, "pruner": pruner}
    return record.model_copy(update=changed)
