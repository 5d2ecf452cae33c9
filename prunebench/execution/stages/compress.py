"""Compression: what comes before any level, and the compressed network itself."""

from __future__ import annotations

from torch import nn

from prunebench.execution.stages.context import context_of_step
from prunebench.execution.stages.workspace import Result, Workspace
from prunebench.networks import Network
from prunebench.networks.counting import count_total_macs, find_prunable_weights, list_parameters
from prunebench.networks.network import from_module, to_tensors
from prunebench.networks.trainer import Cost
from prunebench.plan.steps import Step
from prunebench.pruners import Preparation, Pruner
from prunebench.pruners.disclosure import list_notes


def prepare(step: Step, work: Workspace) -> Result:
    """Compute what a method needs of a network once: before any level, or before any map."""
    preparation: Preparation = step.plugin
    network = work.network(step.parent("network")).copy()
    cost = Cost()
    context = context_of_step(step, work, network, network, cost)
    tensors = preparation.compute(network.module, context)
    return Result({"images_seen": cost.images_seen, "curve": cost.curve}, tensors)


def compress(step: Step, work: Workspace) -> Result:
    """Compress a network and measure what was really removed."""
    pruner: Pruner = step.plugin.plugin
    parent = work.network(step.parent("network"))
    is_round = step.has_parent("baseline")
    baseline = work.network(step.parent("baseline")) if is_round else parent
    level = pruner.level_of_round(step.options["round"]) if is_round else step.options["level"]
    cost = Cost()
    context = context_of_step(step, work, parent, baseline, cost)
    found = pruner.compress(parent.copy().module, level or 0.0, context)
    network = _as_network(found, parent)
    network.module.to(work.device)
    pictures = pruner.pictures(network.copy(), context)
    data = {
        "architecture": network.architecture.model_dump(mode="json"),
        "reached": measure_pruned(network, baseline),
        "axis": find_axis(network, baseline),
        "images_seen": cost.images_seen,
        "curve": cost.curve,
        "notes": list_notes(pruner, network, context),
    }
    shown = {f"picture/{name}": picture.cpu() for name, picture in pictures.items()}
    return Result(data, to_tensors(network) | shown)


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


def measure_pruned(network: Network, baseline: Network) -> dict[str, float]:
    """Measure the fractions of the baseline that were pruned: see ``record.Reached``."""

    def counts(of: Network) -> dict[str, float]:
        convolutions = [m for m in of.module.modules() if isinstance(m, nn.Conv2d)]
        return {
            "weights": sum(
                int(weight.count_nonzero()) for weight in find_prunable_weights(of.module)
            ),
            "params": sum(parameter.numel() for parameter in list_parameters(of.module)),
            "channels": sum(convolution.out_channels for convolution in convolutions),
            "macs": count_total_macs(of.module, of.example()),
        }

    ours, full = counts(network), counts(baseline)
    full["weights"] = sum(weight.numel() for weight in find_prunable_weights(baseline.module))
    return {name: 1 - ours[name] / full[name] if full[name] else 0.0 for name in full}


def find_axis(network: Network, baseline: Network) -> str:
    """Return the axis of a network; see ``record.Record``."""
    if network.architecture.quantised:
        return "quantised"
    # By name: masks change the order of parameters.
    shapes = {name: tensor.shape for name, tensor in network.module.named_parameters()}
    if shapes != {name: tensor.shape for name, tensor in baseline.module.named_parameters()}:
        return "dense"
    return "masked" if network.masks else "none"
