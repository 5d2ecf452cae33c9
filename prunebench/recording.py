"""From artefacts to the record of one network."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from prunebench.environment import Environment, made_with
from prunebench.excerpt import excerpt
from prunebench.plan import Planner
from prunebench.plugins import Chosen, find
from prunebench.recipe import Recipe
from prunebench.record import Conditions, Epoch, Heatmap, Reached, Record, Value, slug
from prunebench.steps import KINDS, Step
from prunebench.store import Store
from prunebench.suite import Suite
from prunebench.trial import Cell, Trial

if TYPE_CHECKING:
    from torch import Tensor

    from prunebench.statistics import Interval

CONDITIONS = ("baseline", "recovered", "targets", "explained")  # kinds of step behind all rows
WIDEST = 96  # pixels of a picture kept
WIDEST_OF_PRUNER = 512  # pixels of a picture that a compression method makes


@dataclass(frozen=True)
class Recorder:
    """Makes records from a store.

    Args:
        suite: The suite.
        planner: The planner of its trials.
        store: Where the artefacts are.
    """

    suite: Suite
    planner: Planner
    store: Store

    def record(self, trial: Trial, failed: dict[str, str]) -> Record:
        """The record of one network.

        Args:
            trial: The network; its own step and its baseline are in the store.
            failed: Messages of failed steps, by key; their values are null with this reason.
        """
        branch = trial.branch
        conditions = self._conditions(trial)
        protocol = _digest(conditions.model_dump(mode="json"))
        found = self._compression(trial)
        reached = found.get("reached") or dict.fromkeys(Reached.model_fields, 0.0)
        pruner = trial.pruner
        return Record(
            id=self._id(trial, protocol),
            suite=self.suite.name,
            role=trial.role,
            protocol=protocol,
            conditions=conditions,
            dataset=branch.dataset.label,
            model=branch.model.label,
            pruner=pruner.label if pruner else trial.name,
            pruner_name=trial.name,
            pruner_parameters=pruner.plugin.changed_parameters() if pruner else {},
            level=trial.level,
            round=trial.round,
            seed=branch.seed,
            seeds=self.suite.seeds,
            axis=found.get("axis", "none"),
            reached=Reached.model_validate(reached),
            values=dict(self._values(trial, failed)),
            curves=self._curves(trial),
            heatmaps=tuple(self._heatmaps(trial)),
            pictures=dict(self._pictures(trial)),
            images_seen=self._images_seen(trial),
            suite_excerpt=excerpt(self.suite, trial),
            keys=self._keys(trial),
            flags=tuple(self._flags(trial)),
            provenance=self._provenance(trial),
            measured={"seconds": self._seconds(trial)},
        )

    def _id(self, trial: Trial, protocol: str) -> str:
        branch = trial.branch
        parts = [self.suite.name, branch.dataset.name, branch.model.name.replace("/", "-")]
        parts.append(trial.name)
        if trial.round is not None:
            parts.append(f"round{trial.round}")
        elif trial.level is not None:
            parts.append(f"{trial.level:g}")
        # Networks that are equal may stand in several protocols, such as two recoveries.
        return slug("-".join([*parts, f"s{branch.seed}", trial.network.key[:6], protocol[:6]]))

    def _conditions(self, trial: Trial) -> Conditions:
        branch, environment = trial.branch, self.planner.environment
        model = self.planner.identity(branch.model)
        content = f" with weights {model['content'][:12]}" if "content" in model else ""
        return Conditions(
            dataset=branch.dataset.label,
            data_digest=self.planner.identity(branch.dataset).get("content", ""),
            model=branch.model.label + content,
            recovery=_told(branch.recovery) if branch.recovery else None,
            explained_images=self._explained_images(trial),
            class_policy=self.suite.explain.classes,
            target_layer=branch.target_layer,
            device=environment.device,
            precision=environment.precision,
            versions={
                "dataset": branch.dataset.plugin.version,
                "model": branch.model.plugin.version,
                **{kind: KINDS[kind].version for kind in CONDITIONS},
            },
        )

    def _explained_images(self, trial: Trial) -> int:
        """Images really explained: a test split may have fewer than were asked for."""
        steps = _explained(trial.branch.untouched.known)
        targets = steps[0].parent("targets").key if steps else ""
        if steps and self.store.has(targets):
            return int(self.store.read(targets).data["images"])
        return self.suite.explain.images if steps else 0

    def _compression(self, trial: Trial) -> dict[str, Any]:
        """What the last compression found out: see ``stages/compress.py``."""
        for step in trial.network.lineage():
            if step.kind == "compressed":
                return self.store.read(step.key).data
        return {}

    def _images_seen(self, trial: Trial) -> int:
        """Training images seen by recovery, by training methods and by what they prepared."""
        made = [step for step in trial.network.lineage()[:-1] if step.kind != "randomised"]
        steps = {step.key: step for step in made}
        for step in made:
            for role, parent in step.parents:
                if role.startswith("prepared:"):
                    steps |= {
                        other.key: other
                        for other in parent.ancestors(set())
                        if other.kind == "prepared"
                    }
        return sum(int(self.store.read(key).data.get("images_seen", 0)) for key in steps)

    def _pictures(self, trial: Trial) -> Iterator[tuple[str, str]]:
        """What the method itself shows of its work."""
        step = trial.network.compressed()
        for name, pixels in self.store.read(step.key).tensors.items():
            if name.startswith("picture/"):
                yield name.removeprefix("picture/"), _png(pixels.permute(2, 0, 1), WIDEST_OF_PRUNER)

    def _values(self, trial: Trial, failed: dict[str, str]) -> Iterator[tuple[str, Value]]:
        for cell in trial.known:
            suffix = cell.step.plugin.variant + (f"/{cell.cam}" if cell.cam else "")
            if not self.store.has(cell.step.key):
                if cell not in trial.cells:
                    continue  # not asked for this time
                reason = failed.get(cell.step.key, "not computed: a step it needs failed")
                yield _missing(cell), Value(mean=None, reason=reason[:300])
                continue
            artefact = self.store.read(cell.step.key)
            if missing := artefact.data.get("not_applicable"):
                yield _missing(cell), Value(mean=None, reason=missing)
            timed = artefact.data["measured"]
            for name, number in artefact.data["values"].items():
                yield name + suffix, _number(number, timed)
            for name, each in artefact.tensors.items():
                yield name + suffix, _mean(each)
        yield from self._accuracy_drop(trial)
        for step in _explained(trial.known):
            if self.store.has(step.key):
                share = self.store.read(step.key).data["zero_map_fraction"]
                yield f"zero_map_fraction/{step.plugin.label}", Value(mean=share)

    def _accuracy_drop(self, trial: Trial) -> Iterator[tuple[str, Value]]:
        from prunebench.statistics import paired_drop

        def per_image(cells: tuple[Cell, ...]) -> Tensor | None:
            step = next((cell.step for cell in cells if cell.metric == "accuracy"), None)
            if step is None or not self.store.has(step.key):
                return None
            return self.store.read(step.key).tensors["accuracy"]

        ours, base = per_image(trial.known), per_image(trial.branch.untouched.known)
        if ours is not None and base is not None:
            drop = paired_drop(base.double().numpy(), ours.double().numpy())
            yield "accuracy_drop", _from_interval(drop)

    def _curves(self, trial: Trial) -> dict[str, tuple[Epoch, ...]]:
        return {
            step.kind: tuple(Epoch.model_validate(point) for point in curve)
            for step in (trial.network.compressed(), trial.network, trial.branch.baseline)
            if (curve := self.store.read(step.key).data.get("curve"))
        }

    def _heatmaps(self, trial: Trial) -> Iterator[Heatmap]:
        import torch

        from prunebench.cams.maps import decode, upsample

        steps = [step for step in _explained(trial.known) if self.store.has(step.key)][:3]
        if not steps:
            return
        targets = self.store.read(steps[0].parent("targets").key).tensors
        shown = targets["shown"]
        codes = [self.store.read(step.key).tensors["maps"][shown] for step in steps]
        for place, pixels in enumerate(targets["pixels"]):
            index = int(targets["images"][shown[place]])
            yield Heatmap(image=index, cam=None, png=_png(pixels))
            for step, coded in zip(steps, codes, strict=True):
                maps = decode(coded[place : place + 1])
                heat = upsample(maps, (pixels.shape[1], pixels.shape[2]))
                grey = (heat * 255).round().to(torch.uint8)
                yield Heatmap(image=index, cam=step.plugin.label, png=_png(grey))

    def _keys(self, trial: Trial) -> dict[str, Any]:
        return {
            "network": trial.network.key,
            "baseline": trial.branch.baseline.key,
            "cells": {
                cell.step.plugin.label + (f"/{cell.cam}" if cell.cam else ""): cell.step.key
                for cell in trial.known
            },
        }

    def _flags(self, trial: Trial) -> Iterator[str]:
        found = [
            self.store.read(step.key).data
            for step in _explained(trial.known)
            if self.store.has(step.key)
        ]
        # Some methods give maps at the images' size, whatever the layer's.
        smallest = min((tuple(data["size"]) for data in found), key=min, default=(4, 4))
        if min(smallest) < 4:
            yield f"the target layer's map is {smallest[0]}×{smallest[1]}, below 4×4"
        for data in found[:1]:
            layer = data.get("target_layer", trial.branch.target_layer)
            if layer != trial.branch.target_layer:
                yield f"another architecture: its layer {layer!r} is explained"
            if reason := data.get("uncut"):
                yield f"explained by whole passes, not cut at its target layer: {reason}"

    def _provenance(self, trial: Trial) -> dict[str, Any]:
        environment: Environment = self.planner.environment
        branch = trial.branch
        used = [branch.dataset, branch.model, *self.suite.cams, *self.suite.metrics]
        network = self.store.read(trial.network.key).measured
        return {
            **network.get("made_with", made_with(environment)),
            "plugins": {
                f"{chosen.kind}/{chosen.name}": _plugin_version(chosen)
                for chosen in (*used, *([trial.pruner] if trial.pruner else []))
            },
        }

    def _seconds(self, trial: Trial) -> float:
        """Time of compression and recovery, all rounds together."""
        made = trial.network.lineage()[:-1]
        return sum(float(self.store.read(step.key).measured["seconds"]) for step in made)


def _told(recovery: Recipe) -> dict[str, Any]:
    found = recovery.model_dump(mode="json")
    # Left out where there is none, as in records made before there was such an option.
    return {k: v for k, v in found.items() if k != "distillation" or v is not None}


def _missing(cell: Cell) -> str:
    """What a value is called that is not there: after its metric, with all parameters."""
    chosen = cell.step.plugin
    name: str = chosen.name.replace("-", "_").replace("/", "_")
    told = chosen.label.removeprefix(chosen.name)
    return f"{name}{told}/{cell.cam}" if cell.cam else f"{name}{told}"


def _explained(cells: tuple[Cell, ...]) -> list[Step]:
    found = {
        cell.step.parent("maps").key: cell.step.parent("maps")
        for cell in cells
        if cell.step.has_parent("maps")
    }
    return list(found.values())


def _number(number: float, timed: bool) -> Value:
    if not math.isfinite(number):
        return Value(mean=None, reason=f"not a finite number: {number}", measured=timed)
    return Value(mean=number, measured=timed)


def _mean(each: Tensor) -> Value:
    from prunebench.statistics import mean_interval

    return _from_interval(mean_interval(each.double().numpy()))


def _from_interval(interval: Interval) -> Value:
    if interval.mean is None:
        return Value(
            mean=None, n=0, undefined=interval.undefined, reason="undefined for every image"
        )
    return Value(
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        interval=interval.method,
        n=interval.n,
        undefined=interval.undefined,
    )


def _png(pixels: Tensor, widest: int = WIDEST) -> str:
    from PIL import Image

    array = pixels.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    picture.thumbnail((widest, widest))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=64)
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _plugin_version(chosen: Chosen[Any]) -> str:
    package = find(chosen.kind, chosen.name).package
    return f"{chosen.plugin.version} ({package} {_version(package) or '?'})"
