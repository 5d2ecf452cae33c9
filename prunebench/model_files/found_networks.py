"""The networks in what training scripts save: state dicts and modules in any wrapper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError, did_you_mean

OTHERS = ("optim", "sched", "scaler", "callback", "rng", "loss", "metric", "lr_", "hyper", "loops")
"""Beginnings of the names under which checkpoints keep what is no network."""
AVERAGE = re.compile(r"(^|[._])(ema|shadow|swa|averag\w*)([._]|$)", re.IGNORECASE)
"""Names of averages of weights."""
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
    masks = {name: by_name.pop(name) for name in list(by_name) if _are_masks(name)}
    if not by_name:
        raise RequestError("holds no state dict (names and tensors)", where=where)
    found = _choose(by_name, part, where)
    if not part and (average := _find_average(content, ())):
        raise RequestError(
            f"holds {next(iter(by_name))!r}, and under {average!r} what may be an average of its "
            f"weights; choose the first by {where}#{next(iter(by_name))}, or save the other as a "
            "state dict",
            where=where,
        )
    for name, mask in masks.items():
        found = _apply(found, mask, name, where)
    return found


def _choose(
    by_name: dict[str, dict[str, Tensor] | nn.Module], part: str, where: str
) -> dict[str, Tensor] | nn.Module:
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


def _are_masks(name: str) -> bool:
    return "mask" in name.rpartition(".")[2].lower()


def _apply(
    network: dict[str, Tensor] | nn.Module, masks: Any, name: str, where: str
) -> dict[str, Tensor]:
    """Multiply weights by masks of their names and shapes."""
    state = dict(network.state_dict() if isinstance(network, nn.Module) else network)
    for key, mask in masks.items() if isinstance(masks, dict) else ():
        if key not in state or state[key].shape != mask.shape:
            break
        state[key] = state[key] * mask.to(state[key].dtype)
    else:
        return state
    raise RequestError(
        f"holds masks, {name!r}, of which it is not clear what they mask; multiply the weights by "
        "their masks before saving",
        where=where,
    )


def _find_average(content: Any, path: tuple[str, ...]) -> str:
    """Find what is called an average of weights and cannot be read as a network of its own."""
    if isinstance(content, Mapping) and len(path) <= DEEPEST:
        for name, inner in content.items():
            at = (*path, str(name))
            if AVERAGE.search(str(name)) and _holds_tensors(inner):
                return ".".join(at)
            if found := _find_average(inner, at):
                return found
    return ""


def _holds_tensors(content: Any, depth: int = 0) -> bool:
    if torch.is_tensor(content):
        return content.dim() > 0
    parts = content.values() if isinstance(content, Mapping) else content
    if not isinstance(content, Mapping | list | tuple) or depth > DEEPEST:
        return False
    return any(_holds_tensors(part, depth + 1) for part in parts)


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
