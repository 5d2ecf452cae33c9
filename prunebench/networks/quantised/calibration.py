"""Scales, zero points and codes, chosen by torchao from weights and from calibration images."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from prunebench.networks.quantised.folding import fold_batch_norms
from prunebench.networks.quantised.layers import INT8, VALUE_CODES, WEIGHT_CODES, to_int8
from prunebench.networks.quantised.unquantised_consumers import find_unquantised_outputs

_before = logging.root.manager.disable
logging.disable(logging.WARNING)  # on import it speaks of what is not used here
from torchao.quantization.pt2e.observer import (  # noqa: E402
    HistogramObserver,
    MinMaxObserver,
    PerChannelMinMaxObserver,
)
from torchao.quantization.quant_primitives import (  # noqa: E402
    quantize_affine,
)

logging.disable(_before)

Observer = Literal["histogram", "minmax"]
OBSERVERS: dict[Observer, Any] = {"histogram": HistogramObserver, "minmax": MinMaxObserver}


def quantise(
    module: nn.Module,
    images: Iterable[Tensor],
    observer: Observer = "histogram",
    weights_only: bool = False,
    outputs: bool = True,
) -> None:
    """Give convolutions and linear layers 8-bit weights, in place, after BatchNorm is folded.

    Only layers that run on the images are quantised.

    Args:
        module: The network; in evaluation mode afterwards.
        images: Batches of normalised images, B×C×H×W, on the network's device.
        observer: How a range is chosen: by the least squared error of a histogram, or from the
            least to the largest value.
        weights_only: Whether nothing else is rounded. If not, the inputs of each layer are.
        outputs: Whether outputs of convolutions are rounded too that no later layer rounds as its
            input (see ``find_unquantised_outputs``).
    """
    module.eval()
    fold_batch_norms(module)
    observed = _Observers(
        OBSERVERS[observer], find_unquantised_outputs(module) if outputs else set()
    )
    observed.run(module, images)
    for layer in observed.inputs:
        tensors = encode_weights(layer)
        if not weights_only:
            tensors |= _read_scale(observed.inputs[layer], "input")
            if layer in observed.outputs:
                tensors |= _read_scale(observed.outputs[layer], "output")
        to_int8(layer, tensors)


class _Observers:
    """Observers of inputs and outputs, by layer, of those layers that run.

    Args:
        kind: torchao's observer.
        read_unquantised: Convolutions whose outputs are observed too.
    """

    def __init__(self, kind: Any, read_unquantised: set[nn.Module]) -> None:
        self._kind = kind
        self._read_unquantised = read_unquantised
        self.inputs: dict[nn.Module, Any] = {}
        self.outputs: dict[nn.Module, Any] = {}

    def run(self, module: nn.Module, images: Iterable[Tensor]) -> None:
        """Pass images through the network."""
        hooks = [
            layer.register_forward_hook(self._note, with_kwargs=True)
            for layer in module.modules()
            if type(layer) in INT8
        ]
        try:
            with torch.no_grad():
                for batch in images:
                    module(batch)
        finally:
            for hook in hooks:
                hook.remove()

    def _note(self, layer: nn.Module, args: Any, kwargs: dict[str, Any], output: Tensor) -> None:
        self._observer(self.inputs, layer, output.device)(args[0] if args else kwargs["input"])
        if layer in self._read_unquantised:
            self._observer(self.outputs, layer, output.device)(output)

    def _observer(self, of: dict[nn.Module, Any], layer: nn.Module, device: torch.device) -> Any:
        if layer not in of:
            low, high = VALUE_CODES
            of[layer] = self._kind(
                dtype=torch.uint8, qscheme=torch.per_tensor_affine, quant_min=low, quant_max=high
            ).to(device)
        return of[layer]


def _read_scale(observer: Any, name: str) -> dict[str, Tensor]:
    scale, zero_point = observer.calculate_qparams()
    return {
        f"{name}_scale": scale.detach().reshape(()),
        f"{name}_zero_point": zero_point.detach().to(torch.int32).reshape(()),
    }


def encode_weights(layer: Any) -> dict[str, Tensor]:
    """Encode a layer's weights as -127 to 127, with one scale for each output channel."""
    weight = layer.weight.detach()
    low, high = WEIGHT_CODES
    observer = PerChannelMinMaxObserver(
        ch_axis=0,
        dtype=torch.int8,
        qscheme=torch.per_channel_symmetric,
        quant_min=low,
        quant_max=high,
    ).to(weight.device)
    observer(weight)
    scale, zero_point = observer.calculate_qparams()
    block = (1, *weight.shape[1:])
    codes = quantize_affine(weight, block, scale, zero_point, torch.int8, low, high)
    return {"codes": codes.contiguous(), "scale": scale}
