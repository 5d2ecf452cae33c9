"""One training loop for all: training from scratch, adaptation and recovery fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.data import Data, Normalisation, Split, batches
from prunebench.networks.quantised.layers import find_int8_layers
from prunebench.plugins.context import Checkpoint, NoCheckpoint
from prunebench.plugins.objective import CROSS_ENTROPY, Objective
from prunebench.plugins.recipe import Recipe
from prunebench.seeding import derive, seeded

Curve = list[dict[str, Any]]
"""One entry an epoch: see ``record_parts.Epoch``."""


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
    """Trains a network in place and leaves it in evaluation mode.

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
    if (state := scratch.load()) is not None:
        curve, best, best_accuracy = _restore_state(state, module, optimizer)
    epochs = recipe.epochs if stop is None else min(stop, recipe.epochs)
    for epoch in range(len(curve), epochs):
        lr = compute_learning_rate(recipe, epoch)
        for group in optimizer.param_groups:
            group["lr"] = lr
        order = chosen[_draw_order(len(chosen), seed, epoch)]
        with seeded(seed, "training", epoch):  # dropout draws from the global generator
            inputs = _draw_batches(split, normalise, recipe, order, device, seed, epoch)
            terms = _train_epoch(module, inputs, len(order), recipe, optimizer, objective, epoch)
            objective.on_epoch(module, (epoch + 1) / recipe.epochs)
        accuracy = evaluate(module, data.validation, normalise, device)
        point: dict[str, Any] = {"epoch": epoch + 1, "loss": sum(terms.values()), "lr": lr}
        point["validation_accuracy"] = accuracy
        told = {name: mean for name, mean in terms.items() if name} | dict(
            objective.observe(module)
        )
        curve.append(point | {"terms": told} if told else point)
        if recipe.keep == "best" and accuracy is not None and accuracy > best_accuracy:
            best_accuracy = accuracy
            best = {k: v.detach().clone() for k, v in module.state_dict().items()}
        if epoch + 1 < epochs:
            scratch.save(_pack_state(module, optimizer, curve, best, best_accuracy))
        shown = "" if accuracy is None else f", validation accuracy {accuracy:.1%}"
        progress((epoch + 1) / epochs, f"epoch {epoch + 1}/{epochs}{shown}")
    if best and stop is None:
        module.load_state_dict(best)
    module.eval()
    return curve, len(chosen) * epochs


def compute_learning_rate(recipe: Recipe, epoch: int) -> float:
    """The learning rate of an epoch, counted from 0."""
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
    passed = sum(epoch >= milestone for milestone in recipe.milestones)
    return float(recipe.lr * recipe.gamma**passed)


@torch.no_grad()
def evaluate(
    module: nn.Module, split: Split, normalise: Normalisation, device: torch.device
) -> float | None:
    """Top-1 accuracy on a split, in [0, 1]; None if it is empty."""
    if not len(split):
        return None
    module.eval()
    correct = 0
    for inputs, labels in batches(split, normalise, 500, device):
        correct += int((module(inputs).argmax(1) == labels).sum())
    return correct / len(split)


def _find_trainable(module: nn.Module) -> list[nn.Parameter]:
    """What training changes: not the rest of a network whose weights are fixed whole numbers."""
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
    """An epoch's batches of augmented inputs and labels."""
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
    """Trains one epoch; returns the mean of each term of the loss, by name ("" for one without)."""
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


def augment(inputs: Tensor, how: str, draw: torch.Generator) -> Tensor:
    """Random horizontal flips, and random crops after padding by an eighth of the size.

    Args:
        inputs: B×C×H×W.
        how: ``none``, ``flip`` or ``crop-flip``.
        draw: Where random numbers come from, on the CPU.
    """
    if how == "none":
        return inputs
    count, _, height, width = inputs.shape
    flip = (torch.rand(count, generator=draw) < 0.5).to(inputs.device)
    inputs = torch.where(flip[:, None, None, None], inputs.flip(3), inputs)
    if how == "flip":
        return inputs
    pad = max(height // 8, 1)
    top = torch.randint(2 * pad + 1, (count, 1), generator=draw).to(inputs.device)
    left = torch.randint(2 * pad + 1, (count, 1), generator=draw).to(inputs.device)
    padded = F.pad(inputs, (pad, pad, pad, pad))
    rows = top + torch.arange(height, device=inputs.device)
    columns = left + torch.arange(width, device=inputs.device)
    images = torch.arange(count, device=inputs.device)[:, None, None]
    return padded[images, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _pack_state(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    curve: Curve,
    best: dict[str, Tensor],
    best_accuracy: float,
) -> dict[str, Tensor]:
    tensors = {f"module/{k}": v for k, v in module.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in best.items()}
    for index, entries in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer/{index}/{k}": torch.as_tensor(v)
            for k, v in entries.items()
            if v is not None
        }
    rows = [[_to_number(point[column]) for column in COLUMNS] for point in curve]
    tensors["curve"] = torch.tensor(rows, dtype=torch.float64)
    for name in curve[0].get("terms", ()):
        values = [point["terms"][name] for point in curve]
        tensors[f"terms/{name}"] = torch.tensor(values, dtype=torch.float64)
    tensors["best_accuracy"] = torch.tensor(best_accuracy, dtype=torch.float64)
    return tensors


COLUMNS = ("epoch", "loss", "lr", "validation_accuracy")


def _to_number(value: float | int | None) -> float:
    return math.nan if value is None else float(value)


def _restore_state(
    state: dict[str, Tensor], module: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Curve, dict[str, Tensor], float]:
    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

    module.load_state_dict(part("module/"))
    moments: dict[int, dict[str, Any]] = {}
    for name, tensor in part("optimizer/").items():
        index, _, entry = name.partition("/")
        moments.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    curve: Curve = [
        {
            "epoch": int(epoch),
            "loss": loss,
            "lr": lr,
            "validation_accuracy": None if math.isnan(accuracy) else accuracy,
        }
        for epoch, loss, lr, accuracy in state["curve"].tolist()
    ]
    for name, values in part("terms/").items():
        for point, value in zip(curve, values.tolist(), strict=True):
            point.setdefault("terms", {})[name] = value
    device = next(module.parameters()).device
    best = {k: v.to(device) for k, v in part("best/").items()}
    return curve, best, float(state["best_accuracy"])
