"""Networks from archives of ``torch.export``, ``.pt2``."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.pt2_archive._package import load_pt2

from prunebench.errors import RequestError
from prunebench.input_files import find_status
from prunebench.model_files.graphs.archive_check import check_archive, describe_failure
from prunebench.model_files.graphs.aten_graph import PATH, AtenGraph, free_batch
from prunebench.model_files.graphs.aten_layers import make_network
from prunebench.model_files.graphs.graph_file import GraphFile, naming
from prunebench.model_files.graphs.same_logits import check_logits
from prunebench.networks.onnx_export import silence

REMEDY = 'export it with dynamic_shapes=({0: torch.export.Dim("batch")},)'


def read_exported_program(path: Path, *, unsafe_pickle: bool = False) -> GraphFile:
    """Read a network that ``torch.export.save`` wrote.

    ``torch.export.load`` can run a stranger's code, so that the archive is looked through first,
    see ``archive_check.py``.

    Args:
        path: The archive.
        unsafe_pickle: Load it whatever it holds.

    Raises:
        RequestError: It is no such archive, holds what could run code, was exported in training
            mode or for one size of batches, or works otherwise than images in, logits out.
    """
    find_status(path)
    with naming(path), silence(logging.ERROR):  # which a refusal tells
        if not unsafe_pickle:
            check_archive(path)
        try:
            # Not torch.export.load, which looks into what fails in a second way.
            program = torch.export.load(path) if unsafe_pickle else load_pt2(str(path))
            found = getattr(program, "exported_programs", {"model": program})["model"]
        except Exception as error:  # a damaged archive can fail in any way
            raise RequestError(describe_failure(error)) from None
        return convert_program(found)


def convert_program(program: ExportedProgram) -> GraphFile:
    """Convert an exported program to a network of layers, on the program's own weights.

    Raises:
        RequestError: As of ``read_exported_program``.
    """
    try:
        flat = program.module(check_guards=False)
    except Exception as error:  # a damaged archive can fail in any way
        raise RequestError(describe_failure(error)) from None
    example, batch = _find_example(flat)
    source = _read_graph(flat)
    if batch:
        free_batch(source.graph, batch)
    network = make_network(source)
    difference = check_logits(network, flat, example, "the exported program", REMEDY)
    operators = sum(node.op == "call_function" for node in flat.graph.nodes)
    return GraphFile(
        network,
        (f"converted from torch.export, {operators} operators; {difference}",),
        input_size=(example.shape[2], example.shape[3]),
        channels=example.shape[1],
    )


def _read_graph(flat: fx.GraphModule) -> AtenGraph:
    """Copy a program's graph, with the names of its modules."""
    found = AtenGraph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in flat.graph.nodes:
        if node.op == "call_module" or (node.op == "call_function" and node.target is None):
            raise RequestError(f"calls {node.target!r}, which is no operator")
        copies[node] = copy = found.graph.node_copy(node, lambda needed: copies[needed])
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        copy.meta = {PATH: _clean_path(stack[-1][0])} if stack else {}
        if node.op == "get_attr":
            found.tensors[str(node.target)] = _get_tensor(flat, str(node.target))
        elif node.op == "output":
            copy.args = (_unwrap(copy.args[0]),)
    return found


def _clean_path(path: str) -> str:
    return re.sub(r"@\d+", "", path.removeprefix("L['self'].").removeprefix("L__self__"))


def _get_tensor(flat: nn.Module, target: str) -> Tensor:
    parent, _, name = target.rpartition(".")
    found = getattr(flat.get_submodule(parent), name)
    if not isinstance(found, Tensor):
        raise RequestError(f"holds {target!r}, a {type(found).__name__} instead of a tensor")
    return found


def _unwrap(output: Any) -> Any:
    return output[0] if isinstance(output, tuple | list) and len(output) == 1 else output


def _find_example(flat: fx.GraphModule) -> tuple[Tensor, int | None]:
    """Return images as the program was exported for, and the size of batches if it is fixed."""
    inputs = [node for node in flat.graph.nodes if node.op == "placeholder"]
    value = inputs[0].meta.get("val") if len(inputs) == 1 else None
    if not (isinstance(value, Tensor) and value.dim() == 4):
        raise RequestError(f"takes {len(inputs)} inputs; expected images alone, B×C×H×W")
    batch = value.shape[0] if isinstance(value.shape[0], int) else None
    sizes = (int(size) for size in value.shape[1:])
    return torch.zeros(batch or 2, *sizes, dtype=value.dtype), batch
