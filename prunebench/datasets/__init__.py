"""Data sets: one file each; ``dataset.py`` is the contract."""

from prunebench.datasets.dataset import Dataset

__all__ = ["Dataset"]
