"""Labels beside each other: of their parameters only what tells them apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from prunebench.leaderboard.writers.cells import plain

LONGEST = 60  # characters of a name
Parameters = dict[str, str]


def shorten_names(labels: Iterable[str], longest: int = LONGEST) -> dict[str, str]:
    """Return a short name of each label, which no two of them share.

    A parameter is told where its value is not the one that most labels of the same plugin have:
    ``isp`` and ``isp(masks=independent)``, whatever else both say. A label that is alone with its
    plugin is the plugin's name.

    Args:
        labels: A plugin's name and perhaps ``(name=value, ...)``; or any text.
        longest: Characters of a name; longer ones are cut, and numbered where they become equal.
    """
    return dict(_shorten_sorted(tuple(sorted(set(labels))), longest))


@lru_cache(maxsize=64)
def _shorten_sorted(labels: tuple[str, ...], longest: int) -> tuple[tuple[str, str], ...]:
    plugins: dict[str, dict[str, Parameters]] = {}
    for label in labels:
        name, parameters = _parse_label(label)
        plugins.setdefault(name, {})[label] = parameters
    times: Counter[str] = Counter()
    found: dict[str, str] = {}
    for name, family in plugins.items():
        for label, text in _name_variants(name, family).items():
            short = whole = text if len(text) <= longest else f"{text[: longest - 1]}…"
            while short in found:
                times[whole] += 1
                short = f"{whole} #{times[whole] + 1}"
            found[short] = label
    return tuple((label, short) for short, label in found.items())


def _name_variants(name: str, family: dict[str, Parameters]) -> dict[str, str]:
    """Name one plugin's labels by what is unusual, or by all that differs if that is equal."""
    usual: dict[str, str | None] = {}
    same: set[str] = set()
    for key in dict.fromkeys(key for parameters in family.values() for key in parameters):
        counts = Counter(parameters.get(key) for parameters in family.values()).most_common()
        most = [value for value, count in counts if count == counts[0][1]]
        usual[key] = most[0] if len(most) == 1 else None
        same |= {key} if len(counts) == 1 else set()

    def told(parameters: Parameters, besides: Parameters | dict[str, str | None]) -> str:
        shown = [
            f"{key}={value}"
            for key, value in parameters.items()
            if key not in same and value != besides.get(key)
        ]
        return plain(f"{name}({', '.join(shown)})" if shown else name)

    unusual = {label: told(parameters, usual) for label, parameters in family.items()}
    often = Counter(unusual.values())
    return {
        label: text if often[text] == 1 else told(family[label], {})
        for label, text in unusual.items()
    }


def _parse_label(label: str) -> tuple[str, Parameters]:
    """Return a label's name and its parameters; a text of another form is a name."""
    name, bracket, inside = label.partition("(")
    if not (name and bracket and inside.endswith(")")):
        return label, {}
    parts, depth = [""], 0
    for piece in re.split(r"(, |[\[{(]|[\]})])", inside[:-1]):
        depth += (piece in ("{", "[", "(")) - (piece in ("}", "]", ")"))
        if piece == ", " and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    pairs = [part.partition("=") for part in parts]
    if any(not equals for _, equals, _ in pairs):
        return label, {}
    return name, {key: value for key, _, value in pairs}
