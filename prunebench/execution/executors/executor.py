"""The contract of an executor: where tasks are carried out."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from prunebench.execution.tasks import Outcome, Task

Progress = Callable[[float, str], None]


class Executor(Protocol):
    """Carries out tasks by calling ``prunebench.execution.tasks.perform`` on them, anywhere.

    A task is picklable and knows what it needs (``task.runs_alone``,
    ``task.environment.device``); its results go to the store, which all workers share, and only
    outcomes come back.

    Attributes:
        slots: How many tasks may be under way at once.
    """

    slots: int

    def submit(self, task: Task, progress: Progress) -> Future[list[Outcome]]:
        """Start a task.

        Args:
            task: What to do; its parents' results are in the store.
            progress: ``progress(fraction, text)``, for executors that can report it.
        """

    def close(self) -> None:
        """End all workers."""
