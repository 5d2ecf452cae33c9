"""What every metric is held to."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, get_args

import torch
from torch import Tensor

from prunebench.conformance.bench import change_global_generators, note_generators
from prunebench.conformance.checks import Check, Failure, Skip, require
from prunebench.conformance.declared import DECLARED
from prunebench.conformance.evidence import EXPLAINED, PREDICTED, make_evidence
from prunebench.errors import did_you_mean
from prunebench.metrics import Metric
from prunebench.metrics.metric import NotApplicable, Reading, Samples
from prunebench.plugins import Chosen

Values = Mapping[str, float | Tensor]
COMPARING = {"baseline_maps", "baseline_predictions"}
CLOSE = 1e-4


class CheckedMetric:
    """A metric at work on the evidence of a pruned network."""

    def __init__(self, chosen: Chosen[Metric], parameters: dict[str, object]) -> None:
        self.chosen = chosen
        self.parameters = parameters
        self.metric = chosen.plugin
        self.read: set[str] = set()

    def values(self, **changes: Any) -> Values:
        """Return what the metric gives for some evidence."""
        try:
            found = self.metric.compute(make_evidence(self.metric, **changes))
        except NotApplicable as reason:
            raise Skip(f"it means nothing here: {reason}") from None
        # Samples are what values were made from, and no values themselves.
        return {name: value for name, value in found.items() if not isinstance(value, Samples)}

    @cached_property
    def main(self) -> Values:
        """What it gives for the pruned network."""
        return self.values(read=self.read)

    def steady(self) -> None:
        """Skip a check that asks for equal values of what is timed."""
        if self.metric.carries == "hardware":
            raise Skip("it measures this machine: no two values are equal")


def check_values(subject: CheckedMetric) -> str:
    """Check that it gives named values: numbers, or one number an image."""
    values = subject.main
    require(bool(values), "it gives no values")
    for name, value in values.items():
        good = re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None
        require(good, f"{name!r} is no name of a value: small letters, digits and _")
        if not isinstance(value, Tensor):
            require(isinstance(value, int | float), f"{name!r} is a {type(value).__name__}")
            continue
        require(value.dim() == 1, f"{name!r} is {tuple(value.shape)}; expected one number an image")
        require(len(value) <= PREDICTED, f"{name!r} has more numbers than there are images")
        require(not value.isinf().any(), f"{name!r} holds infinite numbers")
    defined = any(bool(torch.as_tensor(value).isfinite().any()) for value in values.values())
    require(defined, "all its values are undefined")
    return ", ".join(values)


def check_readings(subject: CheckedMetric) -> str | None:
    """Check that it reads what it declares; it was given nothing else."""
    reads = set(subject.metric.reads)
    if unknown := sorted(reads - set(get_args(Reading))):
        raise Failure(
            f"`reads` declares {unknown[0]!r}; {did_you_mean(unknown[0], get_args(Reading))}"
        )
    _ = subject.main
    idle = sorted(reads - subject.read)
    return f"declared, but not read here: {', '.join(idle)}" if idle else None


def check_repetition(subject: CheckedMetric) -> None:
    """Check that values are the same again, and that no global generator is drawn from."""
    subject.steady()
    drawn: set[str] = set()
    with note_generators(drawn):
        first = subject.values()
    with change_global_generators():
        second = subject.values()
    _require_equal(first, second, 0.0, "the same evidence gives another")
    names = ", ".join(sorted(drawn))
    require(not drawn, f"it draws from or seeds the global generator of {names}; use evidence.seed")


def check_seeds(subject: CheckedMetric) -> None:
    """Check that another seed gives other values only if ``random`` is declared."""
    subject.steady()
    second = subject.values(seed=1)
    if not subject.metric.random:
        _require_equal(subject.main, second, 0.0, "another seed gives another")


def check_order(subject: CheckedMetric) -> None:
    """Check that an image's value does not depend on its index."""
    subject.steady()
    if subject.metric.random:
        raise Skip("it is random, and may draw by an image's place")
    backwards = {
        name: value.flip(0) if isinstance(value, Tensor) else value
        for name, value in subject.values(reverse=True).items()
    }
    _require_equal(subject.main, backwards, CLOSE, "in another order of images there is another")


def _require_equal(first: Values, second: Values, tolerance: float, what: str) -> None:
    require(first.keys() == second.keys(), "other names of values")
    for name in first:
        a, b = (torch.as_tensor(each[name]).double() for each in (first, second))
        close = torch.allclose(a, b, atol=tolerance, rtol=tolerance, equal_nan=True)
        require(a.shape == b.shape and close, f"{what} {name!r}")


def check_empty_maps(subject: CheckedMetric) -> None:
    """Check that means are numbers where some maps are all zero."""
    subject.steady()
    if not {"maps", "baseline_maps"} & set(subject.metric.reads):
        raise Skip("it reads no maps")
    for name, value in subject.values(empty=EXPLAINED // 2).items():
        number = torch.as_tensor(value).double()
        mean = number[~number.isnan()].mean() if number.dim() else number
        require(math.isfinite(float(mean)), f"with some maps all zero, {name!r} is {float(mean)}")


def check_identity(subject: CheckedMetric) -> str:
    """Check that the baseline compared with itself is at least as good as a pruned network."""
    better = subject.metric.higher_is_better
    if better is None or not COMPARING & set(subject.metric.reads):
        raise Skip("it compares nothing with the baseline, or neither direction is better")
    name = next(iter(subject.main))
    ours, best = (_mean(each[name]) for each in (subject.main, subject.values(of="baseline")))
    gain = best - ours if better else ours - best
    text = f"{name} is {best:.4g} for the baseline itself, {ours:.4g} for a pruned network"
    require(gain >= -CLOSE, text)
    return text


def check_declaration(subject: CheckedMetric) -> str:
    """Check that each value is one that ``gives`` declares, and within its bounds."""
    gives = subject.metric.own_values()
    if not gives:
        raise Skip("it declares nothing of its values, so that nobody can judge them")
    for name, value in subject.main.items():
        scale = next((each for form, each in gives.items() if re.fullmatch(form, name)), None)
        if scale is None:
            raise Failure(f"{name!r} is not declared in `gives`")
        numbers = torch.as_tensor(value).double()
        numbers = numbers[~numbers.isnan()]
        low, high = scale.bounds
        inside = (numbers >= low - CLOSE) & (numbers <= high + CLOSE)
        require(bool(inside.all()), f"{name!r} is outside what it declares, {low:g} to {high:g}")
        binary = bool(((numbers == 0) | (numbers == 1)).all())
        require(binary or not scale.each_0_or_1, f"{name!r} is not 0 or 1 for each image")
    return ", ".join(subject.main)


def _mean(value: float | Tensor) -> float:
    return float(torch.as_tensor(value).double().nanmean())


SUBJECT = CheckedMetric
"""What the checks are given."""

CHECKS = (
    Check("measures", check_values, first=True),
    Check("reads only what it declares", check_readings),
    Check("same evidence, same values", check_repetition),
    Check("seed matters only if declared", check_seeds),
    Check("an image's value is its own", check_order),
    Check("bears empty maps", check_empty_maps),
    Check("the baseline itself is best", check_identity),
    Check("values are as declared", check_declaration),
    *DECLARED,
)
