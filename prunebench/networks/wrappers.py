"""A network behind what runs it: compilation, and distribution over devices and processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy

from prunebench.errors import RequestError
from prunebench.networks.loaded_classes import is_of

COMPILED = ("torch._dynamo", "OptimizedModule")
SHARDED = (
    ("torch.distributed.fsdp", "FSDPModule"),
    ("torch.distributed.fsdp", "FullyShardedDataParallel"),
)
SHARDED_WEIGHT = ("torch.distributed.tensor", "DTensor")


def unwrap(module: nn.Module) -> nn.Module:
    """Return the network itself, behind ``torch.compile`` and distribution over devices.

    Raises:
        RequestError: It is no module, one whose layers cannot be looked into, or one that does not
            hold its weights.
    """
    while (at := _find_inner(module)) is not None:
        module = getattr(module, at)
    name = type(module).__name__
    if isinstance(module, torch.export.ExportedProgram):
        raise RequestError(
            f"an {name} holds no layers that can be explained; give "
            "prunebench.model_files.graphs.exported_program.convert_program(program).module"
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise RequestError(
            f"a TorchScript module ({name}) runs without telling of its layers; give "
            "prunebench.model_files.graphs.torch_script.convert_script(script).module"
        )
    if not isinstance(module, nn.Module) or isinstance(module, type):
        found = f"the class {module.__name__}" if isinstance(module, type) else f"a {name}"
        hint = "; load it into the network first" if isinstance(module, Mapping) else ""
        raise RequestError(f"the network is {found}; expected a torch.nn.Module{hint}")
    _check_weights(module)
    return module


def name_plainly(network: nn.Module) -> dict[str, str]:
    """Return, of every layer's name, the one that it has where no layer is wrapped."""
    plain = {}
    for name, _ in network.named_modules(remove_duplicate=False):
        at, parts = network, []
        for part in name.split(".") if name else ():
            if part != _find_inner(at):
                parts.append(part)
            at = cast(nn.Module, getattr(at, part))
        plain[name] = ".".join(parts)
    return plain


def find_wrapped(network: nn.Module) -> dict[nn.Module, nn.Module]:
    """Find the wrapped layers of a network by their wrappers, innermost first."""
    return {
        layer: getattr(layer, at)
        for layer in reversed(list(network.modules()))
        if (at := _find_inner(layer)) is not None
    }


def _find_inner(module: object) -> str | None:
    """Return where a module keeps the one that it runs; None where it runs none."""
    if is_of(module, COMPILED):
        return "_orig_mod"
    return "module" if isinstance(module, DataParallel | DistributedDataParallel) else None


def _check_weights(network: nn.Module) -> None:
    for name, layer in network.named_modules():
        weights = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
        what = f"layer {name!r}" if name else "the network"
        sharded = is_of(layer, *SHARDED)
        if sharded or any(is_of(weight, SHARDED_WEIGHT) for weight in weights):
            raise RequestError(
                f"the weights of {what} are sharded over processes; load them, gathered by "
                "torch.distributed.checkpoint.state_dict.get_model_state_dict(full_state_dict="
                "True), into a module that is not"
            )
        if any(is_lazy(weight) for weight in weights):
            raise RequestError(f"{what} has no weights before the network first ran; run it once")
        if any(weight.is_meta for weight in weights):
            raise RequestError(
                f"the weights of {what} are on the device 'meta', which holds no numbers; load them"
            )
