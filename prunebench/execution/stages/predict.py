"""Predictions on all test images, and the classes whose maps are made."""

from __future__ import annotations

import torch
from torch import Tensor

from prunebench.data import Data, batches
from prunebench.execution.stages.workspace import Result, Workspace
from prunebench.plan.steps import Step
from prunebench.seeding import derive


class NoPredictionError(Exception):
    """A network's outputs are no numbers."""


@torch.no_grad()
def predict(step: Step, work: Workspace) -> Result:
    """Compute the logits of every test image, N×K."""
    network = work.network(step.parent("network"))
    data = work.data(step.parent("data"))
    logits = []
    for inputs, _ in batches(data.test, network.architecture.normalisation, 500, work.device):
        logits.append(network.module(inputs).cpu())
        work.progress(sum(map(len, logits)) / len(data.test), "predicting")
    found = torch.cat(logits)
    if wrong := int(found.isnan().any(1).sum()):
        raise NoPredictionError(
            f"of {wrong} of {len(found)} images the network's outputs are no numbers: its weights "
            "have grown beyond all bounds, or were none from the start"
        )
    return Result({}, {"logits": found})


def choose_targets(step: Step, work: Workspace) -> Result:
    """Choose the test images explained and the class explained in each.

    The images are the same for all networks and seeds; the class is, by the suite's policy, the
    baseline's prediction, the label, or the network's own prediction.
    """
    data = work.data(step.parent("data"))
    images = draw_explained_images(data, step.options["images"])
    if step.options["classes"] == "label":
        classes = data.test.labels.cpu()[images]
    else:
        classes = work.artefact(step.parent("predictions")).tensors["logits"].argmax(1)[images]
    # Records show a few images; kept here, they can be written without loading the data set.
    shown = torch.tensor(sorted({0, len(images) // 2}))
    pixels = data.test.pixels[images[shown]].cpu()
    found = {"images": images, "classes": classes, "shown": shown, "pixels": pixels}
    return Result({"images": len(images)}, found)


def draw_explained_images(data: Data, count: int) -> Tensor:
    """Draw the indices of the explained images: a fixed draw from the test split, in order."""
    generator = torch.Generator().manual_seed(derive(0, "explained images"))
    return torch.randperm(len(data.test), generator=generator)[:count].sort().values
