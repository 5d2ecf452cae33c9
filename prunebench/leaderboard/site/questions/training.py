"""The part of the page about training alone: the control's drop beside the compressed rows'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.questions.training import Part, Trained, Training, by_training
from prunebench.leaderboard.site.links import section_name
from prunebench.leaderboard.site.names import short_names
from prunebench.leaderboard.site.questions.figures import drops
from prunebench.leaderboard.site.questions.text import (
    counted,
    training_sentence,
    training_verdict,
)
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain

MOST_TABLES = 25
MOST_LINES = 40  # of one table


def training_part(sections: Sequence[Section]) -> dict[str, Any]:
    """What the page says of training alone.

    Args:
        sections: The board.
    """
    found = by_training(sections)
    drawn = [line for each in found if each.counts for line in each.telling]
    order = sorted(found, key=lambda each: (not each.counts, -sum(p.rows for p in each.lines)))
    without = len(sections) - len(found)
    return {
        "verdict": training_verdict(found),
        "sentence": training_sentence(found) if found else "",
        "figure": drops(drawn) if drawn else None,
        "tables": [_table(each) for each in order[:MOST_TABLES]],
        "repeated": any(_repeated(each) for each in order[:MOST_TABLES]),
        "left": len(order) - MOST_TABLES,
        "without": counted(without, "section") if without else "",
    }


def _table(found: Trained) -> dict[str, Any]:
    section = found.lines[0].section
    names = short_names(line.cam for line in found.lines)
    return {
        "title": cells.title(section.first),
        "protocol": section.first.protocol[:8],
        "link": f"correlations/{section_name(section)}.html",
        "lines": [_line(line, names) for line in found.lines[:MOST_LINES]],
        "left": len(found.lines) - MOST_LINES,
        "repeated": _repeated(found),
    }


def _repeated(found: Trained) -> bool:
    """Whether it does not count for its networks, and not since nothing follows from it."""
    return bool(found.telling) and not found.counts


def _line(part: Training, names: Mapping[str, str]) -> dict[str, Any]:
    low, high = part.none.low, part.none.high
    return {
        "cam": names[part.cam],
        "reason": plain(part.reason or ""),
        "axis": part.axis,
        "drop": f"{part.drop:.3f}",
        "bounds": "" if low is None or high is None else f"[{1 - high:.3f}, {1 - low:.3f}]",
        "rows": f"{part.rows} of {part.rows + part.others}" if part.others else f"{part.rows}",
        "parts": [_told(each) for each in (part.lightest, part.heaviest, part.every)],
    }


def _told(part: Part) -> tuple[str, str]:
    return f"{part.drop:.3f}", "–" if part.share is None else f"{part.share:.0%}"
