"""The gallery: what networks look at as ever more of them is removed, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.roles import REFERENCES, name_reference
from prunebench.leaderboard.board.rows import Row, format_level
from prunebench.leaderboard.site.links import link_row, name_section
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.scripts import write_call
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain

MOST_ROWS = 400  # of one group: some 2 MB of maps


def write(sections: Sequence[Section], site: Path) -> None:
    """Write ``gallery.html``, and for each group with heatmaps ``gallery/GROUP.js``."""
    folder = site / "gallery"
    groups = []
    for section in sections:
        content = make_contents(section)
        if content is None:
            continue
        folder.mkdir(exist_ok=True)
        name = name_section(section)
        write_call(folder / f"{name}.js", "Gallery.show", {"name": name, **content})
        title = f"{cells.make_title(section.first)} · protocol {section.first.protocol[:8]}"
        groups.append({"name": name, "title": title})
    render(site, "gallery.html", "gallery.html", groups=groups)


def make_contents(section: Section) -> dict[str, Any] | None:
    """Return what the gallery shows of a group; None if no record keeps a map.

    Maps are those of the lowest seed; Sp2PS and accuracy are the rows', over all seeds and images.
    """
    rows = [row for row in section.rows if any(heat.cam for heat in row.first.heatmaps)]
    if not rows:
        return None
    references = [row for row in rows if row.first.role in REFERENCES]
    compressed = _sort_by_rank(section, [row for row in rows if row.first.role == "compressed"])
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


def _sort_by_rank(section: Section, rows: Sequence[Row]) -> list[Row]:
    """Sort rows by their pruner's rank, so that the best open first; levels by compression."""
    places: dict[tuple[str, str], int] = {}
    for axis, ranking in section.rankings.items():
        for position, place in enumerate(ranking.places):
            places[axis, place.pruner] = position if place.ranked else 10**6 + position

    def order(row: Row) -> tuple[int, str, str, float, int]:
        record = row.first
        place = places.get((record.axis, record.pruner), 10**9)
        return (place, record.axis, record.pruner, row.pruned, record.round or 0)

    return sorted(rows, key=order)


def _row(row: Row) -> dict[str, Any]:
    record = row.first
    accuracy = row.get("accuracy").mean
    maps = {f"{heat.image} {heat.cam}": heat.png for heat in record.heatmaps if heat.cam}
    sp2ps = {
        heat.cam: round(mean, 3)
        for heat in record.heatmaps
        if heat.cam and (mean := row.get(f"sp2ps/{heat.cam}").mean) is not None
    }
    return {
        "pruner": plain(name_reference(record) or record.pruner),
        "axis": record.axis,
        "level": "" if record.role in REFERENCES else format_level(row),
        "at": _find_column(row),
        "removed": "" if record.role in REFERENCES else cells.format_pruned(row.pruned),
        "accuracy": None if accuracy is None else round(accuracy, 4),
        "sp2ps": sp2ps,
        "link": link_row(row),
        "maps": maps,
    }


def _find_column(row: Row) -> float:
    """Return a row's column: the level asked for, or the fraction pruned."""
    level = row.first.level
    return round(max(row.pruned, 0.0) if level is None else level, 6)
