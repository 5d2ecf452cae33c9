"""A network and everything needed to build it again from JSON and tensors, without pickle."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn.utils import prune

from prunebench.data import Normalisation
from prunebench.errors import RequestError
from prunebench.networks.factory import build_module
from prunebench.networks.quantised.layers import INT8, Int8Layer, to_int8


class Architecture(BaseModel):
    """The design of a module: how it is built and how it wants its input.

    Attributes:
        factory: A model plugin's name, ``torchvision/NAME``, or ``file.py:function``.
        parameters: The plugin's parameters.
        classes: Number of outputs.
        channels: Channels of the input.
        size: Height and width of the input.
        mean: Channel means of the input normalisation.
        std: Channel deviations of the input normalisation.
        source: Of ``file.py:function``, the file's text: the file may change or move.
        resized: Attributes of layers that pruning changed, such as
            ``{"layer1.0.conv1": {"out_channels": 8}}``.
        quantised: Layers that have 8-bit weights.
        folded: BatchNorms that are part of the quantised convolution before them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    factory: str
    parameters: dict[str, Any] = {}
    classes: int
    channels: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str = ""
    resized: dict[str, dict[str, int | tuple[int, ...]]] = {}
    quantised: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()

    @property
    def normalisation(self) -> Normalisation:
        """The input normalisation."""
        return Normalisation(self.mean, self.std)

    def build(self) -> nn.Module:
        """Build the module with its original layer sizes and fresh weights."""
        return build_module(
            self.factory, self.parameters, self.classes, self.channels, self.size, self.source
        )


@dataclass(frozen=True)
class Network:
    """A module without hooks or parametrisations, its architecture and its masks.

    Attributes:
        module: The network, in evaluation mode.
        architecture: How to build it again.
        masks: For masked pruning, 0/1 tensors by parameter name; the parameters themselves are
            already zero there.
    """

    module: nn.Module
    architecture: Architecture
    masks: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> Network:
        """Move the network to a device."""
        masks = {name: mask.to(device) for name, mask in self.masks.items()}
        return Network(self.module.to(device), self.architecture, masks)

    def copy(self) -> Network:
        """Copy the network, so that the copy can be changed."""
        masks = {name: mask.clone() for name, mask in self.masks.items()}
        return Network(copy.deepcopy(self.module), self.architecture, masks)

    def example(self, batch: int = 1) -> Tensor:
        """Return an input of zeros, batch×C×H×W, on the network's device."""
        device = next(chain(self.module.parameters(), self.module.buffers())).device
        return torch.zeros(
            batch, self.architecture.channels, *self.architecture.size, device=device
        )


def from_module(module: nn.Module, architecture: Architecture) -> Network:
    """Turn what a compression method returns into a network.

    Masks of torch.nn.utils.prune are made permanent; changed layer sizes are written down, and
    which layers were quantised.

    Args:
        module: The compressed module.
        architecture: The architecture it was compressed from.

    Raises:
        RequestError: A layer was replaced by another type or renamed, or was left with a hook, so
            that the network could not be built again from its architecture.
    """
    masks = make_masks_permanent(module)
    original = architecture.build()
    before, after = dict(original.named_modules()), dict(module.named_modules())
    if changed := sorted(before.keys() ^ after.keys()):
        raise RequestError(
            f"compression added or removed the layer {changed[0]!r}; only sizes and weights may "
            "change, or return a Network of another architecture"
        )
    resized: dict[str, dict[str, int | tuple[int, ...]]] = {}
    quantised = tuple(name for name, layer in after.items() if isinstance(layer, Int8Layer))
    folded = tuple(name for name in after if quantised and _is_folded(before[name], after[name]))
    for name, layer in after.items():
        kinds = (type(before[name]), INT8.get(type(before[name])))
        if type(layer) not in kinds and name not in folded:
            raise RequestError(
                f"compression replaced layer {name!r} ({type(before[name]).__name__}) by a "
                f"{type(layer).__name__}; only sizes and weights may change"
            )
        if _count_hooks(layer) > _count_hooks(before[name]):
            raise RequestError(
                f"compression left a hook on layer {name!r}; what it does would be lost on saving"
            )
        sizes = {
            attribute: value
            for attribute, value in vars(layer).items()
            if _is_size(attribute, value) and vars(before[name]).get(attribute) != value
        }
        if sizes:
            resized[name] = sizes
    found: dict[str, Any] = {"resized": resized, "quantised": quantised, "folded": folded}
    return Network(module.eval(), architecture.model_copy(update=found), masks)


