"""How the board writes a value, for people: shared by its markdown and its terminal form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from prunebench.leaderboard.board import speed
from prunebench.leaderboard.board.rank import Axis
from prunebench.leaderboard.board.rescaling import Rescaled
from prunebench.leaderboard.board.rows import Estimate, Row
from prunebench.plugins.recipe import Recipe
from prunebench.record import Conditions, Record
from prunebench.trust import THRESHOLDS, trusted

LONGEST = 160  # characters of one name from a record


@lru_cache(maxsize=65536)
def plain(text: str) -> str:
    """A record's text on one line, without control characters, not endlessly long."""
    if text.isascii() and text.isprintable():  # most texts: nothing to look up
        visible = text
    else:
        visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    line = " ".join(visible.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def percent(value: Estimate) -> str:
    """A fraction as a percentage, such as ``93.20``."""
    return "–" if value.mean is None else f"{100 * value.mean:.2f}"


def percent_bounds(value: Estimate) -> str:
    """The interval of a fraction in percent, or nothing."""
    if value.low is None or value.high is None:
        return ""
    return f"[{100 * value.low:.2f}, {100 * value.high:.2f}]"


def score(value: Estimate) -> str:
    """A value in [0, 1], such as ``0.962``."""
    return "–" if value.mean is None else f"{value.mean:.3f}"


def score_bounds(value: Estimate) -> str:
    """The interval of a value in [0, 1], or nothing."""
    if value.low is None or value.high is None:
        return ""
    return f"[{value.low:.3f}, {value.high:.3f}]"


def rescaled(found: Rescaled) -> str:
    """A rescaled value, such as ``0.871``; it may lie outside [0, 1]."""
    return "–" if found.value is None else f"{round(found.value, 3) + 0.0:.3f}"


def undefined_note(row: Row, value: Estimate) -> str | None:
    """Why a preservation value is missing, or on how many images it is not defined."""
    if row.first.role == "baseline":
        return None
    if value.mean is None:
        return value.reason
    return f"not defined on {100 * value.undefined:.2g}% of images" if value.undefined else None


def change(row: Row, baseline: Row | None) -> str:
    """The change in accuracy, in points, with its sign."""
    drop = row.drop(baseline)
    if row.first.role == "baseline" or drop is None:
        return "–"
    points = round(-100 * drop, 2)
    return f"{'−' if points < 0 else '+'}{abs(points):.2f}" if points else "0.00"


def count(value: Estimate) -> str:
    """A large number with three digits, such as ``1.25 M``."""
    if value.mean is None:
        return "–"
    number = value.mean
    for unit in ("", "k", "M", "G", "T"):
        if abs(number) < 999.5 or unit == "T":
            return f"{_digits(number)} {unit}" if unit else f"{number:.0f}"
        number /= 1000
    raise AssertionError("unreachable")


def _digits(number: float) -> str:
    return f"{number:#.3g}".rstrip(".")


def removed(fraction: float) -> str:
    """The fraction removed as a change, such as ``−42%``."""
    percentage = round(100 * fraction, 1)
    return f"{'−' if percentage > 0 else '+'}{abs(percentage):.3g}%" if percentage else "0%"


def latency_name(rows: Iterable[Row]) -> str | None:
    """The latency that the board shows: of the smallest batch, on the CPU if it is there.

    Returns:
        A name such as ``latency_cpu_b1``, to which ``_ms`` and ``_ratio`` are added.
    """
    names = {name for row in rows for name in row.estimates}
    found = [match for name in names if (match := re.fullmatch(r"latency_(\w+)_b(\d+)_ms", name))]
    order = sorted((int(match[2]), match[1] != "cpu", match[1]) for match in found)
    return f"latency_{order[0][2]}_b{order[0][0]}" if order else None


def latency(row: Row, name: str) -> str:
    """Milliseconds and the ratio to the baseline's, such as ``1.24 ms ×0.91``."""
    time, ratio = row.get(f"{name}_ms").mean, row.get(f"{name}_ratio").mean
    if time is None:
        return "–"
    return f"{_digits(time)} ms" + (f" ×{ratio:.2f}" if ratio is not None else "")


def latency_ratio(row: Row, name: str) -> str:
    """The ratio to the baseline's latency, such as ``×0.91``."""
    ratio = row.get(f"{name}_ratio").mean
    return "–" if ratio is None else f"×{ratio:.2f}"


def latency_note(row: Row, name: str) -> str | None:
    """Why a compressed network is not measurably faster than the baseline; None if it is."""
    return speed.note(row, name)


def verdicts(row: Row, cams: Iterable[str]) -> str:
    """For each method with a published threshold: ✓ trusted, ✗ not, – no verdict."""
    return " · ".join(mark(verdict(row, cam)) for cam in cams if cam in THRESHOLDS)


def verdict(row: Row, cam: str) -> bool | None:
    """Whether a row's maps can be trusted by the published threshold; None for no verdict."""
    if row.first.role in ("baseline", "floor") or row.missing:
        return None
    value = row.get(f"sp2ps/{cam}")
    return trusted(cam, value.low, value.undefined)


def mark(verdict: bool | None) -> str:
    """A verdict as one character."""
    return "–" if verdict is None else "✓" if verdict else "✗"


def title(record: Record) -> str:
    """What a section is about: data, network, and what of it is explained.

    The model's parameters are among its conditions.
    """
    return " · ".join(filter(None, title_parts(record)))


def title_parts(record: Record) -> tuple[str, str, str, str]:
    """Data, network, layer, and the class that is explained: empty for the baseline's."""
    of = record.conditions
    policy = "" if of.class_policy == "baseline" else f"{plain(of.class_policy)} class"
    network = plain(record.model).partition("(")[0]
    return plain(record.dataset), network, plain(of.target_layer), policy


def conditions(of: Conditions, digest: str) -> str:
    """A protocol's conditions on one line; the text is as records have it, not escaped."""
    return "; ".join(
        (
            f"{of.dataset}, {of.model}",
            f"recovery {_options(of.recovery)}",
            f"{of.explained_images} images explained, {of.class_policy} class, "
            f"layer {of.target_layer}",
            f"{of.device}, {of.precision}",
            f"data {of.data_digest[:12]}",
            f"protocol {digest[:12]}",
        )
    )


def _options(options: dict[str, Any] | None) -> str:
    if not options:
        return "none"
    usual = Recipe().model_dump(mode="json")
    told = {k: v for k, v in options.items() if k == "epochs" or v != usual.get(k)}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in sorted(told.items()))


def intervals(rows: Iterable[Row]) -> str:
    """The kinds of intervals in some rows, such as ``bootstrap over images``."""
    kinds = {
        value.interval
        for row in rows
        for name, value in row.estimates.items()
        if value.interval and name.partition("/")[0] in ("accuracy", "sp2ps")
    }
    return "; ".join(sorted(kinds)) or "none"


def axis_title(axis: Axis | str) -> str:
    """What an axis is called."""
    titles = {
        "dense": "Dense: channels are physically gone",
        "masked": "Masked: zeros stand for weights",
        "quantised": "Quantised: weights have 8 bits",
    }
    return titles.get(axis, "Not on an axis of compression")
