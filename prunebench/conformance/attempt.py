"""One compression, as the harness would carry it out, on the networks of the bench."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.conformance.bench import (
    CPU,
    RECIPE,
    Which,
    load_digits,
    note_generators,
    train_network,
)
from prunebench.data import Normalisation
from prunebench.execution.stages.context import make_context
from prunebench.networks import Network
from prunebench.networks.network import from_module
from prunebench.plugins import Chosen
from prunebench.plugins.objective import CROSS_ENTROPY, Objective
from prunebench.plugins.preparing import prepared
from prunebench.plugins.recipe import Recipe
from prunebench.pruners import Context, Pruner
from prunebench.seeding import derive

LEVEL = 0.5
SHORT = {"epochs": 1, "images": 300, "milestones": ()}


@dataclass
class Usage:
    """What a method asked its context for.

    Attributes:
        recipes: Of its trainings, as asked for; they are carried out for one epoch at most.
        images: Whether it read training images.
        generators: Global generators that it drew from or seeded.
    """

    recipes: list[Recipe] = field(default_factory=list)
    images: bool = False
    generators: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Attempt:
    """One compression and what it left behind.

    Attributes:
        network: The compressed network.
        parent: What it was compressed from, with which the method shares nothing.
        context: What the method was given.
        usage: What ``compress`` asked for.
        preparing: What its preparations asked for.
    """

    network: Network
    parent: Network
    context: Context
    usage: Usage
    preparing: Usage


class CheckedPruner:
    """A compression method at work; what several checks read is computed once."""

    def __init__(self, chosen: Chosen[Pruner], parameters: dict[str, Any]) -> None:
        self.chosen = chosen
        self.parameters = parameters
        self.pruner = chosen.plugin
        self._prepared: dict[Any, tuple[Mapping[str, Any], Usage]] = {}

    @property
    def names_another(self) -> bool:
        """Whether a parameter names another method, which this one applies in its own way."""
        return "pruners" in getattr(self.pruner, "nested", {}).values()

    @cached_property
    def main(self) -> Attempt:
        """The small network compressed by a half, or by one round."""
        return self.attempt()

    def attempt(
        self,
        level: float = LEVEL,
        seed: int = 0,
        which: Which = "digits-cnn",
        after: Attempt | None = None,
        device: torch.device = CPU,
        *,
        prepared_by: int | None = None,
        anew: bool = False,
    ) -> Attempt:
        """Compress a network.

        Args:
            level: Of a method with continuous levels.
            seed: The experiment's seed.
            which: The network.
            after: Of a method with rounds: the round before.
            device: Where to.
            prepared_by: The seed of its preparations, if another.
            anew: Compute preparations again too.
        """
        baseline = train_network(which).copy().to(device)
        parent = after.network.copy() if after else baseline
        round_ = 1 + (after.context.round or 0 if after else 0)
        is_round = self.pruner.levels == "rounds"
        usage = Usage()
        context = make_context(
            parent,
            baseline,
            load_digits(),
            derive(seed, "compression"),
            origin=parent.copy().module if is_round else None,
            round=round_ if is_round else None,
            recipe=RECIPE,
            earlier=lambda epoch: _train_until(which, epoch).to(device),
        )
        key = (seed if prepared_by is None else prepared_by, which, device.type)
        if anew or key not in self._prepared:
            self._prepared[key] = self._prepare(baseline, context)
        found, preparing = self._prepared[key]
        if is_round:
            level = self.pruner.level_of_round(round_)
        elif self.pruner.levels == "none":
            level = 0.0
        context = _note_usage(replace(context, prepared=found), usage)
        module = parent.copy().module
        with note_generators(usage.generators):
            result = self.pruner.compress(module, level, context)
        given = result if isinstance(result, Network) else from_module(result, parent.architecture)
        return Attempt(given, parent, context, copy.deepcopy(usage), preparing)

    def _prepare(self, baseline: Network, context: Context) -> tuple[Mapping[str, Any], Usage]:
        usage = Usage()
        with note_generators(usage.generators):
            within = prepared(self.pruner.prepare(), baseline.module, _note_usage(context, usage))
        return within.prepared, usage


def _train_until(which: Which, epoch: int) -> nn.Module:
    """Return the baseline as it was after some epochs of its training, which was brief."""
    return train_network(which, min(epoch, RECIPE.epochs)).copy().module


def _note_usage(context: Context, usage: Usage) -> Context:
    """Return a context that notes what is asked of it, and trains briefly."""

    def train(
        module: nn.Module,
        recipe: Recipe,
        objective: Objective = CROSS_ENTROPY,
        normalise: Normalisation | None = None,
    ) -> None:
        usage.recipes.append(recipe)
        short = recipe.model_copy(update=SHORT | {"epochs": min(recipe.epochs, 1)})
        context.train(module, short, objective, normalise)

    def batches(images: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        usage.images = True
        return context.batches(images, batch_size)

    return replace(context, train=train, batches=batches)
