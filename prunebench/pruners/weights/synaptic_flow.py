"""The synaptic flow of a network: what arrives at its outputs if all its weights were positive."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from prunebench.networks.prunable_layers import find_prunable_layers

_INPUT = 1e-100
"""Flow is proportional to the input, which is so small that sums do not overflow in deep networks
and that activations with a bound, such as ReLU6, are not reached."""


def compute_synaptic_flow(network: nn.Module, shape: Sequence[int]) -> dict[str, Tensor]:
    """Compute the share of the flow R that passes through each weight w: |w·∂R/∂w| / R.

    R is the sum of the outputs for an input whose entries are all the same, of the network with
    the absolute values of its weights and without its biases (Tanaka, Kunin, Yamins and Ganguli
    2020, equation 2). BatchNorm keeps its scale |γ|/√(σ²+ε) and loses its shift; normalisations by
    the input's own statistics are left out.

    Args:
        network: The network; it is left as it is.
        shape: The input's shape, 1×C×H×W.

    Returns:
        By layer name, of the weight's shape, in double precision.
    """
    positive = _make_positive(network)
    weights = {name: layer.weight for name, layer in find_prunable_layers(positive).items()}
    device = next(iter(weights.values())).device
    flow = positive(torch.full(tuple(shape), _INPUT, dtype=torch.float64, device=device)).sum()
    slopes = torch.autograd.grad(flow, [*weights.values()], materialize_grads=True)
    total = flow.detach().clamp_min(torch.finfo(torch.float64).tiny)
    return {
        name: (weight.detach() * slope).abs() / total
        for (name, weight), slope in zip(weights.items(), slopes, strict=True)
    }


@torch.no_grad()
def _make_positive(network: nn.Module) -> nn.Module:
    """Make a copy in double precision, linear for positive inputs and with positive weights."""
    positive = copy.deepcopy(network).double().eval()
    for name, layer in [*positive.named_modules()]:
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None:
            layer.running_mean.zero_()
        elif isinstance(layer, _BatchNorm | _InstanceNorm | nn.GroupNorm | nn.LayerNorm):
            positive.set_submodule(name, nn.Identity())
    for name, parameter in positive.named_parameters():
        parameter.requires_grad_().abs_()
        if name.rpartition(".")[2] == "bias":
            parameter.zero_()
    return positive
