"""Who is damaged, on a row's page: the class, and the images, that a network gave up."""

from __future__ import annotations

from typing import Any

from prunebench.intervals import LEAST_SEEDS
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.damage import (
    ClassChange,
    Exemplars,
    find_exemplars,
    find_worst_class,
)
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.site.row.pictures import name_class
from prunebench.leaderboard.writers.cells import plain
from prunebench.record import Changed, Record
from prunebench.record.comparable import SMALLER


def describe_damage(row: Row, section: Section) -> dict[str, Any] | None:
    """Return sentences, a table and pictures of who is damaged; None where nothing is known."""
    record = row.first
    if record.role not in (*SMALLER, "control"):
        return None
    worst = find_worst_class(row, section.references.control)
    found = find_exemplars(row, section.baseline)
    if worst is None and found is None:
        return None
    said = [] if worst is None else [_tell_class(worst, record)]
    said.append(_tell_exemplars(found, row))
    return {
        "said": said,
        "table": {
            "head": ["Explanation method", "Sp2PS on these images", "on all others"],
            "rows": [
                [plain(cam), f"{on:.3f}", f"{rest:.3f}"]
                for cam, (on, rest) in (found.sp2ps if found else {}).items()
            ],
        },
        "pictures": [_picture(one, record) for one in (found.pictures if found else ())],
    }


def _tell_class(worst: ClassChange, record: Record) -> str:
    if worst.change >= 0:
        return "No class lost recall against `none`."
    change = f"{_points(worst.change)} points (too few seeds for an interval)"
    if worst.low is not None and worst.high is not None:
        between = f"[{_points(worst.low)}, {_points(worst.high)}]"
        change = f"{_points(worst.change)} {between} points"
    return f"“{name_class(worst.index, record)}” lost most: its recall changes by {change}."


def _points(fraction: float) -> str:
    text = f"{100 * fraction:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def _tell_exemplars(found: Exemplars | None, row: Row) -> str:
    if found is None and len(row.records) < LEAST_SEEDS:
        return f"Which images it changes for good takes {LEAST_SEEDS} seeds."
    if found is None:
        return "The records do not tell what each image is taken for."
    return (
        f"On {len(found.places)} of {found.explained} images the networks of all "
        f"{len(row.records)} seeds predict one class, and most baselines another "
        "(pruning-identified exemplars)."
    )


def _picture(one: Changed, record: Record) -> dict[str, Any]:
    return {
        "image": one.image,
        "was": name_class(one.baseline_class, record),
        "is": name_class(one.own_class, record),
        "label": name_class(one.label, record),
        "png": one.png,
    }
