"""``from prunebench.recipe import Recipe``: what a package of models imports."""

from prunebench.plugins.recipe import Distillation, Recipe

__all__ = ["Distillation", "Recipe"]
