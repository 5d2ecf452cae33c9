"""Training gates by what the network answers, where it looks, and what it costs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from prunebench.cams.amortized.decoder import Decoder
from prunebench.cams.amortized.encoder_maps import find_stages, read_stages
from prunebench.plugins.context import Context
from prunebench.pruners.filters.coupling import cut_out, trace
from prunebench.pruners.filters.gated_macs import GatedMacs
from prunebench.pruners.filters.gates import (
    GatedNetwork,
    find_gated_channels,
    find_open_gates,
    sample_gates,
)
from prunebench.seeding import derive

MEASURED = 1024
"""Images over which the statistics of normalisations are measured."""
BATCH = 128


class TappedNetwork(nn.Module):
    """A network beside the first layers of a decoder that reads its maps.

    To the dependency graph these are readers like any others, so a gated channel is closed to
    them too.

    Args:
        network: Images in, logits out.
        stages: Names of its layers that are read.
        laterals: A 1×1 convolution for each of them.
    """

    def __init__(
        self, network: nn.Module, stages: tuple[str, ...], laterals: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.network = network
        self.laterals = nn.ModuleList(laterals)
        self._stages = stages

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return logits, B×K, and what each lateral convolution makes of its stage, B×c×h×w."""
        logits, features = read_stages(self.network, images, self._stages)
        pairs = zip(self.laterals, features, strict=True)
        return logits, *(lateral(maps) for lateral, maps in pairs)


class GateTraining(nn.Module):
    """Gates on a network, and the three terms that they are trained by.

    The network and the decoder are frozen; only the gates' logits are part of this module, so that
    nothing else is trained or kept in checkpoints. Normalisation goes with the gates: by the batch
    in training, and for evaluation by statistics of the network as it then is, without which a
    network with half of its channels closed answers at random. In evaluation it answers as the
    network will once its closed channels are removed.

    Args:
        network: The network; what is in it will be cut.
        decoder: Of the selector; None where explanations have no say.
        context: Its example input, fixed channels, seed and training images are used.
        level: Fraction of the multiply-accumulates to be removed.
        offset: Added to the logits.
        temperature: Of the gates in training.
        weights: Of classification, interpretation (γ1) and budget (γ2).

    Attributes:
        logits: Of the gates, n.
        open: Which gates are open when the level is reached, n; made anew for each evaluation.

    Raises:
        RequestError: The level cannot be reached without emptying a layer.
    """

    def __init__(
        self,
        network: nn.Module,
        decoder: Decoder | None,
        context: Context,
        level: float,
        *,
        offset: float,
        temperature: float,
        weights: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.level = level
        self._batches = context.batches
        self.offset = offset
        self.temperature = temperature
        self.weights = weights
        network.eval().requires_grad_(True)  # Torch-Pruning follows gradients
        stages = find_stages(network, context.example) if decoder else ()
        laterals = list(decoder.laterals) if decoder else []
        tapped = TappedNetwork(network, stages, copy.deepcopy(laterals))
        tapped.requires_grad_(True).eval()
        self._graph = trace(tapped, context.example)
        fixed = [f"network.{name}" for name in context.fixed_channels]
        self._channels = find_gated_channels(tapped, self._graph, fixed)
        self._macs = GatedMacs(
            tapped, self._graph, self._channels, context.example, counted=network
        )
        whole = copy.deepcopy(tapped).requires_grad_(False)
        tapped.requires_grad_(False)
        self._norms = [each for each in tapped.modules() if isinstance(each, _BatchNorm)]
        self._frozen = (tapped, GatedNetwork(tapped, self._graph, self._channels), whole, decoder)
        draw = torch.Generator().manual_seed(derive(context.seed, "gates"))
        logits = torch.randn(len(self._channels), generator=draw).to(context.example.device)
        self.logits = nn.Parameter(logits)
        self.open = self._macs.close_to(level, self.logits)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; for evaluation, close gates until the level is reached."""
        super().train(mode)
        if not mode:
            self.open = self._macs.close_to(self.level, self.logits)
            self._measure_statistics()
        for norm in self._norms:
            norm.train(mode)
        return self

    @torch.no_grad()
    def _measure_statistics(self) -> None:
        """Measure means and variances of all normalisations over a few images, with these gates."""
        measured = [norm for norm in self._norms if norm.track_running_stats]
        momenta = [norm.momentum for norm in measured]
        for norm in measured:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
            norm.train()
        for images, _ in self._batches(MEASURED, BATCH):
            if len(images) > 1:  # one image has no variance
                self(images)
        for norm, momentum in zip(measured, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of the network without the channels that are closed, B×K."""
        logits: Tensor = self._frozen[1](images, self.open.to(images.dtype))[0]
        return logits

    def compute_losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Compute the terms of objective 10 for one draw of the gates.

        Args:
            images: Normalised images, B×C×H×W.
            labels: Their classes, B.

        Returns:
            Those with a weight above 0, weighted: the cross-entropy; γ1·‖C_x − f_sel(x; v)‖², the
            mean over the images; γ2·log(max(T(v)/T, p)/p), T the multiply-accumulates of the whole
            network and p the share that is to stay.
        """
        classification, interpretation, budget = self.weights
        values = sample_gates(self.logits, self.offset, self.temperature)
        logits, *levels = self._frozen[1](images, values)
        terms = {}
        if classification:
            terms["classification"] = classification * F.cross_entropy(logits, labels)
        if interpretation:
            terms["interpretation"] = interpretation * self._measure_distance(images, levels)
        if budget:
            left = 1 - self.level
            share = self._macs(values) / self._macs.whole
            terms["budget"] = budget * (share.clamp(min=left) / left).log().to(logits.dtype)
        return terms

    def _measure_distance(self, images: Tensor, levels: list[Tensor]) -> Tensor:
        """Return the mean squared distance between explanations of the gated and the whole network.

        Centres and widths in pixels of a 32×32 image, so that one weight serves all sizes; or the
        probabilities of all pixels.
        """
        _, _, whole, decoder = self._frozen
        assert decoder is not None
        size = (images.shape[2], images.shape[3])
        with torch.no_grad():
            answer, *wanted_levels = whole(images)
            classes = answer.argmax(1)
            wanted = decoder.head.to_comparable(decoder.refine(wanted_levels, classes, size), size)
        found = decoder.head.to_comparable(decoder.refine(levels, classes, size), size)
        return (found - wanted).flatten(1).square().sum(1).mean()

    def measure_adjustment(self) -> dict[str, float]:
        """Measure what reaching the level took: see ``Isp.compress``.

        Returns:
            ``macs_removed``, the share that would be gone if each gate went by its own logit, and
            ``toggled``, the share of the gates that had to be closed or opened to be on the level.
        """
        with torch.no_grad():
            own = find_open_gates(self.logits, self.offset)
            closed_to = self._macs.close_to(self.level, self.logits)
            return {
                "macs_removed": 1 - float(self._macs(own.float())) / self._macs.whole,
                "toggled": float((own != closed_to).double().mean()),
            }

    def cut(self) -> nn.Module:
        """Remove the channels of closed gates, and return the network."""
        self.eval()
        tapped = self._frozen[0].requires_grad_(True)
        pairs = zip(self._channels, self.open.tolist(), strict=True)
        cut_out(tapped, self._graph, [channel for channel, open_ in pairs if not open_])
        return tapped.network
