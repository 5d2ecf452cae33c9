"""Names of models: ``FACTORY[@WEIGHTS]``, or a file that holds a whole network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from prunebench.errors import RequestError
from prunebench.input_files import is_file

TORCH = frozenset({".bin", ".ckpt", ".jit", ".pkl", ".pt", ".pth", ".tar", ".th", ".ts"})
SUFFIXES = TORCH | {".onnx", ".pt2", ".safetensors", ".torchscript"}
"""Of files that are taken for networks, whether they are there or not."""


class ModelText(NamedTuple):
    """A model as it is asked for.

    Attributes:
        factory: A model plugin's name, ``torchvision/NAME`` or ``file.py:function``; empty where a
            file holds the whole network.
        file: The file of the weights, or of the network; None where the factory brings its own.
        part: Which of several networks in the file, as in ``file.pt#model_ema``; or empty.
    """

    factory: str
    file: Path | None = None
    part: str = ""


def parse_model(text: str) -> ModelText:
    """Split ``FACTORY[@WEIGHTS[#PART]]`` or ``FILE[#PART]``.

    Args:
        text: A model plugin's name, ``torchvision/NAME`` or ``file.py:function``; and, after an
            ``@``, the file of its weights. Or a file, or a folder as the hub's libraries save it.

    Raises:
        RequestError: There is nothing before or after the ``@``.

    Example:
        >>> parse_model("torchvision/resnet18@pruned.pt#model_ema")
        ModelText(factory='torchvision/resnet18', file=PosixPath('pruned.pt'), part='model_ema')
        >>> parse_model("pruned.onnx")
        ModelText(factory='', file=PosixPath('pruned.onnx'), part='')
    """
    # The folders of file.py may hold an @ of their own, the name of a plugin or function may not.
    parts = re.fullmatch(r"(.*?\.py:\w+|[^@]+)(?:@(.+))?", text.strip())
    if not text.strip().startswith("@") and _is_network_file(text.strip()):
        return ModelText("", *_split_part(text.strip()))
    if parts is None:
        raise RequestError(
            f"cannot read the model {text!r}; expected FACTORY[@WEIGHTS], where FACTORY is a model "
            "plugin's name, torchvision/NAME or file.py:function; or a file that holds a network"
        )
    factory, weights = parts.groups()
    if factory.endswith(".py"):
        raise RequestError(
            f"{factory!r} is a file of Python, which may build many networks; give "
            f"{factory}:FUNCTION, a function that returns one"
        )
    return ModelText(factory, *_split_part(weights)) if weights else ModelText(factory)


def _is_network_file(text: str) -> bool:
    path, _ = _split_part(text)
    if re.search(r"\.py:\w+", text):
        return False
    if "@" in text:  # of a plugin and its weights, unless the whole is a file's name
        return is_file(path)
    return path.suffix.lower() in SUFFIXES or is_file(path / "config.json")


def _split_part(text: str) -> tuple[Path, str]:
    """Split ``FILE#PART``; a file whose own name holds a # is that file."""
    before, found, part = text.rpartition("#")
    return (Path(text), "") if not found or is_file(Path(text)) else (Path(before), part)
