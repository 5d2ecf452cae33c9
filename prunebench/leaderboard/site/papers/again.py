"""A work's figures drawn again, protocol by protocol, as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass

from prunebench.leaderboard.papers.cards.figures import Curves
from prunebench.leaderboard.papers.cards.work import Experiment
from prunebench.leaderboard.papers.compare import Compared, not_run
from prunebench.leaderboard.papers.regenerated import Regenerated
from prunebench.leaderboard.site.links import row_link
from prunebench.leaderboard.site.papers.curves import DrawnCurves, curves_of
from prunebench.leaderboard.site.papers.heatmaps import DrawnHeatmaps, heatmaps_of
from prunebench.leaderboard.site.papers.text import shared
from prunebench.leaderboard.writers.cells import plain


@dataclass(frozen=True)
class Again:
    """Figures drawn by rows of one protocol.

    Attributes:
        title: Network, data and suite.
        link: The page of the network that they start from.
        exact: Whether it is the same experiment.
        why: What all these rows have in common that the work has not.
        curves: Figures of curves.
        heatmaps: Figures of heatmaps.
    """

    title: str
    link: str
    exact: bool
    why: tuple[str, ...]
    curves: tuple[DrawnCurves, ...]
    heatmaps: DrawnHeatmaps | None


def drawn_again(compared: Compared) -> tuple[Again, ...]:
    """All figures of an experiment that our records can draw."""
    return tuple(_again(compared.experiment, found) for found in compared.figures)


def _again(experiment: Experiment, found: Regenerated) -> Again:
    record = found.place.section.first
    network = plain(record.model).partition("(")[0]
    return Again(
        f"{network} on {plain(record.dataset)}, suite {plain(record.suite)}",
        row_link(found.start or found.figures[0].methods[0].rows[0]),
        found.place.exact,
        tuple(dict.fromkeys(shared(found.why))),
        tuple(curves_of(experiment, found)),
        heatmaps_of(found),
    )


def not_drawn(compared: Compared) -> str | None:
    """Which figures no record of ours draws as a curve, or at all; None if none is left."""
    drawn = [each for found in compared.figures for each in found.figures]
    missing = [one for one in compared.experiment.figures if one not in [d.asked for d in drawn]]
    if not missing:
        return None
    names = [
        each
        for one in missing
        for each in ([one.source] if isinstance(one, Curves) else one.cams.values())
    ]
    return f"Nothing of ours draws {', '.join(names)}: {not_run(compared.experiment)}."
