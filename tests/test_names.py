"""A public class name means one thing in the whole package."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import prunebench

ROOT = Path(prunebench.__file__).parent


def list_public_classes() -> dict[str, set[str]]:
    """Return the modules that define a class, without ``prunebench.``, by its name."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add(module)
    return found


def test_no_two_public_classes_share_a_name() -> None:
    shared = {name: modules for name, modules in list_public_classes().items() if len(modules) > 1}
    assert shared == {}
