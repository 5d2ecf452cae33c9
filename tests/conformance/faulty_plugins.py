"""Plugins with one fault each, and which check must find it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import prune

from prunebench.data import Data, Normalisation, Split
from prunebench.datasets import Dataset
from prunebench.metrics import Evidence, Metric
from prunebench.metrics.metric import Reading
from prunebench.metrics.scale import Scale
from prunebench.models import Model
from prunebench.networks import Architecture, Network
from prunebench.plugins.base import plugin
from prunebench.plugins.recipe import Recipe
from prunebench.pruners import Context, Preparation, Pruner


class Sound(Pruner):
    """Masks random weights, from the seed it is given: no fault."""

    random: ClassVar[bool] = True

    def draw(self, context: Context) -> torch.Generator | None:
        return torch.Generator().manual_seed(context.seed)

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        generator = self.draw(context)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                gone = torch.randperm(layer.weight.numel(), generator=generator)
                mask = torch.ones(layer.weight.numel())
                mask[gone[: round(level * len(gone))]] = 0
                prune.custom_from_mask(layer, "weight", mask.view_as(layer.weight))
        return network


class Undeclared(Sound):
    """Random, and does not say so."""

    random: ClassVar[bool] = False


class OneSeed(Sound):
    """Says that it is random, and draws from a seed of its own."""

    def draw(self, context: Context) -> torch.Generator | None:
        return torch.Generator().manual_seed(0)


class GlobalDraw(Sound):
    """Draws from the global generator."""

    def draw(self, context: Context) -> torch.Generator | None:
        return None


class Seeding(Sound):
    """Seeds the global generator."""

    def draw(self, context: Context) -> torch.Generator | None:
        torch.manual_seed(context.seed)
        return None


class ByHash(Sound):
    """Depends on the order of a set, which differs from process to process."""

    random: ClassVar[bool] = False

    def draw(self, context: Context) -> torch.Generator | None:
        return torch.Generator().manual_seed(hash("order"))


class Half(Sound):
    """Removes half of what it is asked to."""

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        return super().compress(network, level / 2, context)


class Collapsing(Sound):
    """Leaves nothing of a layer."""

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        size = sum(m.weight.numel() for m in network.modules() if hasattr(m, "weight"))
        for layer in layers if level * size > layers[0].weight.numel() else []:
            prune.custom_from_mask(layer, "weight", torch.zeros_like(layer.weight))
        return network


class Hooked(Sound):
    """Leaves a hook."""

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        super().compress(network, level, context)
        next(network.children()).register_full_backward_hook(lambda *_: None)
        return network


class Unnamed(Sound):
    """Has its network built by Python code that it does not name."""

    def compress(self, network: nn.Module, level: float, context: Context) -> Network:
        text = """
from prunebench.plugins import choose

def build(classes, channels, size):
    return choose("models", "digits-cnn").plugin.build(classes, channels, size)
"""
        architecture = Architecture(
            factory="net.py:build",
            classes=10,
            channels=1,
            size=(8, 8),
            mean=(),
            std=(),
            source=text,
        )
        return Network(network, architecture)


class Unmasked(Sound):
    """Sets weights to zero without a mask."""

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        from prunebench.networks.network import make_masks_permanent

        make_masks_permanent(super().compress(network, level, context))
        return network


class Meddling(Sound):
    """Changes the baseline too."""

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        with torch.no_grad():
            next(context.baseline.parameters()).zero_()
        return super().compress(network, level, context)


class Rounding(Sound):
    """Changes weights at level 0."""

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(parameter.half())
        return super().compress(network, level, context)


class Detached(Sound):
    """What it leaves gives no numbers."""

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        super().compress(network, level, context)
        norm = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
        with torch.no_grad():
            norm.weight.fill_(torch.nan)
        return network


class Untyped(Sound):
    """A parameter takes anything."""

    anything: Any = Field(1, description="what you like")


class TwoTrainings(Sound):
    """Trains twice in one step."""

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        for _ in range(2):
            context.train(network, Recipe(epochs=9, lr=1e-3))
        return super().compress(network, level, context)


class Falling(Sound):
    """Goes in rounds that do not rise."""

    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "rounds"

    def round_count(self) -> int:
        return 3

    def level_of_round(self, k: int) -> float:
        return 0.5 / k


class Drawn(Preparation):
    """Random, and does not say so."""

    name: ClassVar[str] = "drawn"

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(context.seed)
        return {"drawn": torch.rand(3, generator=draw)}


class Preparing(Sound):
    """Its preparation does not say that it is random."""

    def prepare(self) -> tuple[Preparation, ...]:
        return (Drawn(),)


def batch_cam(trace: Any) -> Tensor:
    """Scales by its batch's maximum, and cuts off what is small then."""
    found = trace.activations.sum(1)
    return (found / found.max() - 0.3).clamp(min=0)


