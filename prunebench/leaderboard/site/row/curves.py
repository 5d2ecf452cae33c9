"""Training curves of a row's page: loss and validation accuracy, a figure for each step.

A second one shows the terms of a loss that has several, and what else a method tells of an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.site.plots import BELOW, COLOURS, label, make_figure
from prunebench.leaderboard.writers.cells import plain
from prunebench.record import Epoch

STEPS = {
    "baseline": "baseline's training",
    "compressed": "compression",
    "recovered": "fine-tuning",
    "prepared-predictor": "the explainer's predictor",
    "prepared-selector": "the explainer's selector",
}

RowFigure = dict[str, Any]
"""A figure with its title, its text alternative and, where need be, a note and a table."""


def draw_curves(row: Row) -> Iterator[RowFigure]:
    """Draw a figure for each step that trained; of all seeds, one line each."""
    found = {step for record in row.records for step in record.curves}
    known = [step for step in STEPS if step in found]
    for step in (*known, *sorted(found - set(STEPS))):
        lines: list[dict[str, Any]] = []
        said = []
        for record in row.records:
            epochs = record.curves.get(step, ())
            if epochs:
                seed = f", seed {record.seed}" if len(row.records) > 1 else ""
                lines += _draw_lines(epochs, seed, first=not lines)
                said.append(_describe_epochs(epochs) + seed)
        if lines:
            yield _make_figure(STEPS.get(step, plain(step)), lines, said)
        yield from _draw_terms(row, step)


def _draw_terms(row: Row, step: str) -> Iterator[RowFigure]:
    """Draw the terms of a step's loss by epoch, on a log scale; all seeds look the same."""
    names = [
        name for record in row.records for one in record.curves.get(step, ()) for name in one.terms
    ]
    lines: list[dict[str, Any]] = []
    said = []
    for place, name in enumerate(dict.fromkeys(names)):
        for record in row.records:
            epochs = [one for one in record.curves.get(step, ()) if name in one.terms]
            if epochs:
                values = [float(f"{one.terms[name]:.5g}") for one in epochs]
                colour = COLOURS[place % len(COLOURS)]
                lines.append(
                    {
                        "x": [one.epoch for one in epochs],
                        "y": values,
                        "type": "scatter",
                        "mode": "lines+markers",
                        "name": label(plain(name)),
                        "legendgroup": str(place),
                        "showlegend": record is row.records[0],
                        "line": {"color": colour},
                        "marker": {"color": colour, "size": 5},
                    }
                )
                said.append(f"{plain(name)} {values[0]:.3g} to {values[-1]:.3g}")
    if lines:
        what = STEPS.get(step, plain(step))
        yield {
            "title": f"Terms: {what}",
            "alt": f"What the training of {what} tells of each epoch: {'; '.join(said)}.",
            "figure": make_figure(
                lines, "epoch", "value (above 0)", yaxis={"type": "log"}, legend=BELOW
            ),
        }


def _draw_lines(epochs: Sequence[Epoch], seed: str, first: bool) -> Iterator[dict[str, Any]]:
    """Draw one seed's loss and accuracy; all seeds look the same, the legend has the first."""
    common = {
        "x": [one.epoch for one in epochs],
        "type": "scatter",
        "mode": "lines+markers",
        "showlegend": first,
    }
    yield {
        **common,
        "y": [round(one.loss, 5) for one in epochs],
        "name": "loss" if first else f"loss{seed}",
        "yaxis": "y2",
        "line": {"color": COLOURS[0], "dash": "dot"},
        "marker": {"color": COLOURS[0], "size": 6},
    }
    seen = [one.validation_accuracy for one in epochs]
    if any(one is not None for one in seen):
        yield {
            **common,
            "y": [None if one is None else round(100 * one, 3) for one in seen],
            "name": "validation accuracy" if first else f"validation accuracy{seed}",
            "line": {"color": COLOURS[1]},
            "marker": {"color": COLOURS[1], "size": 7, "symbol": "square"},
        }


def _describe_epochs(epochs: Sequence[Epoch]) -> str:
    text = f"{len(epochs)} epochs, loss {epochs[0].loss:.3g} to {epochs[-1].loss:.3g}"
    seen = [one.validation_accuracy for one in epochs if one.validation_accuracy is not None]
    if not seen:
        return text
    return f"{text}, validation accuracy {100 * seen[0]:.1f}% to {100 * seen[-1]:.1f}%"


def _make_figure(name: str, lines: list[dict[str, Any]], said: list[str]) -> RowFigure:
    last = max(max(line["x"]) for line in lines)
    right = {"title": {"text": "loss"}, "overlaying": "y", "side": "right", "showgrid": False}
    return {
        "title": f"Training: {name}",
        "alt": f"Training curves of {name}: {'; '.join(said)}.",
        "figure": make_figure(
            lines,
            "epoch",
            "validation accuracy, %",
            xaxis={"range": [0.5, last + 0.5], "tick0": 1, "dtick": max(1, round(last / 8))},
            yaxis2={**right, "rangemode": "tozero", "tickmode": "auto", "nticks": 5},
            yaxis={"tickformat": ".4~g"},
            margin={"l": 64, "r": 64, "t": 16, "b": 48},
        ),
    }
