"""What a method may use of a data set and a network while it compresses or prepares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from prunebench.data import Data
from prunebench.errors import RequestError
from prunebench.execution.stages.baseline import (
    build_anew,
    build_untrained,
    find_own_recipe,
    find_recipe,
)
from prunebench.execution.stages.workspace import Workspace
from prunebench.models import Model
from prunebench.networks import Network
from prunebench.networks.trainer import Cost, SplitTrainer, draw_batches
from prunebench.networks.training import train
from prunebench.plan.steps import Step
from prunebench.plugins import choose
from prunebench.pruners import Context
from prunebench.seeding import derive


def context_of_step(
    step: Step, work: Workspace, network: Network, baseline: Network, cost: Cost
) -> Context:
    """Make the context of a ``prepared`` or ``compressed`` step."""
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
        recipe=find_own_recipe(source.lineage()[-1].plugin.plugin),
        earlier=lambda epoch: _train_to(epoch, source.lineage()[-1], data, work, cost),
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
    """Make what a compression method may use of a data set.

    Args:
        network: The network to be compressed.
        baseline: The uncompressed network.
        data: The data set; its test split is not touched.
        seed: The step's own seed.
        cost: Where to count what training costs.
        others: Further fields of the context.
    """
    device = network.example().device
    normalisation = network.architecture.normalisation
    trainer = SplitTrainer(
        data,
        normalisation,
        derive(seed, "training"),
        device,
        cost or Cost(),
        **{name: others[name] for name in ("checkpoint", "progress") if name in others},
    )
    return Context(
        example=network.example(),
        batches=draw_batches(data.train, normalisation, derive(seed, "calibration"), device),
        classes=network.architecture.classes,
        seed=seed,
        device=device,
        baseline=baseline.copy().module,
        normalisation=normalisation,
        fixed_channels=frozenset(find_fixed_channels(network)),
        train=trainer,
        build=lambda seed: build_anew(baseline.architecture, seed).to(device),
        **others,
    )


def _train_to(epoch: int, baseline: Step, data: Data, work: Workspace, cost: Cost) -> nn.Module:
    """Train the baseline again, up to what it was after some epochs of its own training."""
    model: Model = baseline.plugin.plugin
    recipe = find_recipe(model)
    if recipe is None or not 0 <= epoch <= recipe.epochs:
        trained = f"{recipe.epochs} epochs" if recipe else "elsewhere"
        raise RequestError(
            f"there is no epoch {epoch} of the training of {baseline.name!r} to go back to: it "
            f"was trained {trained}"
        )
    network = build_untrained(baseline.plugin, data, baseline.seed or 0)
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


def find_fixed_channels(network: Network) -> Iterator[str]:
    """Yield the layers whose outputs must stay: those the model names, and the classifier."""
    architecture = network.architecture
    if ".py:" not in architecture.factory:
        model = choose("models", architecture.factory, architecture.parameters)
        yield from model.plugin.fixed_channels()
    linear = [
        name for name, layer in network.module.named_modules() if isinstance(layer, nn.Linear)
    ]
    yield from linear[-1:]
