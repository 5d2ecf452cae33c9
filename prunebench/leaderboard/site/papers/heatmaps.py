"""A work's figures of heatmaps drawn again: one image, ever less network, a line a method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prunebench.leaderboard.board.rows import Row, format_level
from prunebench.leaderboard.papers.cards.figures import Heatmaps
from prunebench.leaderboard.papers.regenerated import Levels, RegeneratedFigure, RegeneratedFigures
from prunebench.leaderboard.site.correlations.figures import thin_out
from prunebench.leaderboard.site.links import link_row
from prunebench.leaderboard.site.papers.text import explain_missing_seeds
from prunebench.leaderboard.writers.cells import plain

MOST_IMAGES = 4  # of one figure: each has a map of every network under every method
MOST_LEVELS = 10  # of one figure: columns

Pictures = dict[tuple[str, str | None, int], str]
"""By a row's first record, an explanation method (None for the image itself) and an image."""


@dataclass(frozen=True)
class Tile:
    """A map, with what is said of it.

    Attributes:
        png: Base64 PNG of a record; None where it keeps none.
        alt: What it is, in words.
        link: The page of its row.
        sp2ps: The mean over all images, as text; empty for the baseline.
    """

    png: str | None
    alt: str
    link: str
    sp2ps: str


@dataclass(frozen=True)
class MethodMaps:
    """A method's maps, a level each; None where a level is not its own."""

    method: str
    tiles: tuple[Tile | None, ...]


@dataclass(frozen=True)
class Grid:
    """One figure: an image, the baseline's map, and a line of maps a method.

    Attributes:
        title: Which figure of the work it is.
        cam: The explanation method.
        photo: The image, base64 PNG; None where it is not kept, or may not be shown.
        baseline: The baseline's map; None without a baseline.
        levels: Headings of the other columns.
        lines: The methods.
    """

    title: str
    cam: str
    photo: str | None
    baseline: Tile | None
    levels: tuple[str, ...]
    lines: tuple[MethodMaps, ...]


@dataclass(frozen=True)
class DrawnHeatmaps:
    """Figures of heatmaps.

    Attributes:
        images: For each image, by its index in the test split, a figure an explanation method.
        caption: How to read them.
    """

    images: dict[int, tuple[Grid, ...]]
    caption: str


def draw_heatmaps(found: RegeneratedFigures) -> DrawnHeatmaps | None:
    """Draw the figures of heatmaps for which one protocol has rows; None if none."""
    for drawn in found.figures:
        if isinstance(drawn.asked, Heatmaps):
            return _draw(drawn.asked, drawn, found)
    return None


def _draw(asked: Heatmaps, drawn: RegeneratedFigure, found: RegeneratedFigures) -> DrawnHeatmaps:
    baseline = found.place.section.baseline
    compressed = [row for method in drawn.methods for row in method.rows]
    rows = [*([baseline] if baseline else []), *compressed]
    withheld = next((r.first.pictures_withheld for r in rows if r.first.pictures_withheld), None)
    seed = _find_shared_seed(rows)
    kept = _collect_pictures(rows, seed)
    images = {}
    for image in _choose_images(asked, kept):
        photos = (png for (_, cam, at), png in kept.items() if cam is None and at == image)
        photo = None if withheld else next(photos, None)
        images[image] = tuple(_make_grids(asked, drawn, baseline, photo, image, kept))
    return DrawnHeatmaps(images, _caption(found, rows, seed, withheld))


def _find_shared_seed(rows: Sequence[Row]) -> int | None:
    """Return the lowest seed that all networks have: maps are compared within one seed."""
    shared = set.intersection(*({record.seed for record in row.records} for row in rows))
    return min(shared, default=None)


def _collect_pictures(rows: Sequence[Row], seed: int | None) -> Pictures:
    """Return the pictures of that seed, or of each row's lowest if they share none."""
    found: Pictures = {}
    for row in rows:
        record = next((each for each in row.records if each.seed == seed), row.first)
        for heat in record.heatmaps:
            found.setdefault((row.first.id, heat.cam, heat.image), heat.png)
    return found


def _choose_images(asked: Heatmaps, kept: Pictures) -> list[int]:
    """Return the indices of the images of which most maps are kept."""
    maps = Counter(image for _, cam, image in kept if cam in asked.cams)
    return sorted(sorted(maps, key=lambda image: (-maps[image], image))[:MOST_IMAGES])


def _make_grids(
    asked: Heatmaps,
    drawn: RegeneratedFigure,
    baseline: Row | None,
    photo: str | None,
    image: int,
    kept: Pictures,
) -> Iterator[Grid]:
    rows = [row for method in drawn.methods for row in method.rows]
    columns = thin_out(_choose_columns(rows), MOST_LEVELS)
    for cam, source in asked.cams.items():
        if any((row.first.id, cam, image) in kept for row in rows):
            yield Grid(
                f"{source[0].upper()}{source[1:]}",
                plain(cam),
                photo,
                _tile(baseline, cam, image, "the baseline", kept) if baseline else None,
                tuple(format_level(row) for row in columns),
                tuple(_line(method, columns, cam, image, kept) for method in drawn.methods),
            )


def _choose_columns(rows: Sequence[Row]) -> list[Row]:
    """Return a row for each level there is, by rising level."""
    found: dict[tuple[float, int], Row] = {}
    for row in rows:
        found.setdefault(_level(row), row)
    return [found[level] for level in sorted(found)]


def _level(row: Row) -> tuple[float, int]:
    return (row.first.level or 0.0, row.first.round or 0)


def _line(
    method: Levels, columns: Sequence[Row], cam: str, image: int, kept: Pictures
) -> MethodMaps:
    own = {_level(row): row for row in method.rows}
    name = plain(method.pruner)
    tiles = []
    for column in columns:
        row = own.get(_level(column))
        tiles.append(_tile(row, cam, image, f"{name}, {format_level(row)}", kept) if row else None)
    return MethodMaps(name, tuple(tiles))


def _tile(row: Row, cam: str, image: int, name: str, kept: Pictures) -> Tile:
    mean = row.get(f"sp2ps/{cam}").mean
    sp2ps = "" if mean is None or row.first.role == "baseline" else f"{mean:.3f}"
    said = f": mean Sp2PS {sp2ps}" if sp2ps else ""
    alt = f"{plain(cam)} of {name}, test image {image}{said}"
    return Tile(kept.get((row.first.id, cam, image)), alt, link_row(row), sp2ps)


def _caption(
    found: RegeneratedFigures, rows: Sequence[Row], seed: int | None, withheld: str | None
) -> str:
    record = found.place.section.first
    parts = ["Brightest is where the network looks most; a map leads to its row."]
    parts.append(f"Below a map: mean Sp2PS over {record.conditions.explained_images:,} images.")
    if any(len(row.records) > 1 for row in rows):
        parts.append(f"Maps are of {f'seed {seed}' if seed is not None else 'different seeds'}.")
    parts += explain_missing_seeds(rows)
    if withheld:
        parts.append(f"Images are not shown: {plain(withheld)}.")
    return " ".join(parts)
