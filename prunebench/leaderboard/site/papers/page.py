"""The page of the papers: what was published, beside what was measured here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.papers.cards.registry import read_works
from prunebench.leaderboard.papers.cards.work import PublishedExperiment
from prunebench.leaderboard.papers.claims import (
    Claim,
    count_claims,
    judge_experiment,
    judge_number,
    list_row_obstacles,
)
from prunebench.leaderboard.papers.compare import (
    ComparedExperiment,
    Counterpart,
    compare_works,
    explain_not_run,
)
from prunebench.leaderboard.papers.numbers import Number
from prunebench.leaderboard.site.links import link_row
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.papers.figure import draw_columns
from prunebench.leaderboard.site.papers.levels import draw_over_levels
from prunebench.leaderboard.site.papers.redrawn import (
    RedrawnFigures,
    explain_not_drawn,
    redraw_figures,
)
from prunebench.leaderboard.site.papers.table import Table, make_table
from prunebench.leaderboard.site.papers.text import (
    count_digits,
    find_shared,
    format_citation,
    format_measured,
    format_signed,
    has_sign,
    list_addresses,
    title_row,
)
from prunebench.leaderboard.site.plots import DrawnFigure
from prunebench.leaderboard.writers.cells import plain

CHOSEN = "chosen by this"


@dataclass(frozen=True)
class NumberLine:
    """One number of the comparison, as text.

    Attributes:
        verdict: What may be claimed of it.
        reasons: Why, all of it.
        reason: What of this is not said of the whole row.
    """

    title: str
    published: str
    ours: str
    bounds: str
    difference: str
    note: str
    verdict: str
    reasons: str
    reason: str


@dataclass(frozen=True)
class CounterpartGroup:
    """A published row and ours: the lines of its numbers share the rest."""

    label: str
    source: str | None
    note: str | None
    lines: tuple[NumberLine, ...]
    ours: str
    suite: str
    link: str
    exact: bool
    why: tuple[str, ...]


@dataclass(frozen=True)
class ExperimentView:
    """One experiment as the page shows it.

    Attributes:
        experiment: As its card has it.
        state: Whether it was run.
        claims: The verdicts on all its numbers.
        not_run: What to say where it was not.
        groups: The published rows beside which a row of ours stands.
        common: What all these rows of ours have in common that the work has not.
        unmatched: The other published rows, by why nothing stands beside them.
        table: The published table, where the groups do not show all of it.
        figure: Two of its columns, for plotly.js.
        over_levels: Where it is a correlation over levels, its two values over these.
        again: Its own figures, drawn again from our records.
        not_drawn: What to say of those that nothing of ours draws.
    """

    experiment: PublishedExperiment
    state: str
    claims: tuple[Claim, ...]
    not_run: str
    groups: tuple[CounterpartGroup, ...]
    common: tuple[str, ...]
    unmatched: dict[str, list[str]]
    table: Table | None
    figure: dict[str, Any] | None
    over_levels: tuple[DrawnFigure, ...]
    again: tuple[RedrawnFigures, ...]
    not_drawn: str | None


def write(sections: Sequence[Section], site: Path) -> None:
    """Write ``papers.html``.

    Args:
        sections: The board.
        site: The site's folder.

    Raises:
        RequestError: A work's card is malformed.
    """
    works = read_works()
    compared = compare_works(works, sections)
    shown = []
    for name, work in works.items():
        views = [make_view(one) for one in compared[name]]
        count = count_claims(claim for view in views for claim in view.claims)
        shown.append((name, work, views, count))
    render(
        site,
        "papers.html",
        "papers.html",
        works=shown,
        citation=format_citation,
        addresses=list_addresses,
        count_claims=count_claims,
    )


def make_view(compared: ComparedExperiment) -> ExperimentView:
    """Bring a comparison into the form of the page."""
    experiment = compared.experiment
    matched = [beside for beside in compared.rows if beside.row]
    why = [
        tuple(dict.fromkeys((*beside.why, *list_row_obstacles(experiment, beside))))
        for beside in matched
    ]
    common = find_shared(why)
    unmatched: dict[str, list[str]] = {}
    for beside in compared.rows:
        if not beside.row:
            unmatched.setdefault("; ".join(beside.why), []).append(beside.published.label)
    return ExperimentView(
        experiment,
        compared.state,
        judge_experiment(compared),
        explain_not_run(experiment),
        tuple(
            _group(experiment, beside, texts, common)
            for beside, texts in zip(matched, why, strict=True)
        ),
        common,
        unmatched if matched else {},
        make_table(compared) if unmatched or (compared.own and experiment.sorted_by) else None,
        draw_columns(compared),
        tuple(drawn for beside in matched for drawn in _draw_over_levels(experiment, beside)),
        redraw_figures(compared),
        explain_not_drawn(compared),
    )


def _draw_over_levels(
    experiment: PublishedExperiment, beside: Counterpart
) -> Iterator[DrawnFigure]:
    """Yield the figures of each correlation over levels that a published one is compared to."""
    for found in beside.numbers:
        reading = experiment.quantities[found.key].reading
        if found.ours is not None and reading is not None and reading.other is not None:
            yield from draw_over_levels(beside.levels, (reading.other, reading.name))


def _group(
    experiment: PublishedExperiment,
    beside: Counterpart,
    why: Sequence[str],
    common: Sequence[str],
) -> CounterpartGroup:
    """Bring a published row and ours together, with what differs of ours but not of all of ours."""
    row = beside.row
    assert row is not None
    chosen_by = beside.chosen_by(experiment)
    return CounterpartGroup(
        beside.published.label,
        beside.published.source,
        beside.published.note,
        tuple(
            _line(experiment, beside, found, why, chosen=found.key == chosen_by)
            for found in beside.numbers
        ),
        title_row(row, len(beside.levels)),
        plain(row.first.suite),
        link_row(row),
        beside.exact,
        tuple(text for text in why if text not in common),
    )


def _line(
    experiment: PublishedExperiment,
    beside: Counterpart,
    found: Number,
    why: Sequence[str],
    *,
    chosen: bool,
) -> NumberLine:
    """Write one number; by the column that chose the level, no difference is shown."""
    quantity = experiment.quantities[found.key]
    claim = judge_number(experiment, beside, found)
    reasons = claim.reasons if claim else ()
    told = (*why, found.note, quantity.note)
    digits = count_digits(found.printed)
    bounds = ""
    if found.low is not None and found.high is not None:
        bounds = f"[{format_signed(found.low, digits)}, {format_signed(found.high, digits)}]"
    difference = "–"
    if found.difference is not None:
        difference = CHOSEN if chosen else format_signed(found.difference, digits, plus=True)
    ours = format_measured(quantity, found.ours, digits, plus=has_sign(found.printed))
    return NumberLine(
        quantity.title,
        found.printed or "–",
        ours,
        bounds,
        difference,
        found.note or "",
        claim.verdict if claim else "–",
        "; ".join(reasons),
        "; ".join(reason for reason in reasons if reason not in told),
    )
