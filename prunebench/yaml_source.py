"""YAML 1.2 with the line of every entry: ``1e-3`` is a number, ``no`` is a word."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from prunebench.errors import RequestError

Place = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}
_LARGEST = 100_000  # entries; aliases of aliases could make a small file endless


@dataclass(frozen=True)
class Source:
    """A YAML file's content and where each entry stands.

    Attributes:
        path: The file.
        data: Its content, with ``${VARIABLE}`` expanded from the environment.
        raw: Its content as written.
        lines: Line (from 1) of each entry, by its place, such as ``("pruners", 2, "l1-filter")``.
    """

    path: Path
    data: Any
    raw: Any
    lines: dict[Place, int]

    def where(self, place: Place) -> str:
        """``file:line`` of an entry, or of the nearest one that contains it."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.path}:{self.lines.get(place, 1)}"


def read_yaml(path: Path) -> Source:
    """Reads a YAML file: plain data only, no tags, no duplicate keys.

    Raises:
        RequestError: It cannot be read; the message names the line.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except FileNotFoundError:
        raise RequestError("no such file", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot be read: {error}", where=str(path)) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RequestError(f"is not YAML: {error.problem}", where=f"{path}:{line}") from None
    except yaml.reader.ReaderError as error:
        character = f"character {error.character:#06x} at position {error.position}"
        raise RequestError(f"is not YAML: {character} is not allowed", where=str(path)) from None
    lines: dict[Place, int] = {}
    raw = _plain(root, (), path, lines) if root is not None else None
    source = Source(path, None, raw, lines)
    return Source(path, _expand(raw, (), source), raw, lines)


def _plain(node: yaml.Node, place: Place, path: Path, lines: dict[Place, int]) -> Any:
    where = f"{path}:{node.start_mark.line + 1}"
    lines[place] = node.start_mark.line + 1
    if len(lines) > _LARGEST or len(place) > 50:
        raise RequestError("is too large or refers to itself", where=where)
    kind = node.tag.rpartition(":")[2]
    if isinstance(node, yaml.ScalarNode) and kind == "str":
        return _scalar(node.value) if node.style is None else node.value
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_plain(item, (*place, i), path, lines) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode) and kind == "map":
        return _mapping(node, place, path, lines)
    raise RequestError(f"tag {node.tag} is not allowed; plain data only", where=where)


def _mapping(
    node: yaml.MappingNode, place: Place, path: Path, lines: dict[Place, int]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise RequestError("a key must be a word", where=where)
        if key.value in found:
            first = lines[(*place, key.value)]
            raise RequestError(f"key {key.value!r} is there twice (line {first} too)", where=where)
        found[key.value] = _plain(value, (*place, key.value), path, lines)
        lines[(*place, key.value)] = key.start_mark.line + 1
    return found


def _scalar(text: str) -> Any:
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _expand(value: Any, place: Place, source: Source) -> Any:
    if isinstance(value, dict):
        return {k: _expand(v, (*place, k), source) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, (*place, i), source) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise RequestError(
                f"${{{match[1]}}} is not set in the environment", where=source.where(place)
            )
        return os.environ[match[1]]

    return _VARIABLE.sub(variable, value)
