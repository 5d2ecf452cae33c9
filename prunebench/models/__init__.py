"""Models: one file each; ``model.py`` is the contract."""

from prunebench.models.model import Model
from prunebench.plugins.recipe import Recipe

__all__ = ["Model", "Recipe"]
