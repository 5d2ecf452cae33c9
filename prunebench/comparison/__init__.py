"""``compare``: two networks and some images, without a suite.

In: two modules and images. Out: a ``Comparison``, which writes its page.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunebench.comparison.result import Comparison

__all__ = ["Comparison"]


def __getattr__(name: str) -> Any:
    # Looking for this package must not pay for pandas.
    if name in __all__:
        from prunebench.comparison import result

        return getattr(result, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
