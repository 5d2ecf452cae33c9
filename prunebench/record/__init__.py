"""The published schema: one record a network, with all that is published of it.

In: JSON. Out: a ``Record``, brought up to today's schema. ``checking/`` says whether it may be
published.
"""

from prunebench.record.parts import Conditions, Epoch, Reached, Times, Value
from prunebench.record.record import Record, read_record, slug

__all__ = [
    "Conditions",
    "Epoch",
    "Reached",
    "Record",
    "Times",
    "Value",
    "read_record",
    "slug",
]
