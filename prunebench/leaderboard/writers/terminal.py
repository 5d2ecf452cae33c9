"""The board in a terminal: compact tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.board import AXES, UNRANKED
from prunebench.leaderboard.board.roles import UNPRUNED, name_reference
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.board.seeds import LEAST_TO_JUDGE, is_preliminary
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain
from prunebench.record.comparable import SMALLER
from prunebench.trust import THRESHOLDS

MOST_ROWS = 400
"""Rows that are printed, of all sections."""

MOST_CAMS = 3
"""Explanation methods that fit into 80 columns."""

EARLY = "°"
"""After the name of a row that has too few seeds for any claim."""

COLORS = {"✓": "green", "✗": "red", "–": "dim"}


def to_terminal(sections: Sequence[Section]) -> Group:
    """Return the board as rich tables, for ``Console.print``; records' text is no markup.

    Args:
        sections: From ``board``; those for which there is no room are only counted.
    """
    parts: list[RenderableType] = []
    room, more = MOST_ROWS, 0
    for section in sections:
        if len(section.rows) > room:
            more += len(section.rows)
            continue
        room -= len(section.rows)
        record = section.first
        parts.append(Text(cells.make_heading(section), style="bold"))
        standing = f"{section.standing.kind.capitalize()}. {cells.explain_closed(section)}"
        parts.append(Text(standing.strip(), style="dim"))
        line = cells.format_conditions(record.conditions, record.protocol)
        parts.append(Text("; ".join(map(plain, line.split("; "))), style="dim"))
        axes = [axis for axis in (*AXES, *UNRANKED) if cells.has_axis(section, axis)]
        parts += [_table(section, axis) for axis in axes or ["none"]]
    if more:
        parts.append(Text(f"{more:,} more rows are on the page."))
    return Group(*(parts or [Text("No records yet.")]))


def _table(section: Section, axis: str) -> Table:
    shown = section.table(axis)
    latency = cells.choose_latency(row for row, _ in shown)
    # Those that a verdict can be given for come first; the others stand on the whole board.
    cams = sorted(section.cams, key=lambda cam: cam not in THRESHOLDS)[:MOST_CAMS]
    left = len(section.cams) - len(cams)
    more = f"; {left} more methods on the written board" if left else ""
    table = Table(
        title=cells.name_axis(axis),
        title_justify="left",
        title_style="italic",
        box=SIMPLE_HEAD,
        padding=0,
        caption=f"Sp2PS by CAM, ✓ above its threshold; latency relative to the baseline; "
        f"{EARLY} preliminary: fewer than {LEAST_TO_JUDGE} seeds, or not 0 to n − 1{more}",
        caption_justify="left",
    )
    for title in ("", "pruner", "level"):
        table.add_column(title, no_wrap=True)
    pruned = f"{'weights' if axis == 'masked' else 'MACs'}\npruned"
    latencies = ["latency"] if latency else []
    for title in ("acc %", "change", pruned, *latencies):
        table.add_column(title, justify="right", no_wrap=True)
    for cam in cams:
        # Broken at its hyphen, a method's name stays readable in a narrow column.
        table.add_column(plain(cam).replace("-", "-\n", 1), justify="right", no_wrap=True)
    for row, place in shown:
        seeds = f" ({row.seeds} seeds)" if row.missing else ""
        early = is_preliminary(row)
        table.add_row(
            cells.format_place(place),
            Text(_pruner(row) + seeds + (EARLY if early else "")),
            cells.format_asked(row),
            cells.format_percent(row.get("accuracy")),
            cells.format_change(row, section.baseline),
            cells.format_pruned(row.pruned) if row.first.role in SMALLER else "",
            *([cells.format_latency_ratio(row, latency)] if latency else []),
            *(_sp2ps(row, cam) for cam in cams),
            style="dim" if early else None,
        )
    return table


def _pruner(row: Row) -> str:
    return plain(name_reference(row.first) or row.first.pruner)


def _sp2ps(row: Row, cam: str) -> Text:
    if row.first.role == "baseline":
        return Text("")
    text = Text(cells.format_score(row.get(f"sp2ps/{cam}")))
    if row.first.role in UNPRUNED:
        return text
    verdict = cells.format_verdicts(row, [cam])
    return text.append(verdict, style=COLORS[verdict]) if verdict else text
