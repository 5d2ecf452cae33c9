"""The channels that can be removed from a network, tried on the network itself.

A dependency graph takes what it does not know for something that keeps channels apart and in
order. So channels are marked (see ``marks.py``): each must be read where the graph says, and when
some are gone, every layer must still read all others, in their order.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from prunebench.errors import RequestError
from prunebench.pruners.filters.channel_budget import ChannelBudget
from prunebench.pruners.filters.coupling import (
    Channel,
    Coupling,
    Side,
    count_channels,
    cut_out,
    find_couplings,
    list_channels,
    trace,
)
from prunebench.pruners.filters.marks import FAULTS, make_marks, read_marks

logger = logging.getLogger(__name__)

MISREAD = "they are mixed with others, or read elsewhere than the dependency graph says"


def find_channels(
    module: nn.Module,
    graph: Any,
    importance: Callable[[Any], Tensor | None],
    fixed: Collection[str],
    whole_groups: bool = False,
) -> list[Channel]:
    """List every channel that can be removed from a network.

    Args:
        module: The network.
        graph: Its dependency graph.
        importance: One of ``torch_pruning.importance``, or a function like them: a group in, a
            score for each of its channels out, or None where the group must stay.
        whole_groups: Whether it sees the whole group: the filters that are coupled, their
            normalisation and the weights that read them. By default, the coupled filters alone.
        fixed: Names of layers whose output channels must stay. The layers whose channels are the
            network's outputs always stay, and those of ``find_whole_layers``.

    Raises:
        RequestError: There is no layer of a fixed name.
    """
    whole = find_whole_layers(module, graph, fixed)
    return [
        channel
        for coupling in find_couplings(module, graph, fixed)
        if coupling.layer not in whole
        for channel in list_channels(coupling, importance, whole_groups)
    ]


def find_removable_layers(
    module: nn.Module, example: Tensor, fixed: Collection[str] = ()
) -> tuple[str, ...]:
    """Find the layers that can lose channels; networks of one design are tried once a process.

    Raises:
        RequestError: There is none, no layer of a fixed name, or the network cannot be followed.
    """
    found = _try_design(module, example, fixed, lambda: trace(module, example))
    if not found.removable:
        whole = found.whole
        reasons = "; ".join(f"of {name!r}, {reason}" for name, reason in islice(whole.items(), 3))
        raise RequestError(
            f"no layer's channels may be removed from {type(module).__name__}"
            f"{f' ({reasons})' if whole else ''}; masks, such as `l1-unstructured`, need none to go"
        )
    return found.removable


def find_whole_layers(module: nn.Module, graph: Any, fixed: Collection[str] = ()) -> dict[str, str]:
    """Find the layers that cannot lose channels although the dependency graph says so.

    Networks of one design are tried once a process, and then told to the log.

    Args:
        module: The network.
        graph: Its dependency graph.
        fixed: As for ``find_channels``.

    Returns:
        By name of the layer, why it stays whole.
    """
    return _try_design(module, graph.example, fixed, lambda: graph).whole


class _TriedDesign(NamedTuple):
    removable: tuple[str, ...]
    whole: dict[str, str]


_tried: dict[tuple[object, ...], _TriedDesign] = {}


def _try_design(
    module: nn.Module, example: Tensor, fixed: Collection[str], find_graph: Callable[[], Any]
) -> _TriedDesign:
    key = (_describe_design(module), example.shape, frozenset(fixed))
    if key not in _tried:
        graph = find_graph()
        marked, couplings = _mark(module, graph), find_couplings(module, graph, fixed)
        whole = dict.fromkeys(sorted(marked.find_misread()), MISREAD)
        whole |= _find_needed(module, marked, [c for c in couplings if c.layer not in whole])
        for reason in dict.fromkeys(whole.values()):
            named = ", ".join(name for name in whole if whole[name] == reason)
            logger.warning("all channels stay of %s: %s", named, reason)
        removable = tuple(each.layer for each in couplings if each.layer not in whole)
        _tried[key] = _TriedDesign(removable, whole)
    return _tried[key]


def _describe_design(module: nn.Module) -> tuple[object, ...]:
    """Describe all that a network's code may depend on, but for the numbers in its tensors."""
    of_all = nn.Module().__dict__.keys() - {"training"}  # tensors, layers and hooks
    shapes = [(name, tensor.shape) for name, tensor in module.state_dict().items()]
    options = [
        (name, type(layer), repr({k: v for k, v in vars(layer).items() if k not in of_all}))
        for name, layer in module.named_modules()
    ]
    return (*shapes, *options)


def _find_needed(
    module: nn.Module, marked: _MarkedNetwork, couplings: Sequence[Coupling]
) -> dict[str, str]:
    """Find those without a channel of which the network does not run, or reads others wrongly."""
    if not couplings:
        return {}
    firsts = [next(list_channels(each, _score_equally), None) for each in couplings]
    sizes = {side: size for each in couplings for side, size in marked.sizes_of(each)}
    budget = ChannelBudget(sizes, {side.layer: (0.0, 1.0) for side in sizes})
    chosen = budget.take_all(each for each in firsts if each)
    working = copy.deepcopy(module)
    try:
        _cut_and_compare(working, trace(working, marked.example), chosen, marked)
    except RequestError as error:
        if len(couplings) == 1:
            return {couplings[0].layer: error.message}
        half = len(couplings) // 2
        parts = (couplings[:half], couplings[half:])
        return {k: v for part in parts for k, v in _find_needed(module, marked, part).items()}
    return {}


