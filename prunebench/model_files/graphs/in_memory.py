"""Graphs that a Python program holds, as networks of layers."""

from __future__ import annotations

from typing import Any

import torch

from prunebench.errors import RequestError


def to_layers(network: Any, name: str, size: tuple[int, int]) -> Any:
    """Convert an exported program or a TorchScript module; give back anything else as it is.

    Args:
        network: The network.
        name: What a message calls it: ``baseline`` or ``pruned``.
        size: Height and width of its images.

    Raises:
        RequestError: It cannot be turned into layers.
    """
    try:
        if isinstance(network, torch.export.ExportedProgram):
            from prunebench.model_files.graphs.exported_program import convert_program

            return convert_program(network).module
        if isinstance(network, torch.jit.ScriptModule):
            from prunebench.model_files.graphs.torch_script import convert_script

            return convert_script(network, size=size).module
    except RequestError as error:
        raise RequestError(error.message, where=f"{name} network") from error.__cause__
    return network
