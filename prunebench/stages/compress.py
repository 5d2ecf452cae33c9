"""Compression: what comes before any level, and the compressed network itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from prunebench.data import Data, Normalisation, batches
from prunebench.metrics.counting import prunable_weights, total_macs
from prunebench.network import Network, from_module, to_tensors
from prunebench.plugins import choose
from prunebench.pruners import Context, Preparation, Pruner
from prunebench.seeding import derive
from prunebench.stages.workspace import Result, Workspace
from prunebench.steps import Step


def prepare(step: Step, work: Workspace) -> Result:
    """Computes what a compression method needs once, before any level."""
    preparation: Preparation = step.plugin
    network = work.network(step.parent("network")).copy()
    context = _context(step, work, network, network)
    return Result({}, preparation.compute(network.module, context))


def compress(step: Step, work: Workspace) -> Result:
    """Compresses a network and measures what was really removed."""
    pruner: Pruner = step.plugin.plugin
    parent = work.network(step.parent("network"))
    is_round = step.has_parent("baseline")
    baseline = work.network(step.parent("baseline")) if is_round else parent
    level = pruner.level_of_round(step.options["round"]) if is_round else step.options["level"]
    context = _context(step, work, parent, baseline)
    found = pruner.compress(parent.copy().module, level or 0.0, context)
    network = _as_network(found, parent)
    network.module.to(work.device)
    data = {
        "architecture": network.architecture.model_dump(mode="json"),
        "reached": reached(network, baseline),
        "axis": axis(network, baseline),
    }
    return Result(data, to_tensors(network))


def _as_network(found: nn.Module | Network, parent: Network) -> Network:
    if isinstance(found, nn.Module):
        network = from_module(found, parent.architecture)
        shapes = {name: parameter.shape for name, parameter in network.module.named_parameters()}
        kept = {k: v for k, v in parent.masks.items() if shapes.get(k) == v.shape}
        return Network(network.module, network.architecture, kept | network.masks)
    if found.architecture.mean:
        return found
    own = {"mean": parent.architecture.mean, "std": parent.architecture.std}
    return Network(found.module, found.architecture.model_copy(update=own), found.masks)


def _context(step: Step, work: Workspace, network: Network, baseline: Network) -> Context:
    data = work.data(step.parent("data"))
    seed = derive(step.seed or 0, "compression")
    return Context(
        example=network.example(),
        batches=_calibration(data, network.architecture.normalisation, seed, work.device),
        classes=network.architecture.classes,
        seed=seed,
        device=work.device,
        baseline=baseline.copy().module,
        fixed_channels=frozenset(_fixed_channels(network)),
        round=step.options.get("round"),
        prepared={
            role.removeprefix("prepared:"): {
                name: tensor.to(work.device)
                for name, tensor in work.artefact(parent).tensors.items()
            }
            for role, parent in step.parents
            if role.startswith("prepared:")
        },
        progress=work.progress,
        checkpoint=work.store.scratch(step.key),
    )


def _calibration(
    data: Data, normalise: Normalisation, seed: int, device: torch.device
) -> Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]:
    def draw(images: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(derive(seed, "calibration"))
        order = torch.randperm(len(data.train), generator=generator)[:images]
        return batches(data.train, normalise, batch_size, device, order)

    return draw


def _fixed_channels(network: Network) -> Iterator[str]:
    """Layers whose outputs must stay: those the model names, and the classifier."""
    architecture = network.architecture
    if ".py:" not in architecture.factory:
        model = choose("models", architecture.factory, architecture.parameters)
        yield from model.plugin.fixed_channels()
    linear = [
        name for name, layer in network.module.named_modules() if isinstance(layer, nn.Linear)
    ]
    yield from linear[-1:]


def reached(network: Network, baseline: Network) -> dict[str, float]:
    """Fractions of the baseline that are gone: see ``record.Reached``."""

    def counts(of: Network) -> dict[str, float]:
        convolutions = [m for m in of.module.modules() if isinstance(m, nn.Conv2d)]
        return {
            "weights": sum(int(weight.count_nonzero()) for weight in prunable_weights(of.module)),
            "params": sum(parameter.numel() for parameter in of.module.parameters()),
            "channels": sum(convolution.out_channels for convolution in convolutions),
            "macs": total_macs(of.module, of.example()),
        }

    ours, full = counts(network), counts(baseline)
    full["weights"] = sum(weight.numel() for weight in prunable_weights(baseline.module))
    return {name: 1 - ours[name] / full[name] if full[name] else 0.0 for name in full}


def axis(network: Network, baseline: Network) -> str:
    """``dense`` where channels are gone, ``masked`` where zeros stand for weights, or ``none``."""
    # By name: masks change the order of parameters.
    shapes = {name: tensor.shape for name, tensor in network.module.named_parameters()}
    if shapes != {name: tensor.shape for name, tensor in baseline.module.named_parameters()}:
        return "dense"
    return "masked" if network.masks else "none"
