"""Any network as a classifier: images in, logits B×K out, and nothing of the caller's changed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.networks.shared_weights import make_twin
from prunebench.networks.wrappers import unwrap

UNFIT = (RuntimeError, ValueError, AssertionError, IndexError)
"""Errors of networks that are given images of another size, or more or fewer of them."""


def make_classifier(module: nn.Module, example: Tensor) -> nn.Module:
    """Copy a network, on the same weights, so that it takes images and gives logits, B×K.

    The copy works on fresh images, whatever the network does to them, and its buffers are its own.
    Logits are found in a dictionary, a tuple or an object with ``logits``. One logit, as of a
    network that ends in a sigmoid, becomes two classes: −z/2 and z/2, whose softmax is the
    sigmoid's probability.

    Args:
        module: The network. A compiled or distributed one is copied without its wrapper.
        example: A normalised input, B×C×H×W, on the network's device; its first image is used.

    Returns:
        The twin, in evaluation mode, without parameter gradients.

    Raises:
        RequestError: It is no module whose layers can be looked into, cannot take these images,
            needs more than images, or gives nothing that is clearly logits.
    """
    network = make_twin(unwrap(module))
    if any(isinstance(hook, _GiveLogits) for hook in network._forward_hooks.values()):
        return network
    _check_signature(network, example)
    network.register_forward_pre_hook(_refresh_images)
    network.register_forward_hook(_find_logits(_run(network, example[:1])))
    return network


class Whole(nn.Module):
    """Calls a network as a module, so that who follows its code follows its hooks, too."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Run the network."""
        logits: Tensor = self.network(images)
        return logits


def describe_dependence(network: nn.Module, example: Tensor) -> str:
    """Say in a few words on what but the image a network's logits depend; empty if on nothing.

    Args:
        network: As ``make_classifier`` made it.
        example: A normalised input, B×C×H×W.
    """
    twin = make_twin(network)
    image = example[:1]
    pair = torch.cat([image, image.flip(-1).mul(2)])  # larger: a running maximum notices
    before = {name: buffer.clone() for name, buffer in twin.named_buffers()}
    with torch.no_grad():
        first, again = twin(image), twin(image)
        try:
            both = twin(pair)[:1]
        except UNFIT:  # made for one image at a time
            both = again
        later = twin(image)
    learnt = [n for n, b in twin.named_buffers() if not torch.equal(before[n], b)]
    # A buffer that changes and changes no logits, such as a count of runs, does not matter.
    if learnt and not torch.equal(first, later):
        return (
            f"the images seen before: it goes on learning in evaluation mode ({learnt[0]!r} "
            "changes); switch off what observes or updates it"
        )
    if _differ(first, again):
        return "chance: the same image gives other logits each time"
    if _differ(first, both):
        free = [
            name
            for name, layer in twin.named_modules()
            if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is None
        ]
        layers = f" (layer {free[0]!r} keeps no running statistics)" if free else ""
        return (
            f"the other images of a batch{layers}; mend this, or run one image at a time "
            "(batch_size=1 of explain and compare)"
        )
    return ""


def _differ(a: Tensor, b: Tensor) -> bool:
    allowed = 1e-6 if a.dtype is torch.float64 else 1e-3 if a.dtype is torch.float32 else 0.1
    return bool((a - b).abs().max() > allowed * a.abs().max())


def _check_signature(module: nn.Module, example: Tensor) -> None:
    try:
        inspect.signature(module.forward).bind(example)
    except TypeError as error:
        raise RequestError(
            f"{type(module).__name__} cannot be called with images alone ({error}); wrap it in a "
            "module whose forward(images) fills in the rest"
        ) from None


def _refresh_images(_module: nn.Module, inputs: Any) -> Any:
    return (inputs[0].clone(), *inputs[1:])


def _run(network: nn.Module, image: Tensor) -> Any:
    try:
        with torch.no_grad():
            return network(image)
    except torch.OutOfMemoryError:
        raise
    except UNFIT as error:
        shape = "×".join(map(str, image.shape[1:]))
        raise RequestError(f"cannot take images of {shape}: {error}") from error


@dataclass(frozen=True)
class _GiveLogits:
    """A hook that takes logits out of what a network gives.

    Attributes:
        key: Where they are in a dictionary, tuple or list; a name for an attribute.
        attribute: Whether the key is an attribute.
        flat: Whether they have to be brought to B×K.
        one: Whether they are one number an image.
    """

    key: Any = None
    attribute: bool = False
    flat: bool = False
    one: bool = False

    def __call__(self, _module: nn.Module, inputs: Any, output: Any) -> Any:
        if self.key is not None:
            output = getattr(output, self.key) if self.attribute else output[self.key]
        if self.flat:
            output = output.reshape(inputs[0].shape[0], -1)
        return torch.cat([-0.5 * output, 0.5 * output], 1) if self.one else output


def _find_logits(output: Any) -> _GiveLogits:
    """Find the logits in what a network gives for one image."""
    if isinstance(output, Tensor):
        if not _are_logits(output):
            raise RequestError(f"the network gives {tuple(output.shape)}; expected logits, B×K")
        return _GiveLogits(flat=output.dim() != 2, one=output.numel() == 1)
    if isinstance(output, Mapping):
        parts: dict[Any, Any] = dict(output.items())
    elif isinstance(output, tuple | list):
        parts = dict(enumerate(output))
        parts |= {n: getattr(output, n) for n in ("logits",) if n in getattr(output, "_fields", ())}
    else:
        parts = {"logits": getattr(output, "logits", None)}
    likely = {key: part for key, part in parts.items() if _are_logits(part)}
    chosen = "logits" if "logits" in likely else next(iter(likely), None)
    if chosen is None or (chosen != "logits" and len(likely) > 1):
        shown = ", ".join(
            f"{key!r}: {tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__}"
            for key, part in parts.items()
            if part is not None
        )
        raise RequestError(
            f"the network gives a {type(output).__name__} ({shown or 'empty'}), in which nothing "
            "is clearly the logits, B×K; wrap it in a module whose forward(images) returns them"
        )
    by_index = isinstance(output, Mapping) or isinstance(chosen, int)
    found = likely[chosen]
    return _GiveLogits(chosen, not by_index, found.dim() != 2, found.numel() == 1)


def _are_logits(output: Any) -> bool:
    if not (isinstance(output, Tensor) and output.is_floating_point() and output.numel()):
        return False
    # One image: 1×K, 1×K×1×1, or one number in any shape.
    return output.numel() == 1 or (
        output.dim() >= 2 and len(output) == 1 and output.shape[2:].numel() == 1
    )
