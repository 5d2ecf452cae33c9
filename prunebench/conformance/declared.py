"""What a plugin declares: parameters that are checked, and a card."""

from __future__ import annotations

from typing import Any, Protocol

from prunebench.conformance.checks import Check, Failure, Skip
from prunebench.errors import RequestError
from prunebench.plugins import Chosen, choose, find
from prunebench.plugins.cards import read_card


class Declared(Protocol):
    """What is checked: a plugin, and the parameters it was asked for with."""

    chosen: Chosen[Any]
    parameters: dict[str, Any]


class Nonsense:
    """A value that no type of parameter accepts."""

    def __repr__(self) -> str:
        return "nonsense"


def check_parameters(subject: Declared) -> None:
    """Check that unknown parameters and values of no sensible type are refused."""
    chosen = subject.chosen
    fields = set(type(chosen.plugin).model_fields)
    if "/" in chosen.name:
        fields.discard("name")  # taken from the plugin's name
    for parameter in ["no_such_parameter", *sorted(fields)]:
        try:
            choose(chosen.kind, chosen.name, subject.parameters | {parameter: Nonsense()})
        except RequestError:
            continue
        known = parameter in fields
        raise Failure(
            f"parameter {parameter!r} takes anything; give it a type"
            if known
            else f"a parameter {parameter!r} is accepted, which there is not"
        )


def check_card(subject: Declared) -> None:
    """Check that there is a card, and that it can be read."""
    entry = find(subject.chosen.kind, subject.chosen.name)
    if read_card(entry) is None:
        raise Skip(f"the package has no registry/{entry.kind}/{entry.name}.yaml")


DECLARED = (Check("refuses wrong parameters", check_parameters), Check("has a card", check_card))
