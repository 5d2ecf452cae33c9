"""A network in memory: built, loaded without pickle, trained, counted and exported.

In: a factory's name and parameters, or an artefact's tensors. Out: a ``Network``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunebench.networks.network import Architecture, Network

__all__ = ["Architecture", "Network"]


def __getattr__(name: str) -> Any:
    # Finding a network's factory must not pay for torch.
    if name in __all__:
        from prunebench.networks import network

        return getattr(network, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
