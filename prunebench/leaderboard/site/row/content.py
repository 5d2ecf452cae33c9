"""What a row's page shows, ready to be shown: all text is written here, none of it is markup."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.mark import mark_row
from prunebench.leaderboard.board.rank import PrunerRank
from prunebench.leaderboard.board.roles import UNPRUNED, describe_reference
from prunebench.leaderboard.board.rows import Estimate, Row, explain_undefined, format_level
from prunebench.leaderboard.board.speed import explain_timings
from prunebench.leaderboard.site.families import (
    FAMILIES,
    Kind,
    family_of,
    is_part,
    kind_of,
    title_of,
)
from prunebench.leaderboard.site.links import link_pruner, name_row, name_section
from prunebench.leaderboard.site.number_format import flatten_mapping, format_bounds, format_number
from prunebench.leaderboard.site.row.curves import draw_curves
from prunebench.leaderboard.site.row.excerpt import make_suite_text
from prunebench.leaderboard.site.row.latency import draw_latency
from prunebench.leaderboard.site.row.pictures import list_pictures
from prunebench.leaderboard.site.row.sp2ps_split import draw_subsets
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain
from prunebench.record import Record, Value
from prunebench.record.comparable import SMALLER
from prunebench.trust import THRESHOLDS

MOST_LEVELS = 60


@dataclass(frozen=True)
class ShownRow:
    """A row with what surrounds it on the board.

    Attributes:
        row: The row.
        place: Its pruner's place; None where it has none.
        section: Its protocol.
        pareto: Whether it is on the Pareto front, or why that is not known; None for controls.
        levels: The rows of its pruner on its axis, by rising compression.
        ranked: How many pruners have a rank on its axis.
    """

    row: Row
    place: PrunerRank | None
    section: Section
    pareto: bool | str | None
    levels: Sequence[Row]
    ranked: int


def make_content(shown: ShownRow) -> dict[str, Any]:
    """Return a row's page as plain data."""
    row, section, record = shown.row, shown.section, shown.row.first
    return {
        "id": name_row(row),
        "role": record.role,
        "title": _title(row),
        "where": cells.make_title(record),
        "protocol": plain(record.protocol),
        "group": name_section(section),
        "badges": list(_badges(row, section)),
        "rank": _rank(shown),
        "pareto": _pareto(shown.pareto),
        "facts": list(_facts(row, section)),
        "flags": [plain(flag) for flag in row.flags],
        "slow": _slow(row),
        "pruner": link_pruner(record.pruner_name) if record.role == "compressed" else None,
        "pruner_name": plain(record.pruner_name),
        "levels": [
            {"name": format_level(other), "id": name_row(other), "own": other is row}
            for other in shown.levels[:MOST_LEVELS]
        ],
        "baseline": _name_of(section.baseline),
        "control": _name_of(section.control),
        "suite": make_suite_text(row),
        "records": [{"id": one.id, "seed": one.seed} for one in row.records],
        "values": _values(row),
        **list_pictures(record),
        "sp2ps": {cam: cells.format_score(row.get(f"sp2ps/{cam}")) for cam in section.cams},
        "figures": {
            "curves": list(draw_curves(row)),
            "latency": list(draw_latency(row)),
            "parts": list(draw_subsets(row)),
        },
        "provenance": _provenance(record),
    }


def _title(row: Row) -> str:
    record = row.first
    if (name := describe_reference(record)) is not None:
        return plain(name)
    level = format_level(row)
    return plain(record.pruner) + ("" if level == "–" else f", {level}")


def _name_of(row: Row | None) -> str | None:
    return None if row is None else name_row(row)


def _badges(row: Row, section: Section) -> Iterator[dict[str, str]]:
    """Yield the verdict under each method with a published threshold."""
    if row.first.role in UNPRUNED:
        return
    words = {True: "trusted", False: "not trusted", None: "no verdict"}
    for cam in section.cams:
        if cam in THRESHOLDS:
            found = mark_row(row, cam)
            told = words[found.trusted] + (f": {plain(found.reason)}" if found.reason else "")
            yield {"cam": cam, "mark": cells.format_verdict(found.trusted), "words": told}


def _rank(shown: ShownRow) -> str | None:
    place, row = shown.place, shown.row
    if row.first.role != "compressed":
        return None
    if place is None:
        return "not ranked: networks on this axis have no rank"
    if not place.ranked:
        return f"not ranked: {plain(place.reason or '')}"
    return f"rank {cells.format_place(place)} of {shown.ranked} on the axis {row.first.axis}"


