"""A suite of a Python program written as plain text would have it: objects become names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from torch import Tensor

from prunebench.errors import Location, RequestError
from prunebench.plugins import KINDS, find
from prunebench.plugins.objects import Named
from prunebench.suite.objects.images import GivenImages, is_images, is_splits
from prunebench.suite.objects.networks import Shape
from prunebench.suite.objects.plugins import register


def write_plainly(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a suite as YAML could hold it; its objects are kept, and named ``python/NAME``.

    Raises:
        RequestError: Something in it is neither plain data nor an object of the kind expected;
            the message names the key.
    """
    written: dict[str, Any] = {}
    shapes: list[Shape] = []
    # Data sets first: of given images, the shape is known in which networks are looked at.
    for key in sorted(given, key=lambda key: not str(key).startswith("dataset")):
        kind = key if key in KINDS else f"{key}s"
        value = given[key]
        if kind not in KINDS:
            written[key] = _write(value, (key,))
        elif isinstance(value, list) and not is_images(value):
            written[key] = [
                _write_entry(kind, each, (key, i), shapes) for i, each in enumerate(value)
            ]
        else:
            written[key] = _write_entry(kind, value, (key,), shapes)
    return {key: written[key] for key in given}


def _write_entry(kind: str, entry: Any, location: Location, shapes: list[Shape]) -> Any:
    if isinstance(entry, str):
        return entry
    parameters: Any = {}
    if isinstance(entry, Mapping) and len(entry) == 1 and not is_splits(entry):
        ((entry, parameters),) = entry.items()
        location = (*location, entry if isinstance(entry, str) else type(entry).__name__)
    told = _write(parameters, location)
    if isinstance(entry, str):
        return {entry: told}
    try:
        name, own = register(kind, entry, tuple(shapes))
    except RequestError as error:
        raise RequestError(error.message, where=_where(location)) from None
    if kind == "datasets":
        shapes += _find_shape(name, own)
    return {name: {**own, **(told or {})}} if own or told else name


def _find_shape(name: str, parameters: Mapping[str, Any]) -> list[Shape]:
    """Return classes, channels and size of given images."""
    made = find("datasets", name, parameters.get("content")).plugin_class
    if not issubclass(made, GivenImages):
        return []
    images, labels = made.splits["train"]
    _, channels, height, width = images.shape
    return [(int(labels.max()) + 1, channels, height, width)]


def _write(value: Any, location: Location) -> Any:
    """Return plain data as YAML gives it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.dim() == 0):
        return value.item()
    if isinstance(value, list | tuple):
        return [_write(each, (*location, i)) for i, each in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _write(each, (*location, key)) for key, each in value.items()}
    what = type(value.value if isinstance(value, Named) else value).__name__
    raise RequestError(
        f"is a {what}; expected what YAML can hold: numbers, texts, lists and mappings",
        where=_where(location),
    )


def _where(location: Location) -> str:
    return "suite" + "".join(f"[{part!r}]" for part in location)
