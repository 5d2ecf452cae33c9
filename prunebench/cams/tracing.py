"""One pass of a batch through a network, kept as the trace that explanation methods read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.cams.cam import Trace
from prunebench.cams.tail import agrees, forget, tail
from prunebench.cams.target_layer import (
    check_target_layer,
    find_layer,
    frozen,
    last_feature_layer,
)
from prunebench.errors import RequestError

__all__ = ["check_target_layer", "last_feature_layer", "trace"]


def trace(
    module: nn.Module, target_layer: str, images: Tensor, classes: Tensor, seed: int = 0
) -> Trace:
    """Runs a batch forward, and backward only as far as the target layer.

    The network runs in evaluation mode and is left as it was found: no hooks, the same training
    flags, no gradients. Where the target layer runs several times, its last run is explained.

    Args:
        module: The network; images B×C×H×W in, logits B×K out.
        target_layer: Name of the layer whose output is explained, which must be B×C×h×w.
        images: Normalised images, B×C×H×W, on the network's device.
        classes: The class explained in each image, B.
        seed: Handed on to methods that draw random numbers.

    Raises:
        RequestError: There is no such layer, its output is no batch of maps or does not reach
            the logits, or a class does not exist.
    """
    layer = find_layer(module, target_layer)
    leaves: list[Tensor] = []

    def start_here(_layer: nn.Module, _inputs: Any, output: Any) -> Tensor:
        if not (isinstance(output, Tensor) and output.dim() == 4):
            found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise RequestError(
                f"the output of layer {target_layer!r} is {found}; a layer that can be explained "
                "gives maps, B×C×h×w"
            )
        leaves.append(output.detach().clone().requires_grad_())
        # What follows may work in place: on this copy, never on the activations kept.
        return leaves[-1].clone()

    with frozen(module), torch.inference_mode(False), torch.enable_grad():
        with _hook(layer, start_here):
            logits = module(images.detach())
        if not leaves:
            raise RequestError(f"layer {target_layer!r} takes no part in the network's output")
        explained = _classes(classes, logits)
        score = logits.gather(1, explained[:, None]).sum()
        gradients = None
        if score.requires_grad:
            (gradients,) = torch.autograd.grad(score, leaves[-1], allow_unused=True)
    if gradients is None:
        raise RequestError(f"the output of layer {target_layer!r} does not reach the logits")
    activations, logits = leaves[-1].detach(), logits.detach()
    return Trace(
        activations=activations,
        gradients=gradients,
        logits=logits,
        classes=explained,
        images=images,
        resume=_resume(module, layer, len(leaves), images, activations, logits),
        seed=seed,
    )


def _classes(classes: Tensor, logits: Any) -> Tensor:
    if not (isinstance(logits, Tensor) and logits.dim() == 2):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise RequestError(f"the network's output is {found}; expected logits, B×K")
    if classes.shape != logits.shape[:1]:
        raise RequestError(
            f"{tuple(classes.shape)} classes for {len(logits)} images; expected one an image"
        )
    indices = classes.to(logits.device, torch.int64)
    wrong = indices[(indices < 0) | (indices >= logits.shape[1])]
    if len(wrong):
        raise RequestError(
            f"class {int(wrong[0])} does not exist: the network has {logits.shape[1]} classes"
        )
    return indices


def _resume(
    module: nn.Module,
    layer: nn.Module,
    runs: int,
    images: Tensor,
    activations: Tensor,
    logits: Tensor,
) -> Callable[[Tensor, Tensor], Tensor]:
    """Makes the function that runs only what follows the target layer."""
    with frozen(module), torch.no_grad():
        cut = tail(module, layer)
        # A copy, like everywhere: what follows may work in place. One image tells whether the
        # network was changed after its tail was cut.
        if cut is not None and not agrees(cut, activations[:1].clone(), logits[:1]):
            forget(module)
            cut = tail(module, layer)
            if cut is not None and not agrees(cut, activations[:1].clone(), logits[:1]):
                cut = None

    def run_tail(changed: Tensor, indices: Tensor) -> Tensor:
        assert cut is not None
        with frozen(module), torch.no_grad():
            return cut(changed.clone())

    def run_all(changed: Tensor, indices: Tensor) -> Tensor:
        count = 0

        def replace(_layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            nonlocal count
            count += 1
            return changed.clone() if count == runs else output

        with frozen(module), torch.no_grad(), _hook(layer, replace):
            resumed: Tensor = module(images[indices])
        return resumed

    return run_tail if cut is not None else run_all


@contextmanager
def _hook(layer: nn.Module, function: Callable[..., Any]) -> Iterator[None]:
    handle = layer.register_forward_hook(function)
    try:
        yield
    finally:
        handle.remove()
