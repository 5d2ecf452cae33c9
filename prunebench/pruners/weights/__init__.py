"""Single weights set to zero: one file a method, ``mask_pruner.py`` is what they share."""

from prunebench.pruners.weights.mask_pruner import MaskPruner

__all__ = ["MaskPruner"]
