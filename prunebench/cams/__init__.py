"""Explanation methods: one file each; ``cam.py`` is the contract."""

from prunebench.cams.cam import Cam, Trace

__all__ = ["Cam", "Trace"]
