"""Objects of a Python program in a suite.

In: a mapping with tensors, networks, functions and plugins among its words. Out: the same in plain
words, as YAML has them, where ``python/NAME`` stands for an object that is kept while the program
runs. ``content.py`` says what an object is, as part of keys.
"""

from prunebench.suite.objects.writing import write_plainly

__all__ = ["write_plainly"]
