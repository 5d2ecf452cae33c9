"""The records that a record stands among: its baseline, and what it must not repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prunebench.checking.problem import Problem
from prunebench.record import Record

Place = tuple[str, str, int]


class Others:
    """Records, found by what they are of; made once for any number of checks.

    Args:
        records: The records. Those that are checked may be among them.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_id: dict[str, list[Record]] = {}
        self._by_network: dict[Place, list[Record]] = {}
        self._baselines: dict[Place, Record] = {}
        for record in records:
            self._by_id.setdefault(record.id, []).append(record)
            self._by_network.setdefault(_network(record), []).append(record)
            if record.role == "baseline":
                self._baselines[_branch(record)] = record

    def baseline(self, record: Record) -> Record | None:
        """The untouched network that a record is compared with, of the same suite and seed."""
        return record if record.role == "baseline" else self._baselines.get(_branch(record))

    def repeats(self, record: Record) -> Iterator[Problem]:
        """Whether the same network, or the same record, is there once more."""
        if any(other is not record for other in self._by_id.get(record.id, ())):
            yield Problem("id", f"{record.id!r} is there twice", "one record of each id")
        for other in self._by_network.get(_network(record), ()) if record.keys else ():
            if other.id != record.id:
                yield Problem(
                    "keys.network",
                    f"the same network, seed and protocol as {other.id!r}",
                    "one record of each network",
                )


def _branch(record: Record) -> Place:
    return record.suite, record.protocol, record.seed


def _network(record: Record) -> Place:
    return str(record.keys.get("network")), record.protocol, record.seed
