"""Models: one file each; ``model.py`` is the contract."""

from prunebench.models.model import Model

__all__ = ["Model"]
