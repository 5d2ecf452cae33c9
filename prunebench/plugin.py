"""``from prunebench.plugin import plugin``: what a package of plugins imports."""

from prunebench.plugins.base import Plugin, plugin

__all__ = ["Plugin", "plugin"]
