"""The spread of a level over the layers: one order in which everything would be removed.

Each distribution gives every weight (or channel) a position in one common order; removing in that
order until the level is reached is all that remains to be done.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from prunebench.errors import RequestError, did_you_mean
from prunebench.pruners.pruner import Scope


def order_removals(
    scores: Mapping[str, Tensor],
    scope: Scope,
    *,
    shapes: Mapping[str, tuple[int, ...]],
    rates: Mapping[str, float] | None = None,
    damage: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Give everything its position in one order of removal, across layers.

    Args:
        scores: Of each layer, the scores of its weights or channels, n; the lowest go first.
        scope: ``global``: the scores themselves. ``layerwise``: every layer loses the same
            fraction. ``erk``: a layer's density is proportional to (inputs + outputs + kernel
            height + kernel width) over their product, at most 1 (Erdős-Rényi-Kernel; Evci,
            Gale, Menick, Castro and Elsen 2020). ``sensitivity``: all layers go on until the same
            damage was done.
        shapes: Of each layer, its weight's shape, for ``erk``.
        rates: Relative rates by layer; if given, they take the scope's place: a layer of twice
            the rate loses twice the fraction. Layers without a rate, or of rate 0, stay whole.
        damage: Of each layer, for ``sensitivity``: the damage measured where 0, 1/m, ... (m−1)/m
            of it alone is removed, m.

    Returns:
        Of each layer, n positions: the lowest are to be removed first, what is infinite never.

    Raises:
        RequestError: A rate is given for a layer that there is not, or a rate outside [0, 1].
    """
    if rates:
        return _order_by_rates(scores, rates)
    if scope == "layerwise":
        return {name: _compute_quantiles(each) for name, each in scores.items()}
    if scope == "erk":
        return {
            name: (_compute_quantiles(each) - 1) * math.prod(shapes[name]) / sum(shapes[name])
            for name, each in scores.items()
        }
    if scope == "sensitivity":
        assert damage is not None
        return {
            name: _interpolate(damage[name].to(each.device), _compute_quantiles(each))
            for name, each in scores.items()
        }
    return dict(scores)


def check_rates(rates: Mapping[str, float], layers: Collection[str]) -> None:
    """Refuse rates that cannot be meant.

    Raises:
        RequestError: There is no such layer, or a rate is outside [0, 1].
    """
    if unknown := sorted(rates.keys() - set(layers)):
        raise RequestError(
            f"'rates' names {unknown[0]!r}, where nothing can be removed; "
            f"{did_you_mean(unknown[0], layers)}"
        )
    if wrong := [name for name, rate in rates.items() if not 0 <= rate <= 1]:
        raise RequestError(
            f"'rates' gives layer {wrong[0]!r} the rate {rates[wrong[0]]}, expected 0 to 1"
        )


def _order_by_rates(scores: Mapping[str, Tensor], rates: Mapping[str, float]) -> dict[str, Tensor]:
    check_rates(rates, scores.keys())
    return {
        name: _compute_quantiles(each) / rate
        if (rate := rates.get(name, 0.0))
        else torch.full_like(each, torch.inf, dtype=torch.float64)
        for name, each in scores.items()
    }


def _compute_quantiles(scores: Tensor) -> Tensor:
    """Return the fraction of its layer below each score, in (0, 1); equal scores in their order."""
    positions = torch.empty(scores.numel(), dtype=torch.float64, device=scores.device)
    order = scores.flatten().argsort(stable=True)
    positions[order] = torch.arange(0.5, scores.numel(), dtype=torch.float64, device=scores.device)
    return (positions / scores.numel()).view_as(scores)


def _interpolate(values: Tensor, at: Tensor) -> Tensor:
    """Read a curve measured at 0, 1/m, ... (m−1)/m, made monotone, at other points.

    Beyond the last point the curve goes on as steeply as it came.
    """
    rising = values.double().cummax(0).values
    # Strictly rising, so that within a layer the order of the scores stands.
    rising = rising + 1e-9 * torch.arange(len(rising), device=rising.device)
    point = at * len(rising)
    below = point.floor().long().clamp(0, len(rising) - 2)
    return rising[below] + (point - below) * (rising[below + 1] - rising[below])
