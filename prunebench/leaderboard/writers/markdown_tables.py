"""The tables of one section in markdown: rows by axis, and trust horizons."""

from __future__ import annotations

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.budget import find_budgets
from prunebench.leaderboard.board.grid import Axis
from prunebench.leaderboard.board.rank import AxisRanking, PrunerRank
from prunebench.leaderboard.board.roles import describe_reference
from prunebench.leaderboard.board.rows import Estimate, Row, explain_undefined
from prunebench.leaderboard.board.seeds import is_preliminary
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain
from prunebench.leaderboard.writers.markup import Notes, escape, make_table
from prunebench.record.comparable import SMALLER
from prunebench.trust import THRESHOLDS


def make_rows(section: Section, axis: Axis | str) -> str:
    """Return the rows of one axis with their footnotes and legend.

    Args:
        section: A section of the board.
        axis: One that it has rows on.
    """
    table, notes = section.table(axis), Notes()
    budgets = find_budgets(section.rows)
    rows = [row for row, _ in table]
    judged = [cam for cam in section.cams if cam in THRESHOLDS]
    latency = cells.choose_latency(rows)
    lines = []
    for row, place in table:
        budget = budgets.get(row.first.id)
        about = (*(budget.describe() if budget else ()), *row.flags)
        # Where a section is closed, it says so once, and has no places.
        rank = {} if section.standing.closed else {"Rank": _rank(place, notes)}
        line = {
            **rank,
            "Pruner": _pruner(row) + "".join(map(notes.mark, about)),
            "Level": cells.format_asked(row),
            "Seeds": _add_small(row.seeds, "preliminary" if is_preliminary(row) else ""),
            "Accuracy %": _add_small(
                cells.format_percent(row.get("accuracy")),
                cells.format_percent_bounds(row.get("accuracy")),
            ),
            "Change": cells.format_change(row, section.baseline),
            "Params": _add_small(cells.format_count(row.get("params")), _pruned(row, "params")),
            "MACs": _add_small(cells.format_count(row.get("macs")), _pruned(row, "macs")),
        }
        if axis == "masked":
            line["Weights pruned"] = cells.format_pruned(row.reached.weights)
        line["Images seen"] = cells.format_count(Estimate(float(row.images_seen)))
        if latency:
            title = latency.removeprefix("latency_").replace("_", " ")
            line[f"Latency ({escape(title)})"] = cells.format_latency(row, latency) + notes.mark(
                cells.explain_latency(row, latency)
            )
        for cam in section.cams:
            value = row.get(f"sp2ps/{cam}")
            line[f"Sp2PS {escape(cam)}"] = _add_small(
                cells.format_score(value), cells.format_score_bounds(value)
            ) + notes.mark(explain_undefined(row, value))
        if section.cams:
            line[f"Rescaled Sp2PS ({' · '.join(map(escape, section.cams))})"] = _rescaled(
                row, section, notes
            )
            line[f"PE-score ({' · '.join(map(escape, section.cams))})"] = " · ".join(
                cells.format_score(row.get(f"pe_score/{cam}")) for cam in section.cams
            )
        if judged:
            line[f"Trusted ({' · '.join(map(escape, judged))})"] = cells.format_verdicts(
                row, judged
            )
        lines.append(line)
    parts = [f"#### {cells.name_axis(axis)}", make_table(lines)]
    parts += [text for text in (str(notes), _legend(section, axis, rows)) if text]
    return "\n\n".join(parts)


def _rank(place: PrunerRank | None, notes: Notes) -> str:
    note = f"not ranked: {place.reason}" if place and not place.ranked else None
    return cells.format_place(place) + notes.mark(note)


def _pruner(row: Row) -> str:
    if row.first.role == "control":
        return f"*`{plain(row.first.pruner_name)}`: fine-tuning only*"
    reference = describe_reference(row.first)
    return escape(row.first.pruner) if reference is None else f"*{escape(reference)}*"


def _rescaled(row: Row, section: Section, notes: Notes) -> str:
    found = [section.rescaled(row, f"sp2ps/{cam}") for cam in section.cams]
    cells_of = [cells.format_rescaled(each) + notes.mark(each.reason) for each in found]
    # One reason for all methods is said once.
    return cells_of[0] if found[0].reason and len(set(cells_of)) == 1 else " · ".join(cells_of)


def _pruned(row: Row, count: str) -> str:
    if row.first.role not in SMALLER:
        return ""
    return f"{cells.format_pruned(getattr(row.reached, count))} pruned"


def _add_small(value: str, small: str) -> str:
    return f"{value} <sub>{small}</sub>" if small and value != "–" else value


def _legend(section: Section, axis: Axis | str, rows: list[Row]) -> str:
    text = f"95% confidence intervals: {escape(cells.name_intervals(rows))}."
    ranking = next((found for name, found in section.rankings.items() if name == axis), None)
    return text + _scores(ranking) if ranking else text


def _scores(ranking: AxisRanking) -> str:
    scored = [place for place in ranking.places if place.score is not None]
    if not scored:
        return ""
    what = "weights" if ranking.axis == "masked" else "MACs"
    at = ", ".join(f"{100 * x:.3g}%" for x in ranking.grid)
    scores = "; ".join(map(_score, scored))
    cams = ", ".join(map(escape, ranking.cams))
    least = ranking.smallest_difference
    told = f" Differences below {least:.3f} are not told apart." if least is not None else ""
    return f" Scores ({cams}; {what} pruned: {at}): {scores}.{told}"


def _score(place: PrunerRank) -> str:
    over = f"{place.seeds} seed{'s' if place.seeds != 1 else ''}"
    if place.low is not None and place.high is not None:
        over = f"[{place.low:.3f}, {place.high:.3f}], {over}"
    return f"{escape(place.pruner)} {place.score or 0:.3f} ({over})"


def make_horizons(section: Section, axis: Axis) -> str:
    """Return the trust horizons on one axis; only why, where none is known.

    Args:
        section: A section of the board.
        axis: One of its rankings.
    """
    found = [horizon for horizon in section.horizons if horizon.axis == axis]
    what = f"Trust horizon, {'weights' if axis == 'masked' else 'MACs'} pruned"
    if all(horizon.outcome.state is None for horizon in found):
        reasons = dict.fromkeys(str(horizon.outcome.reason) for horizon in found)
        more = f", and {len(reasons) - 1} more reasons" if len(reasons) > 1 else ""
        return f"{what}: not told: {escape(next(iter(reasons), 'there is none'))}{more}."
    lines: dict[str, dict[str, str]] = {}
    for horizon in found:
        line = lines.setdefault(horizon.pruner, {"Pruner": escape(horizon.pruner)})
        relative = horizon.versus != "published"
        versus = "within 0.05 of `none`" if relative else f"{horizon.threshold:.2f}"
        line[f"{escape(horizon.cam)}: {versus}"] = escape(str(horizon.outcome))
    places = [place.pruner for place in section.rankings[axis].places]
    return f"{what}:\n\n" + make_table([lines[pruner] for pruner in places if pruner in lines])
