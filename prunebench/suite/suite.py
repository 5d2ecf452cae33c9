"""A suite: what to measure, from YAML or Python, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunebench.cams import Cam
from prunebench.datasets import Dataset
from prunebench.errors import RequestError
from prunebench.metrics import Metric
from prunebench.models import Model
from prunebench.plugins import Chosen
from prunebench.plugins.objects import PREFIX
from prunebench.plugins.recipe import Recipe
from prunebench.pruners import Pruner
from prunebench.suite.options import Explain
from prunebench.suite.reading import SuiteReader
from prunebench.yaml_source import read_yaml, take_mapping


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

    @classmethod
    def of(cls, words: Mapping[str, Any] | None = None, /, **more: Any) -> Suite:
        """Make a suite of the words that a YAML file would hold, and of objects.

        A data set may be a torch ``Dataset`` or ``DataLoader``, a pair of images and labels
        (tensors or arrays), or a mapping of splits to these. A model may be a network with its
        weights, or a function of classes, channels and size; a pruner, a function of network, level
        and context; each kind, a plugin that no package registers. Parameters are written as
        in YAML, with the object in the name's place: ``{build: {"training": {"epochs": 5}}}``.

        Args:
            words: What a suite holds, by key. Paths are relative to the current folder.
            more: The same as keyword arguments.

        Raises:
            RequestError: Anything wrong in it; the message names the key.

        Example:
            >>> import torch
            >>> from prunebench import Suite
            >>> images, labels = torch.rand(40, 1, 8, 8), torch.arange(40) % 2
            >>> network = torch.nn.Sequential(
            ...     torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(),
            ...     torch.nn.Linear(72, 2),
            ... )
            >>> suite = Suite.of(
            ...     dataset=(images, labels), model=network, pruner="l1-filter", levels=[0.5],
            ...     metrics=["accuracy", "macs"],
            ... )
            >>> [model.name for model in suite.models]
            ['python/Sequential']
        """
        from prunebench.suite.objects import write_plainly

        source = take_mapping(write_plainly({**(words or {}), **more}), "suite")
        return cls(**SuiteReader(source).read_parts())

    def list_objects(self) -> list[str]:
        """List the names of plugins that are objects of this Python program."""
        kinds = (self.datasets, self.models, self.pruners, self.cams, self.metrics)
        return [each.name for kind in kinds for each in kind if each.name.startswith(PREFIX)]

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


def load_suite(path: str | Path) -> Suite:
    """Read a suite.

    Args:
        path: A YAML file. Paths in it are relative to its folder; ``${VARIABLE}`` is expanded.

    Raises:
        RequestError: Anything wrong in it; the message names file and line.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("small.yaml").write_text('''
        ... dataset: digits
        ... model: {digits-cnn: {training: {epochs: 1, images: 100}}}
        ... pruner: l1-unstructured
        ... levels: [0.5]
        ... metrics: [accuracy, params]
        ... ''')
        >>> from prunebench import load_suite
        >>> suite = load_suite("small.yaml")
        >>> suite.name, [pruner.label for pruner in suite.pruners]
        ('small', ['none', 'l1-unstructured'])
    """
    return Suite(**SuiteReader(read_yaml(Path(path))).read_parts())
