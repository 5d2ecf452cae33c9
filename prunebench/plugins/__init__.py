"""What a plugin is and what it is given; how one is found by name.

In: a kind and a name, with parameters as a suite writes them. Out: a ``Chosen`` plugin.
"""

from prunebench.plugins.finding import KINDS, Chosen, Entry, choose, entries, find

__all__ = ["KINDS", "Chosen", "Entry", "choose", "entries", "find"]
