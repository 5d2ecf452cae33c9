"""The sample of the board in the project's README: generated, like everything with a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tabulate import tabulate

from prunebench.errors import RequestError
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.board import AXES
from prunebench.leaderboard.board.roles import REFERENCES, UNPRUNED, name_reference
from prunebench.leaderboard.board.rows import format_level
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.markup import escape, escape_line, list_lines
from prunebench.leaderboard.writers.summary import summarise
from prunebench.store.writing import write_files

BEGIN, END = "<!-- board: begin -->", "<!-- board: end -->"
MOST_ROWS = 20  # of a sample


def make_sample(sections: Sequence[Section], cam: str = "grad-cam") -> str:
    """Return a small board in markdown: few columns, all axes.

    A headline, then a section whose pruners are ranked; then of those that are small enough to be
    read and tell times, too, the one with the most networks of one pruner, since its levels show
    what more pruning does; of several, the one with the most pruners. A headline begins with what
    it says.

    Args:
        sections: The published board.
        cam: The explanation method shown.
    """
    if not sections:
        return "No records yet."
    section = max(sections, key=_rate_sample)
    rows = [row for axis in AXES for row in _rows(section, axis, cam)]
    conditions = cells.format_conditions(section.first.conditions, section.first.protocol)
    table = tabulate(rows[:MOST_ROWS], headers="keys", tablefmt="github", disable_numparse=True)
    more = f"<sub>{len(rows) - MOST_ROWS} more rows are on the board.</sub>"
    parts = [_summarise(section), table, more if len(rows) > MOST_ROWS else ""]
    parts.append(f"<sub>{escape_line(conditions)}</sub>")
    return "\n\n".join(part for part in parts if part)


def _summarise(section: Section) -> str:
    """Return what a headline says, under its title; nothing of other sections."""
    if section.headline is None:
        return ""
    said = list_lines(summarise(section))
    return f"**{escape(section.headline.title)}**\n\n{said}" if said else ""


def _rate_sample(section: Section) -> tuple[int, ...]:
    """Return a sort key of how well a protocol serves as a sample: higher is better."""
    networks = _count_networks(section)
    timed = cells.choose_latency(section.rows) is not None
    ranked = any(place.ranked for ranking in section.rankings.values() for place in ranking.places)
    return (
        section.headline is not None,
        ranked,
        0 < networks.total() <= MOST_ROWS,
        timed,
        max(networks.values(), default=0),
        len(networks),
    )


def _count_networks(section: Section) -> Counter[str]:
    """Count the networks of each pruner."""
    return Counter(row.first.pruner for row in section.rows if row.first.role == "compressed")


def _rows(section: Section, axis: str, cam: str) -> Iterable[dict[str, str]]:
    table = section.table(axis)
    latency = cells.choose_latency(row for row, _ in table)
    for row, place in table:
        role = row.first.role
        if role in UNPRUNED or (role in REFERENCES and axis != AXES[0]):
            continue
        yield {
            "rank": cells.format_place(place) or "–",
            "pruner": escape(name_reference(row.first) or row.first.pruner),
            "axis": axis if role == "compressed" else "",
            "level": format_level(row) if role == "compressed" else "",
            "accuracy %": cells.format_percent(row.get("accuracy")),
            "change": cells.format_change(row, section.baseline),
            "weights pruned": cells.format_pruned(row.reached.weights),
            "MACs pruned": cells.format_pruned(row.reached.macs),
            "latency": cells.format_latency_ratio(row, latency) if latency else "–",
            f"Sp2PS {cam}": cells.format_score(row.get(f"sp2ps/{cam}")),
            "trusted": cells.format_verdicts(row, [cam]),
        }


def update_readme(readme: Path, sections: Sequence[Section]) -> None:
    """Write the sample between the two marks in a README.

    Raises:
        RequestError: The marks are not there.
    """
    text = readme.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise RequestError(f"lacks the marks {BEGIN} and {END}", where=str(readme))
    write_files({readme: f"{head}{BEGIN}\n{make_sample(sections)}\n{END}{tail}"})
