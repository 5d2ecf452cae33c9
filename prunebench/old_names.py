"""Old names of modules: packages written for prunebench 0.1 work for one more minor release."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

REMOVED_IN = "0.3"
"""The release in which the old names are gone, and this file with them."""

MOVED = {
    "branch": "plan.branch",
    "cams.affine": "cams.affine_tail",
    "cams.amortized.features": "cams.amortized.encoder_maps",
    "cams.amortized.selection": "cams.amortized.selector_training",
    "cams.attributions": "cams.captum_attributions",
    "cams.cut": "cams.network_cut",
    "cams.differences": "cams.deeplift_layers",
    "cams.layout": "networks.layout",
    "cams.learning": "cams.explainer_training",
    "cams.rules": "cams.captum_rules",
    "cams.tracing": "cams.tracer",
    "cams.twin": "networks.shared_weights",
    "cams.unrolled": "cams.unrolled_network",
    "cards": "plugins.cards",
    "catalogue": "plugins.catalogue",
    "checking": "record.checking",
    "checking.cells": "record.checking.cells",
    "checking.check": "record.checking.check",
    "checking.completeness": "record.checking.completeness",
    "checking.consistency": "record.checking.consistency",
    "checking.level": "record.checking.level",
    "checking.others": "record.checking.record_index",
    "checking.pictures": "record.checking.pictures",
    "checking.problem": "record.checking.problem",
    "checking.ranges": "record.checking.ranges",
    "checking.spread": "record.checking.spread",
    "checking.text": "record.checking.text",
    "checking.times": "record.checking.times",
    "choosing": "cli.plugin_arguments",
    "cli_plugins": "cli.plugins",
    "cli_records": "cli.records",
    "cli_store": "cli.store",
    "cli_ui": "cli.ui",
    "compare_files": "comparison.compare_files",
    "comparing": "comparison.compare",
    "comparison_figure": "comparison.figure",
    "conformance.compressing": "conformance.attempt",
    "conformance.measuring": "conformance.evidence",
    "context": "plugins.context",
    "datasets.encoded": "datasets.encoded_dataset",
    "digests": "store.digests",
    "distilling": "networks.distillation",
    "environment": "plan.environment",
    "estimate": "plan.estimate",
    "executors": "execution.executors",
    "executors.executor": "execution.executors.executor",
    "executors.local": "execution.executors.local",
    "explaining": "cams.explaining",
    "factory": "networks.factory",
    "image_folder": "comparison.image_folder",
    "leaderboard.agreement": "leaderboard.board.agreement",
    "leaderboard.board_json": "leaderboard.writers.board_json",
    "leaderboard.cells": "leaderboard.writers.cells",
    "leaderboard.chart": "leaderboard.writers.chart",
    "leaderboard.correlations": "leaderboard.board.correlations",
    "leaderboard.everything": "leaderboard.outputs",
    "leaderboard.horizon": "leaderboard.board.horizon",
    "leaderboard.markdown": "leaderboard.writers.markdown",
    "leaderboard.orders": "leaderboard.board.orders",
    "leaderboard.papers.places": "leaderboard.papers.matching_sections",
    "leaderboard.pictures": "leaderboard.writers.pictures",
    "leaderboard.questions.between": "leaderboard.questions.between_sections",
    "leaderboard.questions.within": "leaderboard.questions.within_sections",
    "leaderboard.rank": "leaderboard.board.rank",
    "leaderboard.readme": "leaderboard.writers.readme",
    "leaderboard.rescaling": "leaderboard.board.rescaling",
    "leaderboard.rows": "leaderboard.board.rows",
    "leaderboard.site.papers.again": "leaderboard.site.papers.redrawn",
    "leaderboard.site.questions.part": "leaderboard.site.questions.question_view",
    "leaderboard.site.row.parts": "leaderboard.site.row.sp2ps_split",
    "leaderboard.site.written": "leaderboard.site.number_format",
    "leaderboard.speed": "leaderboard.board.speed",
    "leaderboard.terminal": "leaderboard.writers.terminal",
    "leases": "store.leases",
    "machine": "execution.machine_lock",
    "metrics.counting": "networks.counting",
    "migrations": "record.migrations",
    "models.networks.outline": "models.networks.meta_networks",
    "network": "networks.network",
    "new_package": "plugins.scaffold",
    "objective": "plugins.objective",
    "onnx_export": "networks.onnx_export",
    "papers": "leaderboard.papers.cards",
    "papers.figures": "leaderboard.papers.cards.figures",
    "papers.printed": "leaderboard.papers.cards.printed",
    "papers.reading": "leaderboard.papers.cards.reading",
    "papers.registry": "leaderboard.papers.cards.registry",
    "papers.strict": "leaderboard.papers.cards.card_part",
    "papers.work": "leaderboard.papers.cards.work",
    "preflight": "execution.preflight",
    "preparing": "plugins.preparing",
    "pruners.balanced": "pruners.balanced_images",
    "pruners.filters.classwise": "pruners.filters.classwise_importance",
    "pruners.filters.features": "pruners.filters.feature_maps",
    "pruners.filters.steering": "pruners.filters.gate_training",
    "pruners.filters.stock": "pruners.filters.channel_budget",
    "pruners.nested": "plugins.nesting",
    "pruners.outputs": "pruners.output_check",
    "pruners.rewinding": "pruners.iterative_round",
    "pruners.sparsifying": "pruners.sparsifier",
    "pruners.weights.flow": "pruners.weights.synaptic_flow",
    "pruners.weights.masking": "pruners.weights.masks",
    "pruners.weights.start": "pruners.weights.initial_pruner",
    "quantised": "networks.quantised",
    "quantised.calibration": "networks.quantised.calibration",
    "quantised.folding": "networks.quantised.folding",
    "quantised.layers": "networks.quantised.layers",
    "quantised.leaving": "networks.quantised.unquantised_consumers",
    "record_parts": "record.fields",
    "recording.names": "record.names",
    "reproducing": "reproduction.reproduce",
    "saving": "store.writing",
    "scheduler": "execution.scheduler",
    "stages": "execution.stages",
    "stages.baseline": "execution.stages.baseline",
    "stages.compress": "execution.stages.compress",
    "stages.explain": "execution.stages.explain",
    "stages.predict": "execution.stages.predict",
    "stages.recover": "execution.stages.recover",
    "stages.score": "execution.stages.score",
    "stages.workspace": "execution.stages.workspace",
    "statistics": "intervals",
    "steps": "plan.steps",
    "tolerance": "reproduction.tolerance",
    "training": "networks.training",
    "trial": "plan.trial",
    "where": "plan.cell_filter",
    "work": "execution.tasks",
}
"""Old name to new name, both within ``prunebench``."""

RENAMED = {
    "distilling": {
        "distillation_loss": "compute_distillation_loss",
        "distilling": "make_distillation_objective",
        "translation": "make_translation",
    },
    "metrics.counting": {
        "all_parameters": "list_parameters",
        "effective_macs": "count_effective_macs",
        "prunable_weights": "find_prunable_weights",
        "total_macs": "count_total_macs",
    },
    "factory": {"source_file": "find_source_file"},
    "pruners.weights.start": {"StartPruner": "InitialPruner"},
    "pruners.weights.masking": {
        "lowest_masks": "mask_lowest",
        "masks_of_zeros": "mask_zeros",
        "prunable_layers": "find_prunable_layers",
    },
}
"""Of modules by their old names, functions that plugins call and that have another name now."""


class _OldNames:
    """Finds and loads modules by their old names; asked only where nothing else finds them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a module by its old name; None for any other name."""
        old = name.removeprefix("prunebench.")
        if old == name or old not in MOVED:
            return None
        is_package = any(each.startswith(f"{old}.") for each in MOVED)
        return ModuleSpec(name, self, is_package=is_package)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        """Let the module give what the module of the new name gives, and warn."""
        old = module.__name__.removeprefix("prunebench.")
        new = f"prunebench.{MOVED[old]}"
        warnings.warn(
            f"{module.__name__} is now {new}; the old name is gone in prunebench {REMOVED_IN}",
            DeprecationWarning,
            stacklevel=2,  # who imports: Python leaves out its own frames between
        )
        found, renamed = import_module(new), RENAMED.get(old, {})

        def give(name: str) -> Any:
            return getattr(found, renamed.get(name, name))

        # Asked for each name that is not there, in the manner of PEP 562.
        module.__dict__["__getattr__"] = give


def keep_old_names() -> None:
    """Let modules be imported by their old names too."""
    if not any(type(finder).__name__ == _OldNames.__name__ for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())