def global_cam(trace: Any) -> Tensor:
    """Draws from the global generator."""
    return torch.rand(trace.activations[:, 0].shape)


@plugin(random=True)
def same_cam(trace: Any) -> Tensor:
    """Says that it is random, and is not."""
    return trace.activations.sum(1)


def dividing_cam(trace: Any) -> Tensor:
    """Divides by a gradient that may be zero."""
    total = trace.gradients.sum((1, 2, 3))
    return (trace.gradients * trace.activations).sum(1) / total[:, None, None]


def hooking_cam(trace: Any) -> Tensor:
    """Leaves a hook in the network."""
    next(trace.module.children()).register_forward_hook(lambda *_: None)
    return trace.activations.sum(1)


def single_cam(trace: Any) -> Tensor:
    """Computes in single precision only."""
    weights = torch.ones(trace.activations.shape[1])
    return torch.einsum("k,bkij->bij", weights, trace.activations)


def wide_cam(trace: Any) -> Tensor:
    """Gives all channels."""
    return trace.activations


class MapMetric(Metric):
    """How far two maps lie apart: no fault."""

    reads: ClassVar[tuple[Reading, ...]] = ("maps", "baseline_maps")
    higher_is_better: ClassVar[bool | None] = False

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        return {"distance": (evidence.maps - evidence.baseline_maps).abs().mean((1, 2))}


class Peeking(MapMetric):
    """Reads what it does not declare."""

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        return {"right": (evidence.predictions.argmax(1) == evidence.labels).double()}


class OutOfBounds(MapMetric):
    """Declares bounds that its values do not keep."""

    gives: ClassVar[Mapping[str, Scale]] = {"distance": Scale("distance", bounds=(0, 0))}


class OtherName(MapMetric):
    """Gives a value that it does not declare."""

    gives: ClassVar[Mapping[str, Scale]] = {"length": Scale("distance")}


class WrongWay(MapMetric):
    """Says that a larger distance is better."""

    higher_is_better: ClassVar[bool | None] = True


class BatchRange(MapMetric):
    """Divides by the range of the first map."""

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        first = evidence.maps[0].std()
        return {"distance": super().compute(evidence)["distance"] / first}


class Dividing(MapMetric):
    """One number, which zero maps make no number."""

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        ours, theirs = evidence.maps.sum((1, 2)), evidence.baseline_maps.sum((1, 2))
        return {"ratio": float((theirs / ours).mean())}


class Drawing(MapMetric):
    """Depends on the seed, and does not say so."""

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        draw = torch.Generator().manual_seed(evidence.seed)
        return {"noise": torch.rand(len(evidence.maps), generator=draw)}


class Plain(Model):
    """Two convolutions: no fault."""

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 8, 3, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, classes),
        )

    def target_layer(self) -> str:
        return "2"

    def recipe(self) -> Recipe:
        return Recipe(epochs=2)


class Missing(Plain):
    """Its target layer is not there."""

    def target_layer(self) -> str:
        return "layer4"


class Pooled(Plain):
    """Its target layer is a single pixel."""

    def target_layer(self) -> str:
        return "3"


