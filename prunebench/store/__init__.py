"""Artefacts by key: whole or absent, leased, shared by any number of processes.

In: a step's key and its result. Out: the same, on this run or any later one.
"""

from prunebench.store.artefact import Artefact
from prunebench.store.store import Store
from prunebench.store.writing import StoreError

__all__ = ["Artefact", "Store", "StoreError"]
