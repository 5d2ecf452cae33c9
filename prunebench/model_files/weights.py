"""Weights from files of every kind, and what the files tell of the layers they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.input_files import spell
from prunebench.model_files.file_kinds import FileKind, recognise
from prunebench.model_files.found_networks import find_network
from prunebench.model_files.layer_sizes import Attributes, list_sizes
from prunebench.model_files.saved_masks import apply_saved_masks
from prunebench.model_files.torch_file import read_torch_file
from prunebench.model_files.torch_pruning_file import is_torch_pruning, read_torch_pruning
from prunebench.networks.network import make_masks_permanent
from prunebench.networks.wrappers import unwrap


@dataclass(frozen=True)
class SavedWeights:
    """What a file holds of a network.

    Attributes:
        state: Tensors by name; masks of torch.nn.utils.prune are applied.
        attributes: Sizes of layers, where the file tells them; or empty.
        module: The whole network, where the file holds one.
    """

    state: dict[str, Tensor]
    attributes: Attributes = field(default_factory=dict)
    module: nn.Module | None = None


def read_weights(path: Path, *, unsafe_pickle: bool = False) -> dict[str, Tensor]:
    """Read a state dict from a file; see ``read_network``."""
    return read_network(path, unsafe_pickle=unsafe_pickle).state


def read_network(path: Path, part: str = "", *, unsafe_pickle: bool = False) -> SavedWeights:
    """Read the weights in a file, without running what is in it.

    Safetensors, what torch.save wrote (a state dict in any wrapper, a whole module, what
    ``torch_pruning.state_dict`` gives) and TorchScript, whose names are those of the module it was
    made of.

    Args:
        path: The file.
        part: Which network, where the file holds several.
        unsafe_pickle: Read whole pickles too, which can run any code: only for files you made.

    Raises:
        RequestError: The file is missing, unreadable, holds no weights, or several networks.
    """
    where = spell(path)
    kind = recognise(path)
    if kind is FileKind.SAFETENSORS:
        found = find_network(_read_safetensors(path), part, where)
    elif kind is FileKind.TORCH:
        content = read_torch_file(path, unsafe_pickle=unsafe_pickle)
        if is_torch_pruning(content):
            return SavedWeights(*read_torch_pruning(content, where))
        found = find_network(content, part, where)
    elif kind is FileKind.TORCH_SCRIPT:
        check_part(part, where)
        found = dict(_read_torch_script(path).state_dict())
    else:
        raise RequestError(
            f"is a whole network ({kind.value}), which is no file of weights; give it alone, "
            f"without a factory before it: {path.name}",
            where=where,
        )
    if isinstance(found, nn.Module):
        found = unwrap(found)
        make_masks_permanent(found)
        return SavedWeights(_check(found.state_dict(), where), list_sizes(found), found)
    return SavedWeights(apply_saved_masks(_strip_parallel(_check(found, where)), where))


def check_part(part: str, where: str) -> None:
    """Refuse a part of a file that holds one network.

    Raises:
        RequestError: A part is asked for.
    """
    if part:
        raise RequestError(f"holds one network; give it without #{part}", where=where)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:
        raise RequestError(
            f"cannot be read as weights ({type(error).__name__}); expected safetensors",
            where=spell(path),
        ) from error


def _read_torch_script(path: Path) -> nn.Module:
    from prunebench.model_files.graphs.script_archive import load_script

    try:
        return load_script(path)
    except RequestError as error:
        raise RequestError(error.message, where=spell(path)) from None


def _check(state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Check that a state dict is one of plain numbers."""
    if not state:
        raise RequestError("holds no state dict (names and tensors)", where=where)
    for name, tensor in state.items():
        if kind := _find_strange(tensor):
            raise RequestError(f"{name!r} is {kind}; expected plain real numbers", where=where)
    return state


def _find_strange(tensor: Tensor) -> str | None:
    """Say what a tensor is that cannot be loaded as numbers; None if it can."""
    if not torch.is_tensor(tensor):
        return f"a {type(tensor).__name__}"
    if tensor.is_meta:
        return "a meta tensor, without numbers"
    if tensor.layout != torch.strided:
        return "sparse (call to_dense)"
    if tensor.is_quantized:
        return "quantised (call dequantize, or give the whole network: TorchScript or a module)"
    return "complex" if tensor.is_complex() else None


def _strip_parallel(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off what torch.compile and DataParallel put before names."""
    plain = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items()}
    if all(name.startswith("module.") for name in plain):
        plain = {name.removeprefix("module."): tensor for name, tensor in plain.items()}
    return plain