def _is_folded(before: nn.Module, after: nn.Module) -> bool:
    return type(before) is nn.BatchNorm2d and type(after) is nn.Identity


def _is_size(attribute: str, value: Any) -> bool:
    # Tuples for LayerNorm's normalized_shape.
    values = value if isinstance(value, tuple) and value else (value,)
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    return whole and not attribute.startswith("_")


def _count_hooks(layer: nn.Module) -> int:
    return len(layer._forward_hooks) + len(layer._forward_pre_hooks)


def make_masks_permanent(module: nn.Module) -> dict[str, Tensor]:
    """Replace torch.nn.utils.prune's masks by zeros and return the masks, by parameter name."""
    masks = {}
    for name, layer in module.named_modules():
        for parameter in [key[: -len("_mask")] for key in layer._buffers if key.endswith("_mask")]:
            if parameter + "_orig" in layer._parameters:
                masks[f"{name}.{parameter}".removeprefix(".")] = (
                    layer._buffers[parameter + "_mask"].detach().clone()
                )
                prune.remove(layer, parameter)  # type: ignore[no-untyped-call]
    return masks


def apply_masks(module: nn.Module, masks: dict[str, Tensor]) -> None:
    """Put masks on again for training (torch.nn.utils.prune), so that zeros stay zero."""
    for name, mask in masks.items():
        layer, _, parameter = name.rpartition(".")
        prune.custom_from_mask(  # type: ignore[no-untyped-call]
            module.get_submodule(layer), parameter, mask
        )


def to_tensors(network: Network) -> dict[str, Tensor]:
    """Collect the tensors of a network, for safetensors: ``state/...`` and ``mask/...``."""
    # Each tensor with memory of its own: safetensors refuses views and shared memory.
    state = {
        f"state/{k}": v.detach().cpu().clone(memory_format=torch.contiguous_format)
        for k, v in network.module.state_dict().items()
    }
    return state | {f"mask/{k}": v.bool().cpu() for k, v in network.masks.items()}


def from_tensors(architecture: Architecture, tensors: dict[str, Tensor]) -> Network:
    """Build a network from its architecture and tensors, byte for byte as it was saved."""
    module = architecture.build()
    state = {k.removeprefix("state/"): v for k, v in tensors.items() if k.startswith("state/")}
    masks = {
        k.removeprefix("mask/"): v.float() for k, v in tensors.items() if k.startswith("mask/")
    }
    layers = dict(module.named_modules())
    for name, sizes in architecture.resized.items():
        for attribute, value in sizes.items():
            setattr(layers[name], attribute, value)
    for name in architecture.folded:
        module.set_submodule(name, nn.Identity())
    for name in architecture.quantised:
        own = {k: v for k, v in state.items() if k.rpartition(".")[0] == name}
        to_int8(layers[name], {k.rpartition(".")[2]: v.clone() for k, v in own.items()})
    resize(module, state)
    module.load_state_dict(state)
    return Network(module.eval(), architecture, masks)


def resize(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Give parameters and buffers the shapes and types that a state dict has.

    Parameters that layers share stay shared.
    """
    made: dict[nn.Parameter, nn.Parameter] = {}
    for name, layer in module.named_modules():
        for key, parameter in layer._parameters.items():
            wanted = state.get(f"{name}.{key}" if name else key)
            if parameter is not None and wanted is not None and not _is_alike(wanted, parameter):
                layer._parameters[key] = made.setdefault(
                    parameter,
                    nn.Parameter(torch.empty_like(wanted), requires_grad=parameter.requires_grad),
                )
        for key, buffer in layer._buffers.items():
            wanted = state.get(f"{name}.{key}" if name else key)
            if buffer is not None and wanted is not None and not _is_alike(wanted, buffer):
                layer._buffers[key] = torch.empty_like(wanted)


def _is_alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype
