"""Maps of one network, by all explanation methods that are wanted at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from prunebench.cams.cam import Cam
from prunebench.cams.explained_batches import Batches, Explained, explain_batches
from prunebench.cams.maps import decode, encode, upsample
from prunebench.cams.target_layer import check_target_layer, find_last_feature_layer
from prunebench.data import batches
from prunebench.execution.stages.workspace import Result, Workspace
from prunebench.models import Model
from prunebench.networks import Network
from prunebench.networks.factory import find_source_file
from prunebench.networks.layout import Layout
from prunebench.plan.step_kinds import PREPARED
from prunebench.plan.steps import Step
from prunebench.plugins import choose
from prunebench.plugins.context import Prepared
from prunebench.seeding import derive

BATCH = 64


def explain(steps: Sequence[Step], work: Workspace) -> list[Result]:
    """Explain one network by several methods, which share their passes.

    Maps are stored at the resolution in which the methods give them, mostly the target layer's,
    in 16 bits; metrics resize them.
    """
    first = steps[0]
    target = find_target(first, work.network(first.parent("network")))
    explained = _explain_with(
        target,
        first,
        work,
        ((images, classes) for _, images, classes in load_explained_images(first, work)),
        {step.key: step.plugin.plugin for step in steps},
    )
    return [_result(step.key, explained, target) for step in steps]


def explain_masked(step: Step, work: Workspace) -> Result:
    """Explain the images multiplied by their maps, by the same method and for the same classes.

    Pixels outside the map become 0 after normalisation, which is the mean colour.
    """
    maps = decode(work.artefact(step.parent("maps")).tensors["maps"])

    def masked() -> Batches:
        for where, images, classes in load_explained_images(step, work):
            height, width = images.shape[-2:]
            kept = upsample(maps[where].to(images.device), (height, width))
            yield images * kept[:, None], classes

    target = find_target(step, work.network(step.parent("network")))
    found = _explain_with(target, step, work, masked(), {"": step.plugin.plugin})
    result = _result("", found, target)
    return Result(result.data, result.tensors | {"logits": found.logits.cpu()})


def _explain_with(
    target: Target, step: Step, work: Workspace, pairs: Batches, cams: Mapping[str, Cam]
) -> Explained:
    """Explain batches as an ``explained`` or ``masked`` step does; its maps are coded."""
    count = len(work.artefact(step.parent("targets")).tensors["images"])
    return explain_batches(
        work.network(step.parent("network")).module,
        target.layer,
        pairs,
        cams,
        layout=target.layout,
        seed=map_seed(step),
        keep=lambda maps: encode(maps).cpu(),
        prepared=load_prepared(step, work),
        progress=lambda done: work.progress(done / count, f"{done} of {count} images explained"),
    )


def map_seed(step: Step) -> int:
    """Return a network's own seed for random maps, or those of two networks would agree."""
    return derive(step.seed or 0, "explanation", step.parent("network").key)


def load_explained_images(
    step: Step, work: Workspace, batch_size: int = BATCH
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield the explained images, normalised for the step's network, batch by batch.

    Yields:
        Where the batch stands among the explained images; the images, b×channels×H×W; and the
        class explained in each, b.
    """
    normalise = work.network(step.parent("network")).architecture.normalisation
    targets = work.artefact(step.parent("targets")).tensors
    data = work.data(step.parent("data"))
    classes = targets["classes"].to(work.device)
    start = 0
    for images, _ in batches(data.test, normalise, batch_size, work.device, targets["images"]):
        where = slice(start, start + len(images))
        yield where, images, classes[where]
        start += len(images)


def load_prepared(step: Step, work: Workspace) -> Prepared:
    """Load what was prepared of the network for an ``explained`` or ``masked`` step's method."""
    return {
        parent.plugin: {
            name: tensor.to(work.device) for name, tensor in work.artefact(parent).tensors.items()
        }
        for _, parent in step.parents
        if parent.kind == PREPARED
    }


def _result(name: str, explained: Explained, target: Target) -> Result:
    codes = explained.maps[name]
    empty = decode(codes).flatten(1).amax(1) == 0
    data = {
        "zero_map_fraction": float(empty.float().mean()),
        "size": list(codes.shape[1:]),
        "target_layer": target.layer,
        "uncut": explained.uncut,
    }
    numbers = {f"numbers/{what}": each.cpu() for what, each in explained.numbers[name].items()}
    return Result(data, {"maps": codes} | numbers)


@dataclass(frozen=True)
class Target:
    """The layer explained in a network, and how its output is read as maps."""

    layer: str
    layout: Layout


def find_target(step: Step, network: Network) -> Target:
    """Find the layer explained in a network.

    A network of another architecture than the baseline's may have a layer of the suite's name
    somewhere else entirely: its own model's layer is taken, or, of a network from a file, its
    last convolutional stage.

    Args:
        step: Of kind ``explained`` or ``masked``; its option is the layer in the baseline.
        network: The network explained.

    Raises:
        RequestError: The layer is too small to explain.
    """
    architecture = network.architecture
    baseline = step.parent("network").lineage()[-1].name
    if find_source_file(architecture.factory):
        return Target(find_last_feature_layer(network.module, network.example()), "maps")
    model: Model = choose("models", architecture.factory, architecture.parameters).plugin
    if architecture.factory == baseline:
        return Target(step.options["target_layer"], model.layout())
    layer = model.target_layer()
    check_target_layer(network.module, layer, network.example(), model.minimum_map, model.layout())
    return Target(layer, model.layout())
