"""Where tasks are carried out: ``executor.py`` is the contract."""

from prunebench.errors import RequestError, did_you_mean
from prunebench.execution.executors.executor import Executor


def open_executor(name: str) -> Executor:
    """Open an executor by name.

    Raises:
        RequestError: There is none of that name, or it is not there yet.
    """
    if name == "local":
        from prunebench.execution.executors.local import LocalExecutor

        return LocalExecutor()
    if name == "ray":
        raise RequestError("executor 'ray' is not there yet; use 'local'")
    raise RequestError(f"unknown executor {name!r}; {did_you_mean(name, ['local', 'ray'])}")
