"""A picture of progress, from records alone: heatmaps under rising sparsity, and the trade-off."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from prunebench.errors import RequestError, did_you_mean
from prunebench.leaderboard.board import Section, board
from prunebench.leaderboard.board.board import AXES
from prunebench.leaderboard.board.rows import Row, format_level
from prunebench.leaderboard.board.score import group_by_pruner
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain
from prunebench.leaderboard.writers.chart import COLORS, INK, PALE, draw_chart
from prunebench.record import Record, slug

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

logger = logging.getLogger(__name__)

Pixels = np.ndarray[Any, np.dtype[np.float64]]

PRUNERS = 4  # rows of heatmaps
LEVELS = 5  # columns of heatmaps
LONGEST_TITLE = 48  # characters beside which the note at the right has room
WIDE, HEAD, CHART = 9.0, 0.55, 4.2  # inches: the picture's width, its title, the chart's height
SIDE = 192  # pixels of one heatmap
LARGEST_SIDE = 4096  # pixels of a picture in a record


def draw_progress(
    records: Iterable[Record], cam: str, out: Path, *, pruners: Sequence[str] | None = None
) -> Path:
    """Draw one image's heatmaps under rising compression above accuracy against Sp2PS.

    Above: the image, the baseline's map, the ``none`` control's, then a pruner's levels, one line
    a pruner. Below: one line a pruner, from ``none`` on, with the published threshold and the
    1 point of accuracy that may be lost. All numbers are means over the seeds; the maps are the
    lowest seed's.

    Args:
        records: Records of one protocol.
        cam: Explanation method, such as ``grad-cam``.
        out: The PNG to write, 1800 pixels wide.
        pruners: Labels of the pruners to show, at most four; by default those with the most
            levels.

    Returns:
        ``out``.

    Raises:
        RequestError: The records are of several protocols, keep no heatmaps of the method, lack
            the baseline or the control, or hold a picture that cannot be read.
    """
    return _draw(_choose_levels(board(records)), cam, out, pruners)


def write_pictures(sections: Sequence[Section], folder: Path, cam: str = "grad-cam") -> list[Path]:
    """Draw a picture of every protocol whose records can make one.

    One that cannot be drawn, since a record holds no picture where it says so, is told in the log
    and takes no other with it.

    Args:
        sections: From ``board``.
        folder: Where the PNGs go, named for their suite; further protocols of a suite are
            named for the protocol, too.
        cam: The explanation method shown; the first there is, where a protocol lacks it.

    Returns:
        The files written.
    """
    written: list[Path] = []
    for section in sections:
        if section.baseline is None or section.control is None or not _group_lines(section):
            continue
        kept = {heat.cam for heat in section.baseline.first.heatmaps if heat.cam}
        if not kept:
            continue
        shown = cam if cam in kept else min(kept)
        record = section.first
        name = slug(record.suite)
        if folder / f"{name}.png" in written:
            name = slug(f"{record.suite}-{record.protocol}")
        try:
            written.append(_draw(section, shown, folder / f"{name}.png"))
        except RequestError as error:
            logger.warning("no picture of %s, protocol %s: %s", name, record.protocol, error)
    return written


def _draw(section: Section, cam: str, out: Path, pruners: Sequence[str] | None = None) -> Path:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = _choose_lines(section, pruners)
    image = _choose_image(section, cam)
    style: Any = {
        "text.parse_math": False,
        "font.family": "DejaVu Sans",
        "text.color": INK,
        "axes.labelcolor": INK,
    }
    with mpl.rc_context(style):
        columns = 3 + max(len(_spread(levels)) for levels in lines.values())
        line = WIDE / (columns + 0.5) + 0.5  # a map and the text around it
        tall = HEAD + line * len(lines)
        figure = Figure(figsize=(WIDE, tall + CHART), dpi=200, facecolor="white")
        FigureCanvasAgg(figure)
        parts: Any = figure.subfigures(2, 1, height_ratios=(tall, CHART))
        above, below = parts
        _draw_maps(above, section, lines, cam, image, columns)
        draw_chart(below, section, lines, cam)
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, metadata={"Software": None})
    return out


def _choose_levels(sections: Sequence[Section]) -> Section:
    if len(sections) != 1:
        raise RequestError(f"a picture is of one protocol; these records are of {len(sections)}")
    if sections[0].baseline is None or sections[0].control is None:
        raise RequestError("a picture needs the baseline and the `none` control")
    return sections[0]


def _choose_lines(section: Section, pruners: Sequence[str] | None) -> dict[str, list[Row]]:
    """Choose the levels of each pruner to show."""
    found = _group_lines(section)
    for pruner in pruners or ():
        if pruner not in found:
            raise RequestError(f"no pruner {pruner!r}: {did_you_mean(pruner, found)}")
    order = pruners or sorted(found, key=lambda pruner: (-len(found[pruner]), pruner))
    if not order:
        raise RequestError("these records hold no compressed network")
    return {pruner: found[pruner] for pruner in order[:PRUNERS]}


def _group_lines(section: Section) -> dict[str, list[Row]]:
    """Return the levels of each ranked pruner: others make no line of rising compression."""
    return {pruner: rows for axis in AXES for pruner, rows in group_by_pruner(section.rows, axis)}


def _choose_image(section: Section, cam: str) -> int:
    """Return the test image of which most networks keep a map."""
    kept: dict[int, int] = {}
    cams: set[str] = set()
    for row in section.rows:
        for heatmap in row.first.heatmaps:
            if heatmap.cam is not None:
                cams.add(heatmap.cam)
            if heatmap.cam == cam:
                kept[heatmap.image] = kept.get(heatmap.image, 0) + 1
    if not kept:
        raise RequestError(f"these records keep no heatmaps of {cam!r}: {did_you_mean(cam, cams)}")
    return min(kept, key=lambda image: (-kept[image], image))


def _read_picture(row: Row, cam: str | None, image: int) -> Pixels | None:
    """Return a record's map (H×W) or image (H×W×3), SIDE pixels wide and high, in [0, 1]."""
    for heatmap in row.first.heatmaps:
        if heatmap.cam == cam and heatmap.image == image:
            return _decode(heatmap.png, row.first.id, "RGB" if cam is None else "L")
    return None


