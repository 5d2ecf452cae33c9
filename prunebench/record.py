"""One network's results: the versioned schema that every table and figure is made from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from prunebench.errors import RequestError

SCHEMA = 1
LARGEST = 2_000_000  # bytes of one record's file

Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+=-]*$", max_length=200)]
Fraction = Annotated[float, Field(le=1)]  # negative where there is more than before


class Strict(BaseModel):
    """Base of the schema: nothing unknown, no infinite number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Value(Strict):
    """One published number.

    Attributes:
        mean: The value, or the mean over images; null with a reason.
        low: Lower bound of the 95% interval.
        high: Upper bound of the 95% interval.
        interval: What the interval covers, such as "bootstrap over images".
        n: Images behind the mean.
        undefined: Images left out of it because the value is not defined there.
        reason: Why ``mean`` is null.
        measured: Whether it was timed: such values differ from run to run.
    """

    mean: float | None
    low: float | None = None
    high: float | None = None
    interval: str | None = None
    n: int | None = None
    undefined: int = 0
    reason: str | None = None
    measured: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Value:
        if self.mean is None and not self.reason:
            raise ValueError("a missing value needs a reason")
        if (
            self.mean is not None
            and self.low is not None
            and self.high is not None
            and not self.low - 1e-9 <= self.mean <= self.high + 1e-9
        ):
            raise ValueError(f"interval {self.low}..{self.high} excludes the mean {self.mean}")
        return self


class Reached(Strict):
    """Fractions of the baseline really removed: physically, or as zeros under a mask.

    Attributes:
        weights: Of convolution and linear weights, zeros included.
        params: Of all parameters, physically.
        channels: Of the channels of convolutions, physically.
        macs: Of the MACs of a dense execution.
    """

    weights: Fraction
    params: Fraction
    channels: Fraction
    macs: Fraction


class Heatmap(Strict):
    """A picture kept in the record.

    Attributes:
        image: Index in the test split.
        cam: Explanation method; null for the image itself.
        png: The picture, base64 PNG: 8-bit grey for a map (255 is 1.0), RGB for an image.
    """

    image: int
    cam: str | None
    png: str


class Epoch(Strict):
    """One epoch of a training curve."""

    epoch: int
    loss: float
    lr: float
    validation_accuracy: float | None = None


class Conditions(Strict):
    """What must be equal for two rows to be comparable.

    Attributes:
        dataset: The data set with its parameters.
        data_digest: Digest of the data's content.
        model: The model with its parameters (weights by their digest).
        recovery: Options of recovery fine-tuning, all of them; null for none.
        explained_images: Number of test images explained.
        class_policy: Whose class is explained.
        target_layer: Whose output is explained.
        device: Type of device.
        precision: Number format.
        versions: Of the data set's and the model's plugin, and of the kinds of step.
    """

    dataset: str
    data_digest: str
    model: str
    recovery: dict[str, Any] | None
    explained_images: int
    class_policy: str
    target_layer: str
    device: str
    precision: str
    versions: dict[str, int] = {}


class Record(Strict):
    """Results of one network under one seed.

    Attributes:
        id: Unique name, also of its file.
        role: The untouched baseline, the ``none`` control (recovery only), the floor (the same
            architecture with random weights, of which only maps are compared), or compressed.
        protocol: Digest of ``conditions``: rows of one protocol are comparable.
        pruner: Label: the name with the parameters that differ from their defaults.
        level: The level asked for; null where a level means nothing.
        round: For methods with rounds.
        seeds: All seeds that the suite asks for, of which ``seed`` is one.
        axis: dense where channels are physically gone, masked where zeros stand for weights,
            quantised where weights have 8 bits (pruned or not; never ranked with the others).
        values: By name, maps' metrics with their method: ``accuracy``, ``sp2ps/grad-cam``.
        curves: Training curves by step: ``baseline``, ``compressed``, ``recovered``.
        pictures: What the method itself shows of its work, by name: base64 PNG.
        images_seen: Training images seen since the baseline, all epochs counted.
        suite_excerpt: A suite that makes this row again.
        keys: Keys of the steps behind the row.
        flags: Things to know, such as a target layer below 4×4.
        provenance: Versions, hardware, sources.
        measured: Times; they differ from run to run.
    """

    schema_version: Literal[1] = 1
    id: Slug
    suite: Slug
    role: Literal["baseline", "control", "floor", "compressed"]
    protocol: Slug
    conditions: Conditions
    dataset: str
    model: str
    pruner: str
    pruner_name: str
    pruner_parameters: dict[str, Any] = {}
    level: Annotated[float, Field(ge=0, lt=1)] | None
    round: Annotated[int, Field(ge=1)] | None = None
    seed: int
    seeds: tuple[int, ...]
    axis: Literal["dense", "masked", "quantised", "none"]
    reached: Reached
    values: dict[str, Value]
    curves: dict[str, tuple[Epoch, ...]] = {}
    heatmaps: tuple[Heatmap, ...] = Field((), max_length=8)
    pictures: dict[str, str] = Field({}, max_length=4)
    images_seen: int = 0
    suite_excerpt: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    flags: tuple[str, ...] = ()
    provenance: dict[str, Any] = {}
    measured: dict[str, Any] = {}

    @model_validator(mode="after")
    def _seed_is_planned(self) -> Record:
        if self.seed not in self.seeds:
            raise ValueError(f"seed {self.seed} is not among the suite's seeds {self.seeds}")
        return self

    def mean(self, name: str) -> float | None:
        """The mean of a value; None if it is missing or null."""
        value = self.values.get(name)
        return value.mean if value else None

    def to_json(self) -> str:
        """The record as its file holds it, keys sorted."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def read_record(path: Path) -> Record:
    """Reads and validates a record's file.

    Raises:
        RequestError: It is oversized, of a newer schema, or not a valid record; the message
            names the field.
    """
    if path.stat().st_size > LARGEST:
        raise RequestError(f"is larger than {LARGEST:,} bytes", where=str(path))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RequestError(f"is not JSON: {error}", where=str(path)) from None
    found = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(found, int) and found > SCHEMA:
        raise RequestError(
            f"has schema {found}; this version reads up to {SCHEMA}: upgrade prunebench",
            where=str(path),
        )
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "record"
        raise RequestError(f"{field}: {first['msg']}", where=str(path)) from None


def slug(text: str) -> str:
    """Turns a label into something that is safe in a file's name."""
    return re.sub(r"[^A-Za-z0-9.+=-]+", "-", text).strip("-.") or "x"
