"""The published schema: one record a network, with all that is published of it.

In: JSON. Out: a ``Record``, brought up to today's schema. ``checking/`` says whether it may be
published.
"""

from prunebench.record.fields import (
    Changed,
    Conditions,
    Epoch,
    Heatmap,
    Moved,
    Reached,
    Times,
    Training,
    Value,
    Weights,
)
from prunebench.record.migrations import SCHEMA
from prunebench.record.per_image import PerImage
from prunebench.record.reading import read_record, read_records
from prunebench.record.record import Record, slug

__all__ = [
    "SCHEMA",
    "Changed",
    "Conditions",
    "Epoch",
    "Heatmap",
    "Moved",
    "PerImage",
    "Reached",
    "Record",
    "Times",
    "Training",
    "Value",
    "Weights",
    "read_record",
    "read_records",
    "slug",
]
