"""Gates on channels: what reads a channel sees it multiplied by its gate."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.networks.shared_weights import make_twin
from prunebench.pruners.filters.channel_budget import ChannelBudget
from prunebench.pruners.filters.channels import count_by_side
from prunebench.pruners.filters.coupling import (
    OF_OUTPUTS,
    Channel,
    Side,
    count_channels,
    cut_out,
    trace,
)
from prunebench.pruners.filters.removable import find_channels

READERS = (tp.prune_conv_in_channels, tp.prune_linear_in_channels)
"""What removes the weights that read a channel, and mix it with others."""
KEEPING_APART = (
    *OF_OUTPUTS,
    tp.prune_instancenorm_out_channels,
    tp.prune_prelu_out_channels,
    tp.prune_parameter_out_channels,
)
"""What removes parameters of the channel itself, on its way to what reads it."""


def find_gated_channels(module: nn.Module, graph: Any, fixed: Collection[str]) -> list[Channel]:
    """List every channel that can have a gate, by layer.

    Args:
        module: The network.
        graph: Its dependency graph.
        fixed: Names of layers whose output channels must stay.

    Raises:
        RequestError: There is none, or no layer of a fixed name.
    """
    found = find_channels(module, graph, lambda group: torch.zeros(len(group[0].idxs)), fixed)
    if not found:
        raise RequestError(f"no channel of {type(module).__name__} may be removed")
    return found


class GatedNetwork(nn.Module):
    """A network with a gate on every channel that can be removed.

    A gate works where its channel is read, behind biases, normalisation and activation. So a
    closed gate is the removal of the channel, whatever these would make of a filter of zeros;
    except where the network mixes channels on the way, see ``measure_disagreement``.

    Between two calls the network is as it was: nothing is hooked into it.

    Args:
        module: The network. Its parameters and flags are left as they are.
        graph: Its dependency graph.
        channels: Each has a gate, in this order; what is coupled shares it.

    Raises:
        RequestError: A layer that is neither a convolution nor a linear layer mixes the channels.
    """

    def __init__(self, module: nn.Module, graph: Any, channels: Sequence[Channel]) -> None:
        super().__init__()
        self.module = module
        self.gates = len(channels)
        found = _find_input_gates(module, graph, channels)
        self._readers: list[Any] = list(found)
        self._widths = [len(gates) for gates in found.values()]
        gate_of = [gate for gates in found.values() for gate in gates]
        device = next(module.parameters()).device
        self._gate_of = torch.tensor(gate_of, dtype=torch.long, device=device)

    def forward(self, inputs: Tensor, values: Tensor) -> Any:
        """Run the network.

        Args:
            inputs: As the network wants them.
            values: Of each gate, from 0 (closed) to 1 (open), n; on the network's device. Gradients
                flow through them.

        Returns:
            What the network returns.
        """
        if values.shape != (self.gates,):
            raise ValueError(f"expected {self.gates} gates, found a {tuple(values.shape)} tensor")
        # One more, always open, for inputs without a gate.
        each = torch.cat([values, values.new_ones(1)])[self._gate_of]
        with ExitStack() as hooks:
            for reader, part in zip(self._readers, torch.split(each, self._widths), strict=True):
                hooks.enter_context(reader.register_forward_pre_hook(_make_multiplier(part)))
            return self.module(inputs)


def _make_multiplier(gates: Tensor) -> Callable[[Any, tuple[Tensor, ...]], Tensor]:
    def multiply(layer: Any, given: tuple[Tensor, ...]) -> Tensor:
        (maps,) = given
        # The last dimension holds a linear layer's channels, the first after the images a
        # convolution's.
        dimensions = layer.weight.dim() - 2
        return maps * gates.to(maps.dtype).view(-1, *[1] * dimensions)

    return multiply


def _find_input_gates(
    module: nn.Module, graph: Any, channels: Sequence[Channel]
) -> dict[Any, list[int]]:
    """Find, for each layer that reads gated channels, the gate of each input; n for none."""
    names = {layer: name for name, layer in module.named_modules()}
    gates: dict[str, dict[int, int]] = {}
    for gate, channel in enumerate(channels):
        gates.setdefault(channel.layer, {}).update(dict.fromkeys(channel.indices, gate))
    found: dict[Any, list[int]] = {}
    for name, gate_of in gates.items():
        layer = module.get_submodule(name)
        handler = graph.get_pruner_of_module(layer).prune_out_channels
        for item in graph.get_pruning_group(layer, handler, sorted(gate_of)):
            reader = item.dep.target.module
            inputs = count_channels(graph, Side(reader, False))
            if item.dep.handler in READERS:
                of_inputs = found.setdefault(reader, [len(channels)] * (inputs or 0))
                for index, root in zip(item.idxs, item.root_idxs, strict=True):
                    of_inputs[index] = gate_of[root]
            elif inputs is not None and item.dep.handler not in KEEPING_APART:
                raise RequestError(
                    f"layer {names.get(reader, '')!r} ({type(reader).__name__}) reads channels of "
                    f"{name!r}, and gates can be put before convolutions and linear layers only"
                )
    return found


def sample_gates(logits: Tensor, offset: float, temperature: float) -> Tensor:
    """Draw gates that are nearly open or nearly closed, and differentiable by their logits.

    v = sigmoid((θ + offset + log(u / (1 − u))) / τ) with u uniform on (0, 1): the noise is
    logistic, the difference of two of Gumbel's (Maddison, Mnih and Teh 2017, appendix B; Jang, Gu
    and Poole 2017). Drawn from torch's global generator.

    Args:
        logits: θ, n.
        offset: Added to all logits; above 0, gates start open.
        temperature: τ, above 0; the lower, the nearer the values are to 0 and 1.

    Returns:
        Values in [0, 1], n. Above one half with probability sigmoid(θ + offset).
    """
    tiny = torch.finfo(logits.dtype).eps
    noise = torch.rand_like(logits).clamp(tiny, 1 - tiny).logit()
    return torch.sigmoid((logits + offset + noise) / temperature)


def find_open_gates(logits: Tensor, offset: float) -> Tensor:
    """Find which gates are more likely open than closed; n, Boolean."""
    return logits + offset > 0


def measure_disagreement(
    module: nn.Module,
    graph: Any,
    channels: Sequence[Channel],
    example: Tensor,
    generator: torch.Generator,
) -> float:
    """Measure how far a closed gate is from the removal of its channel.

    They are the same, up to rounding, unless the network mixes channels between where they are
    made and where they are read, as a normalisation over several channels does.

    Args:
        module: The network; it is left as it is.
        graph: Its dependency graph.
        channels: Those with gates; a random half of them is closed and removed, but for a layer's
            last.
        example: An input.
        generator: For the draw; on the CPU.

    Returns:
        The largest difference in any output of the network in evaluation mode, relative to the
        largest value of that output: about 1e-6 in single precision where they are the same.

    Raises:
        RequestError: The network does not run without these channels.
    """
    half = torch.randperm(len(channels), generator=generator)[: (len(channels) + 1) // 2].tolist()
    whole = count_by_side(graph, channels)
    budget = ChannelBudget(whole, {side.layer: (0.0, 1.0) for side in whole})
    removed = budget.take_all(channels[index] for index in half)
    gone = {(channel.layer, channel.indices) for channel in removed}
    closed = [(channel.layer, channel.indices) in gone for channel in channels]
    copied = make_twin(module, trained=True)
    copied_graph = trace(copied, example)
    with torch.no_grad():
        values = 1 - torch.tensor(closed, dtype=example.dtype, device=example.device)
        gated = _list_outputs(GatedNetwork(copied, copied_graph, channels)(example, values))
        try:
            cut_out(copied, copied_graph, removed)
            pairs = list(zip(gated, _list_outputs(copied(example)), strict=True))
            return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
        except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
            raise RequestError(
                f"without some of the channels that Torch-Pruning finds, {type(module).__name__} "
                f"cannot run: {error}"
            ) from error


def _list_outputs(found: Any) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else list(found)
