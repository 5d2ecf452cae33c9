"""Numbers as they were printed: kept as text, so that a digit or a sign is never lost."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

_PRINTED = re.compile(r"([+\-−]?)(\d+(?:\.(\d+))?)%?")


def parse_number(printed: str) -> float:
    """Return the printed number in its printed unit: ``−0.09%`` is -0.09.

    Raises:
        ValueError: It is not a number.
    """
    match = _PRINTED.fullmatch(printed)
    if match is None:
        raise ValueError(f"expected a number as printed, such as '+0.18%', found {printed!r}")
    return float(match[2]) * (1.0 if match[1] in ("", "+") else -1.0)


def count_decimals(printed: str) -> int:
    """Count the digits that were printed after the point."""
    match = _PRINTED.fullmatch(printed)
    return len(match[3] or "") if match else 0


def _is_text(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"write it as printed, in quotes: '{value}'")
    return value


def _is_number(value: str) -> str:
    parse_number(value)
    return value


Printed = Annotated[str, BeforeValidator(_is_text), AfterValidator(_is_number)]
"""A number as printed, in quotes, with its sign and its percent sign."""


class Words(BaseModel):
    """What a source says where it gives no number.

    Attributes:
        words: As printed, such as "almost unchanged".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: str
