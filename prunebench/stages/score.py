"""Metrics: each is given what it says it reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from prunebench.metrics import Evidence, Metric
from prunebench.network import Network
from prunebench.seeding import derive
from prunebench.stages.workspace import Result, Workspace
from prunebench.steps import Step


def score(step: Step, work: Workspace) -> Result:
    """Computes one metric: single numbers as data, numbers of each image as tensors."""
    metric: Metric = step.plugin.plugin
    evidence = Evidence(
        _loaders(step, work), work.device, derive(step.seed or 0, "metric"), work.progress
    )
    values = metric.compute(evidence)
    single = {name: float(v) for name, v in values.items() if not isinstance(v, Tensor)}
    each = {name: v.detach().cpu() for name, v in values.items() if isinstance(v, Tensor)}
    return Result({"values": single, "measured": metric.carries == "hardware"}, each)


def _loaders(step: Step, work: Workspace) -> dict[str, Callable[[], Any]]:
    load: dict[str, Callable[[], Any]] = {}
    for role, parent in step.parents:
        if role in ("network", "baseline"):
            load[role] = partial(_private_copy, work, parent)
        elif role in ("predictions", "baseline_predictions"):
            load[role] = partial(_tensor, work, parent, "logits")
            load["labels"] = partial(_labels, step, work)
        elif role in ("maps", "baseline_maps"):
            load[role] = partial(_maps, parent, work)
        elif role == "targets":
            load["classes"] = partial(_tensor, work, parent, "classes")
            load["explained"] = partial(_tensor, work, parent, "images")
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
