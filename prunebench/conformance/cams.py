"""What every explanation method is held to."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from prunebench.cams.cam import Cam, Explanation, Trace
from prunebench.cams.explainer_training import learn
from prunebench.cams.maps import normalise
from prunebench.cams.tracer import Tracer
from prunebench.conformance.bench import (
    other_global_randomness,
    state_of,
    test_images,
    trained,
    watched,
)
from prunebench.conformance.checks import Check, Skip, require
from prunebench.conformance.declared import DECLARED
from prunebench.errors import RequestError
from prunebench.plugins import Chosen
from prunebench.plugins.context import Prepared

LAYER = "stage3"
IMAGES = 6
LEARNT = 100
"""Images that a method learns from, if it does."""
CLOSE = 1e-3
"""Of maps in [0, 1]: rounding in other batches."""
DIGITS = 1e-2
"""In the mean, rounding in other numbers of digits: where a method divides by next to nothing, a
pixel may differ by more."""


class Subject:
    """An explanation method at work on a few digits."""

    def __init__(self, chosen: Chosen[Cam], parameters: dict[str, object]) -> None:
        self.chosen = chosen
        self.parameters = parameters
        self.cam = chosen.plugin
        self.images = test_images(IMAGES)
        self._learnt: dict[type[nn.Module], Prepared] = {}

    def trace(
        self,
        module: nn.Module | None = None,
        layer: str = LAYER,
        images: Tensor | None = None,
        seeds: tuple[int, ...] = tuple(range(IMAGES)),
        classes: Tensor | None = None,
    ) -> Trace:
        """One pass of the digits through a network, by default the small one."""
        module = trained("digits-cnn").copy().module if module is None else module
        images = self.images if images is None else images
        learnt = {
            preparation: {name: tensor.to(images.device) for name, tensor in found.items()}
            for preparation, found in self._prepared(module).items()
        }
        return Tracer(module, layer, images)(images, classes, seeds, learnt)

    def _prepared(self, module: nn.Module) -> Prepared:
        """What a method that learns has learnt of the trained network of this kind, briefly."""
        kind = type(module)
        if kind not in self._learnt:
            learner = copy.deepcopy(module).cpu().float()
            self._learnt[kind] = learn([self.cam], learner, test_images(LEARNT))
        return self._learnt[kind]

    def raw(self, traced: Trace) -> Tensor:
        """Raw maps, checked for their shape and for what is no number."""
        explained = self.cam(traced)
        found = explained.maps if isinstance(explained, Explanation) else explained
        count = len(traced.images)
        sizes = [(count, *tensor.shape[2:]) for tensor in (traced.activations, traced.images)]
        shape = tuple(found.shape)
        require(shape in sizes, f"the maps are {shape}; expected {sizes[0]} or {sizes[1]}")
        require(bool(found.isfinite().all()), "a map holds what is not finite")
        return found.detach()

    def maps(self, traced: Trace) -> Tensor:
        """Maps in [0, 1]."""
        return normalise(self.raw(traced))


def explains(subject: Subject) -> None:
    """Maps in [0, 1], not all of them empty."""
    maps = subject.maps(subject.trace())
    require(bool(((maps >= 0) & (maps <= 1)).all()), "maps leave [0, 1]")
    require(bool(maps.any()), "all maps are empty")


def batch_independent(subject: Subject) -> None:
    """An image has the same map alone as in a batch."""
    together = subject.maps(subject.trace())
    for index in range(3):
        alone = subject.maps(
            subject.trace(images=subject.images[index : index + 1], seeds=(index,))
        )
        distance = float((alone[0] - together[index]).abs().max())
        require(distance < CLOSE, f"alone in its batch, an image's map changes by {distance:.2g}")


def same_again(subject: Subject) -> None:
    """The same maps again, whatever state the global generators are in; none is drawn from."""
    drawn: set[str] = set()
    traced = subject.trace()
    with watched(drawn):
        first = subject.raw(traced)
    with other_global_randomness():
        second = subject.raw(subject.trace())
    require(torch.equal(first, second), "the same images and seeds give other maps")
    names = ", ".join(sorted(drawn))
    require(not drawn, f"it draws from or seeds the global generator of {names}; use trace.seeds")


def seed_matters(subject: Subject) -> None:
    """Other seeds give other maps if, and only if, ``random`` is declared."""
    first = subject.maps(subject.trace())
    second = subject.maps(subject.trace(seeds=tuple(range(100, 100 + IMAGES))))
    same = torch.equal(first, second)
    if subject.cam.random:
        require(not same, "`random` is declared, but other seeds give the same maps")
    else:
        require(same, "other seeds give other maps; declare `random = True`")


def network_untouched(subject: Subject) -> None:
    """Values, gradients, hooks and modes of the network are as they were."""
    module = trained("digits-cnn").copy().module
    traced = subject.trace(module)
    before = state_of(module)
    twin = None if traced.module is None else state_of(traced.module)
    subject.raw(traced)
    require(state_of(module) == before, "the network changed")
    if traced.module is not None:
        require(state_of(traced.module) == twin, "trace.module changed")


def no_gradient(subject: Subject) -> None:
    """A class that nothing speaks for gives a map of numbers."""
    module = trained("digits-cnn").copy().module
    with torch.no_grad():
        module.get_submodule("linear").weight.zero_()  # type: ignore[operator]
    subject.raw(subject.trace(module))


def constant_activations(subject: Subject) -> None:
    """Activations that are all zero, or all the same, give maps of numbers."""
    for value in (0.0, 1.0):
        module = trained("digits-cnn").copy().module
        norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
        with torch.no_grad():
            norms[-1].weight.zero_()
            norms[-1].bias.fill_(value)
        subject.raw(subject.trace(module))


def in_place(subject: Subject) -> None:
    """ReLUs that work in place and residual sums change nothing."""
    module = trained("awkward").copy().module
    try:
        changed = subject.maps(subject.trace(module, "grouped"))
        for layer in module.modules():
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        wanted = subject.maps(subject.trace(module, "grouped"))
        subject.raw(subject.trace(trained("awkward").copy().module, "second"))
    except RequestError as error:
        raise Skip(f"it refuses such a network or layer: {error}") from None
    distance = float((changed - wanted).abs().max())
    require(distance < CLOSE, f"with ReLUs in place, maps change by {distance:.2g}")


def double_precision(subject: Subject) -> None:
    """In float64 the maps are the same but for rounding."""
    single = subject.maps(subject.trace())
    module = trained("digits-cnn").copy().module.double()
    double = subject.maps(subject.trace(module, images=subject.images.double()))
    distance = float((double - single).abs().mean())
    require(distance < DIGITS, f"in float64, maps change by {distance:.2g}")


def on_a_gpu(subject: Subject) -> None:
    """On a GPU the maps are there, and the same but for rounding."""
    if not torch.cuda.is_available():
        raise Skip("there is no GPU here")
    module = trained("digits-cnn").copy().module.cuda()
    found = subject.maps(subject.trace(module, images=subject.images.cuda()))
    require(found.device.type == "cuda", f"the maps are on {found.device}")
    distance = float((found.cpu() - subject.maps(subject.trace())).abs().max())
    require(distance < 0.01, f"on the GPU, maps change by {distance:.2g}")


CHECKS = (
    Check("explains", explains, first=True),
    Check("an image's map is its own", batch_independent),
    Check("same images, same maps", same_again),
    Check("seed matters only if declared", seed_matters),
    Check("leaves the network alone", network_untouched),
    Check("bears a class without gradient", no_gradient),
    Check("bears constant activations", constant_activations),
    Check("bears ReLUs in place and residual sums", in_place),
    Check("works in float64", double_precision),
    Check("works on a GPU", on_a_gpu),
    *DECLARED,
)
