"""Messages of the library on the command line: above a live bar, or plain lines in a log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def show_messages() -> Iterator[None]:
    """Show what the library logs, on standard error."""
    logger = logging.getLogger("prunebench")
    handler = _make_handler()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


def _make_handler() -> logging.Handler:
    from rich.logging import RichHandler

    from prunebench.progress import console

    if not console.is_terminal:
        return logging.StreamHandler()
    # Of the bars' own console, so that a message does not break a bar.
    return RichHandler(console=console, show_time=False, show_level=False, show_path=False)
