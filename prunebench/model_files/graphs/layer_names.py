"""Names of layers in a converted network: those that they had before it was exported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from torch import fx, nn
from torch._ops import OpOverload

from prunebench.model_files.graphs.aten_graph import NAME, PATH, name_operator
from prunebench.model_files.graphs.safe_names import make_safe

TENSOR = "tensor"
"""Key in a node's ``meta``: whether it gives one tensor."""


@dataclass(frozen=True)
class LayerNames:
    """Which modules of the exported network had parts: others within, or several operators."""

    containers: frozenset[str]

    def choose(self, node: fx.Node, layer: nn.Module, layers: dict[str, nn.Module]) -> str:
        """Choose a layer's name and note the layer under it.

        A module that ran twice is one layer, called twice, as it was.

        Args:
            node: The call of the operator that the layer was.
            layer: The layer.
            layers: Layers by name, to which this one is added.
        """
        path = str(node.meta.get(NAME) or node.meta.get(PATH, ""))
        if path and path not in self.containers:
            if path not in layers or _are_alike(layers[path], layer):
                return self._note(path, layer, layers)
            stem = path
        else:
            kind = name_operator(node).strip("_").removeprefix("native_")
            stem = f"{path}.{kind}" if path else kind
        name, count = stem, 0
        while name in layers or name in self.containers:
            count += 1
            name = f"{stem}_{count}"
        return self._note(name, layer, layers)

    def _note(self, name: str, layer: nn.Module, layers: dict[str, nn.Module]) -> str:
        layers.setdefault(name, layer)
        return name

    def mark(self, graph: fx.Graph, layers: dict[str, nn.Module]) -> None:
        """Let the output of each module with parts pass through an ``nn.Identity`` of its name.

        Args:
            graph: The graph, in which calls are inserted.
            layers: Layers by name, to which these are added.
        """
        # The innermost first: the outer one then marks what the inner one gave.
        for name in sorted(self.containers, key=lambda each: each.count("."), reverse=True):
            for run in _find_runs(graph, name):
                if (output := _find_output(run)) is None:
                    continue
                layers.setdefault(name, nn.Identity())
                outside = [user for user in output.users if user not in run]
                with graph.inserting_after(next(reversed(run))):
                    mark = graph.call_module(name, (output,))
                mark.meta = {PATH: name, TENSOR: True}
                for user in outside:
                    user.replace_input_with(output, mark)


def name_layers(graph: fx.Graph) -> LayerNames:
    """Find out which modules had parts, by the names that calls carry, which are made safe."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for node in graph.nodes:
        for key in {PATH, NAME} & node.meta.keys():
            node.meta[key] = make_safe(str(node.meta[key]))
        if node.op == "call_function":
            node.meta[TENSOR] = _gives_tensor(node)
            kinds[str(node.meta.get(PATH, ""))].add(name_operator(node))
    several = {path for path, found in kinds.items() if path and len(found) > 1}
    above = {container for path in kinds for container in _list_containers(path)}
    return LayerNames(frozenset(several | above))


def _list_containers(path: str) -> Iterator[str]:
    while path := path.rpartition(".")[0]:
        yield path


def _find_runs(graph: fx.Graph, container: str) -> list[dict[fx.Node, None]]:
    """Find the stretches of a graph that are one run of a module's code each."""

    def is_within(node: fx.Node) -> bool:
        return f"{node.meta.get(PATH, '')}.".startswith(f"{container}.")

    calls = (node for node in graph.nodes if node.op not in ("get_attr", "placeholder"))
    return [dict.fromkeys(nodes) for within, nodes in groupby(calls, is_within) if within]


def _find_output(run: dict[fx.Node, None]) -> fx.Node | None:
    """Return the one tensor that a module gave; None where it gave none or several."""
    given = [node for node in run if any(user not in run for user in node.users)]
    return given[0] if len(given) == 1 and given[0].meta.get(TENSOR) else None


def _gives_tensor(node: fx.Node) -> bool:
    """Tell whether an operator gives one tensor."""
    if not isinstance(node.target, OpOverload):
        return False
    returned = node.target._schema.returns
    return len(returned) == 1 and str(returned[0].type) == "Tensor"


def _are_alike(one: nn.Module, other: nn.Module) -> bool:
    """Tell whether two layers compute the same, from the same tensors."""
    held = [
        {name: id(tensor) for name, tensor in {**layer._parameters, **layer._buffers}.items()}
        for layer in (one, other)
    ]
    for tensors in held:
        tensors.pop("num_batches_tracked", None)
    return held[0] == held[1] and repr(one) == repr(other)
