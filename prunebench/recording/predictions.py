"""What a record tells of single predictions, from stored logits: no network is run for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from prunebench.execution.tasks import open_workspace
from prunebench.plan.environment import Environment
from prunebench.plan.step_kinds import PREDICTED
from prunebench.plan.steps import Step
from prunebench.plan.trial import Cell, Trial
from prunebench.record import PerImage, Record
from prunebench.record.fields import MOST_CLASSES
from prunebench.record.per_image import MOST_IMAGES, pack_classes, pack_sp2ps
from prunebench.store import Store

if TYPE_CHECKING:
    from torch import Tensor

    from prunebench.data import Data


@dataclass(frozen=True)
class Predictions:
    """What a network and its baseline predict of the test images.

    Args:
        trial: The network.
        store: Where its artefacts are.
        environment: The device of the run, by which the data may be in memory already.
        unchanged: The record as it was written last, if that was of the same steps: what it tells
            of labels is read there, since these are only in the data set.
    """

    trial: Trial
    store: Store
    environment: Environment
    unchanged: Record | None = None

    @cached_property
    def data(self) -> Data:
        """The data set: where this process has just computed, its images are in memory."""
        work = open_workspace(self.store.root, self.environment, self.store.trusted)
        return work.data(self.trial.setting.data)

    @cached_property
    def own(self) -> Tensor | None:
        """The network's logits of all test images, N×K; None where they are not stored."""
        return self._logits(self.trial.network)

    @cached_property
    def baseline(self) -> Tensor | None:
        """The baseline's logits, likewise."""
        return self._logits(self.trial.setting.baseline)

    @cached_property
    def explained(self) -> Tensor | None:
        """Indices of the explained images, in order; None where no image is explained."""
        for step in list_explained(self.trial.compared_with.known):
            if self.store.has(targets := step.parent("targets").key):
                return self.store.read(targets).tensors["images"]
        return None

    def recalls(self) -> tuple[float | None, ...]:
        """Return of each class the part of its test images that are predicted rightly."""
        if self.own is None or self.own.shape[1] > MOST_CLASSES:
            return ()
        if self.unchanged is not None and self.unchanged.recalls:
            return self.unchanged.recalls
        labels, classes = self.data.test.labels.cpu(), self.own.shape[1]
        right = labels[self.own.argmax(1) == labels].bincount(minlength=classes).tolist()
        images = labels.bincount(minlength=classes).tolist()
        return tuple(k / n if n else None for k, n in zip(right, images, strict=True))

    def per_image(self) -> PerImage | None:
        """Return what is kept of each explained image, of the first ones where they are many."""
        if self.explained is None or not len(self.explained):
            return None
        images = self.explained[:MOST_IMAGES]
        predicted = None
        if self.own is not None:
            predicted = pack_classes(self.own[images].argmax(1), self.own.shape[1])
        return PerImage(
            images=len(images),
            predicted=predicted,
            labels=self._labels(images) if self.trial.role == "baseline" else None,
            sp2ps={
                step.parent("maps").plugin.label: pack_sp2ps(
                    self.store.read(step.key).tensors["sp2ps"]
                )
                for step in list_sp2ps(self.trial.known)
                if self.store.has(step.key)
            },
        )

    def _labels(self, images: Tensor) -> str | None:
        before = self.unchanged.per_image if self.unchanged else None
        if before is not None and before.labels is not None:
            return before.labels
        return pack_classes(self.data.test.labels.cpu()[images], self.data.classes)

    def _logits(self, network: Step) -> Tensor | None:
        cells = (*self.trial.known, *self.trial.compared_with.known)
        seen: set[str] = set()
        for step in (step for cell in cells for step in cell.step.ancestors(seen)):
            of_network = step.kind == PREDICTED and step.parent("network") == network
            if of_network and self.store.has(step.key):
                return self.store.read(step.key).tensors["logits"]
        return None


def list_explained(cells: tuple[Cell, ...]) -> list[Step]:
    """Return the steps that made the maps behind some cells."""
    found = {
        cell.step.parent("maps").key: cell.step.parent("maps")
        for cell in cells
        if cell.step.has_parent("maps")
    }
    return list(found.values())


def list_sp2ps(cells: tuple[Cell, ...]) -> list[Step]:
    """Return the steps of Sp2PS as published, one an explanation method; not of its variants."""
    steps = (cell.step for cell in cells if cell.metric == "sp2ps")
    return [step for step in steps if step.plugin.label == "sp2ps"]
