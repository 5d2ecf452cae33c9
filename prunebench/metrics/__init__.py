"""Metrics: one file each; ``metric.py`` is the contract.

``maps.py`` and ``similarity.py`` compare heatmaps.
"""

from typing import Any

from prunebench.metrics.metric import Evidence, Metric, Samples
from prunebench.metrics.scale import Scale

__all__ = [
    "Evidence",
    "Metric",
    "Samples",
    "Scale",
    "centre_distance",
    "iou",
    "js_divergence",
    "pearson",
    "sam",
    "soft_iou",
    "sp2ps",
    "spearman",
    "ssim",
    "top_overlap",
]

_OF_SIMILARITY = {"centre_distance", "js_divergence", "pearson", "spearman", "top_overlap"}


def __getattr__(name: str) -> Any:
    # Listing plugins imports this package and must not pay for torch.
    if name in _OF_SIMILARITY:
        from prunebench.metrics import similarity

        return getattr(similarity, name)
    if name in __all__:
        from prunebench.metrics import maps

        return getattr(maps, name)
    raise AttributeError(name)
