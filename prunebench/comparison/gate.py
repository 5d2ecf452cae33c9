"""Conditions that a comparison must meet, for continuous integration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from prunebench.comparison.measures import MEASURES
from prunebench.errors import RequestError, did_you_mean
from prunebench.intervals import Interval, mean_interval
from prunebench.trust import MOST_UNDEFINED

if TYPE_CHECKING:
    from prunebench.comparison.compared import ComparedNetworks

NO_LABELS = (
    "a bound on the drop of accuracy needs labels: give labels=..., or on the command line one "
    "folder of images a class, as many as the networks have classes"
)
AGREEMENT = "agreement"
MAX_DROP = "max_drop"
BOUNDED = (*(name for name in MEASURES if name != "sam"), AGREEMENT)
"""What a condition may bound from below, beside the drop of accuracy."""

Least = float | Mapping[str, float] | None
"""A least value by every explanation method, or by each that is named; None: no condition."""


@dataclass(frozen=True)
class Condition:
    """A bound on a comparison.

    Attributes:
        name: What is bounded: one of ``BOUNDED``, or ``max_drop``.
        bound: The least value; of ``max_drop`` the most points of accuracy.
        cam: The explanation method that is meant; None for every one.
    """

    name: str
    bound: float
    cam: str | None = None


@dataclass(frozen=True)
class CheckedCondition:
    """A condition and what was found.

    Attributes:
        condition: The bound, of one explanation method where it bounds maps.
        met: Whether it is met.
        mean: What was found; None where there is no value.
        end: The worse end of its interval, or the mean again: what is held against the bound.
        images: Images that the value is of.
        reason: Why there is no value; empty where there is one.
    """

    condition: Condition
    met: bool
    mean: float | None
    end: float | None
    images: int
    reason: str = ""

    @property
    def line(self) -> str:
        """What was found and wanted, of how many images."""
        condition = self.condition
        by = f" by {condition.cam}" if condition.cam else ""
        if condition.name == MAX_DROP:
            name, wanted = "drop of accuracy", f"at most {condition.bound:g} points"
            end, digits = "upper end", 2
        else:
            name, wanted = condition.name, f"at least {condition.bound:g}"
            end, digits = "lower end", 3
        if self.mean is None or self.end is None:
            found = f"cannot be told ({self.reason})"
        else:
            found = f"found {self.mean:.{digits}f} ({end} {self.end:.{digits}f})"
        return f"{name}{by}: {found}, wanted {wanted}, {self.images} images"


def list_conditions(least: Mapping[str, Least], max_drop: float | None) -> list[Condition]:
    """List the conditions of keyword arguments.

    Args:
        least: By name the least value, or the least by explanation method.
        max_drop: The most points of accuracy.

    Raises:
        RequestError: A bound is out of its range.
    """
    found = []
    for name, wanted in least.items():
        if isinstance(wanted, Mapping):
            found += [Condition(name, bound, cam) for cam, bound in wanted.items()]
        elif wanted is not None:
            found.append(Condition(name, wanted))
    if max_drop is not None:
        found.append(Condition(MAX_DROP, max_drop))
    for condition in found:
        _check_bound(condition)
    return found


def parse_condition(text: str) -> Condition:
    """Read ``NAME=VALUE`` or ``METHOD:NAME=VALUE``, such as ``grad-cam:sp2ps=0.9``.

    Raises:
        RequestError: It cannot be read so.
    """
    where = "--fail-under"
    left, equals, value = text.rpartition("=")
    cam, _, name = left.rpartition(":")
    if not equals:
        raise RequestError(
            f"{text!r}; expected NAME=VALUE, such as sp2ps=0.9 or grad-cam:sp2ps=0.9", where=where
        )
    name = name.strip().replace("-", "_")
    if name not in BOUNDED:
        raise RequestError(f"unknown value {name!r}; {did_you_mean(name, BOUNDED)}", where=where)
    if cam and name == AGREEMENT:
        raise RequestError(
            f"{text!r}: agreement is of predictions and belongs to no explanation method; write "
            f"agreement={value}",
            where=where,
        )
    try:
        condition = Condition(name, float(value), cam.strip() or None)
    except ValueError:
        raise RequestError(
            f"{text!r}: {value!r} is no number; expected one between 0 and 1", where=where
        ) from None
    _check_bound(condition)
    return condition


def _check_bound(condition: Condition) -> None:
    name, bound = condition.name, condition.bound
    most = 100 if name == MAX_DROP else 1
    if isinstance(bound, bool) or not isinstance(bound, int | float | np.number):
        raise RequestError(f"{name} is {bound!r}; expected a number between 0 and {most}")
    if not 0 <= bound <= most:
        what = "points of accuracy, from 0 to 100" if name == MAX_DROP else "from 0 to 1"
        hint = f"; did you mean {bound / 100:g}?" if most == 1 and 1 < bound <= 100 else ""
        raise RequestError(f"{name} is {bound:g}; expected {what}{hint}")


def check_methods(conditions: Iterable[Condition], cams: Sequence[str]) -> None:
    """Check that each explanation method that is named is compared.

    Raises:
        RequestError: One is not.
    """
    for condition in conditions:
        if condition.cam is not None and condition.cam not in cams:
            raise RequestError(
                f"a condition on {condition.cam!r}, which is not compared; "
                f"{did_you_mean(condition.cam, cams)}"
            )


def check_conditions(
    found: ComparedNetworks, conditions: Sequence[Condition]
) -> list[CheckedCondition]:
    """Hold a comparison against conditions.

    The worse end of the 95% interval over images counts, or the mean of one image. A value that
    cannot be told, or a verdict that is withheld, meets no condition.

    Args:
        found: The comparison.
        conditions: The bounds. One without a method is held against every method.

    Raises:
        RequestError: A method was not compared, or a drop is bounded and there are no labels.
    """
    cams = [str(cam) for cam in found.scores.index]
    check_methods(conditions, cams)
    checked = []
    for condition in conditions:
        if condition.name == MAX_DROP:
            checked.append(_check_drop(found, condition))
        elif condition.name == AGREEMENT:
            checked.append(_check_least(found, condition, measure_agreement(found)))
        else:
            for cam in cams if condition.cam is None else [condition.cam]:
                one = Condition(condition.name, condition.bound, cam)
                checked.append(_check_least(found, one, measure(found, cam, condition.name)))
    return checked


def measure(found: ComparedNetworks, cam: str, name: str) -> Interval:
    """Return the mean of a measure over images, with its interval."""
    values = found.per_image.loc[found.per_image["cam"] == cam, name]
    return mean_interval(values.to_numpy())


def measure_agreement(found: ComparedNetworks) -> Interval:
    """Return the share of equal predictions, with its interval over images."""
    one = found.per_image[found.per_image["cam"] == found.per_image["cam"].iloc[0]]
    return mean_interval((one["change"] == "kept").to_numpy())


def _check_least(
    found: ComparedNetworks, condition: Condition, value: Interval
) -> CheckedCondition:
    total = value.n + value.undefined
    if found.withheld:
        return _refuse(condition, total, f"no verdict: {found.withheld}")
    if value.mean is None or value.undefined > MOST_UNDEFINED * total:
        return _refuse(condition, total, f"{value.undefined} of {total} images have no map")
    low = value.mean if value.low is None else value.low
    # Rounding: maps that are equal reach 1.
    return CheckedCondition(condition, low >= condition.bound - 1e-9, value.mean, low, value.n)


def _check_drop(found: ComparedNetworks, condition: Condition) -> CheckedCondition:
    if found.accuracy is None:
        raise RequestError(NO_LABELS)
    drop = found.accuracy.drop
    if found.withheld or drop.mean is None:
        return _refuse(condition, found.images, f"no verdict: {found.withheld or 'no images'}")
    mean = 100 * drop.mean
    high = mean if drop.high is None else 100 * drop.high
    return CheckedCondition(condition, high <= condition.bound + 1e-9, mean, high, found.images)


def _refuse(condition: Condition, images: int, reason: str) -> CheckedCondition:
    return CheckedCondition(condition, False, None, None, images, reason)
