"""A digest of what an object is: the same in every process, and another when it changes.

Numbers and texts are digested by value, tensors by their bytes, functions by their source text and
by what that refers to, classes by their members, modules of the user's own by their text and all
that they hold, other objects by their class and attributes. What a library brings is known by its
name. Nothing is digested by its place in memory: what cannot be read, such as a lambda or an open
file, is refused, and so is whatever might hold more than is seen.
"""

from __future__ import annotations

import copyreg
import dataclasses
import functools
import hashlib
import logging
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    UnionType,
    WrapperDescriptorType,
)
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from prunebench.suite.objects.own_code import (
    NoContent,
    is_known_by_name,
    is_own_file,
    list_references,
    read_source,
)

PLAIN = (type(None), bool, int, float, complex, str, bytes, range, torch.dtype, torch.device, Path)
ARRAYS = (Tensor, nn.Parameter, np.ndarray, np.memmap)
CONTAINERS = (list, tuple, dict, set, frozenset)
BOUND = (BuiltinFunctionType, MethodWrapperType)
DESCRIPTORS = (
    MethodDescriptorType,
    WrapperDescriptorType,
    ClassMethodDescriptorType,
    GetSetDescriptorType,
    MemberDescriptorType,
)
_OF_MODULES = set(vars(nn.Module())) - {"_parameters", "_buffers", "_modules"}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_OF_CLASSES = {"__dict__", "__weakref__", "__annotate__", "__annotate_func__", "_abc_impl"}


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
        if isinstance(part, PLAIN) and is_known_by_name(type(part)) and not isinstance(part, Enum):
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

    try:
        add(value)
    except NoContent:
        raise
    except Exception as error:  # of an object that cannot be looked into, or nested too deeply
        raise NoContent(f"{type(error).__name__}: {error}") from error
    return found.hexdigest()


def _write(found: Any, *texts: str) -> None:
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        found.update(f"{len(content)}:".encode() + content)


def _write_array(found: Any, array: Tensor | np.ndarray[Any, Any] | np.generic) -> None:
    plain_kind = type(array) in ARRAYS or isinstance(array, np.generic)
    if not plain_kind or getattr(array, "__dict__", None):
        raise NoContent(f"a {type(array).__name__}, which may hold more than numbers")
    tensor: Any = array
    if isinstance(array, Tensor):
        if array.is_meta or array.layout is not torch.strided or array.is_quantized:
            raise NoContent("a tensor that is sparse, quantised or without numbers")
        if array._backward_hooks:
            raise NoContent("a tensor with hooks")
        plain = array.detach().cpu().contiguous()
        tensor = plain.reshape(-1).view(torch.uint8).numpy() if plain.numel() else np.empty(0)
    elif array.dtype.hasobject:
        raise NoContent("an array of objects")
    _write(found, "array", str(array.dtype).removeprefix("torch."), str(tuple(array.shape)))
    found.update(np.ascontiguousarray(tensor).tobytes())


def _take_apart(value: Any) -> tuple[str, list[Any]]:
    """Return what an object is called, and the parts that it is made of."""
    kind = type(value)
    if isinstance(value, type | FunctionType | BuiltinFunctionType | ModuleType | np.ufunc) and (
        is_known_by_name(value)
    ):
        return _name(value), []
    if isinstance(value, list | tuple | Set | Mapping):
        items = list(_list_items(value))
        return (_name(kind), items) if kind in CONTAINERS else ("items", _with_rest(value, items))
    if isinstance(value, Enum):
        return "enum", [kind, value.name]
    if isinstance(value, ModuleType):
        return value.__name__, list(_list_module(value))
    if isinstance(value, type):
        return _name(value), list(_list_class(value))
    if isinstance(value, functools.partial):
        return "partial", [value.func, value.args, value.keywords, vars(value)]
    if isinstance(value, functools._lru_cache_wrapper):
        return "cached", [value.__wrapped__]
    if isinstance(value, functools.cached_property):
        return "cached", [value.func]
    if isinstance(value, staticmethod | classmethod):
        return kind.__name__, [value.__func__]
    if isinstance(value, property):
        return "property", [value.fget, value.fset, value.fdel]
    if isinstance(value, MethodType):
        return value.__name__, [value.__func__, value.__self__]
    if isinstance(value, FunctionType):
        return _name(value), list(_list_function(value))
    if isinstance(value, BOUND):
        return _name(value), [value.__self__]
    if isinstance(value, DESCRIPTORS):
        return value.__name__, [value.__objclass__]
    if isinstance(value, logging.Logger):
        return "logger", []
    if isinstance(value, GenericAlias | UnionType) or kind.__module__ == "typing":
        return "type", [repr(value)]
    return "object", [kind, *_list_attributes(value)]


