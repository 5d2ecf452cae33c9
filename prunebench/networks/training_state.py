"""What an interrupted training needs to go on: weights, optimizer and curve, as tensors."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

Curve = list[dict[str, Any]]
"""One entry an epoch: its number, loss, lr, validation accuracy, and the terms of the loss."""


def pack_state(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    curve: Curve,
    best: dict[str, Tensor],
    best_accuracy: float,
) -> dict[str, Tensor]:
    """Return the state of a training after an epoch as tensors.

    Args:
        module: The network.
        optimizer: Its optimizer.
        curve: The learning curve, at least one epoch.
        best: State dict of the epoch best on the validation split; empty where none is kept.
        best_accuracy: That epoch's validation accuracy; -1 before there is any.
    """
    tensors = {f"module/{k}": v for k, v in module.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in best.items()}
    for index, entries in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer/{index}/{k}": torch.as_tensor(v)
            for k, v in entries.items()
            if v is not None
        }
    rows = [[_to_number(point[column]) for column in COLUMNS] for point in curve]
    tensors["curve"] = torch.tensor(rows, dtype=torch.float64)
    for name in curve[0].get("terms", ()):
        values = [point["terms"][name] for point in curve]
        tensors[f"terms/{name}"] = torch.tensor(values, dtype=torch.float64)
    tensors["best_accuracy"] = torch.tensor(best_accuracy, dtype=torch.float64)
    return tensors


COLUMNS = ("epoch", "loss", "lr", "validation_accuracy")


def _to_number(value: float | int | None) -> float:
    return math.nan if value is None else float(value)


def restore_state(
    state: dict[str, Tensor], module: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Curve, dict[str, Tensor], float] | None:
    """Put a network and its optimizer back into a packed state, in place.

    Returns:
        The learning curve, the best epoch's state dict and its validation accuracy; None where
        the state is that of another training, and nothing was changed.
    """
    if not _fits(state, module, optimizer):
        return None
    module.load_state_dict(_part(state, "module/"))
    moments: dict[int, dict[str, Any]] = {}
    for name, tensor in _part(state, "optimizer/").items():
        index, _, entry = name.partition("/")
        moments.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    curve: Curve = [
        {
            "epoch": int(epoch),
            "loss": loss,
            "lr": lr,
            "validation_accuracy": None if math.isnan(accuracy) else accuracy,
        }
        for epoch, loss, lr, accuracy in state["curve"].tolist()
    ]
    for name, values in _part(state, "terms/").items():
        for point, value in zip(curve, values.tolist(), strict=True):
            point.setdefault("terms", {})[name] = value
    device = next(module.parameters()).device
    best = {k: v.to(device) for k, v in _part(state, "best/").items()}
    return curve, best, float(state["best_accuracy"])


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _fits(state: dict[str, Tensor], module: nn.Module, optimizer: torch.optim.Optimizer) -> bool:
    """Return whether a packed state is one of this network and this optimizer."""
    own = _shapes(module.state_dict())
    curve, best = state.get("curve"), _shapes(_part(state, "best/"))
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    moments = {
        f"{index}": (parameter.shape, torch.Size()) for index, parameter in enumerate(trained)
    }
    return (
        curve is not None
        and curve.ndim == 2
        and len(curve) > 0
        and curve.shape[1] == len(COLUMNS)
        and "best_accuracy" in state
        and state["best_accuracy"].numel() == 1
        and _shapes(_part(state, "module/")) == own
        and best in ({}, own)
        and all(v.shape == (len(curve),) for v in _part(state, "terms/").values())
        and all(
            v.shape in moments.get(name.partition("/")[0], ())
            for name, v in _part(state, "optimizer/").items()
        )
    )


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
