"""Files that hold a network as a graph of operators, each read once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from prunebench.model_files.file_kinds import FileKind

if TYPE_CHECKING:
    from prunebench.model_files.graphs.graph_file import GraphFile

GRAPHS = frozenset({FileKind.EXPORTED, FileKind.TORCH_SCRIPT, FileKind.ONNX})
"""Kinds of file that hold a graph."""
TELLING = GRAPHS - {FileKind.TORCH_SCRIPT}
"""Those that tell the size of their images."""


def read_graph_file(
    path: Path, kind: FileKind, size: tuple[int, int] | None = None, *, unsafe_pickle: bool = False
) -> GraphFile:
    """Read a network that is stored as a graph; a file that has not changed is read once.

    Args:
        path: The file.
        kind: As ``recognise`` tells it.
        size: Height and width of images that it can take, for a file that does not tell them.
        unsafe_pickle: Read an archive of torch.export whatever it holds.

    Raises:
        RequestError: It cannot be read, or not be turned into layers.
    """
    status = path.stat()
    size = None if kind in TELLING else size
    return _read(path.resolve(), kind, size, unsafe_pickle, (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=4)
def _read(
    path: Path,
    kind: FileKind,
    size: tuple[int, int] | None,
    unsafe_pickle: bool,
    _version: tuple[int, int],
) -> GraphFile:
    if kind is FileKind.EXPORTED:
        from prunebench.model_files.graphs.exported_program import read_exported_program

        return read_exported_program(path, unsafe_pickle=unsafe_pickle)
    if kind is FileKind.TORCH_SCRIPT:
        from prunebench.model_files.graphs.torch_script import read_torch_script

        return read_torch_script(path, size=size)
    from prunebench.model_files.graphs.onnx_file import read_onnx

    return read_onnx(path)
