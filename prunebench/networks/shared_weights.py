"""Weights in two places: in a network and its twin, or in two layers of one network."""

from __future__ import annotations

import inspect
from copy import deepcopy
from typing import Any

from torch import OutOfMemoryError, Tensor, inference_mode, nn
from torch.utils._pytree import tree_leaves

from prunebench.errors import RequestError
from prunebench.networks.wrappers import find_wrapped


@inference_mode(False)
def make_twin(module: nn.Module, *, trained: bool = False) -> nn.Module:
    """Copy a network's structure while its weights stay where they are in memory.

    Whatever is hooked into the twin, replaced in it or derived by it, the network never notices:
    its parameters are other objects, with gradients and flags of their own, over the same numbers;
    its buffers, which a network may change as it runs, are copies. Layers are copied without what
    wraps them, such as ``torch.compile``.

    Args:
        module: The network. Hooks, such as those of ``torch.nn.utils.prune``, are copied.
        trained: Whether the twin's parameters require gradients.

    Returns:
        The twin, in evaluation mode.

    Raises:
        RequestError: It holds something that cannot be copied.
    """
    try:
        twin = _copy(module, trained)
    except OutOfMemoryError:
        raise
    except (TypeError, RuntimeError) as error:  # a lock; a result with its graph; an endless list
        raise RequestError(
            f"{type(module).__name__} cannot be copied, as it must be to stay as it is ({error}); "
            "keep what cannot be copied outside of the module"
        ) from error
    for layer in twin.modules():
        _uncompile_forward(layer)
    return twin.eval()


def _copy(module: nn.Module, trained: bool) -> nn.Module:
    shared: dict[int, object] = {}
    for layer in module.modules():
        # A masked weight is an attribute like any other, and one that deepcopy refuses; so are
        # activations that a network keeps.
        for tensor in tree_leaves(vars(layer)):
            if isinstance(tensor, Tensor):
                shared[id(tensor)] = _share(tensor)
    for layer in module.modules():  # only now: another layer may keep these, too
        for buffer in layer.buffers(recurse=False):
            shared[id(buffer)] = buffer.detach().clone()
        for weight in layer.parameters(recurse=False):
            needed = trained and weight.is_floating_point()
            shared[id(weight)] = nn.Parameter(_share(weight), requires_grad=needed)
    for wrapper, layer in find_wrapped(module).items():
        shared[id(wrapper)] = deepcopy(layer, shared)
    return deepcopy(module, shared)


def _uncompile_forward(layer: nn.Module) -> None:
    """Undo ``layer.forward = torch.compile(layer.forward)``, which would run the layer copied."""
    forward: Any = vars(layer).get("forward")
    if not hasattr(forward, "_torchdynamo_orig_callable"):
        return
    compiled = inspect.unwrap(forward, stop=inspect.ismethod)
    if getattr(compiled, "__func__", None) is type(layer).forward:
        del layer.forward


def _share(tensor: Tensor) -> Tensor:
    # No gradient can ever pass what was made in inference mode: it is copied.
    return tensor.detach().clone() if tensor.is_inference() else tensor.detach()


def find_shared_parameters(module: nn.Module) -> dict[nn.Parameter, list[tuple[nn.Module, str]]]:
    """Find the parameters that several layers have in common, with these layers and their names."""
    owners: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False, remove_duplicate=False):
            owners.setdefault(parameter, []).append((layer, name))
    return {parameter: found for parameter, found in owners.items() if len(found) > 1}
