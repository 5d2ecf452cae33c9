"""The board as GitHub markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tabulate import tabulate

from prunebench.leaderboard import cells
from prunebench.leaderboard.board import AXES, Section, board
from prunebench.leaderboard.cells import plain
from prunebench.leaderboard.rank import Axis, Place, Ranking, is_eligible
from prunebench.leaderboard.rows import Estimate, Row, level_name
from prunebench.record import Record
from prunebench.trust import THRESHOLDS

HEAD = """\
# Leaderboard

<!-- Generated with `make leaderboard` from results/: edits are lost. -->

Does a pruned network still look where it looked? Generated with `make leaderboard` from the
records in [results/](results/); [board.json](board.json) holds the same numbers in full,
[pictures/](pictures/) show heatmaps.

- **Rows are comparable within a section only**: same data, baseline, recovery and images.
- **Sp2PS** (0 to 1) compares each heatmap of the pruned network with the baseline's, per
  explanation method. `none` had the same recovery without pruning: what training alone moves.
- **Rank**: mean Sp2PS at equal compression really reached, among levels within 2 points of
  accuracy. Overlapping intervals share a rank. Missing seeds are not ranked.
- **Trusted**: ✓ if the lower bound of Sp2PS is at or above the published threshold
  ({thresholds}), ✗ if not, – for no verdict.
- **Latency**: one forward pass. Compare the ratio (×): both networks are timed in turns. The
  milliseconds depend on what the machine was doing at the time.
- **Images seen**: the training since the baseline, all epochs counted.
- **Trust horizon**: how much can be removed before Sp2PS falls below a threshold or accuracy
  drops by more than 2 points, whichever comes first.
"""


def to_markdown(records: Iterable[Record]) -> str:
    """The whole board; it depends on the records' content only, not on their order."""
    thresholds = ", ".join(f"{cam} {value:.2f}" for cam, value in sorted(THRESHOLDS.items()))
    parts = [HEAD.format(thresholds=thresholds)]
    parts += [_section(section) for section in board(records)]
    if len(parts) == 1:
        parts.append("No records yet.\n")
    return "\n".join(parts)


def escape(text: str) -> str:
    r"""A record's text as markdown shows it literally, also inside a table.

    Entities stand for all that could start markup, HTML, a formula, a mention or a link; unlike
    backslashes they mean the same everywhere.
    """
    line = re.sub(r"[&<>|`*_~$@#!\[\]{}\\^]", lambda found: f"&#{ord(found[0])};", plain(text))
    return re.sub(r"(?<=\w):(?=//)|(?<=www)\.", lambda found: f"&#{ord(found[0])};", line)


