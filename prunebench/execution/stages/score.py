"""Metrics: each is given what it says it reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from prunebench.cams.explained_batches import explain_batches
from prunebench.cams.maps import upsample
from prunebench.cams.tracer import Tracer
from prunebench.data import ground_truth
from prunebench.execution.stages.explain import (
    find_target,
    load_explained_images,
    load_prepared,
    map_seed,
)
from prunebench.execution.stages.workspace import Result, Workspace
from prunebench.metrics import Evidence, Metric
from prunebench.metrics.inputs import Values, inputs_of
from prunebench.metrics.metric import Explainer, NotApplicable, Samples
from prunebench.networks import Network
from prunebench.networks.evaluation import to_module
from prunebench.plan.steps import Step
from prunebench.seeding import derive


def score(step: Step, work: Workspace) -> Result:
    """Compute one metric: single numbers and samples as data, numbers of each image as tensors."""
    metric: Metric = step.plugin.plugin
    load: Values = {}
    for wanted in inputs_of(metric).values():
        load |= wanted.load(_Loader(step, work))
    seed = derive(step.seed or 0, "metric")
    evidence = Evidence(load, work.device, seed, work.progress)
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


class _Loader:
    """Loads what a metric reads from the store; see ``inputs.Loader``."""

    def __init__(self, step: Step, work: Workspace) -> None:
        self._step = step
        self._work = work

    def network(self, role: str) -> Network:
        return self._work.network(self._step.parent(role)).copy()

    def tensor(self, role: str, name: str) -> Tensor:
        return self._work.artefact(self._step.parent(role)).tensors[name].to(self._work.device)

    def maps(self, role: str) -> Tensor:
        parent = self._step.parent(role)
        _, height, width = self._work.data(parent.parent("data")).shape
        return self._work.maps(parent, (height, width))

    def numbers(self, role: str) -> dict[str, Tensor]:
        tensors = self._work.artefact(self._step.parent(role)).tensors
        return {
            name.removeprefix("numbers/"): tensor.to(self._work.device)
            for name, tensor in tensors.items()
            if name.startswith("numbers/")
        }

    def labels(self) -> Tensor:
        return self._work.data(self._step.parent("data")).test.labels.to(self._work.device)

    def images(self, batch_size: int) -> Iterator[tuple[slice, Tensor]]:
        for where, images, _ in load_explained_images(self._step, self._work, batch_size):
            yield where, images

    def masks(self) -> Tensor:
        data = self._work.data(self._step.parent("data"))
        indices = self._work.artefact(self._step.parent("targets")).tensors["images"]
        _, height, width = data.shape
        found = ground_truth(data.test, indices, (height, width))
        if found is None:
            raise NotApplicable("the data set has neither masks nor boxes")
        return found.to(self._work.device)

    def explainer(self) -> Explainer:
        return _Explainer(self._step.parent("maps"), self._work)


class _Explainer:
    """Explains images as the step did that made the maps."""

    def __init__(self, maps: Step, work: Workspace) -> None:
        self._maps = maps
        self._prepared = load_prepared(maps, work)
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
