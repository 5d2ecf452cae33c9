"""One published number beside the same made again."""

from __future__ import annotations

from typing import NamedTuple


class ReproducedNumber(NamedTuple):
    """One published number and the same made again.

    Attributes:
        name: Of the value, or ``reached.macs`` and the like.
        published: As published; None where it has none, for a reason.
        rebuilt: Made again.
        tolerance: How far it may be off; None where it is not judged.
        met: Whether it is within; None where it is not judged.
        note: Why it could not be compared, or what the tolerance is of.
    """

    name: str
    published: float | None
    rebuilt: float | None
    tolerance: float | None
    met: bool | None
    note: str = ""

    @property
    def difference(self) -> float | None:
        """Rebuilt less published."""
        if self.published is None or self.rebuilt is None:
            return None
        return self.rebuilt - self.published
