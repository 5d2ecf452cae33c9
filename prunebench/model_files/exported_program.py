"""Networks from archives of ``torch.export``, ``.pt2``."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from prunebench.errors import RequestError
from prunebench.input_files import find_status, spell
from prunebench.model_files.aten_graph import PATH, AtenGraph, free_batch
from prunebench.model_files.aten_layers import make_network
from prunebench.model_files.graph_file import GraphFile
from prunebench.model_files.same_logits import check_logits

UNSAFE = "unsafe_pickle"
TARGETS = re.compile(
    r"torch\.ops\.(aten|prims|torchvision|quantized_decomposed)\.\w+\.\w+"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge)"
    r"|torch\.sym_(int|max|min|not)"
)
"""What a graph may call: operators that compute, and arithmetic of sizes."""
EXPRESSIONS = re.compile(
    r"(Symbol|Max|Min|FloorDiv|CeilDiv|Mod|PythonMod|CleanDiv|Eq|Ne|Lt|Le|Gt|Ge|Integer|int_oo"
    r"|positive|integer|nonnegative|True|False|s\d+|u\d+|\d+|[-+*/(),=' <>])*"
)
"""Sizes in terms of others, which sympy evaluates as Python."""


def read_exported_program(path: Path, *, unsafe_pickle: bool = False) -> GraphFile:
    """Read a network that ``torch.export.save`` wrote.

    ``torch.export.load`` can run a stranger's code: it unpickles example inputs, constants and
    weights of unusual kinds, evaluates sizes as Python, looks functions up by name and loads
    compiled libraries. So an archive is first seen through: what is pickled must load as tensors
    alone, sizes must be arithmetic, and functions operators of PyTorch.

    Args:
        path: The archive.
        unsafe_pickle: Load it whatever it holds.

    Raises:
        RequestError: It is no such archive, holds what could run code, was exported in training
            mode or for one size of batches, or works otherwise than images in, logits out.
    """
    find_status(path)
    with _naming(path), _silence():
        if not unsafe_pickle:
            _check_archive(path)
        try:
            program = torch.export.load(path)
        except Exception as error:  # a damaged archive can fail in any way
            raise RequestError(_describe_failure(error)) from None
        return convert_program(program)


def convert_program(program: ExportedProgram) -> GraphFile:
    """Convert an exported program to a network of layers, on the program's own weights.

    Raises:
        RequestError: As of ``read_exported_program``.
    """
    flat = program.module(check_guards=False)
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


REMEDY = 'export it with dynamic_shapes=({0: torch.export.Dim("batch")},)'


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


# --- what is in the archive ---


def _check_archive(path: Path) -> None:
    """Refuse an archive that ``torch.export.load`` could run code of."""
    try:
        reader = torch._C.PyTorchFileReader(str(path))
        names = reader.get_all_records()
        kind = reader.get_record("archive_format") if "archive_format" in names else b""
    except RuntimeError as error:
        raise RequestError(_describe_failure(error)) from None
    if kind != b"pt2":
        raise RequestError(
            "is no archive of torch.export.save, or one of torch 2.7 or earlier; export the "
            "network again, or, if you trust the file, allow unsafe pickles"
        )
    for name in names:
        if name.startswith("data/aotinductor/"):
            raise RequestError("holds compiled code; give the archive of torch.export.save")
        content = reader.get_record(name) if name.endswith((".json", ".pt")) else b""
        if name.endswith(".pt"):
            _check_pickle(name, content)
        elif name.endswith(".json"):
            try:
                _check_told(json.loads(content))
            except (ValueError, RecursionError):
                raise RequestError(f"is damaged: {name} is no JSON") from None


def _check_pickle(name: str, content: bytes) -> None:
    try:
        torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except Exception:
        raise RequestError(f"holds a pickle, {name}, that {TRUST}") from None


TRUST = "could run code; if you trust the file, allow unsafe pickles"


def _check_told(told: Any, key: str = "") -> None:
    """Look at every text that the archive tells, by the key that it stands under."""
    if isinstance(told, dict):
        if told.get("use_pickle"):
            raise RequestError(f"holds a pickled tensor, which {TRUST}")
        for each, value in told.items():
            _check_told(value, each)
    elif isinstance(told, list):
        for value in told:
            _check_told(value, key)
    elif isinstance(told, str):
        pattern = {"target": TARGETS, "expr_str": EXPRESSIONS}.get(key)
        if pattern and not pattern.fullmatch(told):
            raise RequestError(f"holds {told[:80]!r}, which {TRUST}")


def _describe_failure(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"cannot be loaded by torch {torch.__version__}: {first or type(error).__name__}"


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say in every refusal which file is meant."""
    try:
        yield
    except RequestError as error:
        raise RequestError(error.message, where=spell(path)) from None


@contextmanager
def _silence() -> Iterator[None]:
    """Silence what torch logs of archives, which a refusal tells."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
