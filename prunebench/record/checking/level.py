"""Was the level reached that the row stands under?

A level is a fraction of what the method counts: of weights where they are masked, else of
parameters, channels or MACs (its parameter ``target``, or what that is by default). See
``conformance/pruners.py``, which holds methods to the same on small networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from prunebench.errors import RequestError
from prunebench.plugins import find
from prunebench.record import Reached, Record
from prunebench.record.checking.problem import Problem
from prunebench.record.comparable import SMALLER

if TYPE_CHECKING:
    from prunebench.pruners import Pruner

MASKED = 0.01
CHANNEL = 0.025
"""What one group of channels may be of a network, as in the conformance kit."""
ROUNDED = 0.05
"""Weights of 8 bits: rounding makes zeros of its own."""
DENSE = ("params", "channels", "macs")


def check_level(record: Record, baseline: Record | None) -> Iterator[Problem]:
    """Yield a level that is not what was really removed."""
    level = record.level
    if record.role not in SMALLER or record.failure:
        return
    if level is None:
        method = _find_pruner(record)
        if record.round is None and method is not None and method.levels == "continuous":
            wrong = f"null, and {record.pruner_name!r} is asked for one"
            yield Problem("level", wrong, "the fraction asked for")
        return
    gone = record.reached.model_dump()
    counted = _counts_of_level(record)
    name = min(counted, key=lambda name: abs(gone[name] - level))
    tolerance = _tolerance(record, baseline)
    if abs(gone[name] - level) > tolerance:
        found = ", ".join(f"{gone[each]:.1%} of {each}" for each in counted)
        wrong = f"at level {level:.1%}, {found} are pruned"
        yield Problem(f"reached.{name}", wrong, f"{level:.1%} within {tolerance:.1%}")


def _counts_of_level(record: Record) -> tuple[str, ...]:
    """Return of what the level is a fraction, as far as the record tells."""
    if record.axis == "masked":
        return ("weights",)
    if record.axis == "dense" and record.round is None:
        target = record.pruner_parameters.get("target", _default_target(record))
        return (target,) if isinstance(target, str) and target in Reached.model_fields else DENSE
    return ("weights", *DENSE)  # methods around another one, which has the target


def _find_pruner(record: Record) -> type[Pruner] | None:
    """Return the class of the method; None where it is not installed."""
    try:
        return cast("type[Pruner]", find("pruners", record.pruner_name).plugin_class)
    except RequestError:
        return None


def _default_target(record: Record) -> Any:
    method = _find_pruner(record)
    field = method.model_fields.get("target") if method else None
    return field.default if field else getattr(method, "counts", None)


def _tolerance(record: Record, baseline: Record | None) -> float:
    if record.axis == "masked":
        return MASKED
    if record.axis == "quantised":
        return ROUNDED
    # In L layers of c channels and 3×3 kernels, two layers' 18·c weights hang on a channel; of
    # P = 9·L·c² that is 2/(L·c) ≤ 6/√P. It matters in very small networks only.
    params = baseline.mean("params") if baseline else None
    return max(CHANNEL, 6 / params**0.5) if params else CHANNEL
