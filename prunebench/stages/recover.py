"""Recovery: fine-tuning of a compressed network; its zeros stay zero."""

from __future__ import annotations

from prunebench.network import Network, apply_masks, make_masks_permanent, to_tensors
from prunebench.recipe import Recipe
from prunebench.stages.workspace import Result, Workspace
from prunebench.steps import Step
from prunebench.training import train


def recover(step: Step, work: Workspace) -> Result:
    """Fine-tunes the network on the training split."""
    compressed = work.artefact(step.parent("network")).data
    network = work.network(step.parent("network")).copy()
    apply_masks(network.module, network.masks)
    curve, images_seen = train(
        network.module,
        work.data(step.parent("data")),
        network.architecture.normalisation,
        Recipe.model_validate(step.options["recipe"]),
        step.seed or 0,
        work.device,
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
