"""What a record shows of a network: a few images with their maps, and those that moved most."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from prunebench.plan.steps import Step
from prunebench.plan.trial import Trial
from prunebench.record import Record
from prunebench.record.fields import MOST_CLASSES, WIDEST, WIDEST_OF_PRUNER, Heatmap, Moved
from prunebench.recording.predictions import Predictions, list_explained, list_sp2ps
from prunebench.store import Store
from prunebench.suite import Suite

if TYPE_CHECKING:
    from torch import Tensor

METHODS = 3  # whose maps are shown
MOVED = 3  # images shown that moved most


@dataclass(frozen=True)
class Pictures:
    """The pictures of one network.

    Args:
        suite: The suite.
        trial: The network.
        store: Where its artefacts are.
        predictions: What it and its baseline predict.
        before: The record as it was written last, if it was: what moved is read there where it
            cannot have changed, since the images themselves are only in the data set.
    """

    suite: Suite
    trial: Trial
    store: Store
    predictions: Predictions
    before: Record | None = None

    @cached_property
    def withheld(self) -> str | None:
        """Why images may not be shown; None where they may."""
        dataset = self.trial.setting.dataset
        if self.suite.explain.pictures and dataset.plugin.showable:
            return None
        return f"the licence of {dataset.name} forbids showing its images"

    def of_method(self) -> dict[str, str]:
        """Return what the compression method itself shows of its work, which may hold images."""
        step = self.trial.network.compressed()
        there = self.store.has(step.key) and not self.withheld
        shown = self.store.read(step.key).tensors if there else {}
        return {
            name.removeprefix("picture/"): png(pixels.permute(2, 0, 1), WIDEST_OF_PRUNER)
            for name, pixels in shown.items()
            if name.startswith("picture/")
        }

    def heatmaps(self) -> Iterator[Heatmap]:
        """Yield maps of the same few images for every network of a data set."""
        steps = [step for step in list_explained(self.trial.known) if self.store.has(step.key)]
        if not steps:
            return
        targets = self.store.read(steps[0].parent("targets").key).tensors
        shown = targets["shown"]
        size = targets["pixels"].shape[2:]
        maps = [(step.plugin.label, self._maps(step, shown, size)) for step in steps[:METHODS]]
        for index, pixels in enumerate(targets["pixels"]):
            image = int(targets["images"][shown[index]])
            if not self.withheld:
                yield Heatmap(image=image, cam=None, png=png(pixels))
            for cam, grey in maps:
                yield Heatmap(image=image, cam=cam, png=png(grey[index : index + 1]))

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes, for records that tell of classes."""
        # The protocol is in a record's name: what was written last is of the same data.
        if self.before is not None and (self._unchanged is not None or self.before.classes):
            return self.before.classes
        told = self._compared is not None or self.predictions.own is not None
        names = self.predictions.data.class_names if told else ()
        return names if len(names) <= MOST_CLASSES else ()

    def moved(self) -> Iterator[Moved]:
        """Yield the images whose maps changed most, by Sp2PS, where that is defined."""
        import torch

        step = self._compared
        if step is None:
            return
        if self._unchanged is not None:
            yield from self._unchanged.moved
            return
        score = self.store.read(step.key).tensors["sp2ps"]
        order = torch.argsort(score, stable=True)  # NaN comes last
        indices = order[~score[order].isnan()][:MOVED]
        targets = self.store.read(step.parent("targets").key).tensors
        images = targets["images"][indices]
        size = targets["pixels"].shape[2:]
        before = self._maps(step.parent("baseline_maps"), indices, size)
        after = self._maps(step.parent("maps"), indices, size)
        pixels = None if self.withheld else self.predictions.data.test.pixels[images].cpu()
        theirs = _predict(self.predictions.baseline, images)
        ours = _predict(self.predictions.own, images)
        for index, image in enumerate(images.tolist()):
            yield Moved(
                image=image,
                cam=step.parent("maps").plugin.label,
                sp2ps=min(max(float(score[indices[index]]), 0.0), 1.0),
                baseline_class=theirs[index],
                own_class=ours[index],
                png=None if pixels is None else png(pixels[index]),
                before=png(before[index : index + 1]),
                after=png(after[index : index + 1]),
            )

    @cached_property
    def _compared(self) -> Step | None:
        """Sp2PS by the suite's first method that has it; None of the baseline itself."""
        if self.trial.role == "baseline":
            return None
        steps = list_sp2ps(self.trial.known)
        return next((step for step in steps if self.store.has(step.key)), None)

    @cached_property
    def _unchanged(self) -> Record | None:
        """The record as it was, if it shows what moved by the same maps and under one licence."""
        before, step = self.before, self._compared
        if before is None or step is None or not before.moved:
            return None
        same = step.key in before.keys.get("cells", {}).values()
        return before if same and before.pictures_withheld == self.withheld else None

    def _maps(self, step: Step, indices: Tensor, size: tuple[int, ...]) -> Tensor:
        """Return maps of some images at the images' size, 8-bit grey, n×H×W."""
        import torch

        from prunebench.cams.maps import decode, upsample

        codes = self.store.read(step.key).tensors["maps"][indices]
        maps = upsample(decode(codes), (size[0], size[1]))
        return (maps * 255).round().to(torch.uint8)


def _predict(logits: Tensor | None, images: Tensor) -> list[int | None]:
    """Return the classes that a network predicts for some images, where its logits are stored."""
    if logits is None:
        return [None] * len(images)
    return [int(k) for k in logits[images].argmax(1)]


def png(pixels: Tensor, widest: int = WIDEST) -> str:
    """Return a picture as base64 PNG, made smaller where it is too large.

    Args:
        pixels: uint8, 1×H×W (grey) or 3×H×W.
        widest: Pixels of the longer side, at most.
    """
    from PIL import Image

    array = pixels.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    picture.thumbnail((widest, widest))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
