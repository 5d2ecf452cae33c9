"""Rule 8: where a network has no map for many images, nothing is concluded from the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prunebench.leaderboard.board.rows import Row, describe_row
from prunebench.trust import MOST_UNDEFINED


def find_undefined(rows: Iterable[Row | None], names: Sequence[str]) -> str | None:
    """Say in which row which value is undefined for more than 5% of the images; None if in none.

    Args:
        rows: All rows that a claim rests on.
        names: The values that it reads, such as ``sp2ps/grad-cam``.
    """
    for row in rows:
        for name in names if row else ():
            share = row.get(name).undefined if row else 0.0
            if row and share > MOST_UNDEFINED:
                return f"{describe_row(row)}: {name} is not defined on {100 * share:.2g}% of images"
    return None
