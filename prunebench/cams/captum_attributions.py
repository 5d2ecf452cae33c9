"""Attributions of a trace by captum."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from captum import attr
from torch import Tensor, nn

from prunebench.cams.cam import Trace
from prunebench.cams.captum_rules import (
    check_rectified,
    check_rules,
    prepare_differences,
    set_epsilon,
)
from prunebench.cams.image_gradients import require_gradients
from prunebench.cams.unrolled_network import unroll
from prunebench.networks.shared_weights import make_twin
from prunebench.seeding import content_seed, seeded

PIXELS = 2**20
"""Pixels that pass through the network at once where a method makes many images of one."""


def attribute(name: str, trace: Trace, **parameters: Any) -> Tensor:
    """Attribute each image's class logit to its pixels.

    Args:
        name: The method.
        trace: Its module is left untouched: captum works on a twin.
        parameters: Of the method.

    Returns:
        Attributions, B×H×W.

    Raises:
        RequestError: The method is not defined for this network.
    """
    assert trace.module is not None
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        _default_format(trace.images.dtype),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # captum announces each hook it sets
        images = trace.images.detach().clone()
        found = METHODS[name](trace, images.requires_grad_(), **parameters)
    return found.detach()


@contextmanager
def _default_format(kind: torch.dtype) -> Iterator[None]:
    """Make captum draw numbers in the images' format, whatever the caller's default is."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _saliency(trace: Trace, images: Tensor) -> Tensor:
    found: Tensor = attr.Saliency(_make_differentiable(trace, images)).attribute(
        images, target=trace.classes
    )
    return found.amax(1)


def _input_x_gradient(trace: Trace, images: Tensor) -> Tensor:
    method = attr.InputXGradient(_make_differentiable(trace, images))
    found: Tensor = method.attribute(images, target=trace.classes)
    return found.sum(1)


def _integrated_gradients(trace: Trace, images: Tensor, steps: int) -> Tensor:
    method = attr.IntegratedGradients(_make_differentiable(trace, images))
    found = [
        method.attribute(image, target=k, n_steps=steps, internal_batch_size=_count_at_once(images))
        for image, k in _split_images(trace, images)
    ]
    return torch.cat(found).sum(1)


def _smooth_grad(trace: Trace, images: Tensor, samples: int, noise: float) -> Tensor:
    method = attr.NoiseTunnel(attr.Saliency(_make_differentiable(trace, images)))
    found = []
    for image, k in _split_images(trace, images):
        with seeded(content_seed(image), "smooth-grad"):
            mean = method.attribute(
                image,
                target=k,
                nt_samples=samples,
                nt_samples_batch_size=_count_at_once(images),
                stdevs=noise * float(image.max() - image.min()),
                abs=False,
            )
        found.append(mean)
    return torch.cat(found).abs().amax(1)


def _deep_lift(trace: Trace, images: Tensor) -> Tensor:
    network = unroll(_get_module(trace), images[:1].detach())
    check_rules("deep-lift", network, trace)
    prepare_differences(network)
    # One by one: captum's rule for max-pools reads the gradient of the first image for all.
    method = attr.DeepLift(network)
    found = [method.attribute(image, target=k) for image, k in _split_images(trace, images)]
    return torch.cat(found).sum(1)


def _lrp(trace: Trace, images: Tensor, epsilon: float) -> Tensor:
    # Weights of its own: captum writes into them, be it what they already hold, and a pass that is
    # still to be differentiated, the caller's or another method's, does not survive that.
    network = unroll(deepcopy(_make_twin(trace)), images[:1].detach())
    check_rules("lrp", network, trace)
    set_epsilon(network, epsilon)
    found: Tensor = attr.LRP(network).attribute(images, target=trace.classes)
    return found.sum(1)


def _guided_backprop(trace: Trace, images: Tensor) -> Tensor:
    return _attribute_rectified(attr.GuidedBackprop, "guided-backprop", trace, images)


def _deconvolution(trace: Trace, images: Tensor) -> Tensor:
    return _attribute_rectified(attr.Deconvolution, "deconvolution", trace, images)


def _attribute_rectified(method: Any, name: str, trace: Trace, images: Tensor) -> Tensor:
    network = unroll(_get_module(trace), images[:1].detach())
    check_rectified(name, network, trace)
    found: Tensor = method(network).attribute(images, target=trace.classes)
    return found.sum(1)


def _occlusion(trace: Trace, images: Tensor, window: int | None) -> Tensor:
    side = min(images.shape[2:])
    side = min(window or max(side // 8, 1), side)
    method = attr.Occlusion(_make_twin(trace))
    with torch.no_grad():
        found = [
            method.attribute(
                image.detach(),
                (images.shape[1], side, side),
                (images.shape[1], max(side // 2, 1), max(side // 2, 1)),
                target=k,
                perturbations_per_eval=_count_at_once(images),
            )
            for image, k in _split_images(trace, images)
        ]
    return torch.cat(found).sum(1)


def _get_module(trace: Trace) -> nn.Module:
    assert trace.module is not None
    return trace.module


def _make_twin(trace: Trace) -> nn.Module:
    return make_twin(_get_module(trace))


def _make_differentiable(trace: Trace, images: Tensor) -> nn.Module:
    """Make a twin through which gradients flow back to the images."""
    twin = _make_twin(trace)
    with torch.enable_grad():
        require_gradients(twin(images[:1].detach().requires_grad_()))
    return twin


def _split_images(trace: Trace, images: Tensor) -> list[tuple[Tensor, int]]:
    return list(zip(torch.split(images, 1), trace.classes.tolist(), strict=True))


def _count_at_once(images: Tensor) -> int:
    return max(1, PIXELS // (images.shape[2] * images.shape[3]))


METHODS: dict[str, Callable[..., Tensor]] = {
    "saliency": _saliency,
    "input-x-gradient": _input_x_gradient,
    "integrated-gradients": _integrated_gradients,
    "smooth-grad": _smooth_grad,
    "deep-lift": _deep_lift,
    "lrp": _lrp,
    "guided-backprop": _guided_backprop,
    "deconvolution": _deconvolution,
    "occlusion": _occlusion,
}
