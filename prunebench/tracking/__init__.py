"""MLflow as a projection of the store: ``tracker.py`` fills it, the others say with what."""

from prunebench.tracking.tracker import Tracker, default_uri

__all__ = ["Tracker", "default_uri"]