class Notes:
    """Footnotes of one table, numbered as they come up."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def mark(self, text: str | None) -> str:
        """The mark of a footnote; the same text has the same number."""
        if not text:
            return ""
        if text not in self._texts:
            self._texts.append(text)
        return f"<sup>{self._texts.index(text) + 1}</sup>"

    def __str__(self) -> str:
        return "<br>\n".join(
            f"<sup>{number}</sup> {escape(text)}" for number, text in enumerate(self._texts, 1)
        )


def _section(section: Section) -> str:
    record = section.first
    parts = [
        f"## {escape(cells.title(record))}",
        f"Conditions: {_escape_long(cells.conditions(record.conditions, record.protocol))}.",
    ]
    tables = [axis for axis in (*AXES, "none") if _has(section, axis)]
    parts += [_table(section, axis) for axis in tables or ["none"]]
    if section.horizons:
        parts += [_horizons(section, axis) for axis in section.rankings]
    return "\n\n".join(parts) + "\n"


def _escape_long(line: str) -> str:
    return "; ".join(escape(part) for part in line.split("; "))


def _has(section: Section, axis: str) -> bool:
    return any(row.first.role == "compressed" and row.first.axis == axis for row in section.rows)


def _table(section: Section, axis: Axis | str) -> str:
    table, notes = section.table(axis), Notes()
    rows = [row for row, _ in table]
    judged = [cam for cam in section.cams if cam in THRESHOLDS]
    latency = cells.latency_name(rows)
    lines = []
    for row, place in table:
        line = {
            "Rank": _rank(row, place, section.baseline, notes),
            "Pruner": _pruner(row) + "".join(notes.mark(flag) for flag in row.flags),
            "Level": level_name(row) if row.first.role == "compressed" else "",
            "Seeds": row.seeds,
            "Accuracy %": _with(
                cells.percent(row.get("accuracy")), cells.percent_bounds(row.get("accuracy"))
            ),
            "Change": cells.change(row, section.baseline),
            "Params": _with(cells.count(row.get("params")), cells.removed(row.reached.params)),
            "MACs": _with(cells.count(row.get("macs")), cells.removed(row.reached.macs)),
        }
        if axis == "masked":
            line["Weights"] = cells.removed(row.reached.weights)
        line["Images seen"] = cells.count(Estimate(float(row.images_seen)))
        if latency:
            title = latency.removeprefix("latency_").replace("_", " ")
            line[f"Latency ({escape(title)})"] = cells.latency(row, latency) + notes.mark(
                cells.latency_note(row, latency)
            )
        for cam in section.cams:
            value = row.get(f"sp2ps/{cam}")
            line[f"Sp2PS {escape(cam)}"] = _with(
                cells.score(value), cells.score_bounds(value)
            ) + notes.mark(cells.undefined_note(row, value))
        if section.cams:
            line[f"PE-score ({' · '.join(map(escape, section.cams))})"] = " · ".join(
                cells.score(row.get(f"pe_score/{cam}")) for cam in section.cams
            )
        if judged:
            line[f"Trusted ({' · '.join(map(escape, judged))})"] = cells.verdicts(row, judged)
        lines.append(line)
    parts = [f"### {cells.axis_title(axis)}", _tabulate(lines)]
    parts += [text for text in (str(notes), _legend(section, axis, rows)) if text]
    return "\n\n".join(parts)


def _rank(row: Row, place: Place | None, baseline: Row | None, notes: Notes) -> str:
    if place is None:
        return ""
    if place.rank is None:
        return "–" + notes.mark(f"not ranked: {place.reason}")
    if not is_eligible(row, baseline):
        return "–" + notes.mark("more than 2 points of accuracy lost: not part of the rank")
    return str(place.rank)


def _pruner(row: Row) -> str:
    if row.first.role == "baseline":
        return "*untouched baseline*"
    return "*`none`: recovery only*" if row.first.role == "control" else escape(row.first.pruner)


def _with(value: str, small: str) -> str:
    return f"{value} <sub>{small}</sub>" if small and value != "–" else value


def _legend(section: Section, axis: Axis | str, rows: list[Row]) -> str:
    text = f"95% intervals: {escape(cells.intervals(rows))}."
    ranking = next((found for name, found in section.rankings.items() if name == axis), None)
    return text + _scores(ranking) if ranking and ranking.at else text


def _scores(ranking: Ranking) -> str:
    what = "weights" if ranking.axis == "masked" else "MACs"
    at = ", ".join(f"{100 * x:.3g}%" for x in ranking.at)
    if len(ranking.at) > 8:
        ends = f"{100 * ranking.at[0]:.3g}% to {100 * ranking.at[-1]:.3g}%"
        at = f"{len(ranking.at)} places from {ends}"
    scores = "; ".join(
        f"{escape(place.pruner)} {place.score:.3f} [{place.low:.3f}, {place.high:.3f}]"
        for place in ranking.places
        if place.rank is not None
    )
    cams = ", ".join(map(escape, ranking.cams))
    return f" Ranked by mean Sp2PS ({cams}) at {at} of {what} removed: {scores}."


def _horizons(section: Section, axis: Axis) -> str:
    what = "weights" if axis == "masked" else "MACs"
    lines: dict[str, dict[str, str]] = {}
    for found in section.horizons:
        if found.axis == axis:
            line = lines.setdefault(found.pruner, {"Pruner": escape(found.pruner)})
            versus = "`none` − 0.05" if found.versus != "published" else f"{found.threshold:.2f}"
            line[f"{escape(found.cam)}: {versus}"] = escape(str(found.outcome))
    places = [place.pruner for place in section.rankings[axis].places]
    return f"Trust horizon, {what} removed:\n\n" + _tabulate(
        [lines[pruner] for pruner in places if pruner in lines]
    )


def _tabulate(lines: list[dict[str, str]]) -> str:
    return tabulate(lines, headers="keys", tablefmt="pipe", disable_numparse=True)
