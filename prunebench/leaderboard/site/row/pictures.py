"""The pictures of a row's page: maps, what moved most, and what the method shows of its work."""

from __future__ import annotations

from typing import Any

from prunebench.leaderboard.writers.cells import plain
from prunebench.record import Moved, Record


def list_pictures(record: Record) -> dict[str, Any]:
    """Return a record's pictures; without its images if these are withheld."""
    withheld = record.pictures_withheld
    return {
        "withheld": plain(withheld) if withheld else None,
        "heatmaps": [
            {"image": one.image, "cam": one.cam, "png": one.png}
            for one in record.heatmaps
            if one.cam is not None or not withheld
        ],
        "moved": [_moved(one, record) for one in record.moved],
        "pictures": [{"name": plain(name), "png": png} for name, png in record.pictures.items()],
    }


def _moved(one: Moved, record: Record) -> dict[str, Any]:
    return {
        "image": one.image,
        "cam": plain(one.cam),
        "sp2ps": f"{one.sp2ps:.3f}",
        "was": name_class(one.baseline_class, record),
        "is": name_class(one.own_class, record),
        "png": None if record.pictures_withheld else one.png,
        "before": one.before,
        "after": one.after,
    }


def name_class(number: int | None, record: Record) -> str:
    """Return a class's name, or its number where the record has no names."""
    if number is None:
        return "not known"
    named = number < len(record.classes)
    return plain(record.classes[number]) if named else f"class {number}"