def _list_items(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from (each for pair in value.items() for each in pair)
    else:
        yield from sorted(value, key=repr) if isinstance(value, Set) else value


def _with_rest(value: Any, items: list[Any]) -> list[Any]:
    """Return what a container of a class of its own holds: its items, and what is beside them."""
    beside = [_list_vars(value), getattr(value, "default_factory", None)]
    return [type(value), items, beside]


def _list_module(module: ModuleType) -> Iterator[Any]:
    """Yield the text of a module and all that it holds, other modules of the user's among it."""
    yield read_source(module)
    for name, value in sorted(vars(module).items()):
        if not _is_special(name):
            yield name
            yield value


def _list_class(value: type) -> Iterator[Any]:
    """Yield the text of a class where it is found, its kind, its bases and its members."""
    try:
        yield read_source(value)
    except NoContent:  # in a notebook, the text of functions alone is known
        yield None
    yield from (type(value), *value.__bases__)
    made: set[str] = set()
    if issubclass(value, Enum):
        yield [(name, each.value) for name, each in value.__members__.items()]
        made = {name for name in vars(value) if name.startswith("_")} | set(value.__members__)
    if issubclass(value, BaseModel):
        fields = value.model_fields.items()
        yield [(name, repr(each.annotation), each.default_factory) for name, each in fields]
        yield [(name, each.default) for name, each in fields if not each.is_required()]
        made = {"model_config", "model_post_init", "model_fields", "model_computed_fields"}
    if dataclasses.is_dataclass(value):
        fields_of = dataclasses.fields(value)
        yield [(each.name, _read_default(each.default)) for each in fields_of]
        yield [(each.name, _read_default(each.default_factory)) for each in fields_of]
    if dataclasses.is_dataclass(value) or issubclass(value, tuple):
        made = {name for name, each in vars(value).items() if _is_generated(each)}
    for name, member in vars(value).items():
        if name not in made | _OF_CLASSES and (not _is_special(name) or _is_code(member)):
            yield name
            yield member


def _read_default(value: Any) -> Any:
    return None if value is dataclasses.MISSING else ("default", value)


def _is_generated(member: Any) -> bool:
    """Tell whether a method of a data class or named tuple was made of its fields."""
    code = getattr(getattr(member, "__wrapped__", member), "__code__", None)
    return code is not None and code.co_filename == "<string>"


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_code(member: Any) -> bool:
    kinds = (staticmethod, classmethod, property, *DESCRIPTORS)
    return isinstance(member, kinds) or (callable(member) and not isinstance(member, type))


def _list_function(function: FunctionType) -> Iterator[Any]:
    """Yield the text of a function, and what it refers to; of a library's, what it encloses."""
    code = function.__code__
    if code.co_name == "<lambda>":
        raise NoContent("a lambda; `def` gives it a name")
    if is_own_file(code.co_filename):
        yield read_source(code)  # of a function, the text would be that of one that it wraps
        yield from list_references(function)
    else:
        yield f"{function.__globals__.get('__name__')}:{code.co_qualname}"
    for cell in function.__closure__ or ():
        try:
            yield "closure", cell.cell_contents
        except ValueError:  # not filled yet
            yield "closure"
    yield from (function.__defaults__, function.__kwdefaults__, vars(function))


def _list_attributes(value: Any) -> Iterator[Any]:
    if isinstance(value, nn.Module):
        hooks = {name: getattr(value, name) for name in _HOOKS if getattr(value, name)}
        own = {name: each for name, each in vars(value).items() if name not in _OF_MODULES}
        yield own | hooks
    elif isinstance(value, BaseModel):
        yield from (dict(value), value.__pydantic_private__, value.__pydantic_extra__)
    elif hasattr(value, "__next__"):
        raise NoContent(f"a {type(value).__name__}")
    elif _is_all_seen(type(value)):
        yield _list_vars(value)
    else:
        yield from _reduce(value)


def _list_vars(value: Any) -> list[Any]:
    return [
        getattr(value, "__dict__", {}),
        *(getattr(value, name, None) for name in _list_slots(type(value))),
    ]


def _list_slots(kind: type) -> list[str]:
    found = [vars(each).get("__slots__", ()) for each in kind.__mro__]
    names = [name for slots in found for name in ([slots] if isinstance(slots, str) else slots)]
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _is_all_seen(kind: type) -> bool:
    """Tell whether objects of a class keep all in attributes, by their size, and nothing in C."""
    places = (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ > 0) + len(_list_slots(kind))
    return kind.__basicsize__ <= object.__basicsize__ + 8 * places and kind is not object


def _reduce(value: Any) -> list[Any]:
    """Return what a library says that its object can be made again of."""
    kind = type(value)
    if is_known_by_name(kind):
        try:
            reduce = copyreg.dispatch_table.get(kind)
            made = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception:  # as of locks and files
            made = None
        if isinstance(made, str):
            return [made]
        if isinstance(made, tuple):
            return [list(each) if hasattr(each, "__next__") else each for each in made]
    raise NoContent(f"a {kind.__name__}")


def _name(value: Any) -> str:
    module = getattr(value, "__module__", None) or ""
    return f"{module.removeprefix('__main__')}:{getattr(value, '__qualname__', value.__name__)}"
