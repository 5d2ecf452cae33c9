"""The gallery: what networks look at as ever more of them is removed, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.rows import Row, level_name
from prunebench.leaderboard.site.links import row_link, section_name
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.scripts import write_call
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain

MOST_ROWS = 400  # of one group: some 2 MB of maps
REFERENCES = ("baseline", "control", "floor")


def write(sections: Sequence[Section], site: Path) -> None:
    """Writes ``gallery.html``, and for each group with heatmaps ``gallery/GROUP.js``."""
    folder = site / "gallery"
    groups = []
    for section in sections:
        content = contents(section)
        if content is None:
            continue
        folder.mkdir(exist_ok=True)
        name = section_name(section)
        write_call(folder / f"{name}.js", "Gallery.show", {"name": name, **content})
        title = f"{cells.title(section.first)} · protocol {section.first.protocol[:8]}"
        groups.append({"name": name, "title": title})
    render(site, "gallery.html", "gallery.html", groups=groups)


def contents(section: Section) -> dict[str, Any] | None:
    """What the gallery shows of a group; None where no record keeps a map.

    Maps are those of the lowest seed; Sp2PS and accuracy are the rows', over all seeds and images.
    """
    rows = [row for row in section.rows if any(heat.cam for heat in row.first.heatmaps)]
    if not rows:
        return None
    references = [row for row in rows if row.first.role in REFERENCES]
    compressed = _ranked(section, [row for row in rows if row.first.role == "compressed"])
    kept = compressed[:MOST_ROWS]
    shown = [*references, *kept]
    photos: dict[str, str] = {}
    cams: dict[str, None] = {}
    images: dict[str, None] = {}
    for row in shown:
        for heat in row.first.heatmaps:
            if heat.cam is None:
                photos.setdefault(str(heat.image), heat.png)
            else:
                cams[heat.cam] = None
                images[str(heat.image)] = None
    withheld = next((r.first.pictures_withheld for r in shown if r.first.pictures_withheld), None)
    return {
        "photos": {} if withheld else photos,
        "images": sorted(images, key=int),
        "cams": sorted(cams, key=lambda cam: (cam != "grad-cam", cam)),
        "withheld": withheld,
        "left": len(compressed) - len(kept),
        "seed": rows[0].first.seed,
        "seeds": len(rows[0].planned),
        "explained": section.first.conditions.explained_images,
        "references": [_row(row) for row in references],
        "rows": [_row(row) for row in kept],
    }


def _ranked(section: Section, rows: Sequence[Row]) -> list[Row]:
    """By place on the board, so that what opens first is the best; levels by compression."""
    places: dict[tuple[str, str], int] = {}
    for axis, ranking in section.rankings.items():
        for position, place in enumerate(ranking.places):
            places[axis, place.pruner] = position if place.rank is not None else 10**6 + position

    def order(row: Row) -> tuple[int, str, str, float, int]:
        record = row.first
        place = places.get((record.axis, record.pruner), 10**9)
        return (place, record.axis, record.pruner, row.removed(), record.round or 0)

    return sorted(rows, key=order)


def _row(row: Row) -> dict[str, Any]:
    record = row.first
    role = {"baseline": "baseline", "control": "none", "floor": "random weights"}
    accuracy = row.get("accuracy").mean
    maps = {f"{heat.image} {heat.cam}": heat.png for heat in record.heatmaps if heat.cam}
    sp2ps = {
        heat.cam: round(mean, 3)
        for heat in record.heatmaps
        if heat.cam and (mean := row.get(f"sp2ps/{heat.cam}").mean) is not None
    }
    return {
        "pruner": role.get(record.role, plain(record.pruner)),
        "axis": record.axis,
        "level": "" if record.role in role else level_name(row),
        "at": _at(row),
        "removed": "" if record.role in role else cells.removed(row.removed()),
        "accuracy": None if accuracy is None else round(accuracy, 4),
        "sp2ps": sp2ps,
        "link": row_link(row),
        "maps": maps,
    }


def _at(row: Row) -> float:
    """Where a row stands among the columns: the level asked for, or what was removed."""
    level = row.first.level
    return round(max(row.removed(), 0.0) if level is None else level, 6)
