"""Where tasks are carried out: ``executor.py`` is the contract."""

from prunebench.errors import RequestError, did_you_mean
from prunebench.execution.executors.executor import Executor
from prunebench.plan.environment import cores

MOST_JOBS = 1024


def open_executor(name: str, jobs: int | str | None = None) -> Executor:
    """Open an executor by name.

    Args:
        name: ``local``.
        jobs: How many tasks at once, each in a process of one thread; ``auto``: as many as there
            are cores. By default one task at a time, in this process, with all cores.

    Raises:
        RequestError: There is none of that name, it is not there yet, or jobs is no number.
    """
    if name == "local":
        if jobs is not None:
            from prunebench.execution.executors.processes import ProcessExecutor

            return ProcessExecutor(_read_jobs(jobs))
        from prunebench.execution.executors.local import LocalExecutor

        return LocalExecutor()
    if name == "ray":
        raise RequestError("executor 'ray' is not there yet; use 'local'")
    raise RequestError(f"unknown executor {name!r}; {did_you_mean(name, ['local', 'ray'])}")


def _read_jobs(jobs: int | str) -> int:
    if jobs == "auto":
        return cores()
    try:
        count = int(jobs)
    except ValueError:
        count = 0
    if not 1 <= count <= MOST_JOBS:
        raise RequestError(f"{jobs!r} jobs; expected 1 to {MOST_JOBS}, or auto", where="--jobs")
    return count
