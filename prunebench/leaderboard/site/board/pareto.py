"""The Pareto front: rows that no other row beats in everything at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prunebench.leaderboard.board.references import list_cams
from prunebench.leaderboard.board.rows import Row

Point = tuple[float, float, float]


def mark_front(points: Sequence[Point]) -> list[bool]:
    """Return for each point whether no other point dominates it.

    A point dominates another if it is at least as high in all three and higher in one; equal
    points do not dominate each other. Points are taken in falling order, so that only earlier
    ones can dominate, and a staircase of the best second and third numbers is kept: O(n log n).

    Args:
        points: Three numbers each, higher is better.
    """
    best: set[Point] = set()
    second: list[float] = []  # rising
    third: list[float] = []  # falling: the best third number at each step of the staircase
    for point in sorted(set(points), reverse=True):
        _, b, c = point
        step = bisect_left(second, b)
        if step < len(second) and third[step] >= c:
            continue
        best.add(point)
        start = bisect_left(second, b)
        while start > 0 and third[start - 1] <= c:
            start -= 1
        end = start
        while end < len(second) and second[end] <= b and third[end] <= c:
            end += 1
        second[start:end] = [b]
        third[start:end] = [c]
    return [point in best for point in points]


def mark_pareto(rows: Iterable[Row], control: Row | None) -> dict[str, bool | str]:
    """Mark compressed rows of one protocol, axis by axis.

    They compete in accuracy, in what they save on their own axis (MACs, or weights where these
    are masked), and in the mean Sp2PS over the methods that the ranking averages.

    Args:
        rows: Rows of one protocol.
        control: The ``none`` control, whose methods count; without one, those of each row.

    Returns:
        By the id of a row's first record: whether it is on the front, or why that is not known.
    """
    names = [f"sp2ps/{cam}" for cam in list_cams(control)]
    found: dict[str, bool | str] = {}
    axes: dict[str, dict[str, Point]] = {}
    for row in rows:
        if row.first.role == "compressed":
            point = _make_point(row, names)
            if isinstance(point, str):
                found[row.first.id] = point
            else:
                axes.setdefault(row.first.axis, {})[row.first.id] = point
    for points in axes.values():
        found |= zip(points, mark_front(list(points.values())), strict=True)
    return found


def _make_point(row: Row, names: Sequence[str]) -> Point | str:
    """Return the row's three numbers, or say which one it lacks."""
    if row.missing:
        return f"{row.seeds} seeds"
    accuracy = row.get("accuracy").mean
    if accuracy is None:
        return "accuracy is not known"
    names = names or [name for name in row.estimates if name.startswith("sp2ps/")]
    values = [row.get(name).mean for name in names]
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return "Sp2PS is not known under every method"
    return accuracy, row.pruned, sum(known) / len(known)
