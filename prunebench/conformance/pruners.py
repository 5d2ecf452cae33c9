"""What every compression method is held to: the network that it gives."""

from __future__ import annotations

import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional as F

from prunebench.conformance.attempt import LEVEL, Attempt, CheckedPruner
from prunebench.conformance.bench import (
    CPU,
    count_hooks,
    digest_network,
    load_digits,
    load_test_images,
    predict_logits,
    train_network,
)
from prunebench.conformance.checks import Check, Failure, Skip, require
from prunebench.conformance.declared import DECLARED
from prunebench.conformance.repeatable import REPEATABLE
from prunebench.errors import RequestError
from prunebench.execution.stages.compress import find_axis, measure_pruned
from prunebench.networks import Network
from prunebench.networks.counting import find_prunable_weights
from prunebench.networks.factory import find_source_file, read_code
from prunebench.networks.network import apply_masks, from_tensors, make_masks_permanent, to_tensors
from prunebench.networks.training import train
from prunebench.plugins.recipe import Recipe

ONE_CHANNEL = 0.025
"""No channel of the small network is more of its parameters, channels or MACs."""


def check_compression(subject: CheckedPruner) -> str | None:
    """Check that a network comes back, trained once at most on the way."""
    attempt = subject.main
    require(len(attempt.usage.recipes) <= 1, "it trains more than once in one step")
    asked = attempt.usage.recipes + attempt.preparing.recipes
    if epochs := [recipe.epochs for recipe in asked if recipe.epochs > 1]:
        return f"trained for 1 epoch here, of {max(epochs)}"
    return None


def check_level(subject: CheckedPruner) -> str | None:
    """Check that the level is removed of its target, at two levels."""
    pruner = subject.pruner
    if pruner.levels == "none":
        raise Skip("it gives one network, without a level")
    if pruner.levels == "rounds":
        return _check_rounds(subject)
    _check_distance(subject, subject.attempt(0.25), 0.25)
    return _check_distance(subject, subject.main, LEVEL)


def _check_rounds(subject: CheckedPruner) -> str | None:
    count = subject.pruner.round_count()
    require(count >= 1, "it goes in rounds, and has none")
    levels = [subject.pruner.level_of_round(k) for k in range(1, count + 1)]
    rising = all(a < b for a, b in zip([0.0, *levels], [*levels, 1.0], strict=True))
    require(rising, f"level_of_round gives {levels[:5]}; it should rise, between 0 and 1")
    note = _check_distance(subject, subject.main, levels[0])
    if count > 1:
        note = _check_distance(subject, subject.attempt(after=subject.main), levels[1])
    return note


def _check_distance(subject: CheckedPruner, attempt: Attempt, level: float) -> str:
    baseline = train_network("digits-cnn")
    gone = measure_pruned(attempt.network, baseline)
    kind = find_axis(attempt.network, baseline)
    require(kind != "none", f"at level {level:.0%} nothing was removed")
    target = "weights" if kind == "masked" else getattr(subject.pruner, "target", None)
    targets = [target] if target in gone else ["params", "channels", "macs"]
    distance, nearest = min((abs(gone[name] - level), name) for name in targets)
    tolerance = 0.01 if kind == "masked" else ONE_CHANNEL
    found = ", ".join(f"{gone[name]:.1%} of the {name}" for name in targets)
    require(distance <= tolerance, f"at level {level:.1%}, {found} are pruned")
    return f"{gone[nearest]:.1%} of the {nearest} at level {level:.1%}"


def check_outputs(subject: CheckedPruner) -> None:
    """Check that there is a logit a class and that no layer is empty."""
    _check_outputs(subject.main.network)


def _check_outputs(network: Network) -> None:
    logits = predict_logits(network, load_test_images(16))
    wanted = (16, train_network("digits-cnn").architecture.classes)
    require(tuple(logits.shape) == wanted, f"the outputs are {tuple(logits.shape)}, not {wanted}")
    require(bool(logits.isfinite().all()), "there are outputs that are not finite")
    require(bool((logits.std(0) > 0).any()), "all images get the same outputs: a layer is empty")
    for name, layer in network.module.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            require(bool((layer.weight != 0).any()), f"nothing is left of layer {name!r}")


