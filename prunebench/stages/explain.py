"""Maps of one network, by all explanation methods that are wanted at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from prunebench.cams.maps import encode
from prunebench.data import batches
from prunebench.explaining import explain_layer
from prunebench.network import Network
from prunebench.plugins import choose
from prunebench.seeding import derive
from prunebench.stages.workspace import Result, Workspace
from prunebench.steps import Step


def explain(steps: Sequence[Step], work: Workspace) -> list[Result]:
    """Explains one network by several methods, which share their passes.

    Maps are stored at the target layer's resolution in 16 bits; metrics resize them.
    """
    first = steps[0]
    network = work.network(first.parent("network"))
    data = work.data(first.parent("data"))
    targets = work.artefact(first.parent("targets")).tensors
    chosen, classes = targets["images"], targets["classes"]
    normalise = network.architecture.normalisation
    images = torch.cat(
        [inputs for inputs, _ in batches(data.test, normalise, 500, work.device, chosen)]
    )
    maps = explain_layer(
        network.module,
        target_layer(network, first.options["target_layer"]),
        images,
        classes.to(work.device),
        {step.key: step.plugin.plugin for step in steps},
        # A network's own seed, or random maps of two networks would agree.
        seed=derive(first.seed or 0, "explanation", first.parent("network").key),
        progress=work.progress,
    )
    return [_result(maps[step.key]) for step in steps]


def _result(maps: Tensor) -> Result:
    empty = maps.flatten(1).amax(1) == 0
    data = {"zero_map_fraction": float(empty.float().mean()), "size": list(maps.shape[1:])}
    return Result(data, {"maps": encode(maps).cpu()})


def target_layer(network: Network, wanted: str) -> str:
    """The layer explained: the suite's, or the network's own where it is another architecture."""
    if wanted in dict(network.module.named_modules()):
        return wanted
    architecture = network.architecture
    model = choose("models", architecture.factory, architecture.parameters)
    layer: str = model.plugin.target_layer()
    return layer
