"""Layers written so that captum's DeepLIFT attributes their differences in full."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TwoReLUs(nn.Module):
    """A ReLU6 as ReLU(x) − ReLU(x − 6): the rescale rule of both adds up to its own."""

    def __init__(self) -> None:
        super().__init__()
        self.rising, self.clipped = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Clip at 0 and at 6."""
        kept: Tensor = self.rising(x.clone()) - self.clipped(x - 6)
        return kept


class WindowedMaxPool(nn.Module):
    """A max-pool over windows laid out side by side.

    captum's DeepLIFT rule drops a contribution where two windows share their maximum; here no two
    windows share a pixel.

    Args:
        pool: The max-pool to replace.
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = [pool]  # no submodule: captum would set its hooks here, too
        self.kernel, self.stride, self.padding = (
            _make_pair(each) for each in (pool.kernel_size, pool.stride, pool.padding)
        )
        self.largest = nn.MaxPool2d((self.kernel[0] * self.kernel[1], 1))

    def forward(self, x: Tensor) -> Tensor:
        """Pool B×C×H×W."""
        grid = self.pool[0](x.detach()).shape[2:]
        sides: list[int] = []
        for axis in (1, 0):  # F.pad begins with the last dimension
            covered = (grid[axis] - 1) * self.stride[axis] + self.kernel[axis]
            missing = covered - x.shape[2 + axis] - self.padding[axis]
            sides += [self.padding[axis], max(missing, 0)]
        # Never a maximum, and finite, so that its difference from the reference's is zero.
        padded = F.pad(x, sides, value=torch.finfo(x.dtype).min / 2)
        windows = padded
        for axis in (0, 1):
            windows = windows.unfold(2 + axis, self.kernel[axis], self.stride[axis])
        windows = windows[:, :, : grid[0], : grid[1]]
        columns = windows.flatten(4).flatten(2, 3).transpose(2, 3)
        pooled: Tensor = self.largest(columns)
        return pooled.reshape(*x.shape[:2], *grid)


def _make_pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
