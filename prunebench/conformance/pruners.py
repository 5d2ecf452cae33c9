"""What every compression method is held to: the network that it gives."""

from __future__ import annotations

import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional as F

from prunebench.conformance.bench import (
    CPU,
    digits,
    fingerprint,
    hooks_of,
    logits_of,
    test_images,
    trained,
)
from prunebench.conformance.checks import Check, Failure, Skip, require
from prunebench.conformance.compressing import LEVEL, Attempt, Subject
from prunebench.conformance.declared import DECLARED
from prunebench.conformance.repeatable import REPEATABLE
from prunebench.errors import RequestError
from prunebench.execution.stages.compress import find_axis, measure_pruned
from prunebench.networks import Network
from prunebench.networks.counting import find_prunable_weights
from prunebench.networks.network import apply_masks, from_tensors, make_masks_permanent, to_tensors
from prunebench.networks.training import train
from prunebench.plugins.recipe import Recipe

__all__ = ["CHECKS", "Subject"]

ONE_CHANNEL = 0.025
"""No channel of the small network is more of its parameters, channels or MACs."""


def compresses(subject: Subject) -> str | None:
    """A network comes back, and whatever was trained on the way was trained once."""
    attempt = subject.main
    require(len(attempt.usage.recipes) <= 1, "it trains more than once in one step")
    asked = attempt.usage.recipes + attempt.preparing.recipes
    if epochs := [recipe.epochs for recipe in asked if recipe.epochs > 1]:
        return f"trained for 1 epoch here, of {max(epochs)}"
    return None


def level_reached(subject: Subject) -> str | None:
    """Of its target, the level is gone; more at a higher level."""
    pruner = subject.pruner
    if pruner.levels == "none":
        raise Skip("it gives one network, without a level")
    if pruner.levels == "rounds":
        return _rounds_reached(subject)
    _close(subject, subject.attempt(0.25), 0.25)
    return _close(subject, subject.main, LEVEL)


def _rounds_reached(subject: Subject) -> str | None:
    count = subject.pruner.round_count()
    require(count >= 1, "it goes in rounds, and has none")
    levels = [subject.pruner.level_of_round(k) for k in range(1, count + 1)]
    rising = all(a < b for a, b in zip([0.0, *levels], [*levels, 1.0], strict=True))
    require(rising, f"level_of_round gives {levels[:5]}; it should rise, between 0 and 1")
    note = _close(subject, subject.main, levels[0])
    if count > 1:
        note = _close(subject, subject.attempt(after=subject.main), levels[1])
    return note


def _close(subject: Subject, attempt: Attempt, level: float) -> str:
    baseline = trained("digits-cnn")
    gone = measure_pruned(attempt.network, baseline)
    kind = find_axis(attempt.network, baseline)
    require(kind != "none", f"at level {level:.0%} nothing was removed")
    target = "weights" if kind == "masked" else getattr(subject.pruner, "target", None)
    targets = [target] if target in gone else ["params", "channels", "macs"]
    distance, nearest = min((abs(gone[name] - level), name) for name in targets)
    tolerance = 0.01 if kind == "masked" else ONE_CHANNEL
    found = ", ".join(f"{gone[name]:.1%} of the {name}" for name in targets)
    require(distance <= tolerance, f"at level {level:.1%}, {found} are gone")
    return f"{gone[nearest]:.1%} of the {nearest} at level {level:.1%}"


def outputs_kept(subject: Subject) -> None:
    """A logit a class, and no layer without weights: images still reach the outputs."""
    _check_outputs(subject.main.network)


def _check_outputs(network: Network) -> None:
    logits = logits_of(network, test_images(16))
    wanted = (16, trained("digits-cnn").architecture.classes)
    require(tuple(logits.shape) == wanted, f"the outputs are {tuple(logits.shape)}, not {wanted}")
    require(bool(logits.isfinite().all()), "there are outputs that are not finite")
    require(bool((logits.std(0) > 0).any()), "all images get the same outputs: a layer is empty")
    for name, layer in network.module.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            require(bool((layer.weight != 0).any()), f"nothing is left of layer {name!r}")


def awkward_network(subject: Subject) -> str | None:
    """A network with a residual sum and grouped convolutions too, or a clear refusal."""
    try:
        attempt = subject.attempt(0.3, which="awkward")
    except RequestError as error:
        raise Skip(f"it refuses such a network: {error}") from None
    _check_outputs(attempt.network)
    _load(attempt.network)
    return None


