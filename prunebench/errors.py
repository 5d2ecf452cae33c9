"""The one exception for a request that cannot be carried out as asked."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from difflib import get_close_matches

Location = tuple[str | int, ...]
"""A position in nested parameters or in a YAML file: names and indices, from the outside in."""


class RequestError(Exception):
    """What the user asked for is wrong: one message, exit status 2, no traceback.

    Args:
        message: What was found and what was expected.
        where: What to look at, such as ``suite.yaml:12``, a path or ``--where``.
        location: Which part of the given value is meant, such as ``("recovery", "epochs")``, for
            a caller that knows its line.
        place: The same, as it was called in 0.1.
    """

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        location: Location = (),
        place: Location | None = None,
    ) -> None:
        if place is not None:
            _warn_of_place()
            location = place
        self.message = message
        self.where = where
        self.location = location
        super().__init__(f"{where}: {message}" if where else message)

    @property
    def place(self) -> Location:
        """The location, as it was called in 0.1."""
        _warn_of_place()
        return self.location


def shorten_numbers(message: str) -> str:
    """Return a message, such as of pydantic, with 1e+100 for a one and a hundred zeros."""
    return re.sub(r"\d{20,}", lambda number: f"{float(number[0]):g}", message)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that offers the nearest known name, or all of them.

    Args:
        name: The name that was not found.
        known: The names that exist.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there is: {', '.join(names)}" if names else "there is none"


def _warn_of_place() -> None:
    warnings.warn(
        "RequestError's place is now location; the old name is gone in prunebench 0.3",
        DeprecationWarning,
        stacklevel=3,
    )
