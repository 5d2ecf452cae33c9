"""The board as JSON: the same numbers in full, for programs; one row a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.budget import Budget, find_budgets
from prunebench.leaderboard.board.counterparts import find_counterpart
from prunebench.leaderboard.board.damage import find_exemplars, find_worst_class
from prunebench.leaderboard.board.protocol import load_protocol
from prunebench.leaderboard.board.rows import Estimate, Row
from prunebench.leaderboard.writers.cells import judge
from prunebench.record.comparable import SMALLER

BOARD_SCHEMA = 3
USUAL = {field.name: field.default for field in fields(Estimate) if field.name != "mean"}
"""What an estimate's fields are unless they are told."""


def to_json(sections: Sequence[Section]) -> str:
    """Return the board as JSON. A missing number is null with a reason.

    Of a value's fields only those are written that are not at their default (no interval,
    ``undefined`` 0, not measured by time).

    Args:
        sections: From ``board``.
    """
    parts = ",\n".join(_section(section) for section in sections)
    head = f'"schema_version": {BOARD_SCHEMA}, "protocol": "{load_protocol().name}"'
    return f'{{{head}, "sections": [\n{parts}\n]}}\n'


def _section(section: Section) -> str:
    record = section.first
    about = {
        "dataset": record.dataset,
        "model": record.model,
        "protocol": record.protocol,
        "conditions": record.conditions.model_dump(mode="json"),
        "standing": asdict(section.standing),
        "suite": section.headline.suite if section.headline else None,
        "rankings": [asdict(ranking) for ranking in section.rankings.values()],
        "horizons": [asdict(horizon) for horizon in section.horizons],
    }
    budgets = find_budgets(section.rows)
    rows = ",\n".join(
        _json(_row(row, section) | _round_floats(_beside(row, section, budgets)))
        for row in section.rows
    )
    return f'{_json(_round_floats(about))[:-1]}, "rows": [\n{rows}\n]}}'


def _json(content: Any) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False)


def _row(row: Row, section: Section) -> dict[str, Any]:
    record = row.first
    drop = row.drop(section.baseline)
    return {
        "role": record.role,
        "pruner": record.pruner,
        "level": record.level,
        "round": record.round,
        "axis": record.axis,
        "seeds": [found.seed for found in row.records],
        "planned_seeds": row.planned,
        "records": [found.id for found in row.records],
        "reached": _round_floats(row.reached.model_dump(mode="json")),
        "accuracy_drop": _round(drop) if drop is not None else None,
        "images_seen": row.images_seen,
        "trusted": {cam: judge(row, cam) for cam in section.cams},
        "flags": row.flags,
        "values": {name: dict(_list_fields(value)) for name, value in row.estimates.items()},
        "rescaled": {name: _rescaled(row, section, name) for name in section.rescalable},
    }


def _beside(row: Row, section: Section, budgets: Mapping[str, Budget]) -> dict[str, Any]:
    """Return what a row is held against, what it damaged, and what it was given."""
    counterpart = find_counterpart(row, section.rows, section.references, section.listed)
    budget = budgets.get(row.first.id)
    return {
        "counterpart": asdict(counterpart) if counterpart else None,
        "damage": _damage(row, section) if row.first.role in (*SMALLER, "control") else None,
        "budget": asdict(budget) if budget else None,
    }


def _damage(row: Row, section: Section) -> dict[str, Any]:
    worst = find_worst_class(row, section.references.control)
    exemplars = find_exemplars(row, section.baseline)
    return {
        "worst_class": asdict(worst) if worst else None,
        "exemplars": {
            "places": exemplars.places,
            "explained": exemplars.explained,
            "sp2ps": exemplars.sp2ps,
        }
        if exemplars
        else None,
    }


def _list_fields(value: Estimate) -> Iterator[tuple[str, Any]]:
    yield "mean", None if value.mean is None else _round(value.mean)
    for name, usual in USUAL.items():
        found = getattr(value, name)
        if found != usual:
            yield name, _round(found) if isinstance(found, float) else found


def _rescaled(row: Row, section: Section, name: str) -> dict[str, Any]:
    found = section.rescaled(row, name)
    if found.value is None:
        return {"value": None, "reason": found.reason}
    return {"value": _round(found.value)}


def _round_floats(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _round_floats(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_round_floats(value) for value in content]
    return _round(content) if isinstance(content, float) else content


def _round(number: float) -> float:
    """Round to nine digits, so that the last bits of a sum do not change the file."""
    return float(f"{number:.9g}")
