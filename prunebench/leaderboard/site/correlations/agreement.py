"""How the orders of pruners agree, in words, numbers and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.agreement import (
    LEAST_PRUNERS,
    Order,
    OrderAgreement,
    compare_orders,
    describe_taus,
    list_leaders,
)
from prunebench.leaderboard.board.grid import Axis
from prunebench.leaderboard.board.rescaling import list_preservation_values
from prunebench.leaderboard.site.correlations.figures import draw_matrix, title_value
from prunebench.leaderboard.site.families import title_of
from prunebench.leaderboard.site.pruners.lines import name_pruned_count
from prunebench.leaderboard.writers.cells import plain

MOST_COMPARED = 14  # orders in one matrix
MOST_METHODS = 3  # whose metrics are compared
MOST_NAMED = 20  # pruners named as left out


def make_agreement_view(section: Section, axis: Axis) -> dict[str, Any] | None:
    """Return what a page tells of how pruners' orders agree; None if none can be compared."""
    kept = sorted(list_preservation_values(section.control))
    found = compare_orders(section.rows, axis, ["accuracy", *kept])
    if found is None:
        return None
    orders = {order.name: order for order in found.orders}
    by_cam = [name for name in orders if name.startswith("sp2ps/")]
    cams = {name.partition("/")[2]: None for name in orders if "/" in name}
    comparisons = [_comparison(found, by_cam, "explanation methods", "Sp2PS")]
    for cam in list(cams)[:MOST_METHODS]:
        names = [name for name in orders if name == "accuracy" or name.endswith(f"/{cam}")]
        comparisons.append(_comparison(found, names, "metrics", plain(cam)))
    return {
        "at": f"{100 * found.at:.1f}%",
        "removed": name_pruned_count(axis),
        "pruners": len(found.pruners),
        "comparisons": [each for each in comparisons if each],
        "summary": _summary([each for each in comparisons if each]),
        "first": [_make_leader_line(order) for order in found.orders],
        "left_out": [(plain(p), why) for p, why in list(found.left_out.items())[:MOST_NAMED]],
    }


def _comparison(
    found: OrderAgreement, names: Sequence[str], what: str, where: str
) -> dict[str, Any] | None:
    """Return who leads by each of some values, and how alike their orders are."""
    names = list(names)[:MOST_COMPARED]
    if len(names) < 2:
        return None
    methods = what == "explanation methods"
    titles = [plain(n.partition("/")[2]) if methods else title_of(n) for n in names]
    orders = [order for order in found.orders if order.name in names]
    winners = _describe_leaders(orders, dict(zip(names, titles, strict=True)), what)
    taus = found.taus(names)
    known = [v for i, line in enumerate(taus) for v in line[:i] if v is not None]
    drawn = alt = None
    alike = (
        f"The orders of {len(found.pruners)} pruners are not compared: it takes {LEAST_PRUNERS}."
    )
    if known:
        ends = dict.fromkeys(f"{value:.2f}" for value in (min(known), max(known)))
        alike = f"The orders are {describe_taus(known)}: Kendall's τ-b {' to '.join(ends)}."
        drawn = draw_matrix(titles, taus)
        pairs = [
            f"{titles[i]} and {titles[j]} {value:.2f}"
            for i, line in enumerate(taus)
            for j, value in enumerate(line[:i])
            if value is not None
        ]
        alt = f"Kendall's τ-b between orders of {len(found.pruners)} pruners: {'; '.join(pairs)}."
    return {
        "title": f"Between {what}" + (", by Sp2PS" if methods else f", under {where}"),
        "where": where,
        "winners": winners,
        "alike": alike,
        "known": bool(known),
        "figure": drawn,
        "alt": alt,
    }


def _summary(comparisons: Sequence[dict[str, Any]]) -> list[str]:
    """Write the comparisons in a few sentences, methods with the same outcome together."""
    told: dict[str, list[str]] = {}
    lines = []
    for each in comparisons:
        if each["where"] == "Sp2PS":
            lines.append(f"{each['winners']} {each['alike'] if each['known'] else ''}".strip())
        else:
            told.setdefault(each["winners"], []).append(each["where"])
    lines += [f"Under {_join_words(cams)}: {winners}" for winners, cams in told.items()]
    return lines


def _join_words(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _describe_leaders(orders: Sequence[Order], titles: dict[str, str], what: str) -> str:
    """Write such as "l1-filter leads under 3 of 4 explanation methods, fpgm under cam."."""
    by, total = ("under" if what == "explanation methods" else "by"), len(orders)
    led = list_leaders(orders)
    parts = []
    for index, (pruner, names) in enumerate(led.items()):
        verb = "leads " if index == 0 else ""
        if len(names) == total:
            many = "both" if total == 2 else f"all {total}"
            return f"{plain(pruner)} leads {by} {many} {what}."
        listed = ", ".join(titles[name] for name in names)
        count = f"{len(names)} of {total} {what} ({listed})" if len(names) > 1 else listed
        parts.append(f"{plain(pruner)} {verb}{by} {count}")
    return "; ".join(parts) + "."


def _make_leader_line(order: Order) -> dict[str, Any]:
    height = order.heights[order.leader]
    others = len(order.tied)
    return {
        "title": title_value(order.name),
        "pruner": plain(order.leader),
        "value": f"{height.value:.3f}",
        "bounds": f"[{height.low:.3f}, {height.high:.3f}]" if height.high > height.low else "",
        "tied": f"{others} other{'s' if others > 1 else ''}" if others else "none",
    }
