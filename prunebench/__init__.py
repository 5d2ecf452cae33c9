"""PruneBench: does a pruned network still look where it looked?"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunebench import metrics
    from prunebench.compare import Comparison, compare
    from prunebench.errors import RequestError
    from prunebench.explain import explain
    from prunebench.results import Results
    from prunebench.run import run
    from prunebench.suite import Suite, load_suite

__all__ = [
    "Comparison",
    "RequestError",
    "Results",
    "Suite",
    "compare",
    "explain",
    "load_suite",
    "metrics",
    "run",
]

_HOME = {
    "Comparison": "compare",
    "RequestError": "errors",
    "Results": "results",
    "Suite": "suite",
    "compare": "compare",
    "explain": "explain",
    "load_suite": "suite",
    "run": "run",
}


def __getattr__(name: str) -> Any:
    # `import prunebench` must not pay for torch.
    from importlib import import_module

    if name == "metrics":
        return import_module("prunebench.metrics")
    if name in _HOME:
        found = getattr(import_module(f"prunebench.{_HOME[name]}"), name)
        globals()[name] = found  # the function, not the module of the same name
        return found
    raise AttributeError(f"module 'prunebench' has no attribute {name!r}")
