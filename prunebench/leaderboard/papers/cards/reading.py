"""What is read off our rows to stand beside a published number: a small language for cards.

- ``accuracy``, ``sp2ps/grad-cam``: a value of the record;
- ``reached.macs``: a fraction removed; ``level`` and ``round``: as asked for;
- ``1 - sp2ps/grad-cam``, ``- accuracy_drop``: its complement, its negative;
- ``accuracy of baseline``: the same of the baseline;
- ``max(mask_iou/grad-cam++)``: the largest over the levels of one method;
- ``pearson(mask_iou/grad-cam++, accuracy)``: a correlation over these levels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

_NAME = r"[a-z][\w.]*(?:\([^()/]*\))?(?:/[\w+.-]+)?"
_ROW = re.compile(rf"(1 - |- )?({_NAME})( of baseline)?")
_LEVELS = re.compile(rf"(max|pearson)\(({_NAME})(?:, ({_NAME}))?\)")


@dataclass(frozen=True)
class Reading:
    """One reading, taken apart.

    Attributes:
        name: The value.
        form: As it is, its complement (1 - value) or its negative.
        of_baseline: Whether it is the baseline's.
        levels: How it is brought together over the levels of one method; None for one row's.
        other: The second value of a correlation.
    """

    name: str
    form: Literal["plain", "complement", "negative"] = "plain"
    of_baseline: bool = False
    levels: Literal["max", "pearson"] | None = None
    other: str | None = None


def parse_reading(text: str) -> Reading:
    """Parse a reading as cards write it.

    Raises:
        ValueError: It is not one.
    """
    over = _LEVELS.fullmatch(text)
    if over is not None and (over[3] is not None) == (over[1] == "pearson"):
        return Reading(over[2], levels="max" if over[1] == "max" else "pearson", other=over[3])
    row = _ROW.fullmatch(text)
    if over is not None or row is None:
        raise ValueError(
            f"expected a value such as 'accuracy', '1 - sp2ps/grad-cam', 'accuracy of baseline', "
            f"'max(a)' or 'pearson(a, b)', found {text!r}"
        )
    form: Literal["plain", "complement", "negative"] = "plain"
    if row[1]:
        form = "complement" if row[1].startswith("1") else "negative"
    return Reading(row[2], form, row[3] is not None)


def _is_text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {value!r}")
    return value


def _is_reading(value: str) -> str:
    parse_reading(value)
    return value


ReadingText = Annotated[str, BeforeValidator(_is_text), AfterValidator(_is_reading)]
"""A reading as cards write it."""
