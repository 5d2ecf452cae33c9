"""The plain convolutional networks of the Sp2PS paper."""

from __future__ import annotations

from torch import Tensor, nn


class Sp2psNetwork(nn.Module):
    """Stages of 3×3 convolutions, each followed by a 2×2 max-pool, and one linear layer.

    Every convolution is followed by BatchNorm without affine part and ReLU. The convolutions of
    the last stage have no padding.

    Args:
        stages: Output channels of every convolution, by stage.
        classes: Number of outputs.
        size: Height and width of the input.

    Raises:
        ValueError: Nothing is left of such an image after the last pool.
    """

    def __init__(
        self, stages: tuple[tuple[int, ...], ...], classes: int, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        inputs = 3
        for stage in stages:
            layers: list[nn.Module] = []
            for outputs in stage:
                padding = 0 if stage is stages[-1] else 1
                layers.append(nn.Conv2d(inputs, outputs, 3, padding=padding))
                layers.append(nn.BatchNorm2d(outputs, affine=False))
                layers.append(nn.ReLU())
                inputs = outputs
            self.stages.append(nn.Sequential(*layers))
        self.pool = nn.MaxPool2d(2)
        shrunk = 2 ** (len(stages) - 1)
        height, width = ((side // shrunk - 2 * len(stages[-1])) // 2 for side in size)
        if min(height, width) < 1:
            raise ValueError(f"nothing is left of {size[0]}×{size[1]} images after the last pool")
        self.fc = nn.Linear(inputs * height * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits B×classes for images B×3×H×W."""
        maps = images
        for stage in self.stages:
            maps = self.pool(stage(maps))
        logits: Tensor = self.fc(maps.flatten(1))
        return logits
