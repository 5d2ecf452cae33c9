"""Maps of one network, by all explanation methods that are wanted at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from prunebench.cams.maps import decode, encode
from prunebench.cams.target_layer import check_target_layer, last_feature_layer
from prunebench.data import batches
from prunebench.explaining import explain_layer
from prunebench.factory import source_file
from prunebench.models import Model
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
    baseline = first.parent("network").lineage()[-1].name
    layer = target_layer(network, first.options["target_layer"], baseline)
    maps = explain_layer(
        network.module,
        layer,
        images,
        classes.to(work.device),
        {step.key: step.plugin.plugin for step in steps},
        # A network's own seed, or random maps of two networks would agree.
        seed=derive(first.seed or 0, "explanation", first.parent("network").key),
        progress=work.progress,
    )
    return [_result(maps[step.key], layer) for step in steps]


def _result(maps: Tensor, layer: str) -> Result:
    codes = encode(maps).cpu()
    empty = decode(codes).flatten(1).amax(1) == 0
    data = {
        "zero_map_fraction": float(empty.float().mean()),
        "size": list(maps.shape[1:]),
        "target_layer": layer,
    }
    return Result(data, {"maps": codes})


def target_layer(network: Network, wanted: str, wanted_in: str) -> str:
    """The layer explained in a network.

    Args:
        network: The network.
        wanted: The layer that the suite explains in the baseline.
        wanted_in: The baseline's factory. A network of another architecture may have a layer of
            that name somewhere else entirely: its own model's layer is taken, or, of a network
            from a file, its last convolutional stage.

    Raises:
        RequestError: The layer is too small to explain.
    """
    architecture = network.architecture
    if architecture.factory == wanted_in:
        return wanted
    if source_file(architecture.factory):
        return last_feature_layer(network.module, network.example())
    model: Model = choose("models", architecture.factory, architecture.parameters).plugin
    layer = model.target_layer()
    check_target_layer(network.module, layer, network.example(), minimum=model.minimum_map)
    return layer
