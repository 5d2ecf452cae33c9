"""One training loop for all: training from scratch, adaptation and recovery fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.data import Data, Normalisation, Split, batches
from prunebench.networks.augmentation import augment
from prunebench.networks.evaluation import evaluate
from prunebench.networks.precision import computing_in
from prunebench.networks.quantised.layers import find_int8_layers
from prunebench.networks.training_state import Curve, pack_state, restore_state
from prunebench.plugins.context import Checkpoint, NoCheckpoint
from prunebench.plugins.objective import CROSS_ENTROPY, Objective
from prunebench.plugins.recipe import Recipe
from prunebench.seeding import derive, seeded


class DivergedError(Exception):
    """The loss is no longer a number."""


def train(
    module: nn.Module,
    data: Data,
    normalise: Normalisation,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    *,
    objective: Objective = CROSS_ENTROPY,
    stop: int | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> tuple[Curve, int]:
    """Train a network in place and leave it in evaluation mode.

    A network with nothing to train stays as it is; one with 8-bit weights is such a network. The
    epoch kept is chosen on the validation split. An interrupted training goes on from its last
    whole epoch and ends as it would have without the interruption.

    Args:
        module: The network, with masks of torch.nn.utils.prune where zeros must stay zero.
        data: The data set; its test split is not touched.
        normalise: How the network wants to see images.
        recipe: The options.
        seed: The experiment's seed.
        device: Where to train.
        objective: What is minimised, and what else happens at each step.
        stop: Ends after this many epochs, as the network then is.
        checkpoint: Scratch space for whole epochs.
        progress: ``progress(fraction, text)``.

    Returns:
        The learning curve, and the number of training images seen.

    Raises:
        DivergedError: The loss became infinite or NaN.
    """
    scratch = checkpoint or NoCheckpoint()
    module.to(device)
    if not _find_trainable(module):
        module.eval()
        return [], 0
    optimizer = _make_optimizer(module, recipe)
    split = data.train.to(device)
    chosen = _draw_subset(len(split), recipe.images, seed)
    curve: Curve = []
    best: dict[str, Tensor] = {}
    best_accuracy = -1.0
    state = scratch.load()
    restored = None if state is None else restore_state(state, module, optimizer)
    if restored is not None:
        curve, best, best_accuracy = restored
    epochs = recipe.epochs if stop is None else min(stop, recipe.epochs)
    for epoch in range(len(curve), epochs):
        lr = compute_learning_rate(recipe, epoch)
        for group in optimizer.param_groups:
            group["lr"] = lr
        order = chosen[_draw_order(len(chosen), seed, epoch)]
        with seeded(seed, "training", epoch):  # dropout draws from the global generator
            inputs = _draw_batches(split, normalise, recipe, order, device, seed, epoch)
            with computing_in(recipe.precision, module):
                terms = _train_epoch(
                    module, inputs, len(order), recipe, optimizer, objective, epoch
                )
            objective.on_epoch(module, (epoch + 1) / recipe.epochs)
        accuracy = evaluate(module, data.validation, normalise, device)
        point: dict[str, Any] = {"epoch": epoch + 1, "loss": sum(terms.values()), "lr": lr}
        point["validation_accuracy"] = accuracy
        observed = {name: mean for name, mean in terms.items() if name}
        observed |= objective.observe(module)
        curve.append(point | {"terms": observed} if observed else point)
        if recipe.keep == "best" and accuracy is not None and accuracy > best_accuracy:
            best_accuracy = accuracy
            best = {k: v.detach().clone() for k, v in module.state_dict().items()}
        if epoch + 1 < epochs:
            scratch.save(pack_state(module, optimizer, curve, best, best_accuracy))
        shown = "" if accuracy is None else f", validation accuracy {accuracy:.1%}"
        progress((epoch + 1) / epochs, f"epoch {epoch + 1}/{epochs}{shown}")
    if best and stop is None:
        module.load_state_dict(best)
    module.eval()
    return curve, len(chosen) * epochs


def compute_learning_rate(recipe: Recipe, epoch: int) -> float:
    """Compute the learning rate of an epoch, counted from 0."""
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
    passed = sum(epoch >= milestone for milestone in recipe.milestones)
    return float(recipe.lr * recipe.gamma**passed)


def _find_trainable(module: nn.Module) -> list[nn.Parameter]:
    """Find what training changes: nothing in a network whose weights are fixed whole numbers."""
    if find_int8_layers(module):
        return []
    return [p for p in module.parameters() if p.requires_grad]


def _make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = _find_trainable(module)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, recipe.lr, weight_decay=recipe.weight_decay)


def _draw_subset(total: int, wanted: int | None, seed: int) -> Tensor:
    if wanted is None or wanted >= total:
        return torch.arange(total)
    generator = torch.Generator().manual_seed(derive(seed, "training subset"))
    return torch.randperm(total, generator=generator)[:wanted]


def _draw_order(total: int, seed: int, epoch: int) -> Tensor:
    generator = torch.Generator().manual_seed(derive(seed, "data order", epoch))
    return torch.randperm(total, generator=generator)


def _draw_batches(
    split: Split,
    normalise: Normalisation,
    recipe: Recipe,
    order: Tensor,
    device: torch.device,
    seed: int,
    epoch: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches of augmented inputs and labels."""
    draw = torch.Generator().manual_seed(derive(seed, "augmentation", epoch))
    for inputs, labels in batches(split, normalise, recipe.batch_size, device, order):
        if len(labels) == 1 and len(order) > 1:
            continue  # BatchNorm has no variance over one image
        yield augment(inputs, recipe.augment, draw), labels


def _train_epoch(
    module: nn.Module,
    inputs: Iterable[tuple[Tensor, Tensor]],
    images: int,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    epoch: int,
) -> dict[str, float]:
    """Train one epoch and return the mean of each term of the loss, by name ("" without one)."""
    module.train()
    steps = math.ceil(images / recipe.batch_size)
    totals: dict[str, Tensor] = {}
    for step, (augmented, labels) in enumerate(inputs):
        found = objective.loss(module, augmented, labels)
        terms = found if isinstance(found, Mapping) else {"": found}
        first, *others = terms.values()
        loss = torch.stack([first, *others]).sum() if others else first
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        objective.on_gradients(module, (epoch + step / steps) / recipe.epochs)
        optimizer.step()
        objective.on_weights(module, (epoch + (step + 1) / steps) / recipe.epochs)
        for name, term in terms.items():
            seen = term.detach() * len(labels)
            totals[name] = totals[name] + seen if name in totals else seen
    means = {name: float(total) / images for name, total in totals.items()}
    if not math.isfinite(mean := sum(means.values())):
        raise DivergedError(f"the loss is {mean} in epoch {epoch + 1}; a smaller lr may help")
    return means
