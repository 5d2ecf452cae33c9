"""Metrics: one file each; ``metric.py`` is the contract, ``maps.py`` compares heatmaps."""

from typing import Any

from prunebench.metrics.metric import Evidence, Metric

__all__ = ["Evidence", "Metric", "iou", "sam", "soft_iou", "sp2ps", "ssim"]


def __getattr__(name: str) -> Any:
    # Listing plugins imports this package and must not pay for torch.
    if name in __all__:
        from prunebench.metrics import maps

        return getattr(maps, name)
    raise AttributeError(name)
