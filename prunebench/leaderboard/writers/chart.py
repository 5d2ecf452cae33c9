"""Accuracy against attention preserved: the lower half of a protocol's picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.accuracy_bar import FREE
from prunebench.leaderboard.board.roles import describe_reference, list_shown
from prunebench.leaderboard.board.rows import Estimate, Row, format_level
from prunebench.leaderboard.writers.cells import name_intervals, plain
from prunebench.trust import THRESHOLDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure


COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito's, safe for all eyes
MARKERS = ("o", "s", "^", "D")
INK, PALE = "#222222", "#777777"
CONTROLS = {
    "control": ("*", INK),
    "twin": ("P", "#8A5FB0"),
    "small": ("X", "#00897B"),
    "floor": ("", "#9A6A3A"),
}
"""Marker and colour of what the scale means."""


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
    controls = list_shown(section.rows)
    for row in controls:
        _draw_control(axes, row, name)
    told = f"bars and bands of controls: 95% confidence intervals ({name_intervals(controls)})"
    figure.text(0.98, 0.005, told, ha="right", va="bottom", fontsize=7.5, color=PALE)
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


def _draw_control(axes: Axes, row: Row, name: str) -> None:
    """Mark what the scale means: a point with its intervals, or a band where it is no classifier.

    All lines start at ``none``.
    """
    x, y = row.get(name), row.get("accuracy")
    if x.mean is None:
        return
    marker, color = CONTROLS[row.first.role]
    told = plain(describe_reference(row.first) or "")
    if y.mean is None:
        axes.axvline(x.mean, color=color, linewidth=1.5, zorder=1, label=told)
        if x.low is not None and x.high is not None:
            axes.axvspan(x.low, x.high, color=color, alpha=0.12, linewidth=0, zorder=0)
        return
    axes.errorbar(
        [x.mean],
        [100 * y.mean],
        xerr=_reach(x, 1),
        yerr=_reach(y, 100),
        marker=marker,
        markersize=15 if row.first.role == "control" else 9,
        color=color,
        elinewidth=1,
        zorder=5,
        linestyle="none",
        markeredgecolor="white",
        label=told,
    )


def _reach(value: Estimate, unit: float) -> list[list[float]] | None:
    """Return how far an interval goes below and above its mean; None without one."""
    if value.mean is None or value.low is None or value.high is None:
        return None
    return [[unit * (value.mean - value.low)], [unit * (value.high - value.mean)]]


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
