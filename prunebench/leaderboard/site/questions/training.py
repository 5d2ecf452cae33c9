"""The part of the page about training alone: the control's drop beside the compressed rows'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.questions.training import (
    DropShare,
    SectionTrainingDrops,
    TrainingDrop,
    list_training_drops,
)
from prunebench.leaderboard.site.links import name_section
from prunebench.leaderboard.site.names import shorten_names
from prunebench.leaderboard.site.questions.figures import draw_drops
from prunebench.leaderboard.site.questions.text import (
    format_count,
    give_training_verdict,
    make_training_sentence,
)
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain

MOST_TABLES = 25
MOST_LINES = 40  # of one table


def make_training_view(sections: Sequence[Section]) -> dict[str, Any]:
    """Return what the page says of training alone.

    Args:
        sections: The board.
    """
    found = list_training_drops(sections)
    drawn = [line for each in found if each.counts for line in each.telling]
    order = sorted(found, key=lambda each: (not each.counts, -sum(p.rows for p in each.lines)))
    without = len(sections) - len(found)
    return {
        "verdict": give_training_verdict(found),
        "sentence": make_training_sentence(found) if found else "",
        "figure": draw_drops(drawn) if drawn else None,
        "tables": [_table(each) for each in order[:MOST_TABLES]],
        "repeated": any(_repeated(each) for each in order[:MOST_TABLES]),
        "left": len(order) - MOST_TABLES,
        "without": format_count(without, "section") if without else "",
    }


def _table(found: SectionTrainingDrops) -> dict[str, Any]:
    section = found.lines[0].section
    names = shorten_names(line.cam for line in found.lines)
    return {
        "title": cells.make_title(section.first),
        "protocol": section.first.protocol[:8],
        "link": f"correlations/{name_section(section)}.html",
        "lines": [_line(line, names) for line in found.lines[:MOST_LINES]],
        "left": len(found.lines) - MOST_LINES,
        "repeated": _repeated(found),
    }


def _repeated(found: SectionTrainingDrops) -> bool:
    """Return whether another section with the same networks has answered already."""
    return bool(found.telling) and not found.counts


def _line(part: TrainingDrop, names: Mapping[str, str]) -> dict[str, Any]:
    low, high = part.none.low, part.none.high
    return {
        "cam": names[part.cam],
        "reason": plain(part.reason or ""),
        "axis": part.axis,
        "drop": f"{part.drop:.3f}",
        "bounds": "" if low is None or high is None else f"[{1 - high:.3f}, {1 - low:.3f}]",
        "rows": f"{part.rows} of {part.rows + part.others}" if part.others else f"{part.rows}",
        "parts": [_format_share(each) for each in (part.lightest, part.heaviest, part.every)],
    }


def _format_share(part: DropShare) -> tuple[str, str]:
    return f"{part.drop:.3f}", "–" if part.share is None else f"{part.share:.0%}"