def level_zero(subject: Subject) -> None:
    """At level 0 nothing changes."""
    if subject.pruner.levels != "continuous":
        raise Skip(f"its levels are {subject.pruner.levels!r}")
    if subject.names_another:
        raise Skip("it names another method, and may do more than that")
    attempt = subject.attempt(0.0)
    if attempt.usage.recipes or attempt.preparing.recipes:
        raise Skip("it trains, which changes weights at any level")
    ours, theirs = attempt.network.module.state_dict(), attempt.parent.module.state_dict()
    for name, before in theirs.items():
        require(name in ours and torch.equal(ours[name], before), f"at level 0 it changes {name!r}")


def differentiable(subject: Subject) -> None:
    """A loss has a gradient by the weights, so that recovery can train the network."""
    network = subject.main.network.copy()
    network.module.requires_grad_(True)
    loss = F.cross_entropy(network.module(test_images(8)), torch.arange(8))
    if not loss.requires_grad:
        if network.architecture.factory != subject.main.parent.architecture.factory:
            raise Skip("another architecture, without gradients: it cannot be trained")
        raise Failure("the loss has no gradient")
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in network.module.parameters() if p.grad is not None]
    require(all(bool(g.isfinite().all()) for g in gradients), "gradients are not finite")
    require(any(bool(g.any()) for g in gradients), "all gradients are zero")


def saved_and_loaded(subject: Subject) -> None:
    """Without hooks and parametrisations, and the same to the last bit from JSON and tensors."""
    for name, layer in subject.main.network.module.named_modules():
        require(not hooks_of(layer), f"a hook was left on layer {name!r}")
        require(not hasattr(layer, "parametrizations"), f"layer {name!r} is parametrised")
    _load(subject.main.network)


def _load(network: Network) -> None:
    written = network.architecture.model_dump_json()
    architecture = type(network.architecture).model_validate_json(written)
    loaded = from_tensors(architecture, load(save(to_tensors(network))))
    require(fingerprint(loaded) == fingerprint(network), "tensors differ after loading")
    images = test_images(4)
    same = torch.equal(logits_of(loaded, images), logits_of(network, images))
    require(same, "outputs differ after loading")


def exportable(subject: Subject) -> None:
    """torch.export takes the network, and what it makes of it computes the same."""
    network = subject.main.network.copy()
    images = test_images(2)
    with torch.no_grad():
        exported = torch.export.export(network.module, (images,))
        found = exported.module()(images)
    close = torch.allclose(found, logits_of(network, images), atol=1e-4)
    require(close, "the exported network computes something else")


def on_a_gpu(subject: Subject) -> None:
    """On a GPU everything is there."""
    if not torch.cuda.is_available():
        raise Skip("there is no GPU here")
    attempt = subject.attempt(device=torch.device("cuda"))
    tensors = {**attempt.network.module.state_dict(), **attempt.network.masks}
    for name, tensor in tensors.items():
        require(tensor.device.type == "cuda", f"{name!r} is on {tensor.device}")
    _check_outputs(attempt.network)


def zeros_stay(subject: Subject) -> str | None:
    """Zeros stay zero in an epoch of recovery with momentum and weight decay."""
    network = subject.main.network.copy()
    if network.architecture.factory != subject.main.parent.architecture.factory:
        raise Skip("another architecture: there are no zeros to keep")
    apply_masks(network.module, network.masks)
    recipe = Recipe(epochs=1, images=300, lr=0.02, momentum=0.9, weight_decay=5e-4, keep="last")
    data = digits()
    train(network.module.requires_grad_(True), data, data.normalisation, recipe, 0, CPU)
    make_masks_permanent(network.module)
    count = 0
    before = find_prunable_weights(subject.main.network.module)
    for old, new in zip(before, find_prunable_weights(network.module), strict=True):
        zeros = old == 0
        count += int(zeros.sum())
        revived = int((new[zeros] != 0).sum())
        require(not revived, f"{revived} zeros came back: mask them with torch.nn.utils.prune")
    _check_outputs(network)
    return f"{count:,} zeros" if count else None


CHECKS = (
    Check("compresses", compresses, first=True),
    Check("reaches its level", level_reached),
    Check("keeps the outputs", outputs_kept),
    Check("copes with residual sums and groups", awkward_network),
    Check("changes nothing at level 0", level_zero),
    Check("stays differentiable", differentiable),
    Check("leaves no hooks, is saved and loaded", saved_and_loaded),
    Check("can be exported", exportable),
    Check("works on a GPU", on_a_gpu),
    Check("keeps zeros in recovery", zeros_stay),
    *REPEATABLE,
    *DECLARED,
)
