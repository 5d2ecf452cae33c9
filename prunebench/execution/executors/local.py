"""One task after the other, in this process, each with all its cores."""

from __future__ import annotations

from concurrent.futures import Future

from prunebench.execution.executors.executor import Progress
from prunebench.execution.tasks import Outcome, Task, perform


class LocalExecutor:
    """Carries out each task at once; start several runs on one store to share the work."""

    slots = 1

    def submit(self, task: Task, progress: Progress) -> Future[list[Outcome]]:
        """Carry out the task before returning."""
        future: Future[list[Outcome]] = Future()
        try:
            future.set_result(perform(task, progress))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Do nothing: there are no workers."""
