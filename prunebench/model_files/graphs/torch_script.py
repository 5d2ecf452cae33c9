"""Networks from archives of TorchScript, traced or scripted."""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from prunebench.errors import RequestError
from prunebench.input_files import find_status, spell
from prunebench.model_files.graphs.aten_graph import NAMESPACES, PATH, WITH_FILES, AtenGraph
from prunebench.model_files.graphs.aten_layers import make_network
from prunebench.model_files.graphs.graph_file import GraphFile
from prunebench.model_files.graphs.same_logits import check_logits
from prunebench.model_files.graphs.script_archive import load_script

REMEDY = (
    "give the module it was made of, or FACTORY@FILE, which builds the network and takes its "
    "weights from this file"
)
SIZES = (224, 64, 32, 96, 128, 28, 256, 299, 384, 48, 16)
"""Image sizes to try a network on, since an archive tells none."""


def read_torch_script(path: Path, *, size: tuple[int, int] | None = None) -> GraphFile:
    """Read a network that ``torch.jit.save`` wrote.

    Nothing but TorchScript's own interpreter runs what is in the archive, and no pickle is read
    by Python. Code that does more than compute is refused before, see ``script_archive.py``.

    Args:
        path: The archive.
        size: Height and width of images that it can take, if known.

    Raises:
        RequestError: It is no such archive, or the network's code branches or loops on what it is
            given.
    """
    find_status(path)
    try:
        return convert_script(load_script(path), size=size)
    except RequestError as error:
        raise RequestError(error.message, where=spell(path)) from None


def convert_script(
    script: torch.jit.ScriptModule, *, size: tuple[int, int] | None = None
) -> GraphFile:
    """Convert a TorchScript module to a network of layers, on the module's own weights.

    Raises:
        RequestError: As of ``read_torch_script``.
    """
    with _silence():
        script = script.eval()
        try:
            frozen = torch.jit.freeze(script, optimize_numerics=False)
        except RuntimeError as error:
            first = str(error).strip().partition("\n")[0]
            raise RequestError(f"cannot be frozen: {first}; {REMEDY}") from None
        reader = _ScriptReader(script)
        reader.read(frozen.graph, script._c._get_method("forward").schema)
        network = make_network(reader.found)
        example = _find_example(script, network, size)
        difference = check_logits(network, script, example, "the TorchScript module", REMEDY)
    return GraphFile(
        network,
        (f"converted from TorchScript, {reader.operators} operators; {difference}",),
        channels=example.shape[1],
    )


class _ScriptReader:
    """Reads a frozen graph, whose submodules and functions are inlined, step by step.

    Attributes:
        found: The same graph in torch.fx.
        operators: How many operators it calls.
    """

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        self.found = AtenGraph()
        self.operators = 0
        self._values: dict[str, Any] = {}
        weights = {name: nn.Parameter(w, w.requires_grad) for name, w in script.named_parameters()}
        named = [*weights.items(), *script.named_buffers()]
        self._names = {_identify(tensor): name for name, tensor in named}
        self._held = {_identify(tensor): tensor for _, tensor in named}

    def read(self, graph: Any, schema: Any) -> None:
        """Read a graph.

        Args:
            graph: Of ``forward``.
            schema: Of ``forward``, with the defaults of other inputs than images.

        Raises:
            RequestError: It has other inputs than images, or does what cannot be followed.
        """
        for name in WITH_FILES:
            if graph.findAllNodes(f"aten::{name}"):
                raise RequestError(f"calls aten::{name}, which does more than compute")
        _, *inputs = (value.debugName() for value in graph.inputs())
        _, *told = schema.arguments
        images, *others = zip(inputs, told, strict=True)
        if needed := [argument.name for _, argument in others if not argument.has_default_value()]:
            raise RequestError(f"needs {', '.join(needed)} beside images")
        self._values[images[0]] = self.found.graph.placeholder("images")
        self._values.update((name, argument.default_value) for name, argument in others)
        for node in graph.nodes():
            self._read_node(node)
        (output,) = (self._values[value.debugName()] for value in graph.outputs())
        self.found.graph.output(output)

    def _read_node(self, node: Any) -> None:
        outputs = [value.debugName() for value in node.outputs()]
        if node.kind() == "prim::If":
            self._read_check(node)
            return
        if node.kind() in ("prim::GetAttr", "prim::SetAttr"):  # others were inlined
            raise RequestError(
                f"changes {node.s('name')!r} as it runs, as in training mode; call model.eval() "
                "before it is traced or scripted"
            )
        inputs = [self._values[value.debugName()] for value in node.inputs()]
        if node.kind() == "prim::Constant":
            results = [self._read_constant(next(node.outputs()))]
        elif node.kind() in _STRUCTURES:
            results = _STRUCTURES[node.kind()](inputs, node)
        elif node.kind() in ("prim::ListUnpack", "prim::TupleUnpack"):
            results = [self._pick(inputs[0], index, node) for index in range(len(outputs))]
        elif node.kind() in ("prim::TupleIndex", "aten::__getitem__"):
            results = [self._pick(inputs[0], inputs[1], node)]
        elif node.kind() == "aten::append":
            inputs[0].append(inputs[1])
            results = inputs[:1]
        elif node.kind() in ("aten::warn", "prim::Print"):
            results = []
        else:
            results = [self._call_operator(node, inputs)]
        self._values.update(zip(outputs, results, strict=False))

    def _read_check(self, node: Any) -> None:
        """Read a branch of which one side only raises an error: the other side is taken."""
        blocks = [list(block.nodes()) for block in node.blocks()]
        raises = [any(n.kind() == "prim::RaiseException" for n in block) for block in blocks]
        if raises.count(True) != 1:
            raise RequestError(
                f"its code branches on what it is given, which cannot be followed "
                f"({_locate(node)}); {REMEDY}"
            )
        taken = list(node.blocks())[raises.index(False)]
        for inner in taken.nodes():
            self._read_node(inner)
        for outer, given in zip(node.outputs(), taken.outputs(), strict=True):
            self._values[outer.debugName()] = self._values[given.debugName()]

    def _read_constant(self, value: Any) -> Any:
        constant = value.toIValue()
        if not isinstance(constant, Tensor):
            return constant
        if constant.dim() == 0 and not constant.is_floating_point():
            return constant.item()
        key = _identify(constant)
        name = self._names.get(key, f"constant_{len(self.found.tensors)}")
        self.found.tensors.setdefault(name, self._held.get(key, constant))
        return self.found.graph.get_attr(name)

    def _call_operator(self, node: Any, inputs: list[Any]) -> Any:
        space, _, name = node.kind().partition("::")
        if name in _NUMBERS and not any(_is_tensor(value) for value in inputs):
            values = inputs[:2] if len(inputs) > 1 else inputs
            if all(isinstance(value, int | float) for value in values):
                return _NUMBERS[name](*values)
            return _as_number(self._call(_NUMBERS[name], tuple(values), node))
        if space not in NAMESPACES or not node.schema() or node.schema() == "(no schema)":
            raise RequestError(f"its code uses {node.kind()} ({_locate(node)}); {REMEDY}")
        schema = torch._C.parse_schema(node.schema())
        packet = getattr(getattr(torch.ops, space), name)
        call = getattr(packet, schema.overload_name or "default")
        given = zip(schema.arguments, inputs, strict=True)
        args = [value for argument, value in given if not argument.kwarg_only]
        named = {a.name: v for a, v in zip(schema.arguments, inputs, strict=True) if a.kwarg_only}
        self.operators += 1
        result = self._call(call, tuple(_copy_lists(args)), node, named)
        return _as_number(result) if name in ("size", "len", "dim") else result

    def _pick(self, parts: Any, index: Any, node: Any) -> Any:
        if not isinstance(parts, fx.Node):
            return parts[index]
        part = self._call(operator.getitem, (parts, index), node)
        return part if _is_tensor(parts) else _as_number(part)

    def _call(
        self, call: Callable[..., Any], args: tuple[Any, ...], node: Any, named: Any = None
    ) -> fx.Node:
        made = self.found.graph.call_function(call, args, named or {})
        made.meta[PATH] = _find_path(node)
        return made


