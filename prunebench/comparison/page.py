"""The page of a comparison as markdown: the facts of the HTML page, briefer."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tabulate import tabulate

from prunebench.comparison.advice import explain_speed, list_advice
from prunebench.comparison.answer import give_answer
from prunebench.comparison.chance import describe_controls
from prunebench.comparison.classes import compare_classes, find_worst_by_maps
from prunebench.comparison.tables import (
    Rows,
    describe_class_rule,
    describe_method,
    describe_timing,
    make_change_rows,
    make_class_rows,
    make_control_rows,
    make_cost_rows,
    make_prediction_rows,
    make_score_rows,
)
from prunebench.comparison.verdict import conclude, list_reasons

if TYPE_CHECKING:
    from prunebench.comparison.compared import ComparedNetworks


def write_page(found: ComparedNetworks) -> str:
    """Return the page of a comparison as markdown, without the figure."""
    classes = compare_classes(found)
    lines = [
        "# Does the pruned network still look where it looked?",
        "",
        *(f"**Warning: {warning}.**\n" for warning in found.warnings),
        f"**{conclude(found)}**",
        "",
        *_list_grounds(found),
        "",
        "## Attention preserved",
        "",
        _format_table(make_score_rows(found)),
        "",
        *_show_controls(found),
        "## Predictions",
        "",
        _format_table(make_prediction_rows(found)),
        "",
        _format_table(make_change_rows(found)),
        "",
    ]
    if classes:
        worst = make_class_rows(find_worst_by_maps(classes))
        lines += ["## Worst classes", "", _format_table(worst), ""]
        lines += [describe_class_rule(classes), ""]
    if found.cost is not None:
        why = explain_speed(found.cost)
        notes = [f"- {note}." for note in (*found.cost.notes, *([why.rstrip(".")] if why else []))]
        lines += ["## Cost", "", _format_table(make_cost_rows(found.cost)), ""]
        lines += [describe_timing(found.cost), "", *notes, *([""] if notes else [])]
    if advice := list_advice(found, classes):
        lines += ["## What to try", "", *(f"- {_escape(line)}" for line in advice), ""]
    lines += ["## How it was measured", "", *(f"- {line}" for line in describe_method(found)), ""]
    return "\n".join(lines)


def _list_grounds(found: ComparedNetworks) -> list[str]:
    if found.withheld:
        return []
    return [f"{give_answer(found)}\n", *(f"- {reason}" for reason in list_reasons(found))]


def _show_controls(found: ComparedNetworks) -> list[str]:
    if len(found.controls):
        return [_format_table(make_control_rows(found)), ""]
    return [*describe_controls(found.scores, found.controls), ""]


def _format_table(rows: Rows) -> str:
    escaped = [{name: _escape(text) for name, text in row.items()} for row in rows]
    return tabulate(escaped, headers="keys", tablefmt="github", disable_numparse=True)


def _escape(text: str) -> str:
    """Keep names of classes and methods from being read as cells or markup."""
    return escape(" ".join(text.split()), quote=False).replace("|", "\\|")
