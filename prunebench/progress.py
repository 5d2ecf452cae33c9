"""Showing how much of a known number of things is done: a bar on a terminal, lines in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LINE_EVERY = 20.0  # seconds between lines in a log

# One for bars and for the command line's messages, so that a message goes above a live bar.
console = Console(stderr=True)
logger = logging.getLogger(__name__)


@contextmanager
def counting(total: int, what: str, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Show how many of a known number of things are done, on standard error.

    Args:
        total: How many there are.
        what: What they are, such as ``images explained``.
        quiet: Show nothing.

    Yields:
        A function to be called with the number done so far.
    """
    live = (console.is_terminal or console.is_jupyter) and not quiet
    last_line = time.monotonic()

    def show(done: int) -> None:
        nonlocal last_line
        bars.update(task, completed=done)
        if not live and not quiet and time.monotonic() - last_line > LINE_EVERY:
            last_line = time.monotonic()
            logger.info("%d/%d %s", done, total, what)

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not live) as bars:
        task = bars.add_task(what, total=total)
        yield show
