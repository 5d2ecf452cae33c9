"""Reconstruction of the next layer's outputs from some of its input channels alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.networks.shared_weights import make_twin
from prunebench.pruners.filters.coupling import FILTERS, Channel
from prunebench.pruners.filters.removable import find_whole_layers


@dataclass(frozen=True)
class Reader:
    """The one layer that reads another layer's channels.

    Attributes:
        layer: Name of the layer whose filters give the channels.
        name: Name of the convolution or linear layer that reads them.
        columns: Which of its inputs hold each channel, C×n: one of a convolution's, or, of a
            linear layer after flattened maps, one for each position.
    """

    layer: str
    name: str
    columns: Tensor


def find_readers(module: nn.Module, graph: Any, fixed: Collection[str] = ()) -> list[Reader]:
    """Find the layers whose channels are read by exactly one convolution or linear layer.

    Steps between them that keep channels apart (normalisation, activation, pooling, flattening,
    depthwise convolutions) do not matter.

    Args:
        module: The network.
        graph: Its dependency graph.
        fixed: Names of layers to leave out.
    """
    names = {layer: name for name, layer in module.named_modules()}
    whole = find_whole_layers(module, graph, fixed)  # read elsewhere than the graph says
    found = []
    for group in graph.get_all_groups(ignored_layers=[module.get_submodule(n) for n in fixed]):
        reads = [item for item in group if not graph.is_out_channel_pruning_fn(item.dep.handler)]
        # A depthwise convolution is not among them: it gives each channel on.
        filters = [item.dep.target.module for item in group if item.dep.handler in FILTERS]
        reader = reads[0].dep.target.module if len(reads) == 1 else None
        if not filters or names[filters[0]] in whole:
            continue
        if isinstance(reader, nn.Conv2d | nn.Linear) and _is_ungrouped(reader):
            order = torch.tensor(reads[0].root_idxs).argsort(stable=True)
            columns = torch.tensor(reads[0].idxs)[order].view(len(group[0].idxs), -1)
            found.append(Reader(names[filters[0]], names[reader], columns))
    return found


def _is_ungrouped(layer: nn.Module) -> bool:
    return getattr(layer, "groups", 1) == 1


class Contributions:
    """Samples outputs of readers and what each channel contributes to them.

    A sample is one number: an output channel of the reader at one position, without its bias; both
    are drawn at random (Luo, Wu and Lin 2017, section 3.2.1).

    Args:
        module: The network; it is left as it is.
        found: The readers to sample.
        samples: How many of each image.
        generator: For the draws; on the CPU.
    """

    def __init__(
        self, module: nn.Module, found: Iterable[Reader], samples: int, generator: torch.Generator
    ) -> None:
        self._module = make_twin(module)
        self._samples, self._generator = samples, generator
        self.gram: dict[str, Tensor] = {}
        for reader in found:
            layer = self._module.get_submodule(reader.name)
            layer.register_forward_hook(self._watch(reader))

    @torch.no_grad()
    def add(self, inputs: Tensor) -> None:
        """Sample a batch, and add to each layer's Gram matrix Σ x̂ x̂ᵀ, C×C, float64.

        Entry c of a sample's x̂ is what channel c contributes to it.
        """
        self._module(inputs)

    def _watch(self, reader: Reader) -> Any:
        def watch(layer: Any, given: tuple[Tensor, ...], output: Tensor) -> None:
            x = sample_contributions(layer, given[0], output, self._samples, self._generator)
            x = x[:, reader.columns.to(x.device)].sum(2).double()
            gram = self.gram.get(reader.layer, x.new_zeros(x.shape[1], x.shape[1]))
            self.gram[reader.layer] = gram + x.T @ x

        return watch


def sample_contributions(
    layer: Any, given: Tensor, output: Tensor, samples: int, generator: torch.Generator
) -> Tensor:
    """Compute what each input channel contributes to randomly drawn outputs.

    Args:
        layer: A convolution without groups, or a linear layer.
        given: Its inputs, B×C×H×W, or B×...×C of a linear layer.
        output: Its outputs, B×K×h×w or B×...×K; their shape is used.
        samples: Outputs drawn of each image.
        generator: On the CPU.

    Returns:
        (B·samples)×C; a row sums to the output without its bias.
    """

    def draw(below: int) -> Tensor:
        drawn = torch.randint(below, (len(given) * samples,), generator=generator)
        return drawn.to(given.device)

    image = torch.arange(len(given), device=given.device).repeat_interleave(samples)
    weight = layer.weight[draw(len(layer.weight))]
    if isinstance(layer, nn.Linear):
        rows = given.reshape(len(given), -1, given.shape[-1])
        found: Tensor = rows[image, draw(rows.shape[1])] * weight
        return found
    windows = [
        (draw(size) * step)[:, None] + torch.arange(kernel, device=given.device) * apart
        for size, step, kernel, apart in zip(
            output.shape[2:], layer.stride, layer.kernel_size, layer.dilation, strict=True
        )
    ]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(given, layer._reversed_padding_repeated_twice, mode)
    down, across = windows
    patches = padded[image[:, None, None], :, down[:, :, None], across[:, None, :]]
    return torch.einsum("nrcd,ndrc->nd", patches, weight)


def compute_removal_errors(gram: Tensor) -> Tensor:
    """Remove channel after channel, each time the one without which the error is least.

    The error of removing the channels T is ‖Σ_{k∈T} x̂_k‖² over all samples (Luo, Wu and Lin 2017,
    equation 6 and algorithm 1).

    Args:
        gram: Σ x̂ x̂ᵀ over the samples, C×C.

    Returns:
        Of each channel, the largest error up to its removal over that of removing all, C; strictly
        rising in the order of removal.
    """
    gram = gram.double().cpu()
    total = gram.sum().clamp(min=1e-30)
    rise = gram.diagonal().clone()  # of the error, if this channel were the next to go
    error = largest = torch.tensor(0.0, dtype=torch.float64)
    found = torch.zeros_like(rise)
    left = torch.ones_like(rise, dtype=torch.bool)
    for step in range(len(rise)):
        k = int(torch.where(left, rise, torch.inf).argmin())
        error = error + rise[k]
        largest = torch.maximum(largest, error)
        found[k] = largest / total + 1e-9 * step
        left[k] = False
        rise = rise + 2 * gram[k]
    return found


def fit_rescaling(gram: Tensor, kept: Tensor) -> Tensor:
    """Fit factors for the kept channels with which they best stand for all.

    They minimise Σ (Σ_c x̂_c − Σ_{k kept} w_k x̂_k)² (Luo, Wu and Lin 2017, equation 7); where many
    do, these are the nearest to 1.

    Args:
        gram: Σ x̂ x̂ᵀ over the samples, C×C.
        kept: Indices of the kept channels, k.

    Returns:
        w, k.
    """
    gram = gram.double()
    gone = torch.ones(len(gram), dtype=torch.bool, device=gram.device)
    gone[kept] = False
    missing = gram[kept][:, gone].sum(1)
    inverse = torch.linalg.pinv(gram[kept][:, kept], rtol=1e-6, hermitian=True)
    factors: Tensor = 1 + inverse @ missing
    return factors


@torch.no_grad()
def rescale(
    module: nn.Module,
    found: Iterable[Reader],
    gram: Mapping[str, Tensor],
    removed: Iterable[Channel],
) -> None:
    """Multiply the weights that read the kept channels by their factors, in place.

    Args:
        module: The network, before the channels are cut out.
        found: The readers.
        gram: Of each layer whose channels are read.
        removed: The channels that will be cut out.
    """
    gone: dict[str, set[int]] = {}
    for channel in removed:
        gone.setdefault(channel.layer, set()).update(channel.indices)
    for reader in found:
        lost = gone.get(reader.layer, set())
        if lost and reader.layer in gram:
            kept = torch.tensor([k for k in range(len(reader.columns)) if k not in lost])
            factors = fit_rescaling(gram[reader.layer].cpu(), kept)
            _scale_columns(module.get_submodule(reader.name), reader.columns[kept], factors)


def _scale_columns(layer: Any, columns: Tensor, factors: Tensor) -> None:
    """Multiply the weights that read columns, k×n, by factors, k."""
    scale = torch.ones(layer.weight.shape[1], dtype=factors.dtype)
    scale[columns] = factors[:, None]
    shape = (1, -1, *[1] * (layer.weight.dim() - 2))
    layer.weight.mul_(scale.view(shape).to(layer.weight))
