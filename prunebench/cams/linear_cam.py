"""CAM: channels weighted by the classifier's own weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace
from prunebench.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor, nn

TOLERANCE = 1e-3
"""How far, relative to the largest logit, a linear layer on the channels' means may be off the
network's logits and still count as its classifier: rounding, not another computation."""


def linear_cam(trace: Trace) -> Tensor:
    """Explain by class activation mapping (Zhou et al. 2016, equation 2).

    The weight of channel k is w_k = W_ck, the weight of the network's last linear layer from
    channel k to the class; the map is Σ_k w_k A_k. It is Grad-CAM times the number of pixels.

    Args:
        trace: Activations A of the target layer, B×C×h×w, the logits and the network.

    Returns:
        Raw maps, B×h×w, before the ReLU.

    Raises:
        RequestError: The target layer is not followed by global average pooling and one linear
            layer alone.
    """
    import torch

    weights = _find_classifier(trace).weight.detach()[trace.classes]
    return torch.einsum("bk,bkij->bij", weights, trace.activations)


def _find_classifier(trace: Trace) -> nn.Linear:
    """Find the linear layer that turns the channels' means into the logits."""
    import torch
    from torch import nn

    means = trace.activations.mean((2, 3))
    shape = (trace.logits.shape[1], means.shape[1])
    layers = [] if trace.module is None else list(trace.module.modules())
    for layer in reversed(layers):
        if isinstance(layer, nn.Linear) and layer.weight.shape == shape:
            with torch.no_grad():
                off = (layer(means) - trace.logits).abs()
            if bool((off <= TOLERANCE * trace.logits.abs().max()).all()):
                return layer
    raise RequestError(
        f"cam explains networks that end in global average pooling and one linear layer; from the "
        f"means of layer {trace.target_layer!r} ({shape[1]} channels) no linear layer gives the "
        f"logits of {type(trace.module).__name__}: explain the layer before the pooling, or use "
        "grad-cam, which generalises cam to any network"
    )
