"""Removing weights while a network trains: what happens at each step of the training."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.networks.distillation import make_distillation_objective
from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.plugins.context import Context
from prunebench.plugins.objective import CROSS_ENTROPY, Objective
from prunebench.plugins.preparing import prepared
from prunebench.plugins.recipe import Distillation
from prunebench.pruners.schedule import Schedule
from prunebench.pruners.weights.mask_pruner import MaskPruner
from prunebench.pruners.weights.masks import refuse_collapse


class Sparsifier:
    """Keeps zeros zero in a training, and makes more of them as a schedule says.

    Which weights are gone is read off the weights themselves before each of the optimizer's steps,
    so that a training goes on from its weights alone.

    Args:
        schedule: When how much is removed.
        method: What chooses the weights.
        level: The fraction of all weights that is removed in the end.
        context: As for ``compress``.
    """

    def __init__(
        self, schedule: Schedule, method: MaskPruner, level: float, context: Context
    ) -> None:
        self.schedule = schedule
        self.method = method
        self.level = level
        self.context = replace(context, train=_refuse)
        self.gone: dict[str, Tensor] = {}
        self.passed = 0.0

    def objective(self, teaching: Distillation | None) -> Objective:
        """Return what the training minimises, with pruning added.

        Args:
            teaching: How the baseline teaches; None where it does not.
        """
        plain = (
            make_distillation_objective(self.context.baseline, teaching)
            if teaching
            else CROSS_ENTROPY
        )
        return replace(
            plain,
            on_gradients=self.remember,
            on_weights=self.constrain,
            # A last batch of one image is left out, and with it the step at the epoch's end.
            on_epoch=self.remove,
        )

    def remember(self, module: nn.Module, passed: float) -> None:
        """Note which weights are zero."""
        self.gone = {
            name: layer.weight == 0 for name, layer in find_prunable_layers(module).items()
        }
        self.passed = passed

    @torch.no_grad()
    def constrain(self, module: nn.Module, passed: float) -> None:
        """Take back what momentum and decay did to the zeros, and remove more where it is time."""
        for name, layer in find_prunable_layers(module).items():
            layer.weight.masked_fill_(self.gone[name], 0)
        self.remove(module, passed)

    @torch.no_grad()
    def remove(self, module: nn.Module, passed: float) -> None:
        """Remove weights if a pruning step became due since the last call.

        Raises:
            RequestError: Nothing would be left of a layer.
        """
        due = self.schedule.count_due(passed) > self.schedule.count_due(self.passed)
        self.passed = passed
        if not due:
            return
        sparsity = self.schedule.sparsity(passed, self.level)
        now = copy.deepcopy(module).eval()
        with torch.enable_grad():
            context = prepared(self.method.prepare(), now, self.context)
            masks = self.method.masks(now, sparsity, context)
        refuse_collapse(module, masks, sparsity)
        for name, layer in find_prunable_layers(module).items():
            layer.weight.mul_(masks[name])


def _refuse(*args: object, **kwargs: object) -> None:
    raise RequestError("a method that trains cannot choose weights within another training")
