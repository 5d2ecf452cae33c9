"""A published row beside the same row made again: what may differ, and by how much.

On a machine like the record's (processor, threads and packages equal) counts are the same, and
values are the same but for the order of sums, which a plugin may change without a new version:
``SUMMED``, a tenth of what its golden outputs allow. Elsewhere all is rounded in another way:

- without training, a prediction may tip where two classes are all but equal: ``ROUNDED``;
- training makes another network of it. No number says how far it may be, so the yardstick is what
  another draw of the images would do: half of the published 95% interval, at least ``POINTS``;
- what is counted does not depend on rounding, but which channels are removed may: ``CHANNEL``.

Times are compared as ratios to the baseline's, within ``FACTOR``; milliseconds are shown only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from prunebench.checking.level import CHANNEL
from prunebench.plugins import find
from prunebench.record import Record, Value

SAME = 1e-9
"""Relative: what writing and reading numbers may change."""
SUMMED = 1e-5
"""On a machine like the record's; one image of an accuracy is more."""
ROUNDED = 1e-3
"""Elsewhere, without training."""
POINTS = 5e-3
"""Elsewhere, after training: half a percentage point."""
RELATIVE = 0.05
"""Of values without a fixed range, and of counts that depend on which weights are zero."""
FACTOR = 2.0
"""Between two ratios of times: a machine that is busy or of another kind, not another network."""

COUNTED = re.compile(r"params|prunable_weights|macs|flops|flops_sp2ps|size_bytes")
WHICH_ZEROS = re.compile(r"nonzero_\w+|effective_macs|size_zipped_bytes|density")


class Figure(NamedTuple):
    """One published number and the same made again.

    Attributes:
        name: Of the value, or ``reached.macs`` and the like.
        published: As published; None where it has none, for a reason.
        rebuilt: Made again.
        tolerance: How far it may be off; None where it is not judged.
        met: Whether it is within; None where it is not judged.
        note: Why it could not be compared, or what the tolerance is of.
    """

    name: str
    published: float | None
    rebuilt: float | None
    tolerance: float | None
    met: bool | None
    note: str = ""

    @property
    def difference(self) -> float | None:
        """Rebuilt less published."""
        if self.published is None or self.rebuilt is None:
            return None
        return self.rebuilt - self.published


@dataclass(frozen=True)
class Reproduction:
    """A row and the same row made again.

    Attributes:
        published: The record.
        rebuilt: The record made again.
        elsewhere: What is not as it was: machine, packages, versions. Empty where all is the same,
            and values must be too.
        figures: Each number.
    """

    published: Record
    rebuilt: Record
    elsewhere: tuple[str, ...]
    figures: tuple[Figure, ...]

    @property
    def met(self) -> bool:
        """Whether every number that is judged is within its tolerance."""
        return all(figure.met is not False for figure in self.figures)


def compare(published: Record, rebuilt: Record) -> Reproduction:
    """Holds a published record and the same made again side by side."""
    elsewhere = tuple(_elsewhere(published, rebuilt))
    figures = [*_reached(published, rebuilt, bool(elsewhere))]
    for name, value in published.values.items():
        figures.append(_figure(name, value, rebuilt.values.get(name), published, bool(elsewhere)))
    return Reproduction(published, rebuilt, elsewhere, tuple(figures))


def _elsewhere(published: Record, rebuilt: Record) -> Iterator[str]:
    theirs, ours = published.provenance, rebuilt.provenance
    for name in ("processor", "accelerator", "threads"):
        yield from _differences(name, theirs.get(name), ours.get(name))
    # What only one of them tells of was not written down at the time of the other.
    there, here = (_mapping(provenance.get("packages")) for provenance in (theirs, ours))
    for name in sorted(there.keys() & here.keys()):
        yield from _differences(name, there[name], here[name])
    for name, version in _mapping(theirs.get("plugins")).items():
        if not _takes_times(name):
            yield from _differences(name, version, _mapping(ours.get("plugins")).get(name))
    for name in ("device", "precision", "versions"):
        pair = (getattr(record.conditions, name) for record in (published, rebuilt))
        yield from _differences(name, *pair)
    if not theirs.get("plugins") or published.keys.get("network") != rebuilt.keys.get("network"):
        yield "the network's key is another: versions, device or weights are not as they were"


def _differences(name: str, there: Any, here: Any) -> Iterator[str]:
    if there != here:
        yield f"{name}: {there!r} published, {here!r} here"


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _takes_times(plugin: str) -> bool:
    """Whether a plugin, as ``metrics/latency``, measures times: they differ in any case."""
    kind, _, name = plugin.partition("/")
    return getattr(find(kind, name).plugin_class, "carries", "") == "hardware"


def _reached(published: Record, rebuilt: Record, elsewhere: bool) -> Iterator[Figure]:
    tolerance = SAME if not elsewhere else ROUNDED if _shape_is_given(published) else CHANNEL
    ours = rebuilt.reached.model_dump()
    for name, gone in published.reached.model_dump().items():
        met = abs(ours[name] - gone) <= tolerance
        yield Figure(f"reached.{name}", gone, ours[name], tolerance, met)


def _shape_is_given(record: Record) -> bool:
    """Whether the level alone, and no criterion, decides the network's shape."""
    return record.axis in ("none", "masked")


def _figure(
    name: str, published: Value, rebuilt: Value | None, record: Record, elsewhere: bool
) -> Figure:
    before, after = published.mean, rebuilt.mean if rebuilt else None
    if before is None or after is None:
        reason = published.reason if before is None else rebuilt.reason if rebuilt else None
        met = None if published.measured else before is None and after is None
        return Figure(name, before, after, None, met, reason or "there is no such value")
    if published.measured:
        if not name.endswith("_ratio"):
            return Figure(name, before, after, None, None, "a time")
        factor = max(before, after) / min(before, after) if min(before, after) > 0 else math.inf
        tolerance = max(before, after) * (1 - 1 / FACTOR)
        return Figure(name, before, after, tolerance, factor <= FACTOR, f"within ×{FACTOR:g}")
    tolerance = _elsewhere_off(name, published, record) if elsewhere else _here_off(name, before)
    return Figure(name, before, after, tolerance, abs(after - before) <= tolerance)


def _here_off(name: str, value: float) -> float:
    """How far a value made on a machine like the record's may be off."""
    counted = COUNTED.fullmatch(name) or WHICH_ZEROS.fullmatch(name)
    return (SAME if counted else SUMMED) * max(1.0, abs(value))


def _elsewhere_off(name: str, value: Value, record: Record) -> float:
    """How far a value made elsewhere may be off."""
    size = abs(value.mean or 0.0)
    trained = bool(record.curves)
    if COUNTED.fullmatch(name):
        if _shape_is_given(record):
            return SAME * max(1.0, size)
        gone = record.reached.macs if "macs" in name or "flops" in name else record.reached.params
        return CHANNEL * size / max(1 - gone, CHANNEL)
    if WHICH_ZEROS.fullmatch(name):
        return RELATIVE * size
    if not trained:
        return ROUNDED * max(1.0, size)
    width = 0.0 if value.low is None or value.high is None else (value.high - value.low) / 2
    return max(POINTS if size <= 1 else RELATIVE * size, width)
