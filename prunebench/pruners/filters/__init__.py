"""Whole filters removed: one file a method, ``filter_pruner.py`` is what they share."""

from prunebench.pruners.filters.filter_pruner import FilterPruner

__all__ = ["FilterPruner"]
