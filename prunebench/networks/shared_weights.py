"""Weights in two places: in a network and its twin, or in two layers of one network."""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor, inference_mode, nn


@inference_mode(False)
def make_twin(module: nn.Module, *, trained: bool = False) -> nn.Module:
    """Copy a network's structure while its weights stay where they are in memory.

    Whatever is hooked into the twin, replaced in it or derived by it, the network never notices:
    its parameters are other objects, with gradients and flags of their own, over the same numbers;
    its buffers, which a network may change as it runs, are copies.

    Args:
        module: The network. Hooks, such as those of ``torch.nn.utils.prune``, are copied.
        trained: Whether the twin's parameters require gradients.

    Returns:
        The twin, in evaluation mode.
    """
    shared: dict[int, object] = {}
    for layer in module.modules():
        # A masked weight is an attribute like any other, and one that deepcopy refuses.
        for tensor in vars(layer).values():
            if isinstance(tensor, Tensor):
                shared[id(tensor)] = _share(tensor)
        for buffer in layer.buffers(recurse=False):
            shared[id(buffer)] = buffer.detach().clone()
        for weight in layer.parameters(recurse=False):
            needed = trained and weight.is_floating_point()
            shared[id(weight)] = nn.Parameter(_share(weight), requires_grad=needed)
    return deepcopy(module, shared).eval()


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
