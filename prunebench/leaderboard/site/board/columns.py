"""The columns of the board: what every board has, and one for each value that any row has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.site.families import (
    FAMILIES,
    Family,
    family_of,
    is_part,
    kind_of,
    title_of,
)
from prunebench.leaderboard.site.names import shorten_names
from prunebench.leaderboard.writers.cells import plain
from prunebench.record import Value
from prunebench.trust import THRESHOLDS

FIRST_SHOWN: tuple[Family, ...] = (
    "network",
    "verdict",
    "accuracy",
    "sp2ps",
    "compression",
    "speed",
)


VALUE = "value/"
"""Before the names of values in keys: a record may name a value as it likes, even ``rank``."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: Its name in addresses and data, such as ``value/ssim/grad-cam``.
        title: Its heading.
        family: With which others it is shown or hidden.
        kind: How ``board_cells.js`` writes it.
        cam: The explanation method it is about.
        about: What it tells, in a sentence.
    """

    key: str
    title: str
    family: Family
    kind: str
    cam: str | None = None
    about: str = ""


FIXED = (
    Column("pruner", "Pruner", "network", "pruner", None, "Compression method; opens the row."),
    Column(
        "level",
        "Level",
        "network",
        "level",
        None,
        "The fraction to prune, as asked for.",
    ),
    Column("group", "Data · model · protocol", "network", "group", None, "What is comparable."),
    Column("axis", "Axis", "network", "axis", None, "What compression means for this network."),
    Column(
        "rank",
        "Rank",
        "network",
        "rank",
        None,
        "Places that its score may hold.",
    ),
    Column("seeds", "Seeds", "network", "seeds", None, "Seeds behind the means."),
    Column(
        "pareto",
        "Pareto",
        "verdict",
        "mark",
        None,
        "No row of its group and axis is better in accuracy, compression and Sp2PS at once.",
    ),
    Column(
        "change",
        "Change",
        "accuracy",
        "points",
        None,
        "Points of accuracy gained or lost against the baseline.",
    ),
    Column("weights_pruned", "Weights pruned", "compression", "pruned", None, "Removed or zero."),
    Column("macs_pruned", "MACs pruned", "compression", "pruned", None, "Of a dense execution."),
    Column(
        "images_seen",
        "Images seen",
        "compression",
        "count",
        None,
        "Training images since the baseline, all epochs counted.",
    ),
)
LEFT_OUT = ("accuracy_drop",)
"""Values that another column tells."""


def list_columns(sections: Sequence[Section]) -> list[Column]:
    """Return all columns by family; within one, the methods that most rows have come first."""
    seen: Counter[str] = Counter()
    sample: dict[str, Value] = {}
    for section in sections:
        for row in section.rows:
            for name, value in row.first.values.items():
                if value.mean is not None:
                    seen[name] += 1
                    sample.setdefault(name, value)
    cams = sort_cams(seen)
    names = sorted(name for name in sample if not is_part(name) and name not in LEFT_OUT)
    short = shorten_names(cams)
    found = [*FIXED, *(_make_value_column(name, sample[name], short) for name in names)]
    for cam in cams:
        if f"sp2ps/{cam}" in sample:
            found.append(_make_rescaled_column(cam, short[cam]))
            if cam in THRESHOLDS:
                found.append(_make_trusted_column(cam))
    families = list(FAMILIES)
    # Python sorts stably: fixed columns stay in front of their family.
    found.sort(key=lambda column: (families.index(column.family), _sort_key(column, cams)))
    return found


def sort_cams(seen: Counter[str]) -> list[str]:
    """Sort explanation methods, those with the most values first."""
    rows: Counter[str] = Counter()
    for name, number in seen.items():
        cam = name.partition("/")[2]
        if cam:
            rows[cam] = max(rows[cam], number)
    return sorted(rows, key=lambda cam: (-rows[cam], cam))


def _sort_key(column: Column, cams: Sequence[str]) -> tuple[int, str, int]:
    if column in FIXED:
        return (1, "", 0)
    name = column.key.removeprefix(VALUE)
    measure, _, cam = name.partition("/")
    if not cam:
        return (0 if name == "accuracy" else 1, name, 0)
    return (2, measure, cams.index(cam))


def _make_value_column(name: str, value: Value, short: Mapping[str, str]) -> Column:
    measure, _, cam = name.partition("/")
    family = family_of(name, value)
    title = title_of(name) + (f" {short[cam]}" if cam else "")
    kind = kind_of(name, value, family)
    about = plain(measure)
    if cam and short[cam] != plain(cam):
        about = f"{about}, {plain(cam)}"
    return Column(VALUE + name, title, family, kind, plain(cam) or None, about)


def _make_rescaled_column(cam: str, short: str) -> Column:
    return Column(
        f"rescaled/{cam}",
        f"Rescaled {short}",
        "rescaled",
        "score",
        plain(cam),
        "Sp2PS between random weights (0) and training alone (1).",
    )


def _make_trusted_column(cam: str) -> Column:
    return Column(
        f"trusted/{cam}",
        f"Trusted {plain(cam)}",
        "verdict",
        "mark",
        plain(cam),
        f"Whether the lower bound of Sp2PS reaches the published threshold {THRESHOLDS[cam]:.2f}.",
    )