def check_awkward_network(subject: CheckedPruner) -> str | None:
    """Check that residual sums and grouped convolutions are pruned too, or clearly refused."""
    try:
        attempt = subject.attempt(0.3, which="awkward")
    except RequestError as error:
        raise Skip(f"it refuses such a network: {error}") from None
    _check_outputs(attempt.network)
    _check_loading(attempt.network)
    return None


def check_level_zero(subject: CheckedPruner) -> None:
    """Check that at level 0 nothing changes."""
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


def check_gradients(subject: CheckedPruner) -> None:
    """Check that a loss has a gradient by the weights, so that fine-tuning can train them."""
    network = subject.main.network.copy()
    network.module.requires_grad_(True)
    loss = F.cross_entropy(network.module(load_test_images(8)), torch.arange(8))
    if not loss.requires_grad:
        if network.architecture.factory != subject.main.parent.architecture.factory:
            raise Skip("another architecture, without gradients: it cannot be trained")
        raise Failure("the loss has no gradient")
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in network.module.parameters() if p.grad is not None]
    require(all(bool(g.isfinite().all()) for g in gradients), "gradients are not finite")
    require(any(bool(g.any()) for g in gradients), "all gradients are zero")


def check_storage(subject: CheckedPruner) -> None:
    """Check that no hook is left, and that the network is the same when loaded from a store."""
    for name, layer in subject.main.network.module.named_modules():
        require(not count_hooks(layer), f"a hook was left on layer {name!r}")
        require(not hasattr(layer, "parametrizations"), f"layer {name!r} is parametrised")
    _check_loading(subject.main.network)
    built = subject.main.network.architecture
    if find_source_file(built.factory):
        code = read_code(built.factory, built.model_dump(mode="json")["parameters"], built.source)
        named = code in subject.pruner.code()
        require(named, "code() does not name the Python code that builds it: no run could load it")


def _check_loading(network: Network) -> None:
    written = network.architecture.model_dump_json()
    architecture = type(network.architecture).model_validate_json(written)
    loaded = from_tensors(architecture, load(save(to_tensors(network))))
    require(digest_network(loaded) == digest_network(network), "tensors differ after loading")
    images = load_test_images(4)
    same = torch.equal(predict_logits(loaded, images), predict_logits(network, images))
    require(same, "outputs differ after loading")


def check_export(subject: CheckedPruner) -> None:
    """Check that torch.export takes the network, and that its result computes the same."""
    network = subject.main.network.copy()
    images = load_test_images(2)
    with torch.no_grad():
        exported = torch.export.export(network.module, (images,))
        found = exported.module()(images)
    close = torch.allclose(found, predict_logits(network, images), atol=1e-4)
    require(close, "the exported network computes something else")


def check_gpu(subject: CheckedPruner) -> None:
    """Check that on a GPU all tensors stay there."""
    if not torch.cuda.is_available():
        raise Skip("there is no GPU here")
    attempt = subject.attempt(device=torch.device("cuda"))
    tensors = {**attempt.network.module.state_dict(), **attempt.network.masks}
    for name, tensor in tensors.items():
        require(tensor.device.type == "cuda", f"{name!r} is on {tensor.device}")
    _check_outputs(attempt.network)


def check_zeros(subject: CheckedPruner) -> str | None:
    """Check that zeros stay zero in an epoch of fine-tuning with momentum and weight decay."""
    network = subject.main.network.copy()
    if network.architecture.factory != subject.main.parent.architecture.factory:
        raise Skip("another architecture: there are no zeros to keep")
    apply_masks(network.module, network.masks)
    recipe = Recipe(epochs=1, images=300, lr=0.02, momentum=0.9, weight_decay=5e-4, keep="last")
    data = load_digits()
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


SUBJECT = CheckedPruner
"""What the checks are given."""

CHECKS = (
    Check("compresses", check_compression, first=True),
    Check("reaches its level", check_level),
    Check("keeps the outputs", check_outputs),
    Check("copes with residual sums and groups", check_awkward_network),
    Check("changes nothing at level 0", check_level_zero),
    Check("stays differentiable", check_gradients),
    Check("leaves no hooks, is saved and loaded", check_storage),
    Check("can be exported", check_export),
    Check("works on a GPU", check_gpu),
    Check("keeps zeros in recovery", check_zeros),
    *REPEATABLE,
    *DECLARED,
)
