"""What ``torch_pruning.state_dict`` gives: every layer's tensors, sizes and other attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from prunebench.errors import RequestError
from prunebench.model_files.layer_sizes import Attributes, find_sizes

PARTS = {"full_state_dict", "attributions"}


def is_torch_pruning(content: Any) -> bool:
    """Tell whether this is what ``torch_pruning.state_dict`` gives."""
    return isinstance(content, Mapping) and set(content) == PARTS


def read_torch_pruning(
    content: Mapping[str, Any], where: str
) -> tuple[dict[str, Tensor], Attributes]:
    """Read a state dict, and by layer its sizes.

    Args:
        content: Of the file.
        where: The file, for messages.

    Raises:
        RequestError: It is not as Torch-Pruning writes it.
    """
    layers, attributes = (content[part] for part in ("full_state_dict", "attributions"))
    state: dict[str, Tensor] = {}
    try:
        for name, layer in layers.items():
            left_out = layer.get("_non_persistent_buffers_set", ())
            tensors = layer["_parameters"] | layer["_buffers"]
            for key, tensor in tensors.items():
                if torch.is_tensor(tensor) and key not in left_out:
                    state[f"{name}.{key}".removeprefix(".")] = tensor.detach()
        sizes = {name: find_sizes(own) for name, own in attributes.items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise RequestError(
            f"is not as torch_pruning.state_dict writes it ({type(error).__name__}: {error})",
            where=where,
        ) from None
    if not state:
        raise RequestError("holds no state dict (names and tensors)", where=where)
    return state, sizes
