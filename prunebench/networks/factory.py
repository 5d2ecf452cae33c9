"""Where modules come from: a model plugin, ``torchvision/NAME`` or ``file.py:function``."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from prunebench.errors import RequestError, did_you_mean
from prunebench.input_files import is_file, spell
from prunebench.plugins import choose

if TYPE_CHECKING:
    from torch import nn


class Code(NamedTuple):
    """Python code that builds a module.

    Attributes:
        text: A file's text.
        function: The name of a function in it.
        parameters: What the function is called with, besides classes, channels and size.
    """

    text: str
    function: str
    parameters: dict[str, Any]


def build_module(
    factory: str,
    parameters: dict[str, Any],
    classes: int,
    channels: int,
    size: tuple[int, int],
    source: str = "",
) -> nn.Module:
    """Build an untrained module.

    Args:
        factory: A model plugin's name, ``torchvision/NAME``, or ``file.py:function``; the
            function is called with those of ``classes``, ``channels`` and ``size`` it accepts.
        parameters: Parameters of the plugin, or further arguments of the function.
        classes: Number of outputs.
        channels: Channels of the input.
        size: Height and width of the input.
        source: Of ``file.py:function``, the text to run in place of the file's present one.

    Raises:
        RequestError: There is no such factory, or it cannot be called with these arguments.
    """
    if ".py:" not in factory:
        built: nn.Module = choose("models", factory, parameters).plugin.build(
            classes, channels, size
        )
        return built
    from torch import nn

    function = _find_function(factory, source)
    signature = inspect.signature(function)
    offered = {"classes": classes, "channels": channels, "size": size}
    arguments = {k: v for k, v in offered.items() if k in signature.parameters} | parameters
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise RequestError(
            f"cannot be called with {', '.join(arguments) or 'no arguments'}: {error}",
            where=factory,
        ) from None
    module = function(**arguments)
    if not isinstance(module, nn.Module):
        raise RequestError(
            f"returned a {type(module).__name__}, expected a torch.nn.Module", where=factory
        )
    return module


def find_source_file(factory: str) -> Path | None:
    """Find the file of a ``file.py:function`` factory; None for a plugin."""
    return Path(factory.rpartition(":")[0]) if ".py:" in factory else None


def read_code(factory: str, parameters: dict[str, Any], source: str = "") -> Code:
    """Read the code that a ``file.py:function`` factory stands for.

    Args:
        factory: The factory.
        parameters: What the function is called with.
        source: The text, where it is known already; else the file is read.

    Raises:
        RequestError: There is no such file, or it is no text.
    """
    file, _, function = factory.rpartition(":")
    return Code(source or read_source(Path(file)), function, parameters)


def read_source(path: Path) -> str:
    """Read the text of a Python file.

    Raises:
        RequestError: There is no such file, or it is no text.
    """
    if not is_file(path):
        raise RequestError("no such file", where=spell(path))
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot be read as Python: {error}", where=spell(path)) from None


def _find_function(factory: str, source: str) -> Callable[..., Any]:
    path, name = find_source_file(factory), factory.rpartition(":")[2]
    assert path is not None
    source = source or read_source(path)
    module = _run_source(path.resolve(), source)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if _is_own(value, module)]
        raise RequestError(f"no function {name!r}; {did_you_mean(name, known)}", where=str(path))
    found: Callable[..., Any] = function
    return found


def _is_own(value: Any, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _run_source(path: Path, source: str) -> ModuleType:
    # A text runs once: run twice, its classes would no longer be the same types.
    digest = hashlib.blake2b(f"{path}\0{source}".encode(), digest_size=8)
    name = f"{path.stem}_{digest.hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # where dataclasses and pickle look a class's module up
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:  # a script may end itself
        del sys.modules[name]
        raise RequestError(f"{type(error).__name__}: {error}", where=str(path)) from error
    return module
