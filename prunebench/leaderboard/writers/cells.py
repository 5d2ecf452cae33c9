"""How the board writes a value, for people: shared by its markdown and its terminal form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from prunebench.leaderboard.board import Section, speed
from prunebench.leaderboard.board.editions import is_older
from prunebench.leaderboard.board.grid import Axis
from prunebench.leaderboard.board.mark import mark_row
from prunebench.leaderboard.board.rank import PrunerRank
from prunebench.leaderboard.board.rescaling import Rescaled
from prunebench.leaderboard.board.rows import Estimate, Row, format_level
from prunebench.plugins.recipe import Recipe
from prunebench.record import Conditions, Record
from prunebench.trust import THRESHOLDS

LONGEST = 160  # characters of one name from a record


@lru_cache(maxsize=65536)
def plain(text: str) -> str:
    """Return a record's text on one line, without control characters, not endlessly long."""
    if text.isascii() and text.isprintable():  # most texts: nothing to look up
        visible = text
    else:
        visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    line = " ".join(visible.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def format_percent(value: Estimate) -> str:
    """Write a fraction as a percentage, such as ``93.20``."""
    return "–" if value.mean is None else f"{100 * value.mean:.2f}"


def format_asked(row: Row) -> str:
    """Write the level that was asked of a compressed network; nothing for others."""
    return format_level(row) if row.first.role == "compressed" else ""


def format_percent_bounds(value: Estimate) -> str:
    """Write the interval of a fraction in percent, or nothing."""
    if value.low is None or value.high is None:
        return ""
    return f"[{100 * value.low:.2f}, {100 * value.high:.2f}]"


def format_score(value: Estimate) -> str:
    """Write a value in [0, 1], such as ``0.962``."""
    return "–" if value.mean is None else f"{value.mean:.3f}"


def format_score_bounds(value: Estimate) -> str:
    """Write the interval of a value in [0, 1], or nothing."""
    if value.low is None or value.high is None:
        return ""
    return f"[{value.low:.3f}, {value.high:.3f}]"


def format_rescaled(found: Rescaled) -> str:
    """Write a rescaled value, such as ``0.871``; it may lie outside [0, 1]."""
    return "–" if found.value is None else f"{round(found.value, 3) + 0.0:.3f}"


def format_change(row: Row, baseline: Row | None) -> str:
    """Write the change in accuracy, in points, with its sign."""
    drop = row.drop(baseline)
    if row.first.role == "baseline" or drop is None:
        return "–"
    points = round(-100 * drop, 2)
    return f"{'−' if points < 0 else '+'}{abs(points):.2f}" if points else "0.00"


def format_count(value: Estimate) -> str:
    """Write a large number with three digits, such as ``1.25 M``."""
    if value.mean is None:
        return "–"
    number = value.mean
    for unit in ("", "k", "M", "G", "T"):
        if abs(number) < 999.5 or unit == "T":
            return f"{_format_digits(number)} {unit}" if unit else f"{number:.0f}"
        number /= 1000
    raise AssertionError("unreachable")


def _format_digits(number: float) -> str:
    return f"{number:#.3g}".rstrip(".")


def format_pruned(fraction: float) -> str:
    """Write the fraction pruned, such as ``42%``; negative where there is more than before."""
    percentage = round(100 * fraction, 1)
    return f"{'−' if percentage < 0 else ''}{abs(percentage):.3g}%"


def choose_latency(rows: Iterable[Row]) -> str | None:
    """Return the latency that the board shows: of the smallest batch, on the CPU if possible.

    Returns:
        A name such as ``latency_cpu_b1``, to which ``_ms`` and ``_ratio`` are added.
    """
    names = {name for row in rows for name in row.estimates}
    found = [match for name in names if (match := re.fullmatch(r"latency_(\w+)_b(\d+)_ms", name))]
    order = sorted((int(match[2]), match[1] != "cpu", match[1]) for match in found)
    return f"latency_{order[0][2]}_b{order[0][0]}" if order else None


def format_latency(row: Row, name: str) -> str:
    """Write milliseconds and the ratio to the baseline's, such as ``1.24 ms ×0.91``."""
    time, ratio = row.get(f"{name}_ms").mean, row.get(f"{name}_ratio").mean
    if time is None:
        return "–"
    return f"{_format_digits(time)} ms" + (f" ×{ratio:.2f}" if ratio is not None else "")


def format_latency_ratio(row: Row, name: str) -> str:
    """Write the ratio to the baseline's latency, such as ``×0.91``."""
    ratio = row.get(f"{name}_ratio").mean
    return "–" if ratio is None else f"×{ratio:.2f}"


def explain_latency(row: Row, name: str) -> str | None:
    """Say why a compressed network is not measurably faster; None if it is."""
    return speed.explain_slow_latency(row, name)


def format_verdicts(row: Row, cams: Iterable[str]) -> str:
    """Write for each method with a published threshold ✓ trusted, ✗ not, – no verdict."""
    return " · ".join(format_verdict(judge(row, cam)) for cam in cams if cam in THRESHOLDS)


def judge(row: Row, cam: str) -> bool | None:
    """Return whether a row's maps can be trusted by the published threshold; None if undecided."""
    return mark_row(row, cam).trusted


def format_place(place: PrunerRank | None) -> str:
    """Write the places that a pruner may hold, such as ``2`` or ``1–3``."""
    if place is None:
        return ""
    if place.first is None:
        return "–"
    return str(place.first) if place.first == place.last else f"{place.first}–{place.last}"


def format_verdict(verdict: bool | None) -> str:
    """Write a verdict as one character."""
    return "–" if verdict is None else "✓" if verdict else "✗"


KIND_TITLES = {"headline": "Headlines", "study": "Studies", "demonstration": "Demonstrations"}
"""What the parts of a board are called, by the kind of their sections."""


def explain_closed(section: Section) -> str:
    """Say why nobody is ranked in a section; nothing where pruners are."""
    closed = section.standing.closed
    return f"Nobody is ranked: {plain(closed)}." if closed else ""


def make_heading(section: Section) -> str:
    """Return a section's title, that of its headline suite first."""
    title = make_title(section.first)
    return f"{plain(section.headline.title)} · {title}" if section.headline else title


def has_axis(section: Section, axis: str) -> bool:
    """Return whether any network of a section is compressed on an axis."""
    return any(row.first.role == "compressed" and row.first.axis == axis for row in section.rows)


def make_title(record: Record) -> str:
    """Return a section's title: data, network, and what of it is explained.

    The model's parameters are among its conditions.
    """
    return " · ".join(filter(None, list_title_parts(record)))


def list_title_parts(record: Record) -> tuple[str, str, str, str]:
    """Return data, network, layer, and the class explained (empty for the baseline's)."""
    of = record.conditions
    policy = "" if of.class_policy == "baseline" else f"{plain(of.class_policy)} class"
    if is_older(record):
        policy = ", ".join(filter(None, (policy, "older versions")))
    network = plain(record.model).partition("(")[0]
    return plain(record.dataset), network, plain(of.target_layer), policy


def format_conditions(of: Conditions, digest: str) -> str:
    """Write a protocol's conditions on one line; its text is not escaped."""
    return "; ".join(
        (
            f"{of.dataset}, {of.model}",
            f"fine-tuning {_format_options(of.recovery)}",
            f"{of.explained_images} images explained, {of.class_policy} class, "
            f"layer {of.target_layer}",
            f"{of.device}, {of.precision}",
            f"data {of.data_digest[:12]}",
            f"protocol {digest[:12]}",
        )
    )


def _format_options(options: dict[str, Any] | None) -> str:
    if not options:
        return "none"
    usual = Recipe().model_dump(mode="json")
    told = {k: v for k, v in options.items() if k == "epochs" or v != usual.get(k)}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in sorted(told.items()))


def name_intervals(rows: Iterable[Row]) -> str:
    """Return the kinds of intervals in some rows, such as ``bootstrap over images``."""
    kinds = {
        value.interval
        for row in rows
        for name, value in row.estimates.items()
        if value.interval and name.partition("/")[0] in ("accuracy", "sp2ps")
    }
    return "; ".join(sorted(kinds)) or "none"


def name_axis(axis: Axis | str) -> str:
    """Return an axis's title."""
    titles = {
        "dense": "Dense: pruned channels are removed",
        "masked": "Masked: pruned weights are zeros",
        "quantised": "Quantised: weights have 8 bits",
    }
    return titles.get(axis, "Not on an axis of compression")
