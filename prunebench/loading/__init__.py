"""A row's network, back in memory.

In: a record, and the store where it was made or the address where its weights are published. Out: a
``Network``.
"""
