"""Fine-tuning of a compressed network; its zeros stay zero."""

from __future__ import annotations

from prunebench.execution.stages.workspace import Result, Workspace
from prunebench.networks import Network
from prunebench.networks.distillation import make_distillation_objective, make_translation
from prunebench.networks.network import apply_masks, make_masks_permanent, to_tensors
from prunebench.networks.training import train
from prunebench.plan.steps import Step
from prunebench.plugins.objective import CROSS_ENTROPY, Objective
from prunebench.plugins.recipe import Recipe


def recover(step: Step, work: Workspace) -> Result:
    """Fine-tune the network on the training split."""
    compressed = work.artefact(step.parent("network")).data
    network = work.network(step.parent("network")).copy()
    apply_masks(network.module, network.masks)
    recipe = Recipe.model_validate(step.options["recipe"])
    curve, images_seen = train(
        network.module,
        work.data(step.parent("data")),
        network.architecture.normalisation,
        recipe,
        step.seed or 0,
        work.device,
        objective=_objective(recipe, step, network, work),
        checkpoint=work.store.scratch(step.key),
        progress=work.progress,
    )
    make_masks_permanent(network.module)
    recovered = Network(network.module, network.architecture, network.masks)
    found = {
        "architecture": compressed["architecture"],
        "curve": curve,
        "images_seen": images_seen,
    }
    return Result(found, to_tensors(recovered))


def _objective(recipe: Recipe, step: Step, network: Network, work: Workspace) -> Objective:
    if recipe.distillation is None:
        return CROSS_ENTROPY
    teacher = work.network(step.parent("teacher"))
    seen = (network.architecture.normalisation, teacher.architecture.normalisation)
    return make_distillation_objective(teacher.module, recipe.distillation, make_translation(*seen))
