"""Reading what a suite says: everything wrong in it is refused with file and line."""

from __future__ import annotations

import re
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from prunebench.errors import Location, RequestError, did_you_mean
from prunebench.metrics.inputs import reads_maps
from prunebench.plugins import Chosen, choose, find
from prunebench.plugins.recipe import Recipe
from prunebench.plugins.wrong_parameters import make_request_error
from prunebench.pruners import Pruner
from prunebench.suite.options import DEFAULT_CONTROL, Explain
from prunebench.yaml_source import Source

B = TypeVar("B", bound=BaseModel)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_PLURAL = {
    "dataset": "datasets",
    "model": "models",
    "pruner": "pruners",
    "level": "levels",
    "seed": "seeds",
    "cam": "cams",
    "metric": "metrics",
}
_KEYS = {
    "name",
    "description",
    "datasets",
    "models",
    "pruners",
    "levels",
    "rounds",
    "recovery",
    "cams",
    "metrics",
    "seeds",
    "explain",
}

AXES = ("dense", "masked")
"""What levels may be given for: pruners that count channels, and the others."""


class SuiteReader:
    """Turns what was written into the parts of a suite; knows the line of whatever is wrong.

    Args:
        source: A YAML file's content, or a mapping of a Python program.

    Raises:
        RequestError: It is no mapping, or has an unknown key.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        if not isinstance(source.data, dict):
            raise RequestError(
                "a suite is a mapping (name: ..., dataset: ...)", where=str(source.path)
            )
        self.written: dict[str, str] = {}
        for key in source.data:
            plural = _PLURAL.get(key, key)
            if plural not in _KEYS:
                self.fail((key,), f"unknown key {key!r}; {did_you_mean(key, _KEYS)}")
            if plural in self.written:
                self.fail((key,), f"{self.written[plural]!r} and {key!r} mean the same")
            self.written[plural] = key

    def fail(self, location: Location, message: str) -> NoReturn:
        """Refuse an entry, by its line."""
        raise RequestError(message, where=self.source.where(location))

    def read_parts(self) -> dict[str, Any]:
        """Return all parts of a ``Suite`` by name, checked."""
        pruners = self.read_plugins("pruners")
        if not any(pruner.plugin.control for pruner in pruners):
            pruners = (choose("pruners", DEFAULT_CONTROL), *pruners)
        levels, masked_levels = self.read_levels(pruners)
        explain = self.read_options(Explain, ("explain",), self.source.data.get("explain") or {})
        parts: dict[str, Any] = {
            "name": self.read_name(),
            "datasets": self.read_plugins("datasets"),
            "models": self.read_plugins("models"),
            "pruners": pruners,
            "levels": levels,
            "recoveries": self.read_recoveries(),
            "cams": self.read_plugins("cams", required=False),
            "metrics": self.read_plugins("metrics"),
            "seeds": self.read_integers("seeds", (0,), minimum=0) or (0,),
            "rounds": self.read_integers("rounds", None, minimum=1),
            "explain": explain,
            "raw": self.source.raw,
            "masked_levels": masked_levels,
        }
        self.check_maps(parts["metrics"], parts["cams"])
        self.check_layers(explain, parts["models"])
        return parts

    def read_name(self) -> str:
        """Return the suite's name, which is safe in a file's name."""
        name = self.source.data.get("name", self.source.path.stem)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self.fail(
                ("name",),
                f"name {name!r} may hold up to 60 ASCII letters, digits, '-' and '_', "
                "and begins with a letter or digit",
            )
        return name

    def list_entries(self, key: str, required: bool = True) -> list[tuple[Location, Any]]:
        """Return the entries of a list, or a single value as a list of one."""
        written = self.written.get(key)
        if written is None:
            if required:
                raise RequestError(f"{key!r} is missing", where=str(self.source.path))
            return []
        return self.list_of((written,), self.source.data[written])

    def list_of(self, location: Location, value: Any) -> list[tuple[Location, Any]]:
        """Return the entries of a list at some place, or a single value as a list of one."""
        if not isinstance(value, list):
            return [(location, value)]
        if not value:
            self.fail(location, f"{location[-1]!r} is an empty list; expected at least one entry")
        return [((*location, i), entry) for i, entry in enumerate(value)]

    def read_plugins(self, kind: str, required: bool = True) -> tuple[Chosen[Any], ...]:
        """Return the plugins of a kind, their parameters checked."""
        chosen: list[Chosen[Any]] = []
        for location, entry in self.list_entries(kind, required):
            found = self.read_plugin(kind, location, entry)
            if found.label in [other.label for other in chosen]:
                self.fail(location, f"{found.label!r} is listed twice")
            chosen.append(found)
        return tuple(chosen)

    def read_plugin(self, kind: str, location: Location, entry: Any) -> Chosen[Any]:
        """Return the plugin of one entry: ``name`` or ``name: {parameter: value}``."""
        if isinstance(entry, dict) and len(entry) == 1:
            name, parameters = next(iter(entry.items()))
            location = (*location, name)
        else:
            name, parameters = entry, {}
        if not isinstance(name, str) or not isinstance(parameters or {}, dict):
            self.fail(location, f"expected a {kind[:-1]}'s name, or 'name: {{parameter: value}}'")
        try:
            content = (parameters or {}).get("content")
            plugin_class = find(kind, name, content).plugin_class
            anchored = plugin_class.anchored(parameters or {}, self.source.path.parent)
            return choose(kind, name, anchored)
        except RequestError as error:
            where = self.source.where((*location, *error.location))
            raise RequestError(str(error), where=where) from None

    def read_levels(
        self, pruners: tuple[Chosen[Pruner], ...]
    ) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
        """Return the levels, and those of masks where they are others: ``{dense: , masked: }``."""
        needing = [
            each
            for each in pruners
            if each.plugin.levels == "continuous" and not each.plugin.own_levels()
        ]
        written = self.written.get("levels", "levels")
        value = self.source.data.get(written)
        if not isinstance(value, dict):
            return self.read_fractions(self.list_entries("levels", required=bool(needing))), None
        for axis in value:
            if axis not in AXES:
                message = f"unknown kind of levels {axis!r}; {did_you_mean(axis, AXES)}"
                self.fail((written, axis), message)
        for each in needing:
            axis = "dense" if each.plugin.counts_channels() else "masked"
            if axis not in value:
                self.fail((written,), f"{axis!r} is missing, which pruner {each.label!r} needs")
        found = {
            axis: self.read_fractions(self.list_of((written, axis), value[axis])) for axis in value
        }
        return found.get("dense", ()), found.get("masked", ())

    def read_fractions(self, entries: list[tuple[Location, Any]]) -> tuple[float, ...]:
        """Return distinct levels, in [0, 1)."""
        found: list[float] = []
        for location, level in entries:
            if isinstance(level, bool) or not isinstance(level, int | float):
                self.fail(location, f"level {level!r} is not a number")
            if not 0 <= level < 1:
                self.fail(location, f"level {level} is outside [0, 1): it is the fraction removed")
            if level in found:
                self.fail(location, f"level {level} is listed twice")
            found.append(float(level))
        return tuple(found)

    def read_recoveries(self) -> tuple[Recipe | None, ...]:
        """Return the recipes of fine-tuning; no fine-tuning by default."""
        return tuple(
            None if entry is None else self.read_options(Recipe, location, entry)
            for location, entry in self.list_entries("recovery", required=False)
        ) or (None,)

    def read_integers(
        self, key: str, default: tuple[int, ...] | None, minimum: int
    ) -> tuple[int, ...] | None:
        """Return a list of distinct whole numbers."""
        found: list[int] = []
        for location, value in self.list_entries(key, required=False):
            if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
                self.fail(location, f"{value!r} is not a whole number of at least {minimum}")
            if value in found:
                self.fail(location, f"{value} is listed twice")
            found.append(value)
        return tuple(found) or default

    def read_options(self, model: type[B], location: Location, value: Any) -> B:
        """Return a block of options, such as ``recovery``."""
        if not isinstance(value, dict):
            self.fail(location, f"expected options (name: value), found {value!r}")
        try:
            return model.model_validate(value)
        except ValidationError as error:
            problem = make_request_error(error, str(location[0]), model)
            where = self.source.where((*location, *problem.location))
            raise RequestError(problem.message, where=where) from None

    def check_maps(self, metrics: tuple[Chosen[Any], ...], cams: tuple[Chosen[Any], ...]) -> None:
        """Check that there are explanation methods where metrics read maps."""
        readers = [m.name for m in metrics if reads_maps(m.plugin)]
        if readers and not cams:
            self.fail(
                (self.written["metrics"],),
                f"metric {readers[0]!r} compares maps: 'cams' is missing",
            )

    def check_layers(self, explain: Explain, models: tuple[Chosen[Any], ...]) -> None:
        """Check that each target layer is of a model of the suite."""
        layers = explain.target_layer
        names = [model.name for model in models]
        for name in layers if isinstance(layers, dict) else ():
            if name not in names:
                self.fail(
                    ("explain", "target_layer", name),
                    f"{name!r} is not a model of this suite; {did_you_mean(name, names)}",
                )
