"""The records that a record stands among: its baseline, and what it must not repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prunebench.record import Record
from prunebench.record.checking.problem import Problem
from prunebench.record.comparable import list_plugin_versions, row_key, section_key

MOST_SEEDS = 100
GroupKey = tuple[str, str, int]
"""Of a suite or a network: its name or key, with protocol and seed."""
RowKey = tuple[tuple[str, ...], tuple[Any, ...]]


class RecordIndex:
    """Records by network, row and setting; made once for any number of checks.

    Args:
        records: The records. Those that are checked may be among them.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_id: dict[str, list[Record]] = {}
        self._by_network: dict[GroupKey, list[Record]] = {}
        self._by_row: dict[RowKey, list[Record]] = {}
        self._baselines: dict[GroupKey, Record] = {}
        for record in records:
            self._by_id.setdefault(record.id, []).append(record)
            self._by_network.setdefault(_network_of(record), []).append(record)
            self._by_row.setdefault(_row_of(record), []).append(record)
            if record.role == "baseline":
                self._baselines[_setting_of(record)] = record

    def baseline_of(self, record: Record) -> Record | None:
        """Return the uncompressed network that a record is compared with, of its suite and seed."""
        return record if record.role == "baseline" else self._baselines.get(_setting_of(record))

    def check_baseline(self, record: Record) -> Iterator[Problem]:
        """Yield a problem where what it is compared with is not there."""
        if record.role not in ("baseline", "floor") and self.baseline_of(record) is None:
            wrong = f"its baseline, of suite {record.suite!r} and seed {record.seed}"
            yield Problem(
                "keys.baseline", f"{wrong}, is not among them", "rows with their baseline"
            )

    def check_repeats(self, record: Record) -> Iterator[Problem]:
        """Yield problems where the same network, or the same record, is there once more."""
        if any(other is not record for other in self._by_id.get(record.id, ())):
            yield Problem("id", f"{record.id!r} is there twice", "one record of each id")
        for other in self._by_network.get(_network_of(record), ()) if record.keys else ():
            if other.id != record.id:
                yield Problem(
                    "keys.network",
                    f"the same network, seed and protocol as {other.id!r}",
                    "one record of each network",
                )
        yield from self._check_row(record)

    def _check_row(self, record: Record) -> Iterator[Problem]:
        """Yield problems where it would displace another record of the board's row."""
        if len(record.seeds) > MOST_SEEDS:
            yield Problem("seeds", f"{len(record.seeds)} seeds", f"at most {MOST_SEEDS}")
        for other in self._by_row.get(_row_of(record), ()):
            if other.id == record.id:
                continue
            if other.seed == record.seed:
                wrong = f"{record.seed} of the row is that of {other.id!r} already"
                yield Problem("seed", wrong, "one record of each seed of a row")
            elif sorted(other.seeds) != sorted(record.seeds):
                wrong = f"{str(record.seeds)[:80]} are not those of {other.id!r}"
                yield Problem("seeds", wrong, "the same seeds in all records of a row")
                return


def _setting_of(record: Record) -> GroupKey:
    return record.suite, record.protocol, record.seed


def _network_of(record: Record) -> GroupKey:
    network = str(record.keys.get("network"))
    # The baseline is there once more where what explains it learnt anew.
    again = " retrained" if record.role == "retrained" else ""
    return network + again, record.protocol, record.seed


def _row_of(record: Record) -> RowKey:
    """Return the row of the board that a record stands in, with those of other seeds."""
    version = list_plugin_versions(record).get(f"pruners/{record.pruner_name}")
    return section_key(record), (*row_key(record), version)
