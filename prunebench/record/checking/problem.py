"""What is wrong with a record."""

from __future__ import annotations

import math
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing wrong with a record.

    Attributes:
        field: Where, as a path in its JSON: ``values.accuracy.mean``.
        wrong: What was found.
        expected: What would be right.
    """

    field: str
    wrong: str
    expected: str

    def __str__(self) -> str:
        text = f"{self.field}: {self.wrong}; expected {self.expected}"
        # It quotes what may be made up to harm a terminal.
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def close(a: float, b: float, relative: float = 1e-6) -> bool:
    """Return whether two numbers are one but for rounding."""
    return math.isclose(a, b, rel_tol=relative, abs_tol=1e-9)
