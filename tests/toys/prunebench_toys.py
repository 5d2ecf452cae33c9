"""A toy of each kind of plugin: fast, and failing on request."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.datasets import Dataset
from prunebench.metrics import Evidence, Metric
from prunebench.models import Model
from prunebench.plugins.base import plugin
from prunebench.plugins.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.cams import Trace
    from prunebench.data import Data


class ToyImages(Dataset):
    """Bright squares left or right, drawn from a file that holds their seed."""

    path: Path
    classes: int = Field(2, ge=2)

    def load(self) -> Data:
        import torch

        from prunebench.data import Data, Normalisation, Split

        draw = torch.Generator().manual_seed(int(self.path.read_text()))

        def split(count: int) -> Split:
            labels = torch.randint(self.classes, (count,), generator=draw)
            pixels = torch.randint(100, (count, 1, 16, 16), generator=draw, dtype=torch.uint8)
            for image, label in zip(pixels, labels, strict=True):
                image[0, 4:12, 8 * int(label) % 16 : 8 * int(label) % 16 + 6] += 150
            return Split(pixels, labels)

        names = tuple(f"class {k}" for k in range(self.classes))
        return Data(split(120), split(40), split(60), names, Normalisation((0.5,), (0.5,)))


class ToyCnn(Model):
    """Two convolutions and a linear layer."""

    width: int = 6

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
        return Recipe(epochs=3, lr=0.05, batch_size=30)


def toy_cam(trace: Trace, *, power: float = 1.0) -> Tensor:
    """The sum of activations, raised to a power."""
    return trace.activations.clamp(min=0).sum(1) ** power


@plugin(random=True)
def toy_noise(trace: Trace) -> Tensor:
    """A random map, the same for equal seeds."""
    import torch

    draw = torch.Generator().manual_seed(trace.seeds[0])
    return torch.rand(trace.activations[:, 0].shape, generator=draw)


def toy_bad_cam(trace: Trace) -> Tensor:
    """Always fails."""
    raise ValueError("this method was made to fail")


class ToyCrash(Metric):
    """Fails where the environment says so."""

    reads: ClassVar = ("network",)
    pruned_only: bool = False

    def compute(self, evidence: Evidence) -> dict[str, float]:
        if os.environ.get("TOY_CRASH"):
            raise ValueError("this metric was told to fail")
        return {"toy_crash": 1.0}


class ToyCount(Metric):
    """Counts zeros, and leaves a mark in a file for every time it is computed."""

    reads: ClassVar = ("network",)
    carries: ClassVar = "portable"

    def compute(self, evidence: Evidence) -> dict[str, float]:
        if mark := os.environ.get("TOY_MARK"):
            with Path(mark).open("a") as file:
                file.write("computed\n")
        zeros = sum(int((p == 0).sum()) for p in evidence.network.module.parameters())
        return {"toy_count": float(zeros)}


class ToyDeadly(Metric):
    """Kills its process, as often as a file has lines; notes which process answered."""

    reads: ClassVar = ("network",)
    deaths: Path

    def compute(self, evidence: Evidence) -> dict[str, float]:
        if left := self.deaths.read_text().splitlines():
            self.deaths.write_text("\n".join(left[1:]))
            os.kill(os.getpid(), signal.SIGKILL)
        return {"toy_deadly": 1.0}
