"""The two-convolution network of the thesis on iterative pruning."""

from __future__ import annotations

from torch import Tensor, nn


class ThesisNetwork(nn.Module):
    """Convolutions 1→4 and 4→8 (3×3, no padding), each ReLU and max-pool, and one linear layer.

    Args:
        classes: Number of outputs.
        size: Height and width of the input, at least 10; at 28×28 the linear layer has 200 inputs.
    """

    def __init__(self, classes: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(4, 8, 3)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        height, width = (((side - 2) // 2 - 2) // 2 for side in size)
        self.fc = nn.Linear(8 * height * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits B×classes for images B×1×H×W."""
        maps = self.pool1(self.relu1(self.conv1(images)))
        maps = self.pool2(self.relu2(self.conv2(maps)))
        logits: Tensor = self.fc(maps.flatten(1))
        return logits
