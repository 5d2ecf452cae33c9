"""Compression: what comes before any level, and the compressed network itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.data import Data, Normalisation, batches
from prunebench.errors import RequestError
from prunebench.execution.stages.baseline import own_training, untrained
from prunebench.execution.stages.workspace import Result, Workspace
from prunebench.models import Model
from prunebench.networks import Network
from prunebench.networks.counting import all_parameters, prunable_weights, total_macs
from prunebench.networks.network import from_module, to_tensors
from prunebench.networks.training import Curve, train
from prunebench.plan.steps import Step
from prunebench.plugins import choose
from prunebench.plugins.objective import CROSS_ENTROPY, Objective
from prunebench.plugins.recipe import Recipe
from prunebench.pruners import Context, Preparation, Pruner
from prunebench.seeding import derive


def prepare(step: Step, work: Workspace) -> Result:
    """Computes what a method needs of a network once: before any level, or before any map."""
    preparation: Preparation = step.plugin
    network = work.network(step.parent("network")).copy()
    cost = Cost()
    context = _context(step, work, network, network, cost)
    tensors = preparation.compute(network.module, context)
    return Result({"images_seen": cost.images_seen, "curve": cost.curve}, tensors)


def compress(step: Step, work: Workspace) -> Result:
    """Compresses a network and measures what was really removed."""
    pruner: Pruner = step.plugin.plugin
    parent = work.network(step.parent("network"))
    is_round = step.has_parent("baseline")
    baseline = work.network(step.parent("baseline")) if is_round else parent
    level = pruner.level_of_round(step.options["round"]) if is_round else step.options["level"]
    cost = Cost()
    context = _context(step, work, parent, baseline, cost)
    found = pruner.compress(parent.copy().module, level or 0.0, context)
    network = _as_network(found, parent)
    network.module.to(work.device)
    pictures = pruner.pictures(network.copy(), context)
    data = {
        "architecture": network.architecture.model_dump(mode="json"),
        "reached": reached(network, baseline),
        "axis": axis(network, baseline),
        "images_seen": cost.images_seen,
        "curve": cost.curve,
    }
    shown = {f"picture/{name}": picture.cpu() for name, picture in pictures.items()}
    return Result(data, to_tensors(network) | shown)


class Cost:
    """What training inside a compression cost, and how it went.

    Attributes:
        trainings: How many there were: in a store they would share one checkpoint.
        images_seen: Training images, each as often as it was seen.
        curve: The learning curve of the last training.
    """

    def __init__(self) -> None:
        self.images_seen = 0
        self.trainings = 0
        self.curve: Curve = []


def _as_network(found: nn.Module | Network, parent: Network) -> Network:
    if isinstance(found, nn.Module):
        network = from_module(found, parent.architecture)
        shapes = {name: parameter.shape for name, parameter in network.module.named_parameters()}
        kept = {k: v for k, v in parent.masks.items() if shapes.get(k) == v.shape}
        return Network(network.module, network.architecture, kept | network.masks)
    if found.architecture.mean:
        return found
    own = {"mean": parent.architecture.mean, "std": parent.architecture.std}
    return Network(found.module, found.architecture.model_copy(update=own), found.masks)


def _context(
    step: Step, work: Workspace, network: Network, baseline: Network, cost: Cost
) -> Context:
    data = work.data(step.parent("data"))
    is_round = step.has_parent("baseline")
    source = step.parent("network")
    origin = work.network(source.compressed()) if is_round else baseline
    return make_context(
        network,
        baseline,
        data,
        derive(step.seed or 0, "compression"),
        cost,
        origin=origin.copy().module,
        round=step.options.get("round"),
        earlier=lambda epoch: _earlier(source.lineage()[-1], data, epoch, work, cost),
        prepared={
            role.removeprefix("prepared:"): {
                name: tensor.to(work.device)
                for name, tensor in work.artefact(parent).tensors.items()
            }
            for role, parent in step.parents
            if role.startswith("prepared:")
        },
        progress=work.progress,
        checkpoint=work.store.scratch(step.key),
    )


def make_context(
    network: Network,
    baseline: Network,
    data: Data,
    seed: int,
    cost: Cost | None = None,
    **others: Any,
) -> Context:
    """What a compression method may use of a data set.

    Args:
        network: The network to be compressed.
        baseline: The uncompressed network.
        data: The data set; its test split is not touched.
        seed: The step's own seed.
        cost: Where to count what training costs.
        others: Further fields of the context.
    """
    counted = cost or Cost()
    device = network.example().device

    def train_here(
        module: nn.Module,
        recipe: Recipe,
        objective: Objective = CROSS_ENTROPY,
        normalise: Normalisation | None = None,
    ) -> None:
        if counted.trainings and "checkpoint" in others:
            raise RequestError(
                "one compression can train once, and this one trains again; a preparation of its "
                "own, or the suite's recovery, can hold the other training"
            )
        counted.trainings += 1
        counted.curve, seen = train(
            module,
            data,
            normalise or network.architecture.normalisation,
            recipe,
            derive(seed, "training"),
            device,
            objective=objective,
            checkpoint=others.get("checkpoint"),
            progress=others.get("progress", lambda fraction, text: None),
        )
        counted.images_seen += seen

    return Context(
        example=network.example(),
        batches=_calibration(data, network.architecture.normalisation, seed, device),
        classes=network.architecture.classes,
        seed=seed,
        device=device,
        baseline=baseline.copy().module,
        normalisation=network.architecture.normalisation,
        fixed_channels=frozenset(fixed_channels(network)),
        train=train_here,
        **others,
    )


def _earlier(baseline: Step, data: Data, epoch: int, work: Workspace, cost: Cost) -> nn.Module:
    """The baseline as it was after some epochs of its own training."""
    model: Model = baseline.plugin.plugin
    recipe = own_training(model)
    if recipe is None or not 0 <= epoch <= recipe.epochs:
        trained = f"{recipe.epochs} epochs" if recipe else "elsewhere"
        raise RequestError(
            f"there is no epoch {epoch} of the training of {baseline.name!r} to go back to: it "
            f"was trained {trained}"
        )
    network = untrained(baseline.plugin, data, baseline.seed or 0)
    _, seen = train(
        network.module,
        data,
        network.architecture.normalisation,
        recipe,
        baseline.seed or 0,
        work.device,
        stop=epoch,
        progress=work.progress,
    )
    cost.images_seen += seen
    return network.module


def _calibration(
    data: Data, normalise: Normalisation, seed: int, device: torch.device
) -> Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]:
    def draw(images: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(derive(seed, "calibration"))
        order = torch.randperm(len(data.train), generator=generator)[:images]
        return batches(data.train, normalise, batch_size, device, order)

    return draw


def fixed_channels(network: Network) -> Iterator[str]:
    """Layers whose outputs must stay: those the model names, and the classifier."""
    architecture = network.architecture
    if ".py:" not in architecture.factory:
        model = choose("models", architecture.factory, architecture.parameters)
        yield from model.plugin.fixed_channels()
    linear = [
        name for name, layer in network.module.named_modules() if isinstance(layer, nn.Linear)
    ]
    yield from linear[-1:]


def reached(network: Network, baseline: Network) -> dict[str, float]:
    """Fractions of the baseline that are gone: see ``record.Reached``."""

    def counts(of: Network) -> dict[str, float]:
        convolutions = [m for m in of.module.modules() if isinstance(m, nn.Conv2d)]
        return {
            "weights": sum(int(weight.count_nonzero()) for weight in prunable_weights(of.module)),
            "params": sum(parameter.numel() for parameter in all_parameters(of.module)),
            "channels": sum(convolution.out_channels for convolution in convolutions),
            "macs": total_macs(of.module, of.example()),
        }

    ours, full = counts(network), counts(baseline)
    full["weights"] = sum(weight.numel() for weight in prunable_weights(baseline.module))
    return {name: 1 - ours[name] / full[name] if full[name] else 0.0 for name in full}


def axis(network: Network, baseline: Network) -> str:
    """The axis of a network; see ``record.Record``."""
    if network.architecture.quantised:
        return "quantised"
    # By name: masks change the order of parameters.
    shapes = {name: tensor.shape for name, tensor in network.module.named_parameters()}
    if shapes != {name: tensor.shape for name, tensor in baseline.module.named_parameters()}:
        return "dense"
    return "masked" if network.masks else "none"
