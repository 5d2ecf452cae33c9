"""Post-training quantisation to 8 bits."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from prunebench.errors import RequestError
from prunebench.plugins.context import Context
from prunebench.pruners.pruner import Pruner

if TYPE_CHECKING:
    from torch import nn

BATCH = 64  # calibration images at once; part of the result, since a histogram grows by batches


class Int8(Pruner):
    """Stores weights as 8-bit numbers and rounds the inputs of layers to 8 bits.

    Works on pruned networks too. Nothing is left that could be trained: recovery leaves the
    network as it is.
    """

    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "none"
    random: ClassVar[bool] = True

    images: int = Field(512, ge=1, description="training images from which ranges are chosen")
    observer: Literal["histogram", "minmax"] = Field(
        "histogram",
        description="the range that is rounded: of least squared error in a histogram of the "
        "values, or from the least to the largest",
    )
    outputs: bool = Field(
        True,
        description="round the outputs of convolutions too that no later layer rounds as its "
        "input, such as those that are added to a shortcut: integer kernels need it",
    )
    weights_only: bool = Field(False, description="round nothing but the weights")

    @model_validator(mode="after")
    def _can_run(self) -> Self:
        if find_spec("torchao") is None:
            raise RequestError(
                "pruner 'int8' needs the package torchao: pip install 'prunebench[quantisation]'"
            )
        return self

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Quantise the network in place; the level means nothing.

        Raises:
            RequestError: There is no convolution or linear layer to quantise, or the network is
                quantised already.
        """
        from prunebench.networks.network import make_masks_permanent
        from prunebench.networks.quantised.calibration import quantise
        from prunebench.networks.quantised.layers import find_int8_layers

        if find_int8_layers(network):
            raise RequestError("pruner 'int8': the network has 8-bit weights already")
        make_masks_permanent(network)
        images = (inputs for inputs, _ in context.batches(self.images, BATCH))
        quantise(network, images, self.observer, self.weights_only, self.outputs)
        if not find_int8_layers(network):
            raise RequestError(
                f"pruner 'int8': {type(network).__name__} runs no nn.Conv2d or nn.Linear that "
                "could be quantised"
            )
        return network
