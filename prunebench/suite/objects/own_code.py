"""Code of the user, which is read, and code of libraries, which its name stands for."""

from __future__ import annotations

import dis
import functools
import importlib
import inspect
import linecache
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

_HEAP = 1 << 9  # the flag of classes that a class statement may have made
_RUN_TEXT = {"exec", "eval", "__import__"}


class NoContent(Exception):
    """What an object is cannot be read; the message says of which part."""


def is_known_by_name(value: Any) -> bool:
    """Tell whether a function, class or module is what a library calls by its name."""
    if isinstance(value, ModuleType):
        return not _is_own_module(value)
    if isinstance(value, type) and not value.__flags__ & _HEAP:
        return True
    name = getattr(value, "__qualname__", None)
    module = sys.modules.get(str(getattr(value, "__module__", None)))
    if not isinstance(name, str) or module is None or _is_own_module(module):
        return False
    found: Any = module
    for part in name.split("."):  # what a call made, `f.<locals>.g`, is found nowhere
        found = getattr(found, part, None)
    return found is value


def is_own_file(file: str) -> bool:
    """Tell whether a file is the user's own, or no file at all."""
    path = Path(file).absolute()
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return not installed and not any(path.is_relative_to(each) for each in _find_libraries())


@functools.cache
def _find_libraries() -> tuple[Path, ...]:
    import prunebench

    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    packages = {Path(module.__file__).parent.parent for module in (torch, np) if module.__file__}
    ours = Path(prunebench.__file__).parent
    return (*map(Path, paths), *packages, ours)


def _is_own_module(module: ModuleType) -> bool:
    root = module.__name__.partition(".")[0]
    package = sys.modules.get(root, module)
    file = getattr(package, "__file__", None)
    return _is_own(root, [file] if file else list(getattr(package, "__path__", ())))


def _is_own(root: str, files: list[str]) -> bool:
    if files:
        return any(map(is_own_file, files))
    return root not in sys.stdlib_module_names


def read_source(value: Any) -> str:
    """Return the text of a class, a module, or the code of a function.

    Raises:
        NoContent: It is not found, as of what was typed in, or not that of the code that runs.
    """
    name = value.co_name if isinstance(value, CodeType) else value.__name__
    try:
        text = inspect.cleandoc(inspect.getsource(value))
    except (OSError, TypeError):
        raise NoContent(f"{name!r}, whose source text is not found") from None
    if isinstance(value, CodeType) and Path(value.co_filename).is_file():
        lines = "".join(linecache.getlines(value.co_filename))
        if value not in _compile(lines, value.co_filename):
            raise NoContent(f"{name!r}, whose file has changed since it was imported: start anew")
    return text


@functools.lru_cache(64)
def _compile(text: str, file: str) -> frozenset[CodeType]:
    """Return the code of all functions of a text."""
    try:
        left = [compile(text, file, "exec", dont_inherit=True)]
    except (SyntaxError, ValueError):
        return frozenset()
    found = set()
    while left:
        inner = [each for each in left.pop().co_consts if isinstance(each, CodeType)]
        found.update(inner)
        left += inner
    return frozenset(found)


def list_references(function: FunctionType) -> Iterator[Any]:
    """Yield names and values of what a function takes from its module, and modules it imports.

    Raises:
        NoContent: It runs code that no reader can know.
    """
    code, values = function.__code__, function.__globals__
    for name in sorted(set(_list_names(code)) & values.keys()):
        yield name, values[name]
    for name, needed in _list_imports(code, values.get("__package__") or None):
        if (module := _import_own(name, needed)) is not None:
            yield module


def _list_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _list_names(constant)


def _list_imports(code: CodeType, package: str | None) -> Iterator[tuple[str, bool]]:
    """Yield modules that code imports when it runs; of ``from a import b``, also ``a.b`` if any."""
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    for place, step in enumerate(steps):
        called = step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in _RUN_TEXT
        if called or step.argval == "import_module":
            raise NoContent(f"{code.co_name!r}, which calls {step.argval!r}")
        if step.opname == "IMPORT_NAME":
            level, names = steps[place - 2].argval, steps[place - 1].argval
            name = resolve_name("." * level + step.argval, package) if level else step.argval
            yield name, True
            yield from ((f"{name}.{each}", False) for each in names or () if each != "*")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _list_imports(constant, package)


def _import_own(name: str, needed: bool) -> ModuleType | None:
    """Import a module of the user's own, as the function would that imports it when it runs."""
    root = name.partition(".")[0]
    if root in sys.modules:
        own = _is_own_module(sys.modules[root])
    elif (spec := find_spec(root)) is None:
        raise NoContent(f"the module {name!r}, which is not found")
    else:
        places = list(spec.submodule_search_locations or [])
        own = _is_own(root, [spec.origin] if spec.has_location and spec.origin else places)
    if not own:
        return None
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if not needed and isinstance(error, ModuleNotFoundError):
            return None  # `from module import function`
        raise NoContent(f"the module {name!r}, which cannot be imported: {error}") from None
