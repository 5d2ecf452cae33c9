"""What stands above the board's table: headlines, and what the other sections may claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.standing import KINDS, Kind
from prunebench.leaderboard.site.links import name_section
from prunebench.leaderboard.writers.cells import KIND_TITLES, explain_closed, make_title, plain
from prunebench.leaderboard.writers.summary import summarise


def list_headlines(sections: Sequence[Section]) -> list[dict[str, Any]]:
    """Return every headline with what it says, each in the board's order."""
    return [
        {
            **link_rows(section),
            "headline": plain(section.headline.title),
            "sentences": summarise(section) or [explain_closed(section)],
        }
        for section in sections
        if section.headline is not None and section.standing.kind == "headline"
    ]


def list_others(sections: Sequence[Section]) -> list[dict[str, Any]]:
    """Return studies, then demonstrations, those together that are closed for the same reason."""
    found = []
    for kind in KINDS[1:]:
        alike = [section for section in sections if section.standing.kind == kind]
        if alike:
            reasons: dict[str, list[dict[str, str]]] = {}
            for section in alike:
                reason = explain_closed(section) or "Pruners are ranked."
                reasons.setdefault(reason, []).append(link_rows(section))
            found.append(
                {
                    "kind": kind,
                    "title": KIND_TITLES[kind],
                    "count": len(alike),
                    "reasons": list(reasons.items()),
                }
            )
    return found


def group_options(sections: Sequence[Section]) -> list[tuple[str, list[dict[str, str]]]]:
    """Return what the filter of sections offers, by what they may claim."""
    found: dict[Kind, list[dict[str, str]]] = {kind: [] for kind in KINDS}
    for section in sections:
        found[section.standing.kind].append(link_rows(section))
    return [(KIND_TITLES[kind], options) for kind, options in found.items() if options]


def link_rows(section: Section) -> dict[str, str]:
    """Return a section's name in addresses, its title, and its protocol's start."""
    return {
        "key": name_section(section),
        "title": make_title(section.first),
        "protocol": section.first.protocol[:8],
    }
