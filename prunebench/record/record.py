"""One network's results: the versioned schema that every table and figure is made from."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from prunebench.record.fields import (
    MOST_CLASSES,
    Changed,
    Conditions,
    Count,
    Epoch,
    Heatmap,
    Moved,
    Reached,
    Seed,
    Slug,
    Strict,
    Times,
    Training,
    Value,
    Weights,
)
from prunebench.record.migrations import SCHEMA
from prunebench.record.per_image import PerImage

Recall = Annotated[float, Field(ge=0, le=1)] | None


class Record(Strict):
    """Results of one network under one seed.

    Attributes:
        id: Unique name, also of its file.
        role: The baseline, the control (fine-tuning only), the floor (the same
            architecture with random weights, of which only maps are compared), the twin (another
            seed's baseline), retrained (the baseline itself, explained by methods that learnt
            under another seed), small (a smaller network trained from scratch), or compressed.
        protocol: Digest of ``conditions``: rows of one protocol are comparable.
        pruner: Label: the name with the parameters that differ from their defaults.
        level: The level asked for; null where a level means nothing.
        round: For methods with rounds.
        seeds: All seeds that the suite asks for, of which ``seed`` is one.
        axis: dense where channels are physically gone, masked where zeros stand for weights,
            quantised where weights have 8 bits (pruned or not; never ranked with the others).
        values: By name, maps' metrics with their method: ``accuracy``, ``sp2ps/grad-cam``.
        curves: Training curves by step: ``baseline``, ``compressed``, ``recovered``.
        failure: Why there is no such network, in one line: a step that makes it failed. Such a
            record has no values, and zeros for what was reached.
        per_image: What it predicts of each explained image, and how much of each map is left.
        recalls: Of each class, the part of its test images that are predicted rightly; null for a
            class without test images. Empty where there are too many classes.
        training: How the network was trained, where it is a baseline.
        reads_explanations: Whether the method chooses by explanations what it removes.
        changed: The explained images of which it predicts another class than its baseline, those
            first of which it is surest.
        moved: The images whose attention moved most under the first explanation method that is
            compared by Sp2PS, most first.
        pictures: What the method itself shows of its work, by name: base64 PNG.
        pictures_withheld: Why images are not shown, where they are not.
        classes: Names of the classes, where classes are told of and they are not too many.
        times: Milliseconds of the timed passes, by device and batch size: ``cpu_b1``.
        images_seen: Training images seen since the baseline, all epochs counted.
        suite_excerpt: A suite that makes this row again.
        keys: Keys of the steps behind the row.
        weights: Where the network can be had; null where it is not published.
        flags: Things to know, such as a target layer below 4×4.
        provenance: Versions, hardware, sources.
        measured: Times; they differ from run to run.
    """

    schema_version: Literal[4] = SCHEMA
    id: Slug
    suite: Slug
    role: Literal["baseline", "control", "floor", "twin", "retrained", "small", "compressed"]
    protocol: Slug
    conditions: Conditions
    dataset: str
    model: str
    pruner: str
    pruner_name: str
    pruner_parameters: dict[str, Any] = {}
    level: Annotated[float, Field(ge=0, lt=1)] | None
    round: Annotated[Count, Field(ge=1)] | None = None
    seed: Seed
    seeds: tuple[Seed, ...]
    axis: Literal["dense", "masked", "quantised", "none"]
    reached: Reached
    values: dict[str, Value]
    curves: dict[str, tuple[Epoch, ...]] = {}
    heatmaps: tuple[Heatmap, ...] = Field((), max_length=8)
    failure: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\n]*$")] | None = None
    per_image: PerImage | None = None
    recalls: tuple[Recall, ...] = Field((), max_length=MOST_CLASSES)
    training: Training | None = None
    reads_explanations: bool = False
    changed: tuple[Changed, ...] = Field((), max_length=6)
    moved: tuple[Moved, ...] = Field((), max_length=6)
    pictures: dict[str, str] = Field({}, max_length=4)
    pictures_withheld: str | None = None
    classes: tuple[str, ...] = Field((), max_length=MOST_CLASSES)
    times: dict[str, Times] = {}
    images_seen: Count = 0
    suite_excerpt: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    weights: Weights | None = None
    flags: tuple[str, ...] = ()
    provenance: dict[str, Any] = {}
    measured: dict[str, Any] = {}

    @model_validator(mode="after")
    def _seed_is_planned(self) -> Record:
        if self.seed not in self.seeds:
            raise ValueError(f"seed {self.seed} is not among the suite's seeds {self.seeds}")
        return self

    def mean(self, name: str) -> float | None:
        """Return the mean of a value; None if it is missing or null."""
        value = self.values.get(name)
        return value.mean if value else None

    def to_json(self) -> str:
        """Return the record as its file holds it, keys sorted."""
        content = self.model_dump(mode="json")
        if self.weights is None:  # as in records that are older than this field
            del content["weights"]
        return json.dumps(content, indent=1, sort_keys=True) + "\n"


def slug(text: str) -> str:
    """Turn a label into something that is safe in a file's name."""
    return re.sub(r"[^A-Za-z0-9.+=-]+", "-", text).strip("-.") or "x"
