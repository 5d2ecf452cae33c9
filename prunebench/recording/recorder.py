"""From artefacts to the record of one network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from prunebench.errors import RequestError
from prunebench.plan.environment import made_with
from prunebench.plan.keys import Identities
from prunebench.plan.step_kinds import BASELINE, COMPRESSED, KINDS, RANDOMISED
from prunebench.plan.trial import Trial
from prunebench.plugins import Chosen, find
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.disclosure import expected_axis, reads_explanations
from prunebench.record import (
    Conditions,
    Epoch,
    Reached,
    Record,
    Times,
    Training,
    read_record,
    slug,
)
from prunebench.record.comparable import SMALLER
from prunebench.record.fields import LARGEST_NUMBER, MOST_TIMES
from prunebench.record.names import protocol_of, record_id
from prunebench.recording.changed import find_changed
from prunebench.recording.excerpt import excerpt
from prunebench.recording.failure import drop_results, find_failure
from prunebench.recording.pictures import Pictures
from prunebench.recording.predictions import Predictions, list_explained
from prunebench.recording.training import describe_training
from prunebench.recording.values import values
from prunebench.store import Store
from prunebench.suite import Suite

DIGITS = 4  # of a time that is kept to show how times spread


@dataclass(frozen=True)
class Recorder:
    """Makes records from a store.

    Args:
        identities: The suite, and what enters keys beside it.
        store: Where the artefacts are.
    """

    identities: Identities
    store: Store

    @property
    def suite(self) -> Suite:
        """The suite."""
        return self.identities.suite

    def record(self, trial: Trial, failed: dict[str, str]) -> Record:
        """Make the record of one network.

        Args:
            trial: The network; its baseline is in the store. Where a step that makes the network
                failed, the record says so and has no values.
            failed: Messages of failed steps, by key; their values are null with this reason.
        """
        setting = trial.setting
        conditions = self.conditions(trial)
        protocol = protocol_of(conditions)
        failure = find_failure(trial, self.store, failed)
        pruner = trial.pruner
        name = record_id(
            suite=self.suite.name,
            dataset=setting.dataset.label,
            model=setting.model.label,
            pruner_name=trial.name,
            level=trial.level,
            round=trial.round,
            seed=setting.seed,
            network=trial.network.key,
            protocol=protocol,
        )
        environment, before = self.identities.environment, self._before(name)
        keys = self._keys(trial)
        unchanged = before if before is not None and before.keys == keys else None
        predictions = Predictions(trial, self.store, environment, unchanged)
        pictures = Pictures(self.suite, trial, self.store, predictions, before)
        record = Record(
            id=name,
            suite=self.suite.name,
            role=trial.role,
            protocol=protocol,
            conditions=conditions,
            dataset=setting.dataset.label,
            model=setting.model.label,
            pruner=pruner.label if pruner else trial.name,
            pruner_name=trial.name,
            pruner_parameters=pruner.plugin.changed_parameters() if pruner else {},
            level=trial.level,
            round=trial.round,
            seed=setting.seed,
            seeds=self.suite.seeds,
            axis=self._axis(trial),
            reached=self._reached(trial),
            values=dict(values(trial, self.store, failed)),
            curves=self._curves(trial),
            heatmaps=tuple(pictures.heatmaps()),
            failure=failure,
            per_image=predictions.per_image(),
            recalls=predictions.recalls(),
            training=self._training(trial),
            reads_explanations=pruner is not None and reads_explanations(pruner.plugin),
            changed=find_changed(
                predictions, before.changed if before else (), withheld=bool(pictures.withheld)
            ),
            moved=tuple(pictures.moved()),
            pictures=pictures.of_method(),
            pictures_withheld=pictures.withheld,
            classes=pictures.classes(),
            times=self._times(trial),
            images_seen=self._images_seen(trial),
            suite_excerpt=excerpt(self.suite, trial),
            keys=keys,
            flags=tuple(self._flags(trial)),
            provenance=self._provenance(trial),
            measured={"seconds": self._seconds(trial)},
        )
        return record if failure is None else drop_results(record)

    def _before(self, name: str) -> Record | None:
        """Read the record as a run before this one wrote it."""
        path = self.store.record_file(self.suite.name, name)
        try:
            return read_record(path) if path.is_file() else None
        except RequestError:
            return None

    def conditions(self, trial: Trial) -> Conditions:
        """Return what must be equal for other networks to be comparable with this one."""
        setting, environment = trial.setting, self.identities.environment
        model = self.identities.of(setting.model)
        content = f" with weights {model['content'][:12]}" if "content" in model else ""
        return Conditions(
            dataset=setting.dataset.label,
            data_digest=_read_data_digest(self.identities.of(setting.dataset)),
            model=setting.model.label + content,
            recovery=_told(setting.recovery) if setting.recovery else None,
            explained_images=self._explained_images(trial),
            class_policy=self.suite.explain.classes,
            target_layer=setting.target_layer,
            device=environment.device,
            precision=environment.precision,
            versions={
                "dataset": setting.dataset.plugin.version,
                "model": setting.model.plugin.version,
                # Those of the other kinds from the second on: records that are older than this
                # rule tell no version of theirs, and have the first.
                **{
                    name: kind.version
                    for name, kind in KINDS.items()
                    if kind.condition or kind.version > 1
                },
            },
        )

    def _explained_images(self, trial: Trial) -> int:
        """Count the images explained: a test split may have fewer than were asked for."""
        steps = list_explained(trial.compared_with.known)
        targets = steps[0].parent("targets").key if steps else ""
        if steps and self.store.has(targets):
            return int(self.store.read(targets).data["images"])
        return self.suite.explain.images if steps else 0

    def _compression(self, trial: Trial) -> dict[str, Any]:
        """Read what the last compression found out: see ``stages/compress.py``."""
        for step in trial.network.lineage():
            if step.kind == COMPRESSED:
                return self._data(step.key)
        return {}

    def _data(self, key: str) -> dict[str, Any]:
        """Read what a step found out; nothing where it failed."""
        return self.store.read(key).data if self.store.has(key) else {}

    def _reached(self, trial: Trial) -> Reached:
        found = self._compression(trial).get("reached")
        return Reached.model_validate(found or dict.fromkeys(Reached.model_fields, 0.0))

    def _axis(self, trial: Trial) -> Any:
        """Return the axis of a network; of one that failed, that of its pruner's others."""
        if (axis := self._compression(trial).get("axis")) is not None:
            return axis
        chosen = trial.pruner if trial.role in SMALLER else None
        return expected_axis(chosen.plugin) if chosen else "none"

    def _training(self, trial: Trial) -> Training | None:
        """Describe how a network was trained that is no other one compressed."""
        step = trial.network
        if step.kind != BASELINE or not self.store.has(step.key):
            return None
        content = self.identities.of(step.plugin).get("content")
        return describe_training(step, content, self.store.read(step.key).data)

    def _images_seen(self, trial: Trial) -> int:
        """Count training images seen by recovery, training methods and what they prepared."""
        made = [step for step in trial.network.lineage()[:-1] if step.kind != RANDOMISED]
        keys = {step.key for step in made} | {
            step.key for one in made for step in one.prepared().values()
        }
        return sum(int(self._data(key).get("images_seen", 0)) for key in keys)

    def _curves(self, trial: Trial) -> dict[str, tuple[Epoch, ...]]:
        compressed = trial.network.compressed()
        steps = {f"prepared-{slug(name)}": one for name, one in compressed.prepared().items()}
        networks = (compressed, trial.network, trial.setting.baseline)
        steps |= {step.kind.name: step for step in networks}
        return {
            name: tuple(_epoch(point) for point in curve)
            for name, step in steps.items()
            if (curve := self._data(step.key).get("curve"))
        }

    def _times(self, trial: Trial) -> dict[str, Times]:
        """Return the times behind medians, stored by the metrics that take times."""
        return {
            setup + cell.step.plugin.variant: _spread(**samples)
            for cell in trial.known
            if self.store.has(cell.step.key)
            for setup, samples in self.store.read(cell.step.key).data.get("samples", {}).items()
        }

    def _keys(self, trial: Trial) -> dict[str, Any]:
        return {
            "network": trial.network.key,
            "baseline": trial.setting.baseline.key,
            "cells": {
                cell.step.plugin.label + (f"/{cell.cam}" if cell.cam else ""): cell.step.key
                for cell in trial.known
            },
        }

    def _flags(self, trial: Trial) -> Iterator[str]:
        if objects := self.suite.list_objects():
            names = ", ".join(objects)
            yield f"its suite holds objects of a Python program, which its record lacks: {names}"
        found = [
            self.store.read(step.key).data
            for step in list_explained(trial.known)
            if self.store.has(step.key)
        ]
        # Some methods give maps at the images' size, whatever the layer's.
        smallest = min((tuple(data["size"]) for data in found), key=min, default=(4, 4))
        if min(smallest) < 4:
            yield f"the target layer's map is {smallest[0]}×{smallest[1]}, below 4×4"
        yield from self._compression(trial).get("notes", ())
        yield from self._chance(trial)
        for data in found[:1]:
            layer = data.get("target_layer", trial.setting.target_layer)
            if layer != trial.setting.target_layer:
                yield f"another architecture: its layer {layer!r} is explained"
            if reason := data.get("uncut"):
                yield f"explained by whole passes, not cut at its target layer: {reason}"

    def _chance(self, trial: Trial) -> Iterator[str]:
        """Say where training after compression has led to no more than guessing."""
        cell = next((cell for cell in trial.known if cell.metric == "accuracy"), None)
        if trial.setting.recovery is None or trial.role not in ("control", *SMALLER):
            return
        if cell is None or not self.store.has(cell.step.key):
            return
        accuracy = float(self.store.read(cell.step.key).tensors["accuracy"].double().mean())
        architecture = self.store.read(trial.network.key).data["architecture"]
        if accuracy <= 1 / architecture["classes"]:
            yield (
                f"recovered to an accuracy of {accuracy:.1%}, no better than guessing: its "
                "fine-tuning may have diverged"
            )

    def _provenance(self, trial: Trial) -> dict[str, Any]:
        environment, setting = self.identities.environment, trial.setting
        used = [setting.dataset, setting.model, *self.suite.cams, *self.suite.metrics]
        there = self.store.has(trial.network.key)
        network = self.store.read(trial.network.key).measured if there else {}
        return {
            **network.get("made_with", made_with(environment)),
            "plugins": {
                f"{chosen.kind}/{chosen.name}": _plugin_version(chosen)
                for chosen in (*used, *([trial.pruner] if trial.pruner else []))
            },
        }

    def _seconds(self, trial: Trial) -> float:
        """Return the time of compression and recovery, all rounds together."""
        made = [step for step in trial.network.lineage()[:-1] if self.store.has(step.key)]
        return sum(float(self.store.read(step.key).measured["seconds"]) for step in made)


