"""The baseline: given weights, adapted or not, or trained from scratch."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from prunebench.data import Data
from prunebench.execution.stages.workspace import Result, Workspace
from prunebench.model_files.loaded_weights import load_weights
from prunebench.model_files.weights import read_weights
from prunebench.models import Model
from prunebench.networks import Architecture, Network
from prunebench.networks.network import to_tensors
from prunebench.networks.training import train
from prunebench.networks.training_state import Curve
from prunebench.plan.steps import Step
from prunebench.plugins import Chosen
from prunebench.plugins.recipe import Recipe
from prunebench.seeding import seeded


def make_baseline(step: Step, work: Workspace) -> Result:
    """Build the network; train or adapt it where the model says so."""
    model: Model = step.plugin.plugin
    data = work.data(step.parent("data"))
    seed = step.seed or 0
    network = build_untrained(step.plugin, data, seed)
    module = network.module
    recipe = find_recipe(model)
    curve: Curve = []
    images_seen = 0
    if recipe is not None:
        curve, images_seen = train(
            module,
            data,
            network.architecture.normalisation,
            recipe,
            seed,
            work.device,
            checkpoint=work.store.scratch(step.key),
            progress=work.progress,
        )
    found = {
        "architecture": network.architecture.model_dump(mode="json"),
        "curve": curve,
        "images_seen": images_seen,
    }
    return Result(found, to_tensors(network))


def find_recipe(model: Model) -> Recipe | None:
    """Return how the baseline is trained here; None where its weights are taken as they come."""
    return model.adapt if model.trained() else (model.training or model.recipe())


def find_own_recipe(model: Model) -> Recipe | None:
    """Return how the baseline is trained from scratch; None where it comes with weights."""
    return None if model.trained() else find_recipe(model)


def build_anew(architecture: Architecture, seed: int) -> nn.Module:
    """Build a network with random weights, drawn by a seed."""
    with seeded(seed, "new weights"):
        return architecture.build()


def randomise(step: Step, work: Workspace) -> Result:
    """Make the baseline's architecture with random weights: maps agree by chance alone."""
    baseline = work.network(step.parent("network"))
    with seeded(step.seed or 0, "random weights"):
        module = baseline.architecture.build()
    found = {"architecture": baseline.architecture.model_dump(mode="json")}
    return Result(found, to_tensors(Network(module.eval(), baseline.architecture)))


def build_untrained(chosen: Chosen[Model], data: Data, seed: int) -> Network:
    """Build the network with its given weights, or with random ones.

    Raises:
        RequestError: The weights do not fit the model or the number of classes.
    """
    model = chosen.plugin
    architecture = describe_architecture(chosen, data)
    with seeded(seed, "initialisation"):
        module = architecture.build()
    _load(module, model)
    return Network(module.eval(), architecture)


def describe_architecture(chosen: Chosen[Model], data: Data) -> Architecture:
    """Describe how the model is built for this data set."""
    channels, height, width = data.shape
    normalisation = chosen.plugin.normalisation() or data.normalisation
    parameters = chosen.plugin.model_dump(
        mode="json", exclude_defaults=True, exclude={"weights", "training", "adapt"}
    )
    if chosen.is_member:
        parameters.pop("name")
    return Architecture(
        factory=chosen.name,
        parameters=parameters,
        classes=data.classes,
        channels=channels,
        size=(height, width),
        mean=normalisation.mean,
        std=normalisation.std,
    )


def _load(module: nn.Module, model: Model) -> None:
    if model.weights is not None:
        path = Path(model.weights)
        load_weights(module, read_weights(path), str(path))
    elif (state := model.pretrained()) is not None:
        load_weights(module, state, "published weights")
