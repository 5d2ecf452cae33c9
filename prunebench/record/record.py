"""One network's results: the versioned schema that every table and figure is made from."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from prunebench.errors import RequestError
from prunebench.record.migrations import SCHEMA, migrate
from prunebench.record.parts import (
    MOST_CLASSES,
    Conditions,
    Epoch,
    Heatmap,
    Moved,
    Reached,
    Slug,
    Strict,
    Times,
    Value,
)

__all__ = [
    "LARGEST",
    "SCHEMA",
    "Conditions",
    "Epoch",
    "Heatmap",
    "Moved",
    "Reached",
    "Record",
    "Times",
    "Value",
    "keeping_all",
    "read_record",
    "slug",
]

LARGEST = 2_000_000  # bytes of one record's file
DEEPEST = 20  # lists and mappings within one another, where a record's form is free
MOST_ENTRIES = 20_000  # of one field


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
        moved: The images whose attention moved most under the first explanation method that is
            compared by Sp2PS, most first.
        pictures: What the method itself shows of its work, by name: base64 PNG.
        pictures_withheld: Why images are not shown, where they are not.
        classes: Names of the classes, where ``moved`` shows predictions and they are not too many.
        times: Milliseconds of the timed passes, by place: ``cpu_b1``, ``deployed_cpu_b64``.
        images_seen: Training images seen since the baseline, all epochs counted.
        suite_excerpt: A suite that makes this row again.
        keys: Keys of the steps behind the row.
        flags: Things to know, such as a target layer below 4×4.
        provenance: Versions, hardware, sources.
        measured: Times; they differ from run to run.
    """

    schema_version: Literal[3] = SCHEMA
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
    moved: tuple[Moved, ...] = Field((), max_length=6)
    pictures: dict[str, str] = Field({}, max_length=4)
    pictures_withheld: str | None = None
    classes: tuple[str, ...] = Field((), max_length=MOST_CLASSES)
    times: dict[str, Times] = {}
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
    """Reads and validates a record's file, of this schema or of an older one.

    Raises:
        RequestError: It is oversized, of a newer schema, or not a valid record; the message
            names the field.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise RequestError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if len(text) > LARGEST:
        raise RequestError(f"is larger than {LARGEST:,} bytes", where=str(path))
    record = _validated(text, path)
    for name in Record.model_fields:
        _limit(getattr(record, name), name, path)
    _limit(record.conditions.recovery, "conditions.recovery", path)
    return record


def _limit(content: Any, field: str, path: Path) -> None:
    """Refuses what is nested so deeply, or so long, that working with it fails."""
    waiting, entries = [(content, 1)], 0
    while waiting:
        found, depth = waiting.pop()
        if not isinstance(found, dict | list | tuple):
            continue
        if depth > DEEPEST:
            raise RequestError(f"{field}: is nested more than {DEEPEST} deep", where=str(path))
        entries += len(found)
        if entries > MOST_ENTRIES:
            raise RequestError(f"{field}: has more than {MOST_ENTRIES:,} entries", where=str(path))
        parts = found.values() if isinstance(found, dict) else found
        waiting.extend((part, depth + 1) for part in parts)


def _validated(text: bytes, path: Path) -> Record:
    try:
        return Record.model_validate_json(text)  # several times faster than by way of a dict
    except ValidationError:
        pass  # of an older schema, or wrong
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"is not JSON: {error}", where=str(path)) from None
    try:
        return Record.model_validate(migrate(content, where=str(path)))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "record"
        raise RequestError(f"{field}: {first['msg']}", where=str(path)) from None


@contextmanager
def keeping_all() -> Iterator[None]:
    """For reading very many records: twice as fast without looking for garbage among them."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def slug(text: str) -> str:
    """Turns a label into something that is safe in a file's name."""
    return re.sub(r"[^A-Za-z0-9.+=-]+", "-", text).strip("-.") or "x"
