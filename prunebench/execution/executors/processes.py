"""Several tasks at once on this machine, each in a process of one thread; timing runs alone."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import connection

from prunebench.errors import RequestError
from prunebench.execution.executors.executor import Progress
from prunebench.execution.tasks import Outcome, Task, perform
from prunebench.store import Store

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ATTEMPTS = 3  # at a task whose process is killed


class ProcessExecutor:
    """Carries out tasks in processes, several at once.

    Two trainings of one thread each do more on two cores than one after the other with both, and a
    thread that waits for another loses little where cores are shared. Tasks that are timed have a
    process of their own with all cores, and the machine for themselves (``machine_lock``).

    Args:
        jobs: How many tasks may be under way at once, at least 1.
    """

    def __init__(self, jobs: int) -> None:
        self.slots = jobs
        self._crowd = _Pool(jobs, threads=1)
        self._alone = _Pool(1, threads=None)

    def submit(self, task: Task, progress: Progress) -> Future[list[Outcome]]:
        """Hand the task to a process; if that is killed, to another."""
        if task.runs_alone:
            return self._alone.submit(task)
        return self._crowd.submit(replace(task, environment=replace(task.environment, threads=1)))

    def close(self) -> None:
        """End all processes at once; steps under way are done again by the next run."""
        self._crowd.close()
        self._alone.close()


class _Pool:
    """Processes that are started when first needed, and again when one of them was killed."""

    def __init__(self, size: int, threads: int | None) -> None:
        self._size = size
        self._threads = threads
        self._lock = threading.Lock()
        self._workers: ProcessPoolExecutor | None = None
        self._closed = False

    def submit(self, task: Task) -> Future[list[Outcome]]:
        try:
            pickle.dumps(task)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise RequestError(
                f"a step cannot be handed to another process ({error}); define the suite's classes "
                "and functions in a module, or run without jobs"
            ) from error
        promised: Future[list[Outcome]] = Future()
        promised.set_running_or_notify_cancel()
        self._try(task, promised, 1)
        return promised

    def _try(self, task: Task, promised: Future[list[Outcome]], attempt: int) -> None:
        with self._lock, _environment_of_workers(self._threads):
            if self._workers is None:
                self._workers = ProcessPoolExecutor(
                    self._size, multiprocessing.get_context("spawn"), _begin
                )
            workers = self._workers
            try:
                found = workers.submit(perform, task)
            except BrokenProcessPool:
                found = Future()
                found.set_exception(BrokenProcessPool())

        def pass_on(found: Future[list[Outcome]]) -> None:
            if self._closed:
                return  # its process was killed by us: nobody waits for it
            error = None if found.cancelled() else found.exception()
            if isinstance(error, BrokenProcessPool) and attempt < ATTEMPTS:
                with self._lock:
                    if self._workers is workers:
                        self._workers = None
                self._try(task, promised, attempt + 1)
            elif isinstance(error, BrokenProcessPool):
                promised.set_result(_give_up(task))
            elif error is not None:
                promised.set_exception(error)
            elif not found.cancelled():
                promised.set_result(found.result())

        found.add_done_callback(pass_on)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            workers, self._workers = self._workers, None
        if workers is not None:
            processes = list((workers._processes or {}).values())
            workers.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()


def _give_up(task: Task) -> list[Outcome]:
    message = f"its process was killed {ATTEMPTS} times, perhaps for want of memory: fewer jobs"
    store = Store(task.store)
    for step in task.steps:
        store.fail(step.key, step.kind.name, message, "")
    return [Outcome(step.key, "failed", message) for step in task.steps]


@contextmanager
def _environment_of_workers(threads: int | None) -> Iterator[None]:
    """Set what processes that start meanwhile read before they import PyTorch."""
    before = {name: os.environ.get(name) for name in THREADS}
    if threads is not None:
        os.environ.update(dict.fromkeys(THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin() -> None:
    """Begin a process: Ctrl-C is its parent's to handle, and it ends when its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
