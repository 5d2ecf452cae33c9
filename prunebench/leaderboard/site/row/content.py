"""What a row's page shows, ready to be shown: all text is written here, none of it is markup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.roles import describe_reference
from prunebench.leaderboard.board.rows import (
    IMAGES_ONLY,
    Estimate,
    Row,
    explain_undefined,
    format_level,
    is_over_seeds,
)
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
from prunebench.leaderboard.site.row.badges import (
    ShownRow,
    list_marks,
    list_remarks,
    tell_pareto,
    tell_rank,
    tell_score,
)
from prunebench.leaderboard.site.row.counterpart import describe_counterpart
from prunebench.leaderboard.site.row.curves import draw_curves
from prunebench.leaderboard.site.row.damage import describe_damage
from prunebench.leaderboard.site.row.excerpt import make_suite_text
from prunebench.leaderboard.site.row.latency import draw_latency
from prunebench.leaderboard.site.row.pictures import list_pictures
from prunebench.leaderboard.site.row.sp2ps_split import draw_subsets
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain
from prunebench.record import Record, Value
from prunebench.record.comparable import SMALLER

MOST_LEVELS = 60


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
        "badges": list(list_marks(row, section)),
        "rank": tell_rank(shown),
        "score": tell_score(shown.place),
        "pareto": tell_pareto(shown.pareto),
        "remarks": list(list_remarks(shown)),
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
        "counterpart": describe_counterpart(row, section),
        "damage": describe_damage(row, section),
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
        if accuracy.interval and not is_over_seeds(accuracy):
            between += f" {IMAGES_ONLY}"
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
