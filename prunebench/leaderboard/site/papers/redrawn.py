"""A work's figures drawn again, protocol by protocol, as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass

from prunebench.leaderboard.papers.cards.figures import Curves
from prunebench.leaderboard.papers.cards.work import PublishedExperiment
from prunebench.leaderboard.papers.compare import ComparedExperiment, explain_not_run
from prunebench.leaderboard.papers.regenerated import RegeneratedFigures
from prunebench.leaderboard.site.links import link_row
from prunebench.leaderboard.site.papers.curves import DrawnCurves, draw_curves
from prunebench.leaderboard.site.papers.heatmaps import DrawnHeatmaps, draw_heatmaps
from prunebench.leaderboard.site.papers.text import find_shared
from prunebench.leaderboard.writers.cells import plain


@dataclass(frozen=True)
class RedrawnFigures:
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


def redraw_figures(compared: ComparedExperiment) -> tuple[RedrawnFigures, ...]:
    """Draw all figures of an experiment that our records can draw."""
    return tuple(_redraw(compared.experiment, found) for found in compared.figures)


def _redraw(experiment: PublishedExperiment, found: RegeneratedFigures) -> RedrawnFigures:
    record = found.place.section.first
    network = plain(record.model).partition("(")[0]
    return RedrawnFigures(
        f"{network} on {plain(record.dataset)}, suite {plain(record.suite)}",
        link_row(found.start or found.figures[0].methods[0].rows[0]),
        found.place.exact,
        tuple(dict.fromkeys(find_shared(found.why))),
        tuple(draw_curves(experiment, found)),
        draw_heatmaps(found),
    )


def explain_not_drawn(compared: ComparedExperiment) -> str | None:
    """Say which figures no record of ours can draw; None if all can be."""
    drawn = [each for found in compared.figures for each in found.figures]
    missing = [one for one in compared.experiment.figures if one not in [d.asked for d in drawn]]
    if not missing:
        return None
    names = [
        each
        for one in missing
        for each in ([one.source] if isinstance(one, Curves) else one.cams.values())
    ]
    return f"Nothing of ours draws {', '.join(names)}: {explain_not_run(compared.experiment)}."
