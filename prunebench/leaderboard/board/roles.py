"""What tables call the rows that are no compressed networks."""

from __future__ import annotations

from collections.abc import Iterable

from prunebench.leaderboard.board.rows import Row
from prunebench.record import Record

REFERENCES = ("baseline", "control", "floor", "twin", "retrained", "small")
"""Roles of the networks that compressed ones are held against."""

FURTHER = ("twin", "retrained", "small")
"""Those of them that not every section has."""

UNPRUNED = ("baseline", "floor", "twin", "retrained")
"""Those of them of which it means nothing how much was pruned, or whether maps can be trusted."""

SHOWN = ("control", "twin", "small", "floor")
"""Those of them that figures show beside pruners: what the scale means."""


def name_reference(record: Record) -> str | None:
    """Return what tables call a network that others are held against; None for those others."""
    if record.role == "control":
        return record.pruner_name
    if record.role == "small":
        return f"small network from scratch, {100 * (record.level or 0):.4g}%"
    return {
        "baseline": "baseline",
        "floor": "random weights",
        "twin": _name_twin(record),
        "retrained": "retrained explainer",
    }.get(record.role)


def _name_twin(record: Record) -> str:
    """Say of a twin whether the two share more than their data."""
    shared = record.training is not None and not record.training.from_scratch
    return "twin: another seed's baseline" + (", shared start" if shared else "")


def describe_reference(record: Record) -> str | None:
    """Return the same with what a control is: ``none: fine-tuning only``."""
    name = name_reference(record)
    return f"{name}: fine-tuning only" if record.role == "control" else name


def list_shown(rows: Iterable[Row]) -> list[Row]:
    """Return the controls that figures show beside pruners, in the order of ``SHOWN``."""
    found = [row for row in rows if row.first.role in SHOWN]
    return sorted(found, key=lambda row: (SHOWN.index(row.first.role), row.first.level or 0.0))
