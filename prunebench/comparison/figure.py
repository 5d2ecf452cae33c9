"""The figure of a comparison: images, and beneath each what both networks look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from prunebench.comparison.strips import Strip

COLOURS = "viridis"
CELL = 1.15
"""Height of one picture, in inches."""
LONGEST_TITLE = 16
STRIP_COLOURS = {"floor": "0.5", "control": "tab:purple", "pruned": "tab:blue"}


@dataclass(frozen=True)
class Picture:
    """One image with its maps, for the figure.

    Attributes:
        title: The image's name, or its index.
        pixels: The normalised image, C×H×W.
        maps: For each explanation method the baseline's and the pruned network's map, H×W.
        sp2ps: For each method, how alike the two are; NaN where undefined.
        predictions: The baseline's and the pruned network's class.
        confidences: The probability that each gives to its own prediction, in [0, 1].
        explained: The class that is explained (in each network, where these differ: the
            baseline's).
        label: The true class, or several with spaces between; empty where not known.
    """

    title: str
    pixels: NDArray[np.float32]
    maps: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    sp2ps: dict[str, float]
    predictions: tuple[int, int]
    confidences: tuple[float, float] = (np.nan, np.nan)
    explained: int | None = None
    label: str = ""


def draw(pictures: Sequence[Picture], strips: Sequence[Strip] = ()) -> Figure:
    """Draw one column an image: the image, then for each method both networks' maps.

    Made without pyplot, so that nothing stays open.

    Args:
        pictures: The images with their maps, most moved first; may be empty.
        strips: Sp2PS of the pruned network and of its controls, drawn beneath; none: not drawn.
    """
    if not pictures:
        figure = Figure(figsize=(6, 1))
        figure.text(0.5, 0.5, "Neither network's maps show anything.", ha="center", va="center")
        return figure
    cams = list(pictures[0].maps)
    rows = 1 + 2 * len(cams)
    ratio = pictures[0].pixels.shape[2] / pictures[0].pixels.shape[1]
    # At least three columns wide, so that the title fits.
    width = 1.9 + max(len(pictures), 3) * (CELL * max(ratio, 0.8) + 0.08)
    height = 1.0 + rows * (CELL + 0.1) + len(cams) * 0.12
    beneath = 0.7 + 0.22 * len(strips) if strips else 0
    figure = Figure(figsize=(width, height + beneath), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)  # type: ignore[call-arg, union-attr]
    if not strips:
        _show_maps(figure, pictures)
        return figure
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=[height, beneath])
    _show_maps(parts[0, 0], pictures)
    _show_strips(parts[1, 0].subplots(), strips)
    return figure


def _show_maps(figure: FigureBase, pictures: Sequence[Picture]) -> None:
    cams = list(pictures[0].maps)
    rows = ["image"] + [f"{cam}\n{network}" for cam in cams for network in ("baseline", "pruned")]
    figure.suptitle("Where attention moved most (beneath each pair: Sp2PS)", fontsize=11)
    axes = figure.subplots(len(rows), len(pictures), squeeze=False)
    shown = None
    for column, picture in enumerate(pictures):
        _show_image(axes[0, column], picture)
        for row, cam in enumerate(cams):
            pair = axes[1 + 2 * row : 3 + 2 * row, column]
            for axis, heatmap in zip(pair, picture.maps[cam], strict=True):
                shown = axis.imshow(heatmap, cmap=COLOURS, vmin=0, vmax=1)
            score = picture.sp2ps[cam]
            pair[1].set_xlabel("undefined" if np.isnan(score) else f"{score:.2f}", fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for axis, label in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    assert shown is not None
    bar = figure.colorbar(shown, ax=axes, fraction=0.02, shrink=0.4, ticks=[0, 0.5, 1])
    bar.ax.tick_params(labelsize=8)


def _show_strips(axis: Axes, strips: Sequence[Strip]) -> None:
    """Show one line a network: its mean of Sp2PS with the interval, from 0 to 1."""
    for row, strip in enumerate(strips):
        colour = STRIP_COLOURS[strip.kind]
        if strip.mean is not None and strip.low is not None and strip.high is not None:
            axis.plot([strip.low / 100, strip.high / 100], [row, row], color=colour, linewidth=3)
            axis.plot(strip.mean / 100, row, "o", color=colour, markersize=5)
        if strip.threshold is not None:
            at = strip.threshold / 100
            axis.plot([at, at], [row - 0.5, row + 0.5], "k:", linewidth=1)
    axis.set_yticks(range(len(strips)), [f"{each.method}, {each.network}" for each in strips])
    axis.set(xlim=(0, 1.01), ylim=(len(strips) - 0.5, -0.5))
    axis.set_xlabel("Sp2PS (dotted: the published threshold)", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _show_image(axis: Axes, picture: Picture) -> None:
    pixels = normalise_pixels(picture.pixels)
    axis.imshow(pixels, cmap="gray" if pixels.ndim == 2 else None, vmin=0, vmax=1)
    title = picture.title
    if len(title) > LONGEST_TITLE:
        title = "…" + title[1 - LONGEST_TITLE :]
    before, after = picture.predictions
    change = f"class {before}" if before == after else f"class {before} → {after}"
    axis.set_title(f"{title}\n{change}", fontsize=8)


def normalise_pixels(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Undo an unknown normalisation as far as the eye needs: the image from 0 to 1."""
    span = np.ptp(pixels)
    scaled = (pixels - pixels.min()) / (span if span > 0 else 1)
    if len(scaled) == 3:
        return np.moveaxis(scaled, 0, 2)
    mean: NDArray[np.float32] = scaled.mean(0)
    return mean
