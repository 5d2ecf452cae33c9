"""Layers with 8-bit weights, which compute in floating point with what the codes stand for.

This is the dequantised form of an integer layer: the same numbers, but for rounding of sums, and
one that gradients, torch.fx and safetensors can handle.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WEIGHT_CODES = (-127, 127)
"""Least and largest code of a weight, of type int8: as many on either side of 0."""
VALUE_CODES = (0, 255)
"""Least and largest code of an input or output, of type uint8."""
BUFFERS = (
    *("codes", "scale", "input_scale", "input_zero_point", "output_scale", "output_zero_point"),
)
"""What a layer holds beside its bias."""


class Int8Layer(nn.Module):
    """A layer with 8-bit weights.

    Attributes:
        codes: The weights, of type int8, in the shape that the layer's weight had.
        scale: What one step of an output channel's codes is worth, one for each channel.
        input_scale: What one step of an input's code is worth, 0-dimensional; None where inputs
            stay in floating point.
        input_zero_point: The code of an input of 0, 0-dimensional; None with it.
        output_scale: The same of outputs.
        output_zero_point: The same of outputs.
    """

    codes: Tensor
    scale: Tensor
    input_scale: Tensor | None
    input_zero_point: Tensor | None
    output_scale: Tensor | None
    output_zero_point: Tensor | None

    @property
    def weight(self) -> Tensor:
        """The weights that the codes stand for: code times scale, in the shape of the codes."""
        return self.codes.to(self.scale.dtype) * shape_by_output(self.scale, self.codes)

    def round_values(
        self, values: Tensor, scale: Tensor | None, zero_point: Tensor | None
    ) -> Tensor:
        """Round values to what 8-bit codes hold; as they are where there is no scale.

        The gradient passes straight through where a value is within the codes' range, and is 0
        where it was clipped.
        """
        if scale is None or zero_point is None:
            return values
        return torch.fake_quantize_per_tensor_affine(values, scale, zero_point, *VALUE_CODES)

    def compute(self, inputs: Tensor) -> Tensor:
        """Compute the layer's sums, of rounded inputs and of ``weight``."""
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        """Round the input, compute, and round the output; each where it has a scale."""
        inputs = self.round_values(input, self.input_scale, self.input_zero_point)
        outputs = self.compute(inputs)
        return self.round_values(outputs, self.output_scale, self.output_zero_point)


class Int8Conv2d(Int8Layer, nn.Conv2d):  # type: ignore[override]  # its weight is computed
    """A convolution with 8-bit weights."""

    def compute(self, inputs: Tensor) -> Tensor:
        """Convolve inputs, B×C×H×W."""
        sums: Tensor = self._conv_forward(inputs, self.weight, self.bias)
        return sums


class Int8Linear(Int8Layer, nn.Linear):  # type: ignore[override]
    """A linear layer with 8-bit weights."""

    def compute(self, inputs: Tensor) -> Tensor:
        """Multiply inputs, ...×C."""
        return nn.functional.linear(inputs, self.weight, self.bias)


INT8: dict[type[nn.Module], type[Int8Layer]] = {nn.Conv2d: Int8Conv2d, nn.Linear: Int8Linear}
"""What layers become. Only these very classes do: one that derives from them may do more."""


def to_int8(layer: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Turn a convolution or linear layer into one with 8-bit weights, in place.

    Args:
        layer: A layer of one of the classes in ``INT8``.
        tensors: ``codes``, ``scale`` and others of the attributes of ``Int8Layer``; ``bias``,
            where it is new.
    """
    del layer.weight
    layer.__class__ = INT8[type(layer)]
    for name in BUFFERS:
        layer.register_buffer(name, tensors.get(name))
    if "bias" in tensors:
        layer.bias = nn.Parameter(tensors["bias"])


def find_int8_layers(module: nn.Module) -> dict[str, Int8Layer]:
    """Find the layers with 8-bit weights, by name; none in a network that is not quantised."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, Int8Layer)}


def shape_by_output(scale: Tensor, codes: Tensor) -> Tensor:
    """Shape scales, one for each output channel, so that they multiply the codes."""
    return scale.reshape(-1, *(1 for _ in codes.shape[1:]))
