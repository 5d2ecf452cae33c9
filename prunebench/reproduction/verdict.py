"""A published row beside the same row made again: what may differ, and by how much.

On a machine like the record's (processor, threads and packages equal) counts are the same, and
values are the same but for the order of sums, which a plugin may change without a new version:
``SUMMED``, a tenth of what its golden outputs allow. Elsewhere all is rounded in another way:

- without training, a prediction may tip where two classes are all but equal: ``ROUNDED``;
- training makes another network of it. No number says how far it may be, so the yardstick is what
  another draw of the images would do: half of the 95% interval, the published one or the one made
  here, whichever is narrower, and at least ``POINTS``, or ``RELATIVE`` of a small value;
- what is counted does not depend on rounding, but which channels are removed may: ``CHANNEL``.

Times are compared as ratios to the baseline's: on a machine like the record's within the spread of
both rows' times, elsewhere within a factor of ``FACTOR``; milliseconds are shown only. The numbers
are in ``tolerance.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prunebench.plugins import find
from prunebench.record import Record
from prunebench.record.scales import is_latency_ratio
from prunebench.reproduction.predictions import compare_predictions
from prunebench.reproduction.reproduced_number import ReproducedNumber
from prunebench.reproduction.tolerance import (
    find_tolerance_elsewhere,
    find_tolerance_here,
    find_tolerance_of_ratio,
    find_tolerance_of_reached,
)


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
    figures: tuple[ReproducedNumber, ...]

    @property
    def met(self) -> bool:
        """Whether every number that is judged is within its tolerance."""
        return all(figure.met is not False for figure in self.figures)


def compare(published: Record, rebuilt: Record) -> Reproduction:
    """Hold a published record and the same made again side by side."""
    elsewhere = tuple(_find_differences(published, rebuilt))
    figures = [*_compare_reached(published, rebuilt, bool(elsewhere))]
    for name in {**published.values, **rebuilt.values}:
        figures.append(_compare_value(name, published, rebuilt, bool(elsewhere)))
    figures += compare_predictions(published, rebuilt, bool(elsewhere))
    return Reproduction(published, rebuilt, elsewhere, tuple(figures))


def _find_differences(published: Record, rebuilt: Record) -> Iterator[str]:
    theirs, ours = published.provenance, rebuilt.provenance
    for name in ("processor", "accelerator", "threads"):
        yield from _compare_entries(name, theirs.get(name), ours.get(name))
    # What only one of them tells of was not written down at the time of the other.
    there, here = (_as_mapping(provenance.get("packages")) for provenance in (theirs, ours))
    for name in sorted(there.keys() & here.keys()):
        yield from _compare_entries(name, there[name], here[name])
    for name, version in _as_mapping(theirs.get("plugins")).items():
        if not _takes_times(name):
            yield from _compare_entries(name, version, _as_mapping(ours.get("plugins")).get(name))
    for name in ("device", "precision", "versions"):
        pair = (getattr(record.conditions, name) for record in (published, rebuilt))
        yield from _compare_entries(name, *pair)
    if not theirs.get("plugins") or published.keys.get("network") != rebuilt.keys.get("network"):
        yield "the network's key is another: versions, device or weights are not as they were"


def _compare_entries(name: str, there: Any, here: Any) -> Iterator[str]:
    if there != here:
        yield f"{name}: {there!r} published, {here!r} here"


def _as_mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _takes_times(plugin: str) -> bool:
    """Return whether a plugin, as ``metrics/latency``, takes times: they always differ."""
    kind, _, name = plugin.partition("/")
    return getattr(find(kind, name).plugin_class, "carries", "") == "hardware"


def _compare_reached(
    published: Record, rebuilt: Record, elsewhere: bool
) -> Iterator[ReproducedNumber]:
    tolerance = find_tolerance_of_reached(rebuilt, elsewhere)
    ours = rebuilt.reached.model_dump()
    for name, gone in published.reached.model_dump().items():
        met = abs(ours[name] - gone) <= tolerance
        yield ReproducedNumber(f"reached.{name}", gone, ours[name], tolerance, met)


def _compare_value(
    name: str, published: Record, rebuilt: Record, elsewhere: bool
) -> ReproducedNumber:
    theirs, ours = published.values.get(name), rebuilt.values.get(name)
    before, after = (value.mean if value else None for value in (theirs, ours))
    # Whether it is a time is for the plugin to say that measured it here, not for the record.
    timed = ours is not None and ours.measured
    if theirs is None or ours is None or before is None or after is None:
        reason = (theirs.reason if theirs else "is not published") if before is None else None
        reason = reason or (ours.reason if ours else None) or "there is no such value"
        same = theirs is not None and ours is not None and before is None and after is None
        met = None if elsewhere and (timed or theirs is None) else same
        return ReproducedNumber(name, before, after, None, met, reason)
    if timed and not is_latency_ratio(name):
        return ReproducedNumber(name, before, after, None, None, "a time")
    note = ""
    if timed:
        tolerance, note = find_tolerance_of_ratio(name, published, rebuilt, elsewhere)
    elif elsewhere:
        tolerance = find_tolerance_elsewhere(name, theirs, ours, rebuilt)
    else:
        tolerance = find_tolerance_here(name, before)
    return ReproducedNumber(name, before, after, tolerance, abs(after - before) <= tolerance, note)