def _read_data_digest(identity: dict[str, Any]) -> str:
    """Return the digest of the images: of files, or of what a Python program gave."""
    given = identity.get("parameters", {}).get("content", "")
    return str(identity.get("content", given))


def _told(recovery: Recipe) -> dict[str, Any]:
    found = recovery.model_dump(mode="json")
    # Left out where they change nothing, as in records made before there were such options: else
    # new rows would be of another protocol.
    defaults = {"distillation": None, "precision": "float32"}
    return {k: v for k, v in found.items() if k not in defaults or v != defaults[k]}


def _spread(baseline: list[float], network: list[float]) -> Times:
    """Return times of both networks, of not too many pairs, with few digits."""
    step = math.ceil(len(network) / MOST_TIMES)
    kept = [
        tuple(float(f"{time:.{DIGITS}g}") for time in times[::step])
        for times in (baseline, network)
    ]
    return Times(baseline=kept[0], network=kept[1])


@lru_cache(maxsize=64)
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _plugin_version(chosen: Chosen[Any]) -> str:
    package = find(chosen.kind, chosen.name).package
    return f"{chosen.plugin.version} ({package} {_version(package) or '?'})"


def _epoch(point: dict[str, Any]) -> Epoch:
    """Return a point of a curve; a plugin may call its terms what it likes.

    A term that is no number in this epoch, such as a mean over nothing, is left out of it.
    """
    told = point.get("terms", {}).items()
    terms = {slug(name): value for name, value in told if abs(value) <= LARGEST_NUMBER}
    return Epoch.model_validate(point | {"terms": terms})
