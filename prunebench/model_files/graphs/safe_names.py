"""Names in a graph, which torch.fx writes into Python code as they are, and runs.

``fx.GraphModule`` pastes the target of a node into the source of ``forward``: a parameter of a file
that is called ``x", os.system("...`` would be a command. Nothing becomes a target of a graph but by
``make_safe``.
"""

from __future__ import annotations

import keyword
import re

from torch import fx, nn

from prunebench.errors import RequestError

TAKEN = frozenset(dir(nn.Module()))
"""Attributes that every module has, which no tensor or layer may replace."""


def make_safe(name: str) -> str:
    """Replace what no attribute of a module may be called.

    Args:
        name: Dotted, from a file; empty for the network itself.

    Returns:
        Parts of ASCII letters, digits and ``_``, joined by dots. Names in use stay as they are.
    """
    return ".".join(map(_make_part, name.split("."))) if name else ""


def _make_part(part: str) -> str:
    plain = re.sub(r"[^0-9A-Za-z_]", "_", part) or "_"
    return f"{plain}_" if plain in TAKEN or keyword.iskeyword(plain) else plain


def check_names(graph: fx.Graph) -> None:
    """Refuse a graph that would not be the code that it looks like.

    Raises:
        RequestError: A target or an argument has a name that is not safe.
    """
    for node in graph.nodes:
        names = [*node.kwargs]
        if node.op in ("placeholder", "get_attr", "call_module"):
            names.append(str(node.target))
        for name in names:
            if name != make_safe(name):
                raise RequestError(f"holds the name {name[:80]!r}; expected letters, digits and _")
