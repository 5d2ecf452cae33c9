"""Says which parameter of a plugin, or option of a suite, is wrong, and what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from prunebench.errors import Location, RequestError, did_you_mean, shorten_numbers


def make_request_error(
    error: ValidationError, subject: str, model: type[BaseModel]
) -> RequestError:
    """Return an error that says in one line what is wrong, what was found and what was expected.

    Args:
        error: What pydantic found.
        subject: What the parameters belong to, such as ``pruner 'l1-filter'``.
        model: The model that was validated.
    """
    details = error.errors()
    places = [resolve(model, each["loc"]) for each in details]
    # A union gives an error for each of its members: the one that goes deepest was meant.
    index = max(
        (i for i, (location, _) in enumerate(places) if location[:1] == places[0][0][:1]),
        key=lambda i: len(places[i][0]),
    )
    detail, (location, types) = details[index], places[index]
    parameter = ".".join(map(str, location))
    if detail["type"] == "extra_forbidden":
        _, level = resolve(model, detail["loc"][:-1])
        known = sorted({name for each in level for name in _fields(each)})
        word = str(location[-1])
        problem = f"unknown parameter {word!r}; {did_you_mean(word, known)}"
    elif detail["type"] == "missing":
        problem = f"parameter {parameter!r} is required"
    else:
        problem = (
            f"parameter {parameter!r}: {shorten_numbers(detail['msg'])}, found {detail['input']!r}"
        )
        problem += _nearest_choice(detail["input"], types)
    return RequestError(f"{subject}: {problem}", location=location)


def resolve(annotation: Any, location: Sequence[str | int]) -> tuple[Location, tuple[Any, ...]]:
    """Follow a location of pydantic's through a type.

    Args:
        annotation: A model, or the type of a field.
        location: Names of fields, keys and indices, and, where a type is a union of several, the
            name of one of them.

    Returns:
        The location as a user would write it, without names of types, and the types that a value
        there may have.
    """
    written: Location = ()
    types, tagged = tuple(_members(annotation)), False
    for part in location:
        if len(types) > 1 and not tagged:  # pydantic says next which member of a union it tried
            types, tagged = tuple(each for each in types if _is_called(each, part)) or types, True
            continue
        written, tagged = (*written, part), False
        types = tuple(found for each in types for found in _step(each, part))
    return written, types


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the types that a union allows, None left out; any other type as it is."""
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _members(each)
    elif annotation is not type(None):
        yield annotation


def _step(annotation: Any, part: str | int) -> Iterator[Any]:
    """Yield the types of what stands at a name, key or index within a value of this type."""
    if (field := _fields(annotation).get(str(part))) is not None:
        yield from _members(field.annotation)
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not isinstance(origin, type):
        return
    if issubclass(origin, Mapping) and len(arguments) == 2:
        yield from _members(arguments[1])
    elif issubclass(origin, Iterable) and isinstance(part, int) and arguments:
        several = origin is tuple and arguments[-1] is not ...
        if not several:
            yield from _members(arguments[0])
        elif part < len(arguments):
            yield from _members(arguments[part])


def _fields(annotation: Any) -> Mapping[str, Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields
    return {}


def _is_called(annotation: Any, name: str | int) -> bool:
    written = str(annotation) if get_origin(annotation) else getattr(annotation, "__name__", "")
    return name == written.replace(" ", "")


def _nearest_choice(found: Any, types: Iterable[Any]) -> str:
    """Return a question that offers the nearest word, where words are to choose from."""
    choices = [
        word
        for each in types
        if get_origin(each) is Literal
        for word in get_args(each)
        if isinstance(word, str)
    ]
    near = get_close_matches(found, choices, n=1) if isinstance(found, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""
