"""Data as a call in a script: a page opened from disk may load scripts, but fetch nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_call(path: Path, function: str, content: Any) -> None:
    """Writes a file that calls a function of a page's script with some content.

    Args:
        path: The file.
        function: What is called, such as ``Board.part``.
        content: Plain data; it is written in ASCII, and nothing in it can end a script element.
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"{function}({text});\n")
