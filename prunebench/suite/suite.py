"""A suite: what to measure, read from YAML and checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from prunebench.cams import Cam
from prunebench.datasets import Dataset
from prunebench.errors import RequestError
from prunebench.metrics import Metric
from prunebench.models import Model
from prunebench.plugins import Chosen
from prunebench.plugins.recipe import Recipe
from prunebench.pruners import Pruner


class Explain(BaseModel):
    """How maps are made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(500, ge=1, description="test images explained")
    classes: Literal["baseline", "label", "own"] = Field(
        "baseline", description="whose class is explained: the baseline's, the label, each its own"
    )
    target_layer: str | dict[str, str] | None = Field(
        None, description="layer explained, or one for each model; the model's own by default"
    )
    pictures: bool = Field(
        True,
        description="false where the licence of the data set forbids showing its images: records "
        "then keep maps alone",
    )


@dataclass(frozen=True)
class Suite:
    """The product of its lists; a control and the baseline are always in.

    Attributes:
        name: The suite's name, also of its MLflow experiment.
        levels: Fractions removed; where ``masked_levels`` has its own, of channels alone.
        recoveries: Recovery fine-tuning after compression; None for no training.
        rounds: For pruners with rounds: the rounds measured; None for all.
        raw: The suite as written, before environment variables were expanded.
        masked_levels: Fractions of weights removed by pruners that do not count channels; None
            where ``levels`` holds for all.
    """

    name: str
    datasets: tuple[Chosen[Dataset], ...]
    models: tuple[Chosen[Model], ...]
    pruners: tuple[Chosen[Pruner], ...]
    levels: tuple[float, ...]
    recoveries: tuple[Recipe | None, ...]
    cams: tuple[Chosen[Cam], ...]
    metrics: tuple[Chosen[Metric], ...]
    seeds: tuple[int, ...]
    rounds: tuple[int, ...] | None
    explain: Explain
    raw: dict[str, Any]
    masked_levels: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse a plugin that is listed twice: results are told apart by labels.

        Raises:
            RequestError: Two entries of a kind have one label, such as two data sets in folders of
                one name.
        """
        for chosen in (self.datasets, self.models, self.pruners, self.cams, self.metrics):
            labels = [each.label for each in chosen]
            for label in labels:
                if labels.count(label) > 1:
                    raise RequestError(f"{label!r} is listed twice", where=f"suite {self.name}")

    def levels_of(self, pruner: Pruner) -> tuple[float, ...]:
        """Return the levels that a pruner is measured at, if its levels are continuous."""
        if own := pruner.own_levels():
            return own
        if self.masked_levels is None or pruner.counts_channels():
            return self.levels
        return self.masked_levels

    def target_layer(self, model: Chosen[Model]) -> str:
        """Return the layer explained in a model: the suite's, or the model's own; "" for none."""
        if not self.cams:
            return ""
        chosen = self.explain.target_layer
        if isinstance(chosen, dict):
            chosen = chosen.get(model.name)
        return chosen or model.plugin.target_layer()


DEFAULT_CONTROL = "none"
"""The control of a suite that names no control of its own."""
