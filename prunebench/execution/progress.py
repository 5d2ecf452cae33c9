"""Showing how far a run is: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from prunebench.plan.steps import Step
from prunebench.progress import LINE_EVERY, console

logger = logging.getLogger(__name__)

LONGEST_NAME = 24  # characters, so that the epoch is still on the line


class RunProgress:
    """Progress of a run, on standard error."""

    def __init__(self, steps: int, quiet: bool = False) -> None:
        self.live = console.is_terminal and not quiet
        self.total = steps
        self.done = 0
        self.quiet = quiet
        self._last_line = time.monotonic()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}"),
            console=console,
            disable=not self.live,
        )
        self._task = self._bars.add_task("steps", total=steps, now="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def working(self, step: Step, fraction: float = 0.0, text: str = "") -> None:
        """Show what is being done."""
        name = getattr(step.plugin, "label", "")
        if len(name) > LONGEST_NAME:
            name = f"{name[:LONGEST_NAME]}…"
        level = step.options.get("level")
        now = " ".join(
            filter(None, [step.kind.name, name, "" if level is None else f"{level:g}", text])
        )
        self._bars.update(self._task, now=now)
        if not self.live and not self.quiet and time.monotonic() - self._last_line > LINE_EVERY:
            self._last_line = time.monotonic()
            shown = f" {fraction:.0%}" if fraction else ""
            logger.info("%d/%d steps; %s%s", self.done, self.total, now, shown)

    def advance(self, steps: int) -> None:
        """Count steps that are done with."""
        self.done += steps
        self._bars.advance(self._task, steps)

    def warn(self, text: str) -> None:
        """Log what went wrong."""
        if not self.quiet:
            logger.warning("%s", text)