def _decode(text: str, where: str, mode: str) -> Pixels:
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"])
        if max(picture.size) > LARGEST_SIDE:
            raise ValueError(f"{picture.width}×{picture.height} pixels")
        fitted = picture.convert(mode).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    except (ValueError, OSError, SyntaxError) as error:
        raise RequestError(f"heatmaps: not a picture: {error}", where=where) from None
    return np.asarray(fitted, dtype=np.float64) / 255


def _overlay(image: Pixels | None, heat: Pixels) -> Pixels:
    """Draw a map in viridis over the grey image; the image shows through."""
    import matplotlib as mpl

    colored = np.asarray(mpl.colormaps["viridis"](heat))[..., :3]
    if image is None:
        return colored
    grey = image @ np.array([0.299, 0.587, 0.114])
    return np.asarray(0.32 * grey[..., None] + 0.68 * colored)


def _draw_maps(
    figure: SubFigure,
    section: Section,
    lines: dict[str, list[Row]],
    cam: str,
    image: int,
    columns: int,
) -> None:
    baseline, control = section.baseline, section.control
    if baseline is None or control is None:
        return
    rows = (baseline, control, *(row for levels in lines.values() for row in levels))
    photo = next(
        (found for row in rows if (found := _read_picture(row, None, image)) is not None), None
    )
    shown = {pruner: _spread(levels) for pruner, levels in lines.items()}
    record = section.first
    title = f"{cells.make_title(record)}, {plain(cam)}"
    figure.text(
        0.02,
        0.985,
        title,
        va="top",
        fontsize=12.5 * min(1, LONGEST_TITLE / len(title)),
        fontweight="bold",
    )
    figure.text(
        0.98,
        0.98,
        f"numbers: mean Sp2PS over {record.conditions.explained_images:,} images",
        va="top",
        ha="right",
        fontsize=9,
        color=PALE,
    )
    whole = HEAD + (WIDE / (columns + 0.5) + 0.5) * len(lines)
    grid = figure.add_gridspec(
        len(lines),
        columns + 1,
        left=0.02,
        right=0.98,
        top=1 - (HEAD + 0.12) / whole,
        bottom=0.28 / whole,
        hspace=0.42,
        wspace=0.09,
        width_ratios=(1, 1, 1, 0.1, *(1,) * (columns - 3)),
    )
    for index, (pruner, levels) in enumerate(shown.items()):
        color = COLORS[index]
        tiles = [("image", "", photo, PALE)]
        for title, row in (("baseline", baseline), ("none", control)):
            tiles.append((title, _sp2ps(row, cam), _draw_heat(row, cam, image, photo), PALE))
        tiles += [
            (format_level(row), _sp2ps(row, cam), _draw_heat(row, cam, image, photo), color)
            for row in levels
        ]
        for place, (title, sp2ps, pixels, frame) in enumerate(tiles):
            axes = figure.add_subplot(grid[index, place if place < 3 else place + 1])
            _draw_tile(axes, title, sp2ps, pixels, frame)
            if place == 3:
                axes.set_title(
                    plain(pruner), loc="left", color=color, fontsize=10.5, fontweight="bold", pad=4
                )


def _spread(levels: Sequence[Row]) -> list[Row]:
    """Return at most LEVELS levels, evenly chosen, the first and the last among them."""
    if len(levels) <= LEVELS:
        return list(levels)
    return [levels[round(i * (len(levels) - 1) / (LEVELS - 1))] for i in range(LEVELS)]


def _draw_heat(row: Row, cam: str, image: int, photo: Pixels | None) -> Pixels | None:
    heat = _read_picture(row, cam, image)
    return None if heat is None else _overlay(photo, heat)


def _sp2ps(row: Row, cam: str) -> str:
    value = row.get(f"sp2ps/{cam}").mean
    return "" if value is None or row.first.role == "baseline" else f"{value:.2f}"


def _draw_tile(axes: Axes, title: str, sp2ps: str, pixels: Pixels | None, frame: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    if pixels is None:
        axes.text(0.5, 0.5, "no map", ha="center", va="center", color=PALE, fontsize=9)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
    else:
        axes.imshow(pixels)
    for spine in axes.spines.values():
        spine.set_color(frame)
        spine.set_linewidth(1.4)
    axes.text(0.0, -0.04, title, transform=axes.transAxes, ha="left", va="top", fontsize=9)
    axes.text(
        1.0,
        -0.04,
        sp2ps,
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=9,
        fontweight="bold",
    )
