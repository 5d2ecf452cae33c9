"""Data as a call in a script: a page opened from disk may load scripts, but fetch nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def write_call(path: Path, function: str, content: Any) -> None:
    """Write a file that calls a function of a page's script with some content.

    Args:
        path: The file.
        function: What is called, such as ``Board.part``.
        content: Plain data; it is written in ASCII, and nothing in it can end a script element.
    """
    text = _ENCODER.encode(content).replace("</", "<\\/")
    with path.open("wb", buffering=0) as file:  # in one piece: boards have many such files
        file.write(f"{function}({text});\n".encode("ascii"))
