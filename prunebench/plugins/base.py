"""What every plugin is: typed, validated parameters and a version, in one small class."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, create_model

Function = TypeVar("Function", bound=Callable[..., Any])


class Plugin(BaseModel):
    """Base of the five kinds of plugin. Its fields are its parameters.

    Attributes:
        version: Raise it when a default changes or when the plugin computes something else:
            results of the old version are then no longer found in the store.
        random: Whether the result depends on the seed. Only then is the seed part of its key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    version: ClassVar[int] = 1
    random: ClassVar[bool] = False
    method: ClassVar[str] = "__call__"
    """The method that a plain function provides when it serves as a plugin of this kind."""

    key_name: ClassVar[str]
    """The class in keys, where no registered name stands for it: ``module:class`` by default.
    Written out, it stays what it was when the class is renamed or its file is moved."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Give the class a name in keys, which a subclass never inherits."""
        if "key_name" not in cls.__dict__:
            cls.key_name = f"{cls.__module__}:{cls.__qualname__}"

    @classmethod
    def anchored(cls, parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Return parameters of a file, with relative paths made relative to its folder."""
        paths = {name for name, f in cls.model_fields.items() if "Path" in str(f.annotation)}
        return {
            name: folder / value if name in paths and isinstance(value, str) else value
            for name, value in parameters.items()
        }

    def files(self) -> list[Path]:
        """Return files whose content decides the result: by default all parameters of type Path."""
        return [value for _, value in self if isinstance(value, Path)]

    def changed_parameters(self) -> dict[str, Any]:
        """Return parameters that differ from their defaults, as JSON values, without paths."""
        paths = {name for name, value in self if isinstance(value, Path)}
        return self.model_dump(mode="json", exclude_defaults=True, exclude=paths)


def plugin(*, version: int = 1, random: bool = False) -> Callable[[Function], Function]:
    """Mark a function that serves as a plugin with its version and use of randomness."""

    def mark(function: Function) -> Function:
        function.plugin_version, function.plugin_random = version, random  # type: ignore[attr-defined]
        return function

    return mark


def from_function(function: Callable[..., Any], kind: type[Plugin]) -> type[Plugin]:
    """Return a plugin class for a plain function.

    Keyword-only arguments of the function become the plugin's parameters; the other arguments
    are those of the kind's method.

    Args:
        function: For example ``def my_cam(trace, *, power: float = 1.0)``.
        kind: The base class of the kind, for example ``Cam``.
    """
    signature = inspect.signature(function)
    keywords = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    fields: dict[str, Any] = {
        p.name: (_read_annotation(p, function), ... if p.default is p.empty else p.default)
        for p in keywords
    }

    def call(self: Plugin, *args: Any) -> Any:
        return function(*args, **{name: getattr(self, name) for name in fields})

    made = create_model(
        function.__name__,
        __base__=kind,
        __doc__=function.__doc__,
        __module__=function.__module__,
        **fields,
    )
    made.version = getattr(function, "plugin_version", 1)
    made.random = getattr(function, "plugin_random", False)
    setattr(made, kind.method, call)
    return made


def _read_annotation(parameter: inspect.Parameter, function: Callable[..., Any]) -> Any:
    # Only parameters are looked up: the trace's type may be known to type checkers alone.
    written = parameter.annotation
    if written is parameter.empty:
        return Any
    if not isinstance(written, str):
        return written
    return typing.get_type_hints(_make_holder(parameter.name, written), function.__globals__)[
        parameter.name
    ]


def _make_holder(name: str, annotation: str) -> type:
    return type("Holder", (), {"__annotations__": {name: annotation}})
