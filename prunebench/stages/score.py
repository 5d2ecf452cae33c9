"""Metrics: each is given what it says it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch import Tensor, nn

from prunebench.cams.maps import upsample
from prunebench.cams.tracing import Tracer
from prunebench.data import ground_truth
from prunebench.explaining import explain_batches, to_module
from prunebench.metrics import Evidence, Metric
from prunebench.metrics.metric import NotApplicable, Samples
from prunebench.network import Network
from prunebench.seeding import derive
from prunebench.stages.explain import explained_images, find_target, map_seed, prepared_of
from prunebench.stages.workspace import Result, Workspace
from prunebench.steps import Step


def score(step: Step, work: Workspace) -> Result:
    """Computes one metric: single numbers and samples as data, numbers of each image as tensors."""
    metric: Metric = step.plugin.plugin
    evidence = Evidence(
        _loaders(step, work), work.device, derive(step.seed or 0, "metric"), work.progress
    )
    measured = metric.carries == "hardware"
    try:
        values = metric.compute(evidence)
    except NotApplicable as reason:
        return Result({"values": {}, "measured": measured, "not_applicable": str(reason)}, {})
    data: dict[str, Any] = {"values": {}, "measured": measured}
    each: dict[str, Tensor] = {}
    for name, value in values.items():
        if isinstance(value, Tensor):
            each[name] = value.detach().cpu()
        elif isinstance(value, Samples):
            data.setdefault("samples", {})[name] = value._asdict()
        else:
            data["values"][name] = float(value)
    return Result(data, each)


def _loaders(step: Step, work: Workspace) -> dict[str, Callable[[], Any]]:
    metric: Metric = step.plugin.plugin
    load: dict[str, Callable[[], Any]] = {}
    for role, parent in step.parents:
        if role in ("network", "baseline"):
            load[role] = partial(_private_copy, work, parent)
        elif role in ("predictions", "baseline_predictions"):
            load[role] = partial(_tensor, work, parent, "logits")
            load["labels"] = partial(_labels, step, work)
        elif role in ("maps", "baseline_maps"):
            load[role] = partial(_maps, parent, work)
            load[role.replace("maps", "numbers")] = partial(_numbers, parent, work)
        elif role == "masked":
            load[role] = partial(_masked, parent, work)
        elif role == "targets":
            load["classes"] = partial(_tensor, work, parent, "classes")
            load["explained"] = partial(_tensor, work, parent, "images")
    if "images" in metric.reads:
        load["images"] = lambda: partial(_images, step, work)
    if "masks" in metric.reads:
        load["masks"] = partial(_masks, step, work)
    if "explainer" in metric.reads:
        load["explainer"] = partial(_Explainer, step.parent("maps"), work)
    return load


def _private_copy(work: Workspace, parent: Step) -> Network:
    return work.network(parent).copy()


def _tensor(work: Workspace, parent: Step, name: str) -> Tensor:
    return work.artefact(parent).tensors[name].to(work.device)


def _labels(step: Step, work: Workspace) -> Tensor:
    return work.data(step.parent("data")).test.labels.to(work.device)


def _maps(parent: Step, work: Workspace) -> Tensor:
    _, height, width = work.data(parent.parent("data")).shape
    return work.maps(parent, (height, width))


def _numbers(parent: Step, work: Workspace) -> dict[str, Tensor]:
    return {
        name.removeprefix("numbers/"): tensor.to(work.device)
        for name, tensor in work.artefact(parent).tensors.items()
        if name.startswith("numbers/")
    }


def _masked(parent: Step, work: Workspace) -> tuple[Tensor, Tensor]:
    return _maps(parent, work), _tensor(work, parent, "logits")


def _images(step: Step, work: Workspace, batch_size: int) -> Iterator[tuple[slice, Tensor]]:
    for where, images, _ in explained_images(step, work, batch_size):
        yield where, images


def _masks(step: Step, work: Workspace) -> Tensor:
    data = work.data(step.parent("data"))
    indices = work.artefact(step.parent("targets")).tensors["images"]
    _, height, width = data.shape
    found = ground_truth(data.test, indices, (height, width))
    if found is None:
        raise NotApplicable("the data set has neither masks nor boxes")
    return found.to(work.device)


class _Explainer:
    """Explains images as the step did that made the maps."""

    def __init__(self, maps: Step, work: Workspace) -> None:
        self._maps = maps
        self._prepared = prepared_of(maps, work)
        self._module = work.network(maps.parent("network")).module
        self._target = find_target(maps, work.network(maps.parent("network")))
        self._tracer: Tracer | None = None

    def __call__(
        self, images: Tensor, classes: Tensor, module: nn.Module | None = None, first: int = 0
    ) -> Tensor:
        if module is None and self._tracer is None:
            inputs = to_module(images, self._module)
            self._tracer = Tracer(self._module, self._target.layer, inputs, self._target.layout)
        found = explain_batches(
            module or self._module,
            self._target.layer,
            [(images, classes)],
            {"": self._maps.plugin.plugin},
            layout=self._target.layout,
            seed=map_seed(self._maps),
            first=first,
            # A changed network is a new one each time: it may have been changed again.
            tracer=self._tracer if module is None else None,
            prepared=self._prepared,
        )
        return upsample(found.maps[""], (images.shape[-2], images.shape[-1]))
