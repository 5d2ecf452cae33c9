"""A published row made again from its record alone, and held beside it.

In: a ``Record``. Out: a ``Reproduction``, which says what agrees.
"""
