"""The command line: a thin skin on functions that can be imported.

In: a command and its options. Out: text, files and an exit status.
"""

from prunebench.cli.main import app, main

__all__ = ["app", "main"]
