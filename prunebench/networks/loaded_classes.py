"""Classes of libraries that take seconds to import, without importing them."""

from __future__ import annotations

import sys


def is_of(found: object, *classes: tuple[str, str]) -> bool:
    """Tell whether an object is of one of the classes, each given by its module and name.

    Where nobody has imported a module, there is no object of its classes.

    Example:
        >>> is_of(1.5, ("torch._dynamo", "OptimizedModule"), ("builtins", "float"))
        True
    """
    known = (getattr(sys.modules.get(module), name, None) for module, name in classes)
    return isinstance(found, tuple(kind for kind in known if isinstance(kind, type)))
