"""A small network, untrained or with weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from prunebench.models import Model
from prunebench.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn


class OlderCnn(Model):
    """Two convolutions and a linear layer."""

    width: int = Field(6, ge=1, description="channels of the first convolution")
    ready: bool = Field(False, description="comes with weights")

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        from torch import nn

        return nn.Sequential(
            nn.Conv2d(channels, self.width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(self.width, 8, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, classes),
        )

    def target_layer(self) -> str:
        return "4"

    def recipe(self) -> Recipe:
        return Recipe(epochs=2, lr=0.05, batch_size=30)

    def trained(self) -> bool:
        return self.ready or super().trained()

    def pretrained(self) -> dict[str, Tensor] | None:
        import torch

        if not self.ready:
            return None
        network = self.build(2, 1, (16, 16))
        draw = torch.Generator().manual_seed(1)
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        return {name: torch.randn(shape, generator=draw) / 3 for name, shape in shapes.items()}
