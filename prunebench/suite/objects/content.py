"""A digest of what an object is: the same in every process, and another when it changes.

Numbers and texts are digested by value, tensors by their bytes, functions and classes by their
source text and by what that refers to, other objects by their class and attributes. What a library
brings is known by its name. Nothing is digested by its place in memory or as a pickle: what cannot
be read, such as a lambda or an open file, is refused.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sysconfig
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn

PLAIN = (type(None), bool, int, float, complex, str, bytes, range, torch.dtype, torch.device, Path)
NAMED = (BuiltinFunctionType, MethodWrapperType, MethodDescriptorType, np.ufunc)
_OF_MODULES = set(vars(nn.Module())) - {"_parameters", "_buffers", "_modules"}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


class NoContent(Exception):
    """What an object is cannot be read; the message says of which part."""


@dataclass(frozen=True)
class Unreadable:
    """Stands for what would be another one whenever it is read."""

    reason: str


def digest(value: object) -> str:
    """Return the digest of an object, 16 hexadecimal digits.

    Raises:
        NoContent: It holds something that cannot be read.
    """
    found = hashlib.blake2b(digest_size=8)
    seen: dict[int, int] = {}
    kept: list[object] = []  # an id is that of one object as long as it lives

    def add(part: object) -> None:
        """Add one part, in a form that no two different parts share."""
        if isinstance(part, PLAIN) and not isinstance(part, Enum):
            _write(found, type(part).__name__, repr(part))
            return
        if isinstance(part, Unreadable):
            raise NoContent(part.reason)
        if id(part) in seen:
            _write(found, "again", str(seen[id(part)]))
            return
        seen[id(part)] = len(seen)
        kept.append(part)
        if isinstance(part, Tensor | np.ndarray | np.generic):
            _write_array(found, part)
            return
        name, parts = _take_apart(part)
        _write(found, name, str(len(parts)))
        for each in parts:
            add(each)

    add(value)
    return found.hexdigest()


def _write(found: Any, *texts: str) -> None:
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        found.update(f"{len(content)}:".encode() + content)


def _write_array(found: Any, array: Tensor | np.ndarray[Any, Any] | np.generic) -> None:
    tensor: Any = array
    if isinstance(array, Tensor):
        if array.is_meta or array.layout is not torch.strided or array.is_quantized:
            raise NoContent("a tensor that is sparse, quantised or without numbers")
        plain = array.detach().cpu().contiguous()
        tensor = plain.reshape(-1).view(torch.uint8).numpy() if plain.numel() else np.empty(0)
    elif array.dtype.hasobject:
        raise NoContent("an array of objects")
    _write(found, "array", str(array.dtype).removeprefix("torch."), str(tuple(array.shape)))
    found.update(np.ascontiguousarray(tensor).tobytes())


def _take_apart(value: Any) -> tuple[str, list[Any]]:
    """Return what an object is called, and the parts that it is made of."""
    if isinstance(value, list | tuple):
        return _name(type(value)), list(value)
    if isinstance(value, Mapping):
        return _name(type(value)), [each for pair in value.items() for each in pair]
    if isinstance(value, Set):
        return _name(type(value)), sorted(value, key=repr)
    if isinstance(value, Enum):
        return _name(type(value)), [value.name]
    if isinstance(value, ModuleType):
        own = _is_own(value)
        return value.__name__, [_read_source(value)] if own else []
    if isinstance(value, type):
        return _name(value), list(_list_class(value)) if _is_own(value) else []
    if isinstance(value, functools.partial):
        return "partial", [value.func, value.args, value.keywords]
    if isinstance(value, MethodType):
        return value.__name__, [value.__func__, value.__self__]
    if isinstance(value, FunctionType):
        return _name(value), list(_list_function(value)) if _is_own(value) else []
    if isinstance(value, NAMED):
        return _name(value), []
    return "object", [type(value), *_list_attributes(value)]


def _list_class(value: type) -> Iterator[Any]:
    """Yield the text of a class, its bases, and what its methods refer to."""
    members = {
        name: getattr(member, "__func__", getattr(member, "fget", member))
        for name, member in vars(value).items()
    }
    functions = {
        name: member
        for name, member in members.items()
        if isinstance(member, FunctionType) and member.__module__ == value.__module__
    }
    try:
        yield _read_source(value)
    except NoContent:  # in a notebook, the text of functions alone is known
        yield {name: _read_source(function) for name, function in functions.items()}
        yield {name: each for name, each in members.items() if not name.startswith("__")}
    yield from value.__bases__
    for function in functions.values():
        yield from _list_references(function)


def _list_function(function: FunctionType) -> Iterator[Any]:
    if function.__name__ == "<lambda>":
        raise NoContent("a lambda; `def` gives it a name")
    yield _read_source(function)
    yield function.__defaults__
    yield function.__kwdefaults__
    yield from _list_references(function)


def _list_references(function: FunctionType) -> Iterator[Any]:
    """Yield names and values of what a function takes from outside itself."""
    for cell in function.__closure__ or ():
        try:
            held = cell.cell_contents
        except ValueError:  # not filled yet
            held = None
        yield held if inspect.isclass(held) else ("closure", held)
    for name in sorted(set(_list_names(function.__code__)) & function.__globals__.keys()):
        yield name, function.__globals__[name]


def _list_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _list_names(constant)


def _list_attributes(value: Any) -> Iterator[Any]:
    if isinstance(value, nn.Module):
        hooks = {name: getattr(value, name) for name in _HOOKS if getattr(value, name)}
        own = {name: each for name, each in vars(value).items() if name not in _OF_MODULES}
        yield own | hooks
    elif isinstance(value, BaseModel):
        yield dict(value)
    elif hasattr(value, "__dict__") and not hasattr(value, "__next__"):
        yield vars(value)
        yield [getattr(value, name, None) for name in _list_slots(type(value))]
    else:
        raise NoContent(f"a {type(value).__name__}")


def _list_slots(kind: type) -> list[str]:
    found = [vars(each).get("__slots__", ()) for each in kind.__mro__]
    names = [name for slots in found for name in ([slots] if isinstance(slots, str) else slots)]
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _name(value: Any) -> str:
    module = getattr(value, "__module__", None) or ""
    return f"{module.removeprefix('__main__')}:{getattr(value, '__qualname__', value.__name__)}"


def _is_own(value: Any) -> bool:
    """Tell whether code is the user's own, not a library's, which its name stands for."""
    if isinstance(value, ModuleType):
        file = getattr(value, "__file__", None)
    else:
        try:
            file = inspect.getfile(value)
        except TypeError:  # built in, or typed in
            return getattr(value, "__module__", None) == "__main__"
        except OSError:
            return True
    if file is None:
        return False
    path = Path(file).absolute()
    return not any(path.is_relative_to(folder) for folder in _find_libraries())


@functools.cache
def _find_libraries() -> tuple[Path, ...]:
    import prunebench

    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    packages = {Path(module.__file__).parent.parent for module in (torch, np) if module.__file__}
    ours = Path(prunebench.__file__).parent
    return (*map(Path, paths), *packages, ours)


def _read_source(value: Any) -> str:
    try:
        return inspect.cleandoc(inspect.getsource(value))
    except (OSError, TypeError):
        name = getattr(value, "__qualname__", value.__name__)
        raise NoContent(f"{name!r}, whose source text is not found") from None