class TenClasses(Plain):
    """Has ten outputs always."""

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        return super().build(10, channels, size)


class Unseeded(Plain):
    """Is initialised from a seed of its own."""

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        torch.manual_seed(5)
        return super().build(classes, channels, size)


class Late(Plain):
    """A milestone after its last epoch, and a fixed layer that is not there."""

    def recipe(self) -> Recipe:
        return Recipe(epochs=2, milestones=(30,))

    def fixed_channels(self) -> tuple[str, ...]:
        return ("conv1",)


class Images(Dataset):
    """Noise: no fault."""

    path: Path

    def splits(self) -> tuple[Split, Split, Split]:
        random = np.random.default_rng(0)
        pixels = torch.from_numpy(random.integers(0, 256, (60, 1, 8, 8), np.uint8))
        everything = Split(pixels, torch.arange(60) % 3)
        train, validation, test = torch.arange(60).split([30, 10, 20])
        return everything.subset(train), everything.subset(validation), everything.subset(test)

    def load(self) -> Data:
        return Data(*self.splits(), ("a", "b", "c"), Normalisation((0.5,), (0.5,)))


class Leaking(Images):
    """Tests on training images."""

    def splits(self) -> tuple[Split, Split, Split]:
        train, validation, _ = super().splits()
        return train, validation, train.subset(torch.arange(20))


class FromOne(Images):
    """Labels begin at one."""

    def splits(self) -> tuple[Split, Split, Split]:
        train, validation, test = (Split(s.pixels, s.labels + 1) for s in super().splits())
        return train, validation, test


class Shuffled(Images):
    """Other images each time."""

    def splits(self) -> tuple[Split, Split, Split]:
        train, validation, test = super().splits()
        return train.subset(torch.randperm(30)), validation, test


class ColourLook(Images):
    """Normalised as if in colour, and two classes of one name."""

    def load(self) -> Data:
        return Data(*self.splits(), ("a", "b", "a"), Normalisation((0.5,) * 3, (0.5,) * 3))


FAULTS: dict[str, dict[str, str]] = {
    "pruners": {
        "Undeclared": "seed matters only if declared",
        "OneSeed": "seed matters only if declared",
        "GlobalDraw": "same seed, same network",
        "Seeding": "leaves global generators alone",
        "ByHash": "same network in a fresh process",
        "Half": "reaches its level",
        "Collapsing": "keeps the outputs",
        "Hooked": "leaves no hooks, is saved and loaded",
        "Unnamed": "leaves no hooks, is saved and loaded",
        "Unmasked": "keeps zeros in recovery",
        "Meddling": "leaves the baseline alone",
        "Rounding": "changes nothing at level 0",
        "Detached": "stays differentiable",
        "Untyped": "refuses wrong parameters",
        "TwoTrainings": "compresses",
        "Falling": "reaches its level",
        "Preparing": "preparations can be stored",
    },
    "cams": {
        "batch_cam": "an image's map is its own",
        "global_cam": "same images, same maps",
        "same_cam": "seed matters only if declared",
        "dividing_cam": "bears a class without gradient",
        "hooking_cam": "leaves the network alone",
        "single_cam": "works in float64",
        "wide_cam": "explains",
    },
    "metrics": {
        "Peeking": "measures",
        "WrongWay": "the baseline itself is best",
        "OutOfBounds": "values are as declared",
        "OtherName": "values are as declared",
        "BatchRange": "an image's value is its own",
        "Dividing": "bears empty maps",
        "Drawing": "seed matters only if declared",
    },
    "models": {
        "Missing": "has a target layer",
        "Pooled": "has a target layer",
        "TenClasses": "gives logits",
        "Unseeded": "is initialised by the seed",
        "Late": "has a recipe",
    },
    "datasets": {
        "Leaking": "splits are disjoint",
        "FromOne": "labels are classes",
        "Shuffled": "same images again",
        "ColourLook": "normalisation fits",
    },
}
SOUND = {"pruners": "Sound", "metrics": "MapMetric", "models": "Plain", "datasets": "Images"}
