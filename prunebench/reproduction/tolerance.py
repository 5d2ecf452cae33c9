"""How far a value that was made again may be off: see ``verdict.py``."""

from __future__ import annotations

from prunebench.errors import RequestError
from prunebench.metrics.scale import COUNTS
from prunebench.plugins import find
from prunebench.record import Record, Value
from prunebench.record.checking.level import CHANNEL
from prunebench.record.checking.spread import ratios, spread
from prunebench.record.checking.times import find_times
from prunebench.record.scales import ZERO_MAPS, bare_name, scale_of

SAME = 1e-9
"""Relative: what writing and reading numbers may change."""
SUMMED = 1e-5
"""On a machine like the record's; one image of an accuracy is more."""
ROUNDED = 1e-3
"""Elsewhere, without training."""
POINTS = 5e-3
"""Elsewhere, after training: half a percentage point, of a value that is not small."""
RELATIVE = 0.05
"""Of small values, of those without a fixed range, of counts that depend on which weights are
zero, and of a ratio of times: what a machine's memory and clock change from run to run."""
WIDENED = 3.0
"""Of the spread of both rows' times: two runs differ by more than passes within one."""
FACTOR = 2.0
"""Between ratios of times elsewhere, or of too few times: a machine of another kind."""


def is_shape_given(record: Record) -> bool:
    """Return whether the level alone, and no criterion, decides the network's shape."""
    return record.axis in ("none", "masked")


def find_tolerance_of_reached(record: Record, elsewhere: bool) -> float:
    """Return how far the fractions removed may be off."""
    return SAME if not elsewhere else ROUNDED if is_shape_given(record) else CHANNEL


def find_tolerance_here(name: str, value: float) -> float:
    """Return how far a value made on a machine like the record's may be off."""
    scale = scale_of(name)
    return (SAME if scale and scale.quantity in COUNTS else SUMMED) * max(1.0, abs(value))


def find_tolerance_elsewhere(name: str, published: Value, rebuilt: Value, record: Record) -> float:
    """Return how far a value made elsewhere may be off.

    Args:
        name: The value's name.
        published: As published.
        rebuilt: Made again.
        record: The record made again, which says how it was made.
    """
    size, scale = abs(published.mean or 0.0), scale_of(name)
    if scale and scale.quantity in COUNTS:
        if scale.depends_on_zeros:
            return RELATIVE * size
        if is_shape_given(record):
            return SAME * max(1.0, size)
        reached = record.reached
        removed = reached.macs if scale.quantity == "operations" else reached.params
        return CHANNEL * size / max(1 - removed, CHANNEL)
    width = min(_half_interval(published, rebuilt), _half_interval(rebuilt, rebuilt))
    if bare_name(name) == ZERO_MAPS:  # a share of images that has no interval
        width = 1 / max(record.conditions.explained_images, 1)
    if not record.curves and not _is_learnt(name):
        image = 1 / rebuilt.n if rebuilt.n else width
        return max(ROUNDED * size, min(width, image))
    return max(min(POINTS, RELATIVE * size) if size <= 1 else RELATIVE * size, width)


def _is_learnt(name: str) -> bool:
    """Return whether a value is of an explanation method that is trained."""
    cam = name.partition("/")[2].partition("(")[0]
    try:
        return bool(cam) and getattr(find("cams", cam).plugin_class, "learns", False)
    except RequestError:
        return False


def _half_interval(value: Value, otherwise: Value) -> float:
    """Return half of the 95% interval of a value, or of another one where it has none."""
    for found in (value, otherwise):
        if found.low is not None and found.high is not None:
            return (found.high - found.low) / 2
    return 0.0


def find_tolerance_of_ratio(
    name: str, published: Record, rebuilt: Record, elsewhere: bool
) -> tuple[float, str]:
    """Return how far a ratio of times may be off, and what that is made from.

    A wide spread of published times allows no more than that of the times taken here.
    """
    before, after = published.mean(name) or 0.0, rebuilt.mean(name) or 0.0
    loose = max(before, after) * (1 - 1 / FACTOR)
    times = [find_times(record, name) for record in (published, rebuilt)]
    theirs, ours = (spread(ratios(each)) if each else None for each in times)
    if elsewhere or theirs is None or ours is None:
        return loose, f"within ×{FACTOR:g}"
    # The farther of two medians is off by the sum of what each may be off.
    tight = WIDENED * (ours.half + min(ours.half, theirs.half))
    return min(loose, max(tight, RELATIVE * before)), f"the spread of times, ×{WIDENED:g}"
