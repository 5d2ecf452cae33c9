"""What the values of records are, by their names: as the metrics that give them declare it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple, cast

from prunebench.errors import RequestError
from prunebench.metrics.metric import Metric
from prunebench.metrics.scale import Scale
from prunebench.plugins import Entry, entries, find

OWN = "prunebench"
ZERO_MAPS = "zero_map_fraction"
WITHOUT_METRIC: Mapping[str, Scale] = {
    "accuracy_drop": Scale("accuracy", (-1, 1)),
    ZERO_MAPS: Scale("quality", (0, 1)),
}
"""Values that every record has of accuracies and maps, whatever its metrics."""


class Declaration(NamedTuple):
    """What is declared of a value.

    Attributes:
        scale: What its numbers are, in the metric's unit where it names none.
        metric: The class that gives it; None where no metric does.
    """

    scale: Scale
    metric: type[Metric] | None


class Declarations:
    """What the registered metrics declare of their values.

    Metrics of other packages are imported only for names that none of this package declares, and
    cannot declare such a name in another way.

    Args:
        registered: All metrics by name, with the packages that claim the name.
    """

    def __init__(self, registered: Mapping[str, tuple[Entry, ...]]) -> None:
        self.registered = registered
        self._found: dict[str, Declaration | None] = {}

    def find(self, name: str) -> Declaration | None:
        """Return what is declared of a value; None where no installed metric declares it.

        Args:
            name: The value's name in a record, such as ``sp2ps(variant=x)/grad-cam``.
        """
        if name not in self._found:
            self._found[name] = self._look_up(bare_name(name))
        return self._found[name]

    def spelling(self, name: str) -> Mapping[str, str]:
        """Return how words of a value's name are written: as the metric says that gives it.

        Metrics of this package share their words.
        """
        found = self.find(name)
        foreign = found.metric.spelling if found and found.metric else {}
        return {**foreign, **self._own_spelling}

    @cached_property
    def _own_spelling(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for metric in self._classes(own=True):
            found = {**metric.spelling, **found}
        return found

    def _look_up(self, name: str) -> Declaration | None:
        if name in WITHOUT_METRIC:
            return Declaration(WITHOUT_METRIC[name], None)
        found = (one for form, one in self._own if form.fullmatch(name))
        if (own := next(found, None)) is not None:
            return own
        return next((one for form, one in self._foreign if form.fullmatch(name)), None)

    @cached_property
    def _own(self) -> list[tuple[re.Pattern[str], Declaration]]:
        return [each for metric in self._classes(own=True) for each in _declared(metric)]

    @cached_property
    def _foreign(self) -> list[tuple[re.Pattern[str], Declaration]]:
        return [each for metric in self._classes(own=False) for each in _declared(metric)]

    def _classes(self, *, own: bool) -> Iterator[type[Metric]]:
        """Yield the classes of metrics of this package or of all others, without broken ones."""
        for claims in self.registered.values():
            for entry in claims:
                if (entry.package == OWN) is own:
                    with suppress(RequestError):
                        yield cast("type[Metric]", entry.plugin_class)


def _declared(metric: type[Metric]) -> Iterator[tuple[re.Pattern[str], Declaration]]:
    for form, scale in metric.own_values().items():
        if scale.unit is None:
            scale = replace(scale, unit=metric.unit)
        yield re.compile(form), Declaration(scale, metric)


def declarations() -> Declarations:
    """Return what the metrics that are registered now declare; they are read once."""
    global _latest
    registered = entries("metrics")
    if _latest is None or _latest.registered is not registered:
        _latest = Declarations(registered)
    return _latest


_latest: Declarations | None = None


def bare_name(name: str) -> str:
    """Return a value's name without parameters and explanation method: ``road`` of ``road/x``."""
    return re.split(r"[/(\[]", name, maxsplit=1)[0]


def declaration_of(name: str) -> Declaration | None:
    """Return what is declared of a value, by its name in a record; None if nothing is."""
    return declarations().find(name)


def scale_of(name: str) -> Scale | None:
    """Return what the numbers of a value are, by its name in a record; None if unknown."""
    found = declaration_of(name)
    return found.scale if found else None


def is_latency_ratio(name: str) -> bool:
    """Return whether a timed value is a ratio to the baseline's: as declared, else by its name."""
    scale = scale_of(name)
    if scale is None:
        return bare_name(name).endswith("_ratio")
    return scale.quantity == "latency ratio"


def main_values(metric: str) -> list[str]:
    """Return the forms of the names of which a record has one at least where it has a metric.

    Args:
        metric: The metric's registered name, without its member.

    Returns:
        Regular expressions; none where the metric is not installed or declares nothing.
    """
    try:
        found = cast("type[Metric]", find("metrics", metric).plugin_class)
    except RequestError:
        return []
    return [form for form, scale in found.own_values().items() if scale.main]
