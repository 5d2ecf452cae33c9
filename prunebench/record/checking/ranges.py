"""Can a value be what it says? Of values that no installed metric declares nobody can tell."""

from __future__ import annotations

from collections.abc import Iterator

from prunebench.metrics.scale import Scale
from prunebench.record import Record, Value
from prunebench.record.checking.problem import Problem
from prunebench.record.scales import scale_of

ROUNDING = 1e-6


def check_ranges(record: Record) -> Iterator[Problem]:
    """Yield values that their metric cannot give, and counts of images that cannot be."""
    for name, value in record.values.items():
        scale = scale_of(name)
        if scale is not None:
            yield from _check_bounds(name, scale, value)
        yield from _check_images(name, scale, value, record)
    for name, gone in record.reached.model_dump().items():
        if record.axis in ("none", "masked") and gone < 0:
            yield Problem(f"reached.{name}", f"{gone:g}, and nothing was added", "at least 0")


def _check_bounds(name: str, scale: Scale, value: Value) -> Iterator[Problem]:
    low, high = scale.bounds
    for part in ("mean", "low", "high"):
        number = getattr(value, part)
        if number is None:
            continue
        if not low - ROUNDING <= number <= high + ROUNDING:
            wrong = f"{number:g} is outside its range"
            yield Problem(f"values.{name}.{part}", wrong, f"{low:g} to {high:g}")
        elif scale.whole and number != round(number):
            yield Problem(f"values.{name}.{part}", f"{number!r} is a count", "a whole number")


def _check_images(
    name: str, scale: Scale | None, value: Value, record: Record
) -> Iterator[Problem]:
    n, field = value.n, f"values.{name}.n"
    if value.undefined < 0:
        yield Problem(f"values.{name}.undefined", f"{value.undefined}", "at least 0")
    if n is not None and (n < 0 or (n == 0) != (value.mean is None)):
        yield Problem(field, f"{n} images, and the mean is {value.mean}", "the images behind it")
    elif n and scale is not None and scale.each_0_or_1 and value.mean is not None:
        right = value.mean * n
        if abs(right - round(right)) > ROUNDING * n:
            wrong = f"{value.mean!r} is no share of {n} images"
            yield Problem(f"values.{name}.mean", wrong, f"{round(right)}/{n} or the like")
    images = (n or 0) + value.undefined
    if "/" in name and images > record.conditions.explained_images:
        wrong = f"{images} images, undefined ones counted"
        yield Problem(field, wrong, f"at most {record.conditions.explained_images} explained")
    if (value.low is None) != (value.high is None):
        yield Problem(f"values.{name}.low", "an interval with one end", "both ends or none")
    if value.low is not None and not value.interval:
        yield Problem(f"values.{name}.interval", "is missing", "what the interval covers")
