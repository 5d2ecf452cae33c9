"""Parts of GitHub markdown: text that is no markup, footnotes, tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tabulate import tabulate

from prunebench.leaderboard.writers.cells import plain


def escape(text: str) -> str:
    r"""Return a record's text as markdown shows it literally, also inside a table.

    Entities stand for all that could start markup, HTML, a formula, a mention or a link; unlike
    backslashes they mean the same everywhere.
    """
    line = re.sub(r"[&<>|`*_~$@#!\[\]{}\\^]", lambda found: f"&#{ord(found[0])};", plain(text))
    return re.sub(r"(?<=\w):(?=//)|(?<=www)\.", lambda found: f"&#{ord(found[0])};", line)


class Notes:
    """Footnotes of one table, numbered as they come up."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def mark(self, text: str | None) -> str:
        """Return the mark of a footnote; the same text has the same number."""
        if not text:
            return ""
        if text not in self._texts:
            self._texts.append(text)
        return f"<sup>{self._texts.index(text) + 1}</sup>"

    def __str__(self) -> str:
        return "<br>\n".join(
            f"<sup>{number}</sup> {escape(text)}" for number, text in enumerate(self._texts, 1)
        )


def escape_line(line: str) -> str:
    """Escape a line of several parts, which semicolons separate."""
    return "; ".join(escape(part) for part in line.split("; "))


def list_lines(sentences: Sequence[str]) -> str:
    """Return sentences as a list, their text escaped."""
    return "\n".join(f"- {escape(sentence)}" for sentence in sentences)


def make_table(lines: list[dict[str, str]]) -> str:
    """Return a table whose headings are the lines' keys."""
    return tabulate(lines, headers="keys", tablefmt="pipe", disable_numparse=True)
