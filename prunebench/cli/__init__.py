"""The command line: a thin skin on functions that can be imported."""

from prunebench.cli.main import main

__all__ = ["main"]
