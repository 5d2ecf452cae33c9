"""Full gradients: a class's score as a sum over input pixels and over biases at their positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import interpolate
from torch.overrides import TorchFunctionMode

from prunebench.cams.image_gradients import require_gradients
from prunebench.cams.maps import normalise
from prunebench.networks.evaluation import freeze

CONVOLUTIONS = {functional.conv2d, functional.conv_transpose2d}


def compute_full_gradients(module: nn.Module, images: Tensor, classes: Tensor) -> Iterator[Tensor]:
    """Split each image's class score into its parts (Srinivas and Fleuret 2019).

    Where the network is piecewise linear, as with ReLU and max-pooling, the parts and the linear
    layers' own biases add up to the score.

    Args:
        module: The network; it is run in evaluation mode and left as it was found.
        images: Normalised images, B×C×H×W.
        classes: The class explained in each image, B.

    Yields:
        First x · ∂y/∂x, B×C×H×W, then b · ∂y/∂b of each convolution or batch normalisation with
        a bias, B×C×h×w, one for every time it runs.
    """
    with freeze(module), torch.inference_mode(False), torch.enable_grad():
        inputs = images.detach().clone().requires_grad_()
        with _Biases() as biases:
            # On a copy: the network may work in place.
            logits: Tensor = module(inputs.clone())
        require_gradients(logits)
        score = logits.gather(1, classes[:, None]).sum()
        outputs = [output for output, _ in biases.found]
        first, *others = torch.autograd.grad(
            score, [inputs, *outputs], allow_unused=True, materialize_grads=True
        )
    yield inputs.detach() * first
    for gradient, (_, bias) in zip(others, biases.found, strict=True):
        yield gradient * bias[:, None, None]


def sum_parts(parts: Iterable[Tensor]) -> Tensor:
    """Add up the parts of a score: absolute values, min-max of each channel, resized.

    Args:
        parts: B×C×h×w each, the first of them at the images' size.

    Returns:
        Maps, B×H×W, at the size of the first part.
    """
    first, *others = (_scale_channels(part) for part in parts)
    size = (first.shape[2], first.shape[3])
    for layer in others:
        first = first + interpolate(layer, size, mode="bilinear", align_corners=False)
    return first[:, 0]


def _scale_channels(part: Tensor) -> Tensor:
    """Sum a part's channels, each scaled to [0, 1], B×1×h×w.

    Resizing is linear: their sum is resized, not each of them.
    """
    channels = normalise(part.abs().flatten(0, 1)).reshape(part.shape)
    return channels.sum(1, keepdim=True)


class _Biases(TorchFunctionMode):
    """Notes every convolution and batch normalisation with a bias, as it is computed.

    Watching the computation rather than the layers sees each run of a layer that runs several
    times, subclasses that do more than their base (a normalisation with its activation), and the
    weights and biases in use where pruning or a parametrisation makes them up.

    Attributes:
        found: The output, B×C×h×w, and the bias, C, of each.
    """

    found: list[tuple[Tensor, Tensor]]

    def __init__(self) -> None:
        super().__init__()
        self.found = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one operation of the network."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        bias = None
        if func in CONVOLUTIONS:
            bias = _get_convolution_bias(*args, **kwargs)
        elif func is functional.batch_norm:
            bias = _compute_normalisation_bias(*args, **kwargs)
        if bias is None or output.dim() != 4 or not output.requires_grad:
            return output
        self.found.append((output, bias.detach()))
        # What follows may work in place: on this copy, never on the output whose gradient is
        # wanted.
        return output.clone()


def _get_convolution_bias(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *_: Any, **__: Any
) -> Tensor | None:
    return bias


def _compute_normalisation_bias(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    """Compute β − γμ/√(σ²+ε); β alone where the batch's own statistics are used."""
    if training or running_mean is None or running_var is None:
        return bias
    shift = -running_mean / (running_var + eps).sqrt()
    shift = shift if weight is None else shift * weight
    return shift if bias is None else shift + bias
