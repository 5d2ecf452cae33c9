"""The networks in what training scripts save: state dicts and modules in any wrapper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError, did_you_mean

OTHERS = ("optim", "sched", "scaler", "callback", "rng", "loss", "metric", "lr_", "hyper", "loops")
"""Beginnings of the names under which checkpoints keep what is no network."""
DEEPEST = 4


def find_network(content: Any, part: str, where: str) -> dict[str, Tensor] | nn.Module:
    """Find the one network in what a file holds.

    Args:
        content: What was read: a state dict, a module, or either at any place in dictionaries.
        part: Which one, where there are several, such as ``model_ema``; empty for the only one.
        where: The file, for messages.

    Returns:
        A state dict by names, or a module.

    Raises:
        RequestError: There is none, none of this name, or several and none was chosen.
    """
    by_name: dict[str, dict[str, Tensor] | nn.Module] = {
        ".".join(path): network for path, network in _walk(content, ())
    }
    if not by_name:
        raise RequestError("holds no state dict (names and tensors)", where=where)
    if part:
        chosen = [name for name in by_name if name == part or name.startswith(f"{part}.")]
        if len(chosen) == 1:
            return by_name[chosen[0]]
        if not chosen and len(by_name) == 1 and "" in by_name:
            return _select_prefix(by_name[""], part, where)
        raise RequestError(f"holds no {part!r}; {did_you_mean(part, by_name)}", where=where)
    if len(by_name) > 1:
        names = sorted(by_name)
        raise RequestError(
            f"holds {len(names)} networks: {', '.join(map(repr, names))}; choose one, such as "
            f"{where}#{names[0]}",
            where=where,
        )
    return next(iter(by_name.values()))


def _walk(content: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(content, nn.Module):
        yield path, content
    elif isinstance(content, Mapping) and content and len(path) <= DEEPEST:
        if all(isinstance(name, str) and torch.is_tensor(x) for name, x in content.items()):
            yield path, dict(content)
            return
        for name, inner in content.items():
            if isinstance(name, str) and not name.lower().startswith(OTHERS):
                yield from _walk(inner, (*path, name))


def _select_prefix(
    network: dict[str, Tensor] | nn.Module, part: str, where: str
) -> dict[str, Tensor]:
    """Select the entries under a name, as Lightning keeps several networks in one dictionary."""
    state = network.state_dict() if isinstance(network, nn.Module) else network
    chosen = {k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")}
    if not chosen:
        known = {name.partition(".")[0] for name in state}
        raise RequestError(f"holds no {part!r}; {did_you_mean(part, known)}", where=where)
    return chosen
