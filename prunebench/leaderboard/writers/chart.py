"""Accuracy against attention preserved: the lower half of a protocol's picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.accuracy_bar import FREE
from prunebench.leaderboard.board.rows import Row, format_level
from prunebench.leaderboard.writers.cells import plain
from prunebench.trust import THRESHOLDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure


COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito's, safe for all eyes
MARKERS = ("o", "s", "^", "D")
INK, PALE = "#222222", "#777777"


def draw_chart(figure: SubFigure, section: Section, lines: dict[str, list[Row]], cam: str) -> None:
    """Draw one line a pruner, from ``none`` on, with the thresholds.

    Args:
        figure: Where to draw.
        section: The protocol.
        lines: The levels of each pruner.
        cam: Explanation method.
    """
    axes = figure.add_axes((0.08, 0.13, 0.9, 0.73))
    name, control = f"sp2ps/{cam}", section.control
    labels: list[tuple[str, float, float, str]] = []
    for index, (pruner, levels) in enumerate(lines.items()):
        points: list[tuple[float, float]] = []
        for row in (control, *levels):
            x, y = (row.get(name).mean, row.get("accuracy").mean) if row else (None, None)
            if row is None or x is None or y is None:
                continue
            points.append((x, 100 * y))
            if row is not control:
                labels.append((format_level(row), x, 100 * y, COLORS[index]))
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            color=COLORS[index],
            marker=MARKERS[index],
            markersize=6.5,
            linewidth=1.8,
            markeredgecolor="white",
            markeredgewidth=0.8,
            label=plain(pruner),
            zorder=3,
        )
    _draw_start(axes, section, name)
    _draw_limits(axes, section, cam)
    axes.set_xlabel(f"Sp2PS ({plain(cam)}): does it still look where it looked?", fontsize=10)
    axes.set_ylabel("accuracy, %", fontsize=10)
    axes.tick_params(labelsize=9, colors=INK)
    axes.grid(color="#e8e8e8", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.margins(x=0.05, y=0.12)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.08, 1.01),
        ncol=4,
        frameon=False,
        fontsize=9,
        columnspacing=1.4,
        handletextpad=0.5,
    )  # above the chart, where it hides nothing
    _draw_labels(axes, labels)


def _draw_labels(axes: Axes, labels: Sequence[tuple[str, float, float, str]]) -> None:
    """Write each label near its point, where it hides least of the others."""
    points: Any = axes.transData.transform([(x, y) for _, x, y, _ in labels]) if labels else []
    dot = 200 / 72  # pixels of one typographic point
    taken: list[tuple[float, float, float]] = [(x, y, 5 * dot) for x, y in points]
    for (text, x, y, color), (px, py) in zip(labels, points, strict=True):
        half = 2.9 * len(text) * dot
        best, least = (0.0, 11.0), float("inf")
        for right, up in ((0, 11), (0, -11), (1, 0), (-1, 0), (1, 9), (-1, 9), (1, -9), (-1, -9)):
            shift = right * (half / dot + 7)
            center = (px + shift * dot, py + up * dot)
            hidden = sum(
                max(0.0, half + radius - abs(center[0] - tx))
                * max(0.0, 5 * dot + min(radius, 5 * dot) - abs(center[1] - ty))
                for tx, ty, radius in taken
            )
            if hidden < least - 1e-6:
                best, least = (shift, up), hidden
        taken.append((px + best[0] * dot, py + best[1] * dot, half))
        axes.annotate(
            text,
            (x, y),
            best,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8.5,
            color=color,
            zorder=4,
        )


def _draw_start(axes: Axes, section: Section, name: str) -> None:
    """Mark where all lines start: the control."""
    if section.control is None:
        return
    x, y = section.control.get(name).mean, section.control.get("accuracy").mean
    if x is not None and y is not None:
        axes.plot(
            [x],
            [100 * y],
            marker="*",
            markersize=15,
            color=INK,
            zorder=5,
            linestyle="none",
            markeredgecolor="white",
            label="none (fine-tuning only)",
        )


def _draw_limits(axes: Axes, section: Section, cam: str) -> None:
    """Mark the published threshold and the accuracy that may be lost."""
    bars = section.references.bars.values()
    if bars:
        axes.axhline(
            100 * (sum(bars) / len(bars) - FREE),
            color=PALE,
            linewidth=1.2,
            linestyle=":",
            zorder=1,
            label="1 point below the bar",
        )
    if cam in THRESHOLDS:
        axes.axvline(
            THRESHOLDS[cam],
            color=INK,
            linewidth=1.2,
            linestyle="--",
            zorder=1,
            label=f"trusted from {THRESHOLDS[cam]:.2f}",
        )
