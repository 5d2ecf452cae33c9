"""Files of torch.save, read without running what is in them."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from prunebench.errors import RequestError
from prunebench.input_files import spell

INERT: tuple[Any, ...] = (argparse.Namespace, OrderedDict, defaultdict, dict, set)
"""Containers of training scripts, which run nothing when they are read."""


def read_torch_file(path: Path, *, unsafe_pickle: bool = False) -> Any:
    """Read what torch.save wrote: tensors in containers.

    Whole networks need ``unsafe_pickle``: even layers of known libraries can be made to run code,
    by calls of their constructors or by the names of their parts.

    Args:
        path: The file.
        unsafe_pickle: Read whatever it holds, which can run any code: only for files you made.

    Raises:
        RequestError: It cannot be read, or it needs ``unsafe_pickle``.
    """
    where = spell(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of networks saved by another version of torch
            if unsafe_pickle:
                with _importing_from(path.parent, Path.cwd()):
                    return torch.load(path, map_location="cpu", weights_only=False)
            with torch.serialization.safe_globals([*INERT]):
                return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes without sense raise anything
        if unsafe_pickle:
            raise RequestError(
                f"cannot be read ({type(error).__name__}: {_shorten(error)}); the module that "
                "defines the network's classes must be installed, in this folder or in the "
                "file's. Classes of a script or notebook (__main__) are nowhere: save the state "
                "dict and give file.py:function@FILE, or export the network as .pt2",
                where=where,
            ) from error
        strange = _find_strange_classes(path)
        hint = (
            f"it holds objects of {', '.join(strange)}, which may run code when they are read: "
            "give --unsafe-pickle if you made the file, or save only the network's state dict"
            if strange
            else "expected safetensors, or what torch.save wrote"
        )
        raise RequestError(
            f"cannot be read as weights ({type(error).__name__}); {hint}", where=where
        ) from error


@contextmanager
def _importing_from(*folders: Path) -> Iterator[None]:
    """Let a pickle find the modules of its classes in these folders."""
    before = list(sys.path)
    sys.path += [str(folder.resolve()) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before


def _find_strange_classes(path: Path) -> list[str]:
    inert = {f"{kind.__module__}.{kind.__qualname__}" for kind in INERT}
    return [name for name in _list_classes(path) if name not in inert][:3]


def _list_classes(path: Path) -> list[str]:
    """List what a file names beyond tensors, without reading it; nothing of an old format."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # no archive, or a damaged one: reading it says so
        return []


def _shorten(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
