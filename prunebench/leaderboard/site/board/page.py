"""The board's page: one table over all groups, its data in parts that load one after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.board import AXES, UNRANKED
from prunebench.leaderboard.board.protocol import load_protocol
from prunebench.leaderboard.board.rescaling import LEAST_APART
from prunebench.leaderboard.site.board.columns import (
    FIRST_SHOWN,
    Column,
    list_columns,
    sort_cams,
)
from prunebench.leaderboard.site.board.overview import (
    group_options,
    link_rows,
    list_headlines,
    list_others,
)
from prunebench.leaderboard.site.board.rows import ROLES, BoardEntry, BoardPart, Codes, list_entries
from prunebench.leaderboard.site.families import FAMILIES
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.scripts import write_call
from prunebench.leaderboard.writers.cells import plain
from prunebench.trust import THRESHOLDS

ROWS_OF_PART = 2_000


def write(sections: Sequence[Section], site: Path) -> None:
    """Write ``index.html`` and the parts of its data under ``board/``."""
    rows = list(list_entries(sections))
    shown = list_columns(sections)
    codes = {"label": Codes(), "plugin": Codes()}
    parts = _write_parts(rows, shown, codes, site / "board")
    families = {column.family for column in shown}
    render(
        site,
        "index.html",
        "board.html",
        data=_make_head(sections, shown, codes, len(rows), parts),
        headlines=list_headlines(sections),
        others=list_others(sections),
        protocol=load_protocol().name,
        kinds=group_options(sections),
        plugins=sorted({plain(row.row.first.pruner_name) for row in rows if _is_compressed(row)}),
        cams=[plain(cam) for cam in _cams(sections)],
        families=[
            (name, told, name in FIRST_SHOWN) for name, told in FAMILIES.items() if name in families
        ],
        axes=AXES + UNRANKED,
        thresholds=", ".join(f"{cam} {value:.2f}" for cam, value in sorted(THRESHOLDS.items())),
        least=LEAST_APART,
        total=len(rows),
    )


def _is_compressed(entry: BoardEntry) -> bool:
    return entry.row.first.role == "compressed"


def _write_parts(
    rows: Sequence[BoardEntry], shown: Sequence[Column], codes: dict[str, Codes], folder: Path
) -> list[str]:
    """Write the data; return the parts' addresses."""
    keys = {column.key for column in shown}
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for start in range(0, len(rows), ROWS_OF_PART):
        some = rows[start : start + ROWS_OF_PART]
        part = BoardPart(start, len(some), codes, keys)
        for entry in some:
            part.add(entry)
        name = f"part-{start // ROWS_OF_PART:03d}.js"
        write_call(folder / name, "Board.part", part.content())
        names.append(f"board/{name}")
    return names


def _make_head(
    sections: Sequence[Section],
    shown: Sequence[Column],
    codes: dict[str, Codes],
    total: int,
    parts: list[str],
) -> dict[str, Any]:
    """Return what the page's script must know before any row."""
    return {
        "total": total,
        "rowsOfPart": ROWS_OF_PART,
        "parts": parts,
        "columns": [asdict(column) for column in shown],
        "roles": ROLES,
        "axes": AXES + UNRANKED,
        "labels": codes["label"].texts,
        "plugins": codes["plugin"].texts,
        "groups": [link_rows(section) for section in sections],
    }


def _cams(sections: Sequence[Section]) -> list[str]:
    seen = Counter(
        name for section in sections for row in section.rows for name in row.first.values
    )
    return sort_cams(seen)
