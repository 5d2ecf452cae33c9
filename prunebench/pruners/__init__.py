"""Compression methods: one file a family; ``pruner.py`` is the contract."""

from prunebench.plugins.context import Checkpoint, Context, Preparation
from prunebench.pruners.pruner import Pruner

__all__ = ["Checkpoint", "Context", "Preparation", "Pruner"]
