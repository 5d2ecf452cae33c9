"""Kinds of network files, told by their content."""

from __future__ import annotations

import zipfile
from enum import Enum
from pathlib import Path

from prunebench.errors import RequestError
from prunebench.input_files import is_file, spell


class FileKind(Enum):
    """Kinds of network files."""

    SAFETENSORS = "safetensors"
    TORCH = "torch.save"
    TORCH_SCRIPT = "TorchScript"
    EXPORTED = "torch.export"
    ONNX = "ONNX"


def recognise(path: Path) -> FileKind:
    """Recognise the kind of a network file.

    Torch writes three kinds as zip archives, with any suffix; they differ by what is in them.

    Raises:
        RequestError: There is no such file.
    """
    if not is_file(path):
        raise RequestError("no such file", where=spell(path))
    if path.suffix.lower() == ".safetensors":
        return FileKind.SAFETENSORS
    if path.suffix.lower() == ".onnx":
        return FileKind.ONNX
    # Beneath the archive's own name.
    names = {name.partition("/")[2] for name in _list_archive(path)}
    if "archive_format" in names or any(n.startswith("models/") for n in names):
        return FileKind.EXPORTED
    if "constants.pkl" in names or any(n.startswith("code/") for n in names):
        return FileKind.TORCH_SCRIPT
    return FileKind.TORCH


def _list_archive(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return []
