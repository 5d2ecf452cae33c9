"""From artefacts to records: one for each network, with all that is published of it."""

from prunebench.recording.recorder import Recorder

__all__ = ["Recorder"]
