"""YAML 1.2 with the line of every entry: ``1e-3`` is a number, ``no`` is a word."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from prunebench.errors import Location, RequestError
from prunebench.input_files import read_bytes

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}
_MOST_ENTRIES = 100_000  # aliases of aliases could make a small file endless
LARGEST = 4_000_000  # bytes


@dataclass(frozen=True)
class Source:
    """A YAML file's content, with the line of each entry.

    Attributes:
        path: The file.
        data: Its content, with ``${VARIABLE}`` expanded from the environment.
        raw: Its content as written.
        lines: Line (from 1) of each entry, by its location, such as ``("levels", 2)``.
    """

    path: Path
    data: Any
    raw: Any
    lines: dict[Location, int]

    def where(self, location: Location) -> str:
        """Return ``file:line`` of an entry, or of the nearest one that contains it."""
        while location and location not in self.lines:
            location = location[:-1]
        return f"{self.path}:{self.lines.get(location, 1)}"


@dataclass(frozen=True)
class GivenSource(Source):
    """The same of a mapping that a Python program gives: entries are named by their keys."""

    def where(self, location: Location) -> str:
        """Return an entry as Python writes it: ``suite['pruners'][1]``."""
        return str(self.path) + "".join(f"[{part!r}]" for part in location)


def take_mapping(raw: dict[str, Any], name: str) -> Source:
    """Take plain data of a Python program for what a YAML file would hold.

    Args:
        raw: The data.
        name: What messages call it.

    Raises:
        RequestError: A ``${VARIABLE}`` in it is not set.
    """
    source = GivenSource(Path(name), None, raw, {})
    return GivenSource(source.path, _expand_variables(raw, (), source), raw, {})


def read_yaml(path: Path) -> Source:
    """Read a YAML file: plain data only, no tags, no duplicate keys.

    Raises:
        RequestError: It cannot be read; the message names the line.
    """
    content = read_bytes(path, LARGEST)
    try:
        root = yaml.compose(content.decode(), Loader=yaml.BaseLoader)
    except UnicodeDecodeError as error:
        raise RequestError(f"cannot be read: {error}", where=str(path)) from None
    except RecursionError:
        raise RequestError("is nested too deeply", where=str(path)) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RequestError(f"is not YAML: {error.problem}", where=f"{path}:{line}") from None
    except yaml.reader.ReaderError as error:
        character = f"character {error.character:#06x} at position {error.position}"
        raise RequestError(f"is not YAML: {character} is not allowed", where=str(path)) from None
    lines: dict[Location, int] = {}
    raw = _read_node(root, (), path, lines) if root is not None else None
    source = Source(path, None, raw, lines)
    return Source(path, _expand_variables(raw, (), source), raw, lines)


def _read_node(node: yaml.Node, location: Location, path: Path, lines: dict[Location, int]) -> Any:
    where = f"{path}:{node.start_mark.line + 1}"
    lines[location] = node.start_mark.line + 1
    if len(lines) > _MOST_ENTRIES or len(location) > 50:
        raise RequestError("is too large or refers to itself", where=where)
    kind = node.tag.rpartition(":")[2]
    if isinstance(node, yaml.ScalarNode) and kind == "str":
        return _read_scalar(node.value, where) if node.style is None else node.value
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_read_node(item, (*location, i), path, lines) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode) and kind == "map":
        return _read_mapping(node, location, path, lines)
    raise RequestError(f"tag {node.tag} is not allowed; plain data only", where=where)


def _read_mapping(
    node: yaml.MappingNode, location: Location, path: Path, lines: dict[Location, int]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise RequestError("a key must be a word", where=where)
        if key.value in found:
            first = lines[(*location, key.value)]
            raise RequestError(f"key {key.value!r} is there twice (line {first} too)", where=where)
        found[key.value] = _read_node(value, (*location, key.value), path, lines)
        lines[(*location, key.value)] = key.start_mark.line + 1
    return found


def _read_scalar(text: str, where: str) -> Any:
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    if not _FLOAT.fullmatch(text):
        return text
    number = float(text)
    if not math.isfinite(number) or (_INTEGER.fullmatch(text) and abs(number) >= 2**63):
        raise RequestError(
            f"{text[:40]} is beyond what a number can be (64 bits); a text stands in quotes",
            where=where,
        )
    return int(text) if _INTEGER.fullmatch(text) else number


def _expand_variables(value: Any, location: Location, source: Source) -> Any:
    if isinstance(value, dict):
        return {k: _expand_variables(v, (*location, k), source) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand_variables(v, (*location, i), source) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def read_variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise RequestError(
                f"${{{match[1]}}} is not set in the environment", where=source.where(location)
            )
        return os.environ[match[1]]

    return _VARIABLE.sub(read_variable, value)
