"""One operator of an ONNX file, with what it is given, as it is written in PyTorch's operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.fx.proxy import GraphAppendingTracer

from prunebench.errors import RequestError
from prunebench.model_files.graphs.aten_graph import NAME, PATH, AtenGraph

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Constant:
    """Numbers that are known before the network runs, and sizes, which torch.fx writes down.

    Attributes:
        array: The numbers; of the type object where sizes that depend on the images are among
            them, as ``fx.Proxy``.
        name: In the file; empty for what was computed.
    """

    array: Array
    name: str = ""


Value = fx.Node | Constant
"""What an operator takes and gives: a tensor of the running network, or numbers known before."""


@dataclass
class OnnxValues:
    """The graph that is made of an ONNX file, as far as it was read.

    Attributes:
        found: The graph of PyTorch's operators.
        shapes: Sizes of the file's values, as far as they are told; None for one that is not.
        opset: Version of ONNX's operators.
        uses: How many operators read a value.
        values: Of the file, by name.
    """

    shapes: dict[str, list[int | None]]
    opset: int
    uses: dict[str, int]
    found: AtenGraph = field(default_factory=AtenGraph)
    values: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tracer = GraphAppendingTracer(self.found.graph)

    def hold(self, constant: Constant) -> fx.Node:
        """Hold numbers as a tensor of the network."""
        name = constant.name or f"constant_{len(self.found.tensors)}"
        if name not in self.found.tensors:
            tensor = torch.from_numpy(np.array(constant.array))
            learnt = tensor.is_floating_point() and tensor.numel() > 1
            self.found.tensors[name] = nn.Parameter(tensor) if learnt else tensor
        return self.found.graph.get_attr(name)


@dataclass(frozen=True)
class OnnxStep:
    """One operator of the file.

    Attributes:
        kind: Its name in ONNX.
        inputs: What it is given; None where an optional one is left out.
        names: Of the inputs in the file.
        settings: Its attributes.
        path: Name of the module that it was, as far as the file tells.
        name: Name of the layer that it was, as far as its weights tell.
        within: The graph that it is written into.
    """

    kind: str
    inputs: Sequence[Value | None]
    names: Sequence[str]
    settings: dict[str, Any]
    path: str
    name: str
    within: OnnxValues

    def has(self, index: int) -> bool:
        """Tell whether an optional input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def setting(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return self.settings.get(name, default)

    def tensor(self, index: int) -> Any:
        """Return an input as the graph's node, or as a number that the graph computes."""
        value = self.inputs[index] if self.has(index) else None
        if value is None:
            return None
        if isinstance(value, fx.Node):
            return value
        if value.array.dtype == object:
            (number,) = to_sizes(value.array.reshape(-1))
            return number
        return self.within.hold(value)

    def constant(self, index: int) -> Array:
        """Return an input that has to be known before the network runs.

        Raises:
            RequestError: It is computed.
        """
        value = self.inputs[index]
        if not isinstance(value, Constant):
            raise self.refuse(f"computes {self.names[index]!r}, which has to be constant")
        return value.array

    def sizes(self, index: int) -> list[Any]:
        """Return an input of sizes, axes or positions: whole numbers or nodes."""
        return to_sizes(self.constant(index).reshape(-1))

    def axes(self, default: Any = None) -> Any:
        """Return axes, which older versions of an operator have as an attribute."""
        return self.sizes(1) if self.has(1) else self.setting("axes", default)

    def rank(self, index: int = 0) -> int:
        """Return the number of dimensions of an input.

        Raises:
            RequestError: The file does not tell.
        """
        return len(self.shape(index))

    def shape(self, index: int = 0) -> list[int | None]:
        """Return the sizes of an input, as far as the file tells them."""
        value = self.inputs[index]
        if isinstance(value, Constant):
            return list(value.array.shape)
        if self.names[index] not in self.within.shapes:
            raise self.refuse(f"has an input {self.names[index]!r} of unknown shape")
        return self.within.shapes[self.names[index]]

    def call(self, operator: Callable[..., Any], *args: Any, **named: Any) -> fx.Node:
        """Write a call of an operator of PyTorch into the graph."""
        node = self.within.found.graph.call_function(operator, args, named)
        node.meta[PATH] = self.path
        if self.name:
            node.meta[NAME] = self.name
        return node

    def measure(self, node: fx.Node, axis: int) -> fx.Proxy:
        """Write down that a tensor's size is read as the network runs."""
        return fx.Proxy(self.call(torch.ops.aten.sym_size.int, node, axis), self.within.tracer)

    def refuse(self, problem: str) -> RequestError:
        """Make a refusal that names the operator."""
        where = f" ({self.path or self.name})" if self.path or self.name else ""
        return RequestError(f"cannot be converted: {self.kind}{where} {problem}")


def make_constant(found: Any) -> Constant:
    """Make a constant of numbers, or of sizes that torch.fx writes down.

    Args:
        found: An array, a number, or one size.
    """
    if isinstance(found, fx.Proxy):
        array = np.empty((), dtype=object)
        array[()] = found
        return Constant(array)
    array = np.asarray(found)
    known = array.dtype == object and not any(isinstance(n, fx.Proxy) for n in array.flat)
    return Constant(array.astype(np.int64) if known else array)


def to_sizes(array: Any) -> list[Any]:
    """Return whole numbers and nodes, which the arguments of operators may hold."""
    return [each.node if isinstance(each, fx.Proxy) else int(each) for each in array]
