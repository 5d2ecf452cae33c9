"""Listing and describing plugins, without importing torch for those that ship with PruneBench."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from prunebench.errors import RequestError, did_you_mean
from prunebench.plugins.base import Plugin
from prunebench.plugins.cards import Card, read_card
from prunebench.plugins.finding import KINDS, Entry, entries, find

if TYPE_CHECKING:
    import pandas as pd


def make_catalogue(kind: str | None = None) -> list[dict[str, Any]]:
    """Return one row a plugin: kind, name, package, summary, and why it is broken, if it is.

    Args:
        kind: One kind, singular or plural; all by default.
    """
    kinds = [to_plural(kind)] if kind else list(KINDS)
    return [_make_row(claims) for one in kinds for claims in entries(one).values()]


def list_plugins(kind: str | None = None) -> pd.DataFrame:
    """List every plugin that is installed: ``kind``, ``name``, ``summary`` and ``package``.

    Args:
        kind: One kind, such as ``pruners``; all by default.

    Raises:
        RequestError: There is no such kind.

    Example:
        >>> import prunebench as pb
        >>> pruners = pb.list_plugins("pruners")
        >>> "l1-filter" in set(pruners["name"])
        True
    """
    import pandas as pd

    rows = make_catalogue(kind)
    found = pd.DataFrame(rows, columns=["kind", "name", "summary", "package", "broken"])
    found["summary"] = found["summary"].where(found["broken"].isna(), found["broken"])
    return found.drop(columns="broken")


def to_plural(kind: str) -> str:
    """Return a kind as the entry-point groups name it.

    Raises:
        RequestError: There is no such kind.
    """
    wanted = kind if kind.endswith("s") else kind + "s"
    if wanted not in KINDS:
        raise RequestError(f"unknown kind {kind!r}; {did_you_mean(wanted, KINDS)}")
    return wanted


def _make_row(claims: tuple[Entry, ...]) -> dict[str, Any]:
    entry = claims[0]
    packages = ", ".join(claim.package for claim in claims)
    row = {"kind": entry.kind[:-1], "name": entry.name, "package": packages, "broken": None}
    try:
        find(entry.kind, entry.name)
        _ = entry.plugin_class
        card = read_card(entry)
    except RequestError as error:
        return {**row, "summary": "", "broken": str(error)}
    return {**row, "summary": card.summary if card else _read_first_line(entry.plugin_class)}


def _read_first_line(plugin_class: type[Plugin]) -> str:
    return (plugin_class.__doc__ or "").strip().partition("\n")[0]


def describe_plugin(kind: str, name: str) -> str:
    """Return a plugin's card and parameters as text.

    Raises:
        RequestError: There is no such plugin, or it is broken.
    """
    entry = find(to_plural(kind), name)
    card = read_card(entry)
    lines = [f"{entry.kind[:-1]} {name} (package {entry.package}, {entry.target})"]
    if card is None:
        lines += ["", _read_first_line(entry.plugin_class)]
    else:
        lines += ["", card.title, card.summary, *_list_facts(card)]
    lines += ["", "parameters:", *_list_parameters(entry.plugin_class)]
    if values := _list_values(entry.plugin_class):
        lines += ["", "values:", *values]
    return "\n".join(lines)


def _list_facts(card: Card) -> list[str]:
    lines = [f"family: {card.family}"]
    if card.paper:
        paper = card.paper
        link = paper.doi or (f"arXiv:{paper.arxiv}" if paper.arxiv else paper.url)
        lines.append(f"paper: {paper.authors} ({paper.year}). {paper.title}. {link or ''}".strip())
    lines += [f"choice: {choice}" for choice in card.choices]
    lines += [f"published: {p.what}: {p.value} ({p.source})" for p in card.published]
    return lines


def _list_values(plugin_class: type[Plugin]) -> list[str]:
    """Return a line for each value that a metric declares."""
    unit: str = getattr(plugin_class, "unit", "")
    scales: Mapping[str, Any] = getattr(plugin_class, "gives", {})
    return [f"  {name}: {scale.describe(unit)}" for name, scale in scales.items()]


def _list_parameters(plugin_class: type[Plugin]) -> list[str]:
    lines = []
    for name, field in plugin_class.model_fields.items():
        value = field.get_default(call_default_factory=True)
        shown = str(value) if isinstance(value, Path) else repr(value)
        default = "required" if field.is_required() else f"default {shown}"
        text = f": {field.description}" if field.description else ""
        lines.append(f"  {name} ({_format_type(field.annotation)}, {default}){text}")
    return lines or ["  none"]


def _format_type(annotation: Any) -> str:
    """Write a type as people do: ``Path | None``, ``'global' | 'layerwise'``."""
    if annotation in (None, type(None), ...):
        return "..." if annotation is ... else "None"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _format_type(arguments[0])
    if origin is Literal:
        return " | ".join(map(repr, arguments))
    if origin in (Union, UnionType):
        return " | ".join(map(_format_type, arguments))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_format_type, arguments))}]"
    return str(getattr(annotation, "__name__", annotation))
