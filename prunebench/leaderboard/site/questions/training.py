"""The part of the page about training alone: the control's drop beside the compressed rows'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prunebench.leaderboard import cells
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.questions.training import Part, Training, training
from prunebench.leaderboard.site.links import section_name
from prunebench.leaderboard.site.questions.figures import drops
from prunebench.leaderboard.site.questions.text import (
    brief,
    counted,
    training_sentence,
    training_verdict,
)

MOST_TABLES = 25
MOST_LINES = 40  # of one table


def training_part(sections: Sequence[Section]) -> dict[str, Any]:
    """What the page says of training alone.

    Args:
        sections: The board.
    """
    found = {index: training(section) for index, section in enumerate(sections)}
    known = {index: parts for index, parts in found.items() if parts}
    every = [part for parts in known.values() for part in parts]
    order = sorted(known, key=lambda index: (-sum(part.rows for part in known[index]), index))
    without = len(sections) - len(known)
    return {
        "verdict": training_verdict(every),
        "sentence": training_sentence(every) if every else "",
        "figure": drops(every) if every else None,
        "tables": [_table(sections[index], known[index]) for index in order[:MOST_TABLES]],
        "left": len(order) - MOST_TABLES,
        "without": counted(without, "section") if without else "",
    }


def _table(section: Section, parts: Sequence[Training]) -> dict[str, Any]:
    return {
        "title": cells.title(section.first),
        "protocol": section.first.protocol[:8],
        "link": f"correlations/{section_name(section)}.html",
        "lines": [_line(part) for part in parts[:MOST_LINES]],
        "left": len(parts) - MOST_LINES,
    }


def _line(part: Training) -> dict[str, Any]:
    low, high = part.none.low, part.none.high
    return {
        "cam": brief(part.cam),
        "axis": part.axis,
        "drop": f"{part.drop:.3f}",
        "bounds": "" if low is None or high is None else f"[{1 - high:.3f}, {1 - low:.3f}]",
        "rows": f"{part.rows} of {part.rows + part.others}" if part.others else f"{part.rows}",
        "parts": [_told(each) for each in (part.lightest, part.heaviest, part.every)],
    }


def _told(part: Part) -> tuple[str, str]:
    return f"{part.drop:.3f}", "–" if part.share is None else f"{part.share:.0%}"
