"""The numbers of a record: single values, and means over images with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prunebench.plan.trial import Cell, Trial
from prunebench.record import Value
from prunebench.record.fields import LARGEST_NUMBER
from prunebench.recording.predictions import list_explained
from prunebench.store import Store

if TYPE_CHECKING:
    from torch import Tensor

    from prunebench.intervals import Interval


def values(trial: Trial, store: Store, failed: dict[str, str]) -> Iterator[tuple[str, Value]]:
    """Yield everything published of a network, by name.

    Args:
        trial: The network.
        store: Where its artefacts are.
        failed: Messages of failed steps, by key; their values are null with this reason.
    """
    for cell in trial.known:
        suffix = cell.step.plugin.variant + (f"/{cell.cam}" if cell.cam else "")
        if not store.has(cell.step.key):
            if cell not in trial.cells:
                continue  # not asked for this time
            reason = failed.get(cell.step.key, "not computed: a step it needs failed")
            yield _missing(cell), Value(mean=None, reason=reason[:300])
            continue
        artefact = store.read(cell.step.key)
        if missing := artefact.data.get("not_applicable"):
            yield _missing(cell), Value(mean=None, reason=missing)
        timed = artefact.data["measured"]
        for name, number in artefact.data["values"].items():
            yield name + suffix, _number(number, timed)
        for name, each in artefact.tensors.items():
            yield name + suffix, _mean(each)
    yield from _accuracy_drop(trial, store)
    for step in list_explained(trial.known):
        if store.has(step.key):
            share = store.read(step.key).data["zero_map_fraction"]
            yield f"zero_map_fraction/{step.plugin.label}", Value(mean=share)


def _accuracy_drop(trial: Trial, store: Store) -> Iterator[tuple[str, Value]]:
    from prunebench.intervals import paired_drop

    def per_image(cells: tuple[Cell, ...]) -> Tensor | None:
        step = next((cell.step for cell in cells if cell.metric == "accuracy"), None)
        if step is None or not store.has(step.key):
            return None
        return store.read(step.key).tensors["accuracy"]

    ours, base = per_image(trial.known), per_image(trial.compared_with.known)
    if ours is not None and base is not None:
        drop = paired_drop(base.double().numpy(), ours.double().numpy())
        yield "accuracy_drop", _from_interval(drop)


def _missing(cell: Cell) -> str:
    """Return what a value is called that is not there: its metric, with all parameters."""
    chosen = cell.step.plugin
    name: str = chosen.name.replace("-", "_").replace("/", "_")
    told = chosen.label.removeprefix(chosen.name)
    return f"{name}{told}/{cell.cam}" if cell.cam else f"{name}{told}"


def _number(number: float, timed: bool) -> Value:
    if (reason := _find_excess(number)) is not None:
        return Value(mean=None, reason=reason, measured=timed)
    return Value(mean=number, measured=timed)


def _find_excess(number: float) -> str | None:
    """Say why a number is none that a record can hold; None if it is one."""
    if not math.isfinite(number):
        return f"not a finite number: {number}"
    if abs(number) > LARGEST_NUMBER:
        return f"{number:.3g} is beyond the {LARGEST_NUMBER:g} that a record can hold"
    return None


def _mean(each: Tensor) -> Value:
    from prunebench.intervals import mean_interval

    return _from_interval(mean_interval(each.double().numpy()))


def _from_interval(interval: Interval) -> Value:
    if interval.mean is None:
        return Value(
            mean=None, n=0, undefined=interval.undefined, reason="undefined for every image"
        )
    for number in (interval.mean, interval.low or 0.0, interval.high or 0.0):
        if (reason := _find_excess(number)) is not None:
            undefined = interval.undefined + interval.n
            return Value(mean=None, n=0, undefined=undefined, reason=reason)
    return Value(
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        interval=interval.method,
        n=interval.n,
        undefined=interval.undefined,
    )
