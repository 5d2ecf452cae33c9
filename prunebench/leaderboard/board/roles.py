"""What tables call the rows that are no compressed networks."""

from __future__ import annotations

from prunebench.record import Record

REFERENCES = ("baseline", "control", "floor")
"""Roles of the networks that compressed ones are held against."""


def name_reference(record: Record) -> str | None:
    """Return what tables call a baseline, a control or random weights; None for other networks."""
    if record.role == "control":
        return record.pruner_name
    return {"baseline": "baseline", "floor": "random weights"}.get(record.role)


def describe_reference(record: Record) -> str | None:
    """Return the same with what a control is: ``none: fine-tuning only``."""
    name = name_reference(record)
    return f"{name}: fine-tuning only" if record.role == "control" else name