def _score_equally(group: Any) -> Tensor:
    return Tensor([0.0] * len(group[0].idxs))


def cut_and_compare(module: nn.Module, graph: Any, channels: Collection[Channel]) -> None:
    """Remove channels, physically and in place, and look whether all others are read as before.

    Raises:
        RequestError: They are not, or the network does not run without these channels.
    """
    _cut_and_compare(module, graph, channels, _mark(module, graph))


def _cut_and_compare(
    module: nn.Module, graph: Any, channels: Collection[Channel], marked: _MarkedNetwork
) -> None:
    layers = ", ".join(repr(name) for name in dict.fromkeys(each.layer for each in channels))
    try:
        cut_out(module, graph, channels)
        wrong = marked.find_moved(module, channels)
    except FAULTS as error:
        raise RequestError(
            f"the network does not run without some channels of {layers}: {error}"
        ) from error
    if wrong:
        raise RequestError(
            f"without some channels of {layers}, {wrong[0]!r} reads others than before: something "
            "between them counts channels from a fixed place"
        )


def _mark(module: nn.Module, graph: Any) -> _MarkedNetwork:
    if graph.marked is None:
        graph.marked = _MarkedNetwork(module, graph, find_couplings(module, graph))
    found: _MarkedNetwork = graph.marked
    return found


class _MarkedNetwork:
    """A network with a mark on each unit of channels that can be removed, and where it is read."""

    def __init__(self, module: nn.Module, graph: Any, couplings: Sequence[Coupling]) -> None:
        self.example = graph.example
        self._couplings = couplings
        self._names = {layer: name for name, layer in module.named_modules()}
        self._apart = {name for layer, name in self._names.items() if _keeps_apart(layer)}
        self._sizes = {s: count_channels(graph, s) or 0 for each in couplings for s in each.members}
        marks = iter(make_marks(sum(len(each.units) for each in couplings)))
        self._units = [list(islice(marks, len(each.units))) for each in couplings]
        self._marks: dict[str, list[int]] = {}
        for coupling, of_units in zip(couplings, self._units, strict=True):
            for side, unit_of in coupling.members.items():
                if side.output and isinstance(side.layer, _ConvNd | nn.Linear):
                    size = self._sizes[side]
                    own = self._marks.setdefault(self._names[side.layer], [0] * size)
                    for index, unit in unit_of.items():
                        own[index % size] = of_units[unit]
        self._seen = read_marks(module, self.example, self._marks, self._apart)

    def sizes_of(self, coupling: Coupling) -> Iterator[tuple[Side, int]]:
        """Yield how many channels each side of each layer has that a coupling takes from."""
        return ((side, self._sizes[side]) for side in coupling.members)

    def find_misread(self) -> set[str]:
        """Find the layers whose channels are not read where they should be."""
        wrong: set[str] = set()
        expected: dict[str, dict[int, int]] = {}
        owner: dict[int, str] = {}
        for coupling, of_units in zip(self._couplings, self._units, strict=True):
            owner |= dict.fromkeys(of_units, coupling.layer)
            for side, unit_of in coupling.members.items():
                if max(unit_of, default=0) >= self._sizes[side]:
                    wrong.add(coupling.layer)
                if _is_read(side):
                    own = expected.setdefault(self._names[side.layer], {})
                    own.update({index: of_units[unit] for index, unit in unit_of.items()})
        for name, seen in self._seen.items():
            own = expected.get(name, {})
            pairs = [(mark, seen[i] if i < len(seen) else -1) for i, mark in own.items()]
            pairs += [(0, mark) for i, mark in enumerate(seen) if i not in own]
            wrong |= {owner[m] for a, b in pairs if a != b for m in (a, b) if m in owner}
        return wrong

    def find_moved(self, cut: nn.Module, channels: Collection[Channel]) -> list[str]:
        """List the layers that read other channels, now that some were cut, than those left."""
        lost = self._list_lost(channels)

        def keep(marks: Sequence[int], gone: Collection[int]) -> list[int]:
            return [mark for index, mark in enumerate(marks) if index not in gone]

        marks = {n: keep(each, lost.get((n, True), ())) for n, each in self._marks.items()}
        seen = read_marks(cut, self.example, marks, self._apart)
        return [
            name
            for name, before in self._seen.items()
            if seen.get(name) != keep(before, lost.get((name, name in self._apart), ()))
        ]

    def _list_lost(self, channels: Collection[Channel]) -> dict[tuple[str, bool], set[int]]:
        """List what each side of each layer loses with channels: by name, and whether outputs."""
        gone = {(channel.layer, channel.indices) for channel in channels}
        lost: dict[tuple[str, bool], set[int]] = {}
        for coupling in self._couplings:
            units = {u for u, own in enumerate(coupling.units) if (coupling.layer, own) in gone}
            for side, unit_of in coupling.members.items() if units else ():
                own = lost.setdefault((self._names.get(side.layer, ""), side.output), set())
                own |= {index for index, unit in unit_of.items() if unit in units}
        return lost


def _keeps_apart(layer: nn.Module) -> bool:
    if isinstance(layer, _ConvNd):
        return layer.groups == layer.out_channels > 1
    return isinstance(layer, _BatchNorm)


def _is_read(side: Side) -> bool:
    """Tell whether marks of these channels are read: as inputs, or where outputs are the same."""
    if isinstance(side.layer, nn.Parameter):
        return False
    return _keeps_apart(side.layer) if side.output else isinstance(side.layer, _ConvNd | nn.Linear)
