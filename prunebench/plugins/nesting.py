"""How a plugin names another plugin in one of its parameters, as suites do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import model_validator

from prunebench.errors import RequestError
from prunebench.plugins.base import Plugin
from prunebench.plugins.context import Preparation
from prunebench.plugins.finding import Chosen, choose, find

Named = str | dict[str, Any]
"""A plugin as a suite writes it: ``name``, or ``{name: {parameter: value}}``."""


class Nesting(Plugin):
    """A plugin some of whose parameters (of type ``Named``) name other plugins.

    What was named is validated at once. It enters keys by its name, its version and the parameters
    that differ from their defaults, so that ``x`` and ``{x: {}}`` are one method.
    """

    nested: ClassVar[Mapping[str, str]] = {}
    """By parameter, the kind of plugin it names, such as ``pruners``."""

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for parameter in self.nested:
            self.chosen(parameter)
        return self

    def chosen(self, parameter: str) -> Chosen[Any]:
        """Return the plugin that a parameter names.

        Raises:
            RequestError: There is no such plugin, or its parameters are wrong.
        """
        kind, value = self.nested[parameter], getattr(self, parameter)
        name, parameters = _read(value)
        if name is None:
            raise RequestError(
                f"parameter {parameter!r}: expected a {kind[:-1]}'s name, or "
                f"{{name: {{parameter: value}}}}, found {value!r}",
                location=(parameter,),
            )
        try:
            return choose(kind, name, parameters)
        except RequestError as error:
            inner = (name, *error.location) if isinstance(value, dict) else error.location
            message = f"parameter {parameter!r}: {error.message}"
            raise RequestError(message, where=error.where, location=(parameter, *inner)) from None

    @classmethod
    def anchored(cls, parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Return parameters with relative paths anchored, those of the plugins named too."""
        found = super().anchored(parameters, folder)
        for parameter, kind in cls.nested.items():
            name, inner = _read(found.get(parameter))
            if name is not None and inner:
                try:
                    anchored = find(kind, name).plugin_class.anchored(inner, folder)
                except RequestError:
                    continue  # validation says so, and where
                found[parameter] = {name: anchored}
        return found

    def files(self) -> list[Path]:
        """Return own files, and those of the plugins named."""
        inner = [file for name in self.nested for file in self.chosen(name).plugin.files()]
        return [*super().files(), *inner]

    def changed_parameters(self) -> dict[str, Any]:
        """Return changed parameters; of plugins named, their name and changed parameters."""
        found = super().changed_parameters()
        for parameter in self.nested:
            content = _describe_content(self.chosen(parameter))
            found.pop(parameter, None)
            if content != type(self).model_fields[parameter].default:
                found[parameter] = content
        return found


def _read(value: Any) -> tuple[str | None, dict[str, Any]]:
    """Return the name and the parameters; no name where the value is neither form."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and len(value) == 1:
        name, parameters = next(iter(value.items()))
        if isinstance(name, str) and isinstance(parameters or {}, dict):
            return name, dict(parameters or {})
    return None, {}


def _describe_content(chosen: Chosen[Any]) -> Named:
    """Return name, version where it is not the first, and parameters where some are changed."""
    version = chosen.plugin.version
    name = chosen.name if version == 1 else f"{chosen.name} v{version}"
    changed = chosen.plugin.changed_parameters()
    if chosen.is_member:
        changed.pop("name", None)  # family/member tells it
    if versions := dict(_list_versions(getattr(chosen.plugin, "prepare", tuple)())):
        changed["preparations"] = versions
    return {name: changed} if changed else name


def _list_versions(preparations: Iterable[Preparation]) -> Iterator[tuple[str, int]]:
    """Yield the versions, but for the first, of what a pruner prepares: part of the method."""
    for preparation in preparations:
        if preparation.version != 1:
            yield preparation.key_name.partition(":")[2], preparation.version
        yield from _list_versions(preparation.needs())
