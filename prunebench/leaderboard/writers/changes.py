"""Rule 16: what a board says of the one of an earlier protocol that it follows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.protocol import Protocol
from prunebench.leaderboard.board.rank import PrunerRank
from prunebench.leaderboard.writers.cells import format_place, plain

Key = tuple[str, str, str, str]
Places = dict[Key, str]
"""By suite, model, axis and pruner, the place as the board writes it."""


def keep_earlier(folder: Path, protocol: Protocol) -> None:
    """Keep the board of an earlier protocol beside the new one, as ``board-DATE.json``.

    Args:
        folder: Where boards are written.
        protocol: Of the new board.
    """
    present = folder / "board.json"
    name = _read(present).get("protocol")
    if isinstance(name, str) and name < protocol.name and name.replace(".", "").isdigit():
        present.replace(folder / f"board-{name}.json")


def list_changes(sections: Sequence[Section], folder: Path, protocol: Protocol) -> list[str]:
    """Say which places changed since the last board of an earlier protocol, and why.

    Args:
        sections: The new board.
        folder: Where the earlier ones are kept.
        protocol: Of the new board.

    Returns:
        Sentences; none where there is no earlier board.
    """
    earlier = [path for path in folder.glob("board-*.json") if path.stem[6:] < protocol.name]
    if not earlier:
        return []
    last = max(earlier)
    before, after = _list_places_of_json(_read(last)), _list_places(sections)
    changed = [key for key in sorted(before | after) if before.get(key) != after.get(key)]
    told = f"Since {last.stem[6:]}"
    if not changed:
        return [f"{told} no place changed."]
    return [f"{told}, under another protocol:", *(_tell(key, before, after) for key in changed)]


def _tell(key: Key, before: Places, after: Places) -> str:
    suite, model, axis, pruner = key
    was, now = before.get(key), after.get(key)
    if was is None:
        why = "it was not on the board"
    elif now is None:
        why = "it is no longer on the board"
    else:
        why = "its records, or those it is compared with, are others"
    moved = f"{plain(pruner)} from {was or '–'} to {now or '–'}"
    return f"{plain(suite)}, {plain(model)}, {axis}: {moved} ({why})."


def _list_places(sections: Sequence[Section]) -> Places:
    return {
        (section.headline.suite, section.first.model, axis, place.pruner): format_place(place)
        for section in sections
        if section.headline is not None
        for axis, ranking in section.rankings.items()
        for place in ranking.places
    }


def _list_places_of_json(board: dict[str, Any]) -> Places:
    return {
        (section["suite"], section["model"], ranking["axis"], place["pruner"]): format_place(
            _restore(place)
        )
        for section in board.get("sections", ())
        if section.get("suite")
        for ranking in section["rankings"]
        for place in ranking["places"]
    }


def _restore(place: dict[str, Any]) -> PrunerRank:
    return PrunerRank(place["pruner"], place.get("first"), place.get("last"))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
