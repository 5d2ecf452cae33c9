"""A network cut in two at its target layer, so that what follows the layer can run alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from prunebench.cams.affine_tail import is_affine
from prunebench.cams.crossing_values import CannotCut, Crossing, classify
from prunebench.networks.classifier import Whole

TOLERANCE = {torch.float64: 1e-10}
"""Largest difference between the cut and the whole network on the same batch, as a share of the
largest logit; 1e-5 in other number formats. They run the same operations."""
OTHER_BATCH = 100
"""How much more it may be for the same images in another batch, which rounds otherwise."""


@dataclass(frozen=True)
class Cut:
    """A network in two parts, which share its layers and weights.

    Attributes:
        head: Images in; the target layer's output and whatever else the tail needs, out: values
            that do not depend on the layer (a shortcut around it), computed once.
        tail: These values in, logits out. Nothing in it but what depends on the layer's output.
        kept: For each value but the layer's output, how it belongs to the batch: its rows an
            image; a number an image; or nothing, where it is the same for every batch.
        affine: Whether the logits are an affine function of the layer's output.
    """

    head: fx.GraphModule
    tail: fx.GraphModule
    kept: tuple[Crossing, ...]
    affine: bool

    def run_head(self, images: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
        """Run the head: images B×channels×H×W in; the layer's output and other values, out."""
        output, *values = self.head(images)
        return output, tuple(values)

    def run_tail(
        self, output: Tensor, values: tuple[Any, ...], rows: Tensor | None = None
    ) -> Tensor:
        """Run the tail.

        Args:
            output: Of the target layer; left as it is.
            values: The head's other values, of the whole batch; left as they are.
            rows: Which images of the batch the output belongs to (b); all in turn by default.

        Returns:
            Logits, b×K.
        """
        count = len(output)
        chosen = [
            kind.select(value, rows, count) for kind, value in zip(self.kept, values, strict=True)
        ]
        # What follows may work in place: on copies.
        logits: Tensor = self.tail(output.clone(), *chosen)
        return logits


def cut_network(whole: nn.Module, module: nn.Module, target_layer: str, example: Tensor) -> Cut:
    """Cut a network at the last call of a layer.

    Args:
        whole: The network, in evaluation mode, to compare with.
        module: A twin of it, which is cut.
        target_layer: Name of the target layer.
        example: Images to try the cut on, at least one, channels and size as will be explained.

    Raises:
        CannotCut: torch.fx cannot follow the network's code, a value that crosses the cut is
            tied to the batch in no simple way, or the parts do not give what the whole gives.
    """
    root = Whole(module)
    graph, target = _capture(root, module.get_submodule(target_layer))
    head, tail, crossing = _divide(root, graph, target)
    # Two images that differ: a value that mixes images is then seen to.
    pair = torch.cat([example[:1], example[:1].flip(-1).mul(0.5)])
    with torch.no_grad():
        try:
            output, *both = head(pair)
            one = head(pair[:1])[1:] if both else ()
        except Exception as error:  # the graph may have frozen what depends on the batch
            raise CannotCut(f"its graph cannot be run: {error}") from None
        kept = tuple(
            classify(node.name, a, b) for node, a, b in zip(crossing, one, both, strict=True)
        )
        found = Cut(head, tail, kept, affine=False)
        _verify(found, whole, pair, output, tuple(both))
        affine = is_affine(tail, lambda varied: found.run_tail(varied, tuple(both)), output)
    return Cut(head, tail, kept, affine)


class _LayerTracer(fx.Tracer):
    """Follows the network's code but treats the target layer as one step."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self._layer = layer

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m is self._layer or super().is_leaf_module(m, module_qualified_name)


def _capture(module: Whole, layer: nn.Module) -> tuple[fx.Graph, fx.Node]:
    try:
        graph = _LayerTracer(layer).trace(module)
    except Exception as error:  # the network's code can fail under symbolic values in any way
        first = str(error).partition("\n")[0]
        raise CannotCut(f"torch.fx cannot follow its code: {first}") from None
    calls = [
        node
        for node in graph.nodes
        if node.op == "call_module" and module.get_submodule(cast(str, node.target)) is layer
    ]
    if not calls:
        raise CannotCut("the layer is not called as a module")
    return graph, calls[-1]


def _divide(
    module: nn.Module, graph: fx.Graph, target: fx.Node
) -> tuple[fx.GraphModule, fx.GraphModule, list[fx.Node]]:
    """Return both parts, and the nodes whose values cross from the first into the second."""
    dependent = {target}
    for node in graph.nodes:  # in the order of execution
        if any(needed in dependent for needed in node.all_input_nodes):
            dependent.add(node)
    if not any(node.op == "output" for node in dependent):
        raise CannotCut("the layer does not reach the logits")
    dependent.discard(target)
    crossing: dict[fx.Node, None] = {}
    for node in graph.nodes:
        if node in dependent:
            crossing |= dict.fromkeys(
                needed
                for needed in node.all_input_nodes
                if needed is not target and needed not in dependent and needed.op != "get_attr"
            )
    before = [n for n in graph.nodes if n not in dependent and n.op != "output"]
    # Every later step is kept, even one whose result nobody reads: it may work in place.
    after = [n for n in graph.nodes if n in dependent or n.op == "get_attr"]
    head, tail = fx.Graph(), fx.Graph()
    made = _copy_into(head, before, {})
    head.output(tuple(made[node] for node in (target, *crossing)))
    given = {target: tail.placeholder("target")}
    given |= {node: tail.placeholder(f"kept_{index}") for index, node in enumerate(crossing)}
    _copy_into(tail, after, given)
    tail.eliminate_dead_code(lambda node: node.op != "get_attr")
    return fx.GraphModule(module, head), fx.GraphModule(module, tail), list(crossing)


def _copy_into(
    graph: fx.Graph, nodes: list[fx.Node], copies: dict[fx.Node, fx.Node]
) -> dict[fx.Node, fx.Node]:
    """Copy steps, in their order, after what is copied already."""
    for node in nodes:
        copies[node] = graph.node_copy(node, lambda needed: copies[needed])
    return copies


def _verify(
    parts: Cut, whole: nn.Module, images: Tensor, output: Tensor, values: tuple[Any, ...]
) -> None:
    """Compare the cut with the whole network: the batch as it is, and its images in other rows."""
    rows = torch.tensor([1, 0, 1], device=images.device)
    try:
        logits = whole(images.clone())
        found = parts.run_tail(output, values), parts.run_tail(output[rows], values, rows)
    except Exception as error:  # a network that fails as a whole will say so when it is traced
        raise CannotCut(f"its parts cannot be run: {error}") from None
    if not (isinstance(logits, Tensor) and logits.dim() == 2):
        raise CannotCut("it gives no logits, B×K")
    closest = TOLERANCE.get(logits.dtype, 1e-5) * logits.abs().max().clamp(min=1e-6)
    for ours, wanted, allowed in (
        (found[0], logits, closest),
        (found[1], logits[rows], OTHER_BATCH * closest),
    ):
        if ours.shape != wanted.shape or not (ours - wanted).abs().max() <= allowed:
            raise CannotCut("its parts do not give what the whole network gives")
