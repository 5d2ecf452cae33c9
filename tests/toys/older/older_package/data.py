"""Bright squares, left or right."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field

from prunebench.data import Data, Normalisation, Split
from prunebench.datasets import Dataset
from prunebench.errors import RequestError


class Squares(Dataset):
    """Bright squares left or right, drawn from a seed in a file."""

    path: Path = Field(description="file that holds the seed")

    def files(self) -> list[Path]:
        if not self.path.is_file():
            raise RequestError("older-squares: no such file", where=str(self.path))
        return [self.path]

    def load(self) -> Data:
        draw = torch.Generator().manual_seed(int(self.path.read_text()))

        def split(count: int) -> Split:
            labels = torch.randint(2, (count,), generator=draw)
            pixels = torch.randint(100, (count, 1, 16, 16), generator=draw, dtype=torch.uint8)
            for image, label in zip(pixels, labels, strict=True):
                image[0, 4:12, 8 * int(label) : 8 * int(label) + 6] += 150
            return Split(pixels, labels)

        names = ("left", "right")
        return Data(split(120), split(40), split(60), names, Normalisation((0.5,), (0.5,)))