def _as_number(node: fx.Node) -> fx.Node:
    node.meta["number"] = True
    return node


def _is_tensor(value: Any) -> bool:
    return isinstance(value, fx.Node) and not value.meta.get("number")


def _copy_lists(values: Iterable[Any]) -> list[Any]:
    # Code may append to its list later.
    return [list(value) if isinstance(value, list) else value for value in values]


def _identify(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride()


def _find_path(node: Any) -> str:
    """Return the name of the module whose code makes a call: ``layer1(Sequential).0(Block)``."""
    found = []
    for part in re.sub(r"\([^()]*\)", "", node.getModuleHierarchy()).split("."):
        if part and part not in ("SELF", "UNKNOWN_INSTANCE"):
            found.append(part)
    return ".".join(found)


def _locate(node: Any) -> str:
    where = re.search(r'File "[^"]*?([^"/]+)", line (\d+)', node.sourceRange())
    return f"{where[1]}:{where[2]}" if where else node.kind()


_STRUCTURES: dict[str, Callable[[list[Any], Any], list[Any]]] = {
    "prim::ListConstruct": lambda inputs, node: [list(inputs)],
    "prim::TupleConstruct": lambda inputs, node: [tuple(inputs)],
    "prim::DictConstruct": lambda inputs, node: [dict(zip(inputs[::2], inputs[1::2], strict=True))],
    "aten::format": lambda inputs, node: [""],  # of an error's message
    "prim::NumToTensor": lambda inputs, node: inputs[:1],
    "prim::unchecked_cast": lambda inputs, node: inputs[:1],
    "aten::Int": lambda inputs, node: inputs[:1],
    "aten::ScalarImplicit": lambda inputs, node: inputs[:1],
    "aten::IntImplicit": lambda inputs, node: inputs[:1],
}
"""What makes or takes apart structures, which exist while the graph is read only."""

_NUMBERS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "neg": operator.neg,
}


def _find_example(
    script: Callable[[Tensor], Any], network: nn.Module, size: tuple[int, int] | None
) -> Tensor:
    """Return images of a size that the network takes."""
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    channels = first.in_channels if first else 3
    kind = next((p.dtype for p in network.parameters()), torch.float32)
    problem = ""
    for height, width in [size] if size else [(each, each) for each in SIZES]:
        example = torch.zeros(2, channels, height, width, dtype=kind)
        try:
            with torch.no_grad():
                script(example)
        except RuntimeError as error:
            problem = problem or str(error).strip().rpartition("\n")[2]
        else:
            return example
    tried = "×".join(map(str, size)) if size else f"{SIZES[-1]} to {SIZES[1]} and 224"
    raise RequestError(f"takes no two images of {channels} channels and size {tried}: {problem}")


@contextmanager
def _silence() -> Iterator[None]:
    """Silence that torch announces the end of TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
