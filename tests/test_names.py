"""A public class name means one thing in the whole package."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import prunebench

ROOT = Path(prunebench.__file__).parent
LEFT: dict[str, set[str]] = {
    "Agreement": {"leaderboard.board.agreement", "metrics.agreement"},
    "Block": {"models.networks.cifar_resnet", "models.networks.wide_resnet"},
    "Checkpoint": {"plugins.context", "pruners.checkpoint"},
    "Comparison": {"comparison.result", "leaderboard.questions.comparison"},
    "Curve": {"leaderboard.site.papers.points", "metrics.faithfulness"},
    "Distillation": {"plugins.recipe", "pruners.distillation"},
    "Entry": {"leaderboard.site.board.rows", "plugins.finding"},
    "Experiment": {"leaderboard.papers.cards.work", "tracking.experiment"},
    "Explained": {"cams.explaining", "leaderboard.board.speed"},
    "Explanation": {"cams.cam", "plan.measurement_steps"},
    "Figure": {"leaderboard.papers.regenerated", "reproduction.verdict"},
    "Line": {
        "leaderboard.site.papers.curves",
        "leaderboard.site.papers.heatmaps",
        "leaderboard.site.papers.page",
    },
    "Outcome": {"execution.tasks", "leaderboard.board.horizon"},
    "Part": {
        "leaderboard.questions.training",
        "leaderboard.site.board.rows",
        "leaderboard.site.row.parts",
        "pruners.filters.group_penalty",
    },
    "Place": {"leaderboard.board.rank", "leaderboard.papers.places"},
    "Point": {"leaderboard.board.horizon", "leaderboard.site.papers.points"},
    "Pruner": {"leaderboard.site.pruners.data", "pruners.pruner"},
    "Ranking": {"leaderboard.board.rank", "pruners.sensitivity"},
    "Selection": {"cams.amortized.selection", "pruners.filters.channels"},
    "Strict": {"leaderboard.papers.cards.strict", "record.parts"},
}
"""Names that still mean several things, and where: only ever made shorter."""


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
    for name, modules in shared.items():
        assert modules <= LEFT.get(name, set()), f"{name} is defined in {sorted(modules)}"


def test_the_list_of_what_is_left_holds_nothing_else() -> None:
    classes = list_public_classes()
    for name, modules in LEFT.items():
        assert len(modules & classes[name]) > 1, f"{name} means one thing now; take it off the list"
