"""Compression methods: one file a family; ``pruner.py`` is the contract."""

from prunebench.pruners.pruner import Checkpoint, Context, Preparation, Pruner

__all__ = ["Checkpoint", "Context", "Preparation", "Pruner"]
