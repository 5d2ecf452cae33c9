"""Why our number may differ from a published one: what differs in how the two were made."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.papers.cards.printed import parse_number
from prunebench.leaderboard.papers.cards.work import RowPatterns, StatedConditions
from prunebench.leaderboard.writers.cells import plain
from prunebench.record import Record

FAR = 0.005
"""Baselines whose accuracy is farther apart than this (half a point) are said to differ."""


def list_differences(
    stated: StatedConditions, ours: RowPatterns, row: Row, section: Section
) -> tuple[str, ...]:
    """List in words what is known to differ from what the work states.

    Args:
        stated: Conditions of the work.
        ours: Which rows would be the same experiment.
        row: Our row.
        section: Its section.
    """
    protocol = list_protocol_differences(stated, ours, row, section)
    return (*protocol, *list_seed_differences(stated, row))


def list_protocol_differences(
    stated: StatedConditions, ours: RowPatterns, row: Row, section: Section
) -> tuple[str, ...]:
    """List the same without how many seeds there are, which is evidence and no condition."""
    return tuple(_yield_differences(stated, ours, row, section))


def list_seed_differences(stated: StatedConditions, row: Row) -> tuple[str, ...]:
    """Say how many seeds there are, where some are missing or the work has another number."""
    if row.missing:
        return (f"{row.seeds} seeds",)
    if stated.seeds in (None, len(row.records)):
        return ()
    return (f"{count_seeds(row)} ({stated.seeds} there)",)


def count_seeds(row: Row) -> str:
    """Write how many seeds a row has: ``1 seed``, ``3 seeds``."""
    return f"{len(row.records)} seed{'s' * (len(row.records) > 1)}"


def _yield_differences(
    stated: StatedConditions, ours: RowPatterns, row: Row, section: Section
) -> Iterator[str]:
    record = row.first
    conditions = record.conditions
    if not is_of_model(record, ours):
        name = plain(record.model).partition("(")[0]
        yield f"another network: {name} ({stated.model} there)"
    if not matches(record.dataset, ours.datasets[:1]):
        yield f"data: {plain(record.dataset)} ({stated.dataset} there)"
    if record.role == "compressed" and not is_of_pruner(record, ours.pruners):
        yield f"another method: {plain(record.pruner)}"
    if record.role != "baseline":
        yield from _compare_recovery(stated.recovery, conditions.recovery)
    if conditions.explained_images and stated.explained_images not in (
        None,
        conditions.explained_images,
    ):
        yield (
            f"{conditions.explained_images:,} images explained ({stated.explained_images:,} there)"
        )
    if stated.class_policy not in (None, conditions.class_policy):
        yield f"class explained: {plain(conditions.class_policy)} ({stated.class_policy} there)"
    if stated.target_layer not in (None, conditions.target_layer):
        yield f"layer explained: {plain(conditions.target_layer)} ({stated.target_layer} there)"
    yield from _compare_baseline(stated, section)


def _compare_recovery(stated: dict[str, Any] | None, found: dict[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield "no training after compression"
    elif stated is None:
        epochs, images = found.get("epochs"), found.get("images")
        length = f"{epochs} epoch{'' if epochs == 1 else 's'}"
        yield f"training after compression: {length} on {_format_option(images)} images"
    else:
        for name, there in stated.items():
            here = found.get(name)
            if here != there and not (_is_empty(here) and _is_empty(there)):
                values = f"{_format_option(here)} ({_format_option(there)} there)"
                yield f"fine-tuning {name.replace('_', ' ')} {values}"


def _is_empty(value: Any) -> bool:
    return value is None or value == []


def _format_option(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list):
        return plain(", ".join(map(str, value))) or "none"
    return "all" if value is None else plain(f"{value}")


def _compare_baseline(stated: StatedConditions, section: Section) -> Iterator[str]:
    accuracy = section.baseline.get("accuracy").mean if section.baseline else None
    if stated.baseline_accuracy is None or accuracy is None:
        return
    there = parse_number(stated.baseline_accuracy) / 100
    if abs(accuracy - there) > FAR:
        yield f"baseline accuracy {100 * accuracy:.2f}% ({stated.baseline_accuracy} there)"


def is_of_model(record: Record, rows: RowPatterns) -> bool:
    """Return whether a record's network is one of those meant."""
    return matches(record.model, rows.models)


def is_of_pruner(record: Record, patterns: tuple[str, ...]) -> bool:
    """Return whether a record's pruner fits a pattern, by name or label; no pattern fits all."""
    return not patterns or any(
        matches(text, patterns) for text in (record.pruner_name, record.pruner)
    )


@lru_cache(maxsize=1 << 16)  # few labels, asked for again with every published row
def matches(label: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a label, or its plugin's name, fits one of some shell patterns."""
    texts = (label, label.partition("(")[0])
    return any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)
