"""Check that no file given is larger than a megabyte: history keeps it for ever."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

LARGEST = 1_000_000  # bytes
GENERATED = {"leaderboard/board.json"}
"""Written by `make leaderboard` from the records, and larger than that."""


def find_large(paths: Iterable[str]) -> list[str]:
    """Return a line for each file that is too large."""
    found = [Path(path) for path in paths if path not in GENERATED]
    return [
        f"{path}: {path.stat().st_size:,} bytes; at most {LARGEST:,}"
        for path in found
        if path.is_file() and path.stat().st_size > LARGEST
    ]


if __name__ == "__main__":
    sys.exit("\n".join(find_large(sys.argv[1:])) or 0)
