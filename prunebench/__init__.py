"""PruneBench: does a pruned network still look where it looked?"""

from typing import TYPE_CHECKING, Any

from prunebench.old_names import keep_old_names

if TYPE_CHECKING:
    from prunebench import metrics
    from prunebench.cams.explaining import explain
    from prunebench.comparison import Comparison
    from prunebench.comparison.compare import compare
    from prunebench.errors import RequestError
    from prunebench.loading.load import load
    from prunebench.networks.onnx_export import to_onnx
    from prunebench.networks.portable import export
    from prunebench.plugins.catalogue import list_plugins
    from prunebench.plugins.objects import named
    from prunebench.results import Results, read_results
    from prunebench.running import run
    from prunebench.suite import Suite, load_suite

    __version__: str

__all__ = [
    "Comparison",
    "RequestError",
    "Results",
    "Suite",
    "compare",
    "explain",
    "export",
    "list_plugins",
    "load",
    "load_suite",
    "metrics",
    "named",
    "read_results",
    "run",
    "to_onnx",
]

# No module may be named like one of these: importing it would put it in the function's place.
_HOME = {
    "Comparison": "comparison",
    "RequestError": "errors",
    "Results": "results",
    "Suite": "suite",
    "compare": "comparison.compare",
    "explain": "cams.explaining",
    "export": "networks.portable",
    "list_plugins": "plugins.catalogue",
    "load": "loading.load",
    "load_suite": "suite",
    "named": "plugins.objects",
    "read_results": "results",
    "run": "running",
    "to_onnx": "networks.onnx_export",
}

keep_old_names()


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    # `import prunebench` must not pay for torch.
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version("prunebench")
    if name == "metrics":
        return import_module("prunebench.metrics")
    if name in _HOME:
        return getattr(import_module(f"prunebench.{_HOME[name]}"), name)
    raise AttributeError(f"module 'prunebench' has no attribute {name!r}")
