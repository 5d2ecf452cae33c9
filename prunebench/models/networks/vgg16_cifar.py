"""VGG-16 with BatchNorm for small images."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

STAGES = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
"""Output channels of the convolutions; a max-pool stands between two stages."""

SMALLEST = 16
"""Height and width of an image of which one pixel is left for the last stage."""


class Vgg16(nn.Module):
    """Thirteen 3×3 convolutions in five stages, global average pooling, two linear layers.

    Simonyan and Zisserman 2014, table 1, column D, with BatchNorm and a small classifier. Layer
    names are those of the HRank authors' network, in which layers and pools are counted together.

    Args:
        classes: Number of outputs.
        channels: Channels of the input.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential()
        inputs, number = channels, 0
        for stage in STAGES:
            if number:
                self.features.add_module(f"pool{number}", nn.MaxPool2d(2))
                number += 1
            for outputs in stage:
                self.features.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, 3, padding=1))
                self.features.add_module(f"norm{number}", nn.BatchNorm2d(outputs))
                self.features.add_module(f"relu{number}", nn.ReLU())
                inputs, number = outputs, number + 1
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            OrderedDict(
                linear1=nn.Linear(512, 512),
                norm1=nn.BatchNorm1d(512),
                relu1=nn.ReLU(),
                linear2=nn.Linear(512, classes),
            )
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Return logits B×classes for images B×channels×H×W, H and W at least 16."""
        logits: Tensor = self.classifier(self.pool(self.features(images)).flatten(1))
        return logits