def _pareto(mark: bool | str | None) -> str | None:
    if mark is None:
        return None
    if isinstance(mark, str):
        return f"Pareto front not judged: {mark}"
    return "on the Pareto front" if mark else "not on the Pareto front"


def _facts(row: Row, section: Section) -> Iterator[tuple[str, str]]:
    record = row.first
    yield "Data set", plain(record.dataset)
    yield "Model", plain(record.model)
    if record.role in SMALLER:
        yield "Level asked for", format_level(row)
        yield "Axis", cells.name_axis(record.axis)
    if record.role not in ("floor", "retrained"):
        accuracy = row.get("accuracy")
        between = cells.format_percent_bounds(accuracy)
        yield "Accuracy", f"{cells.format_percent(accuracy)}% {between}".strip()
    if record.role in (*SMALLER, "control"):
        yield "Change against the baseline", f"{cells.format_change(row, section.baseline)} points"
        reached = row.reached
        yield "Weights pruned", cells.format_pruned(reached.weights)
        yield "Parameters pruned", cells.format_pruned(reached.params)
        yield "Channels pruned", cells.format_pruned(reached.channels)
        yield "MACs pruned", cells.format_pruned(reached.macs)
        yield "Images seen since the baseline", f"{row.images_seen:,}"
    seeds = ", ".join(str(one.seed) for one in row.records)
    yield "Seeds", f"{seeds} ({row.seeds})" if row.missing else seeds


def _slow(row: Row) -> list[dict[str, str]]:
    """Return why it is not faster, for each timing."""
    return [
        {
            "place": each.timing.place,
            "why": each.cause or "it is as fast as its MACs tell",
            "evidence": each.evidence,
        }
        for each in explain_timings(row)
    ]


def _values(row: Row) -> list[dict[str, Any]]:
    """Return all values by family; a value is a list, see ``_value``."""
    families: dict[str, list[list[Any]]] = {}
    for name, estimate in row.estimates.items():
        title = _value_title(name)
        if title is not None:
            some = row.first.values.get(name) or next(
                one.values[name] for one in row.records if name in one.values
            )
            family = family_of(name, some)
            kind = kind_of(name, some, family)
            families.setdefault(family, []).append(_value(row, name, title, estimate, some, kind))
    return [
        {"title": title, "values": families[key]}
        for key, title in FAMILIES.items()
        if key in families
    ]


@lru_cache(maxsize=4096)
def _value_title(name: str) -> str | None:
    """Return a value's title with its method; None if it is of some of the images only."""
    if is_part(name):
        return None
    return f"{title_of(name)} {plain(name.partition('/')[2])}".strip()


def _value(
    row: Row, name: str, title: str, estimate: Estimate, some: Value, kind: Kind
) -> list[Any]:
    """Return name, title, text, interval, its kind, images, note, and each seed's text."""
    text = "–" if estimate.mean is None else format_number(estimate.mean, kind)
    note = None
    if estimate.mean is None or estimate.undefined:
        note = explain_undefined(row, estimate)
    each = []
    if len(row.records) > 1:
        means = (record.mean(name) for record in row.records)
        each = ["–" if mean is None else format_number(mean, kind) for mean in means]
    return [
        name,
        title,
        text,
        format_bounds(estimate.low, estimate.high, kind),
        plain(estimate.interval) if estimate.interval else "",
        some.n,
        plain(note) if note else "",
        each,
    ]


def _provenance(record: Record) -> list[dict[str, Any]]:
    """Return the record's provenance as titled groups of names and texts."""
    made = {
        "suite": record.suite,
        "pruner": record.pruner,
        **record.provenance,
        **{f"measured {key}": value for key, value in record.measured.items()},
    }
    keys = {"protocol": record.protocol, **record.keys}
    return [
        {
            "title": "Conditions, equal for all rows of this group",
            "lines": _conditions(record.conditions.model_dump_json()),
        },
        {"title": "Made with", "lines": list(flatten_mapping(made))},
        {"title": "Keys of the steps behind it", "lines": list(flatten_mapping(keys))},
    ]


@lru_cache(maxsize=256)  # a group's rows come one after another and share them
def _conditions(text: str) -> list[tuple[str, str]]:
    return list(flatten_mapping(json.loads(text)))
