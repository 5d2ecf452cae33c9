"""MLflow as a projection of the store: ``tracker.py`` fills it, the others say with what."""

from prunebench.tracking.address import default_uri
from prunebench.tracking.tracker import Tracker

__all__ = ["Tracker", "default_uri"]
