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
    change_global_generators,
    describe_state,
    load_test_images,
    note_generators,
    train_network,
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


class CheckedCam:
    """An explanation method at work on a few digits."""

    def __init__(self, chosen: Chosen[Cam], parameters: dict[str, object]) -> None:
        self.chosen = chosen
        self.parameters = parameters
        self.cam = chosen.plugin
        self.images = load_test_images(IMAGES)
        self._learnt: dict[type[nn.Module], Prepared] = {}

    def trace(
        self,
        module: nn.Module | None = None,
        layer: str = LAYER,
        images: Tensor | None = None,
        seeds: tuple[int, ...] = tuple(range(IMAGES)),
        classes: Tensor | None = None,
    ) -> Trace:
        """Return one pass of the digits through a network, by default the small one."""
        module = train_network("digits-cnn").copy().module if module is None else module
        images = self.images if images is None else images
        learnt = {
            preparation: {name: tensor.to(images.device) for name, tensor in found.items()}
            for preparation, found in self._prepared(module).items()
        }
        return Tracer(module, layer, images)(images, classes, seeds, learnt)

    def _prepared(self, module: nn.Module) -> Prepared:
        """Return what a method that learns has learnt, briefly, of a network of this kind."""
        kind = type(module)
        if kind not in self._learnt:
            learner = copy.deepcopy(module).cpu().float()
            self._learnt[kind] = learn([self.cam], learner, load_test_images(LEARNT))
        return self._learnt[kind]

    def raw(self, traced: Trace) -> Tensor:
        """Return raw maps, checked for their shape and for what is no number."""
        explained = self.cam(traced)
        found = explained.maps if isinstance(explained, Explanation) else explained
        count = len(traced.images)
        sizes = [(count, *tensor.shape[2:]) for tensor in (traced.activations, traced.images)]
        shape = tuple(found.shape)
        require(shape in sizes, f"the maps are {shape}; expected {sizes[0]} or {sizes[1]}")
        require(bool(found.isfinite().all()), "a map holds what is not finite")
        return found.detach()

    def maps(self, traced: Trace) -> Tensor:
        """Return maps in [0, 1]."""
        return normalise(self.raw(traced))


def check_maps(subject: CheckedCam) -> None:
    """Check that maps lie in [0, 1] and are not all empty."""
    maps = subject.maps(subject.trace())
    require(bool(((maps >= 0) & (maps <= 1)).all()), "maps leave [0, 1]")
    require(bool(maps.any()), "all maps are empty")


def check_batches(subject: CheckedCam) -> None:
    """Check that an image has the same map alone as in a batch."""
    together = subject.maps(subject.trace())
    for index in range(3):
        alone = subject.maps(
            subject.trace(images=subject.images[index : index + 1], seeds=(index,))
        )
        distance = float((alone[0] - together[index]).abs().max())
        require(distance < CLOSE, f"alone in its batch, an image's map changes by {distance:.2g}")


def check_repetition(subject: CheckedCam) -> None:
    """Check that maps are the same again, and that no global generator is drawn from."""
    drawn: set[str] = set()
    traced = subject.trace()
    with note_generators(drawn):
        first = subject.raw(traced)
    with change_global_generators():
        second = subject.raw(subject.trace())
    require(torch.equal(first, second), "the same images and seeds give other maps")
    names = ", ".join(sorted(drawn))
    require(not drawn, f"it draws from or seeds the global generator of {names}; use trace.seeds")


def check_seeds(subject: CheckedCam) -> None:
    """Check that other seeds give other maps if, and only if, ``random`` is declared."""
    first = subject.maps(subject.trace())
    second = subject.maps(subject.trace(seeds=tuple(range(100, 100 + IMAGES))))
    same = torch.equal(first, second)
    if subject.cam.random:
        require(not same, "`random` is declared, but other seeds give the same maps")
    else:
        require(same, "other seeds give other maps; declare `random = True`")


def check_network(subject: CheckedCam) -> None:
    """Check that values, gradients, hooks and modes of the network are as they were."""
    module = train_network("digits-cnn").copy().module
    traced = subject.trace(module)
    before = describe_state(module)
    twin = None if traced.module is None else describe_state(traced.module)
    subject.raw(traced)
    require(describe_state(module) == before, "the network changed")
    if traced.module is not None:
        require(describe_state(traced.module) == twin, "trace.module changed")


def check_no_gradient(subject: CheckedCam) -> None:
    """Check that a class without any gradient gives a map of numbers."""
    module = train_network("digits-cnn").copy().module
    with torch.no_grad():
        module.get_submodule("linear").weight.zero_()  # type: ignore[operator]
    subject.raw(subject.trace(module))


def check_constant_activations(subject: CheckedCam) -> None:
    """Check that activations that are all zero, or all the same, give maps of numbers."""
    for value in (0.0, 1.0):
        module = train_network("digits-cnn").copy().module
        norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
        with torch.no_grad():
            norms[-1].weight.zero_()
            norms[-1].bias.fill_(value)
        subject.raw(subject.trace(module))


def check_in_place(subject: CheckedCam) -> None:
    """Check that ReLUs that work in place and residual sums change nothing."""
    module = train_network("awkward").copy().module
    try:
        changed = subject.maps(subject.trace(module, "grouped"))
        for layer in module.modules():
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        wanted = subject.maps(subject.trace(module, "grouped"))
        subject.raw(subject.trace(train_network("awkward").copy().module, "second"))
    except RequestError as error:
        raise Skip(f"it refuses such a network or layer: {error}") from None
    distance = float((changed - wanted).abs().max())
    require(distance < CLOSE, f"with ReLUs in place, maps change by {distance:.2g}")


def check_double_precision(subject: CheckedCam) -> None:
    """Check that in float64 the maps are the same but for rounding."""
    single = subject.maps(subject.trace())
    module = train_network("digits-cnn").copy().module.double()
    double = subject.maps(subject.trace(module, images=subject.images.double()))
    distance = float((double - single).abs().mean())
    require(distance < DIGITS, f"in float64, maps change by {distance:.2g}")


def check_gpu(subject: CheckedCam) -> None:
    """Check that on a GPU the maps are the same but for rounding."""
    if not torch.cuda.is_available():
        raise Skip("there is no GPU here")
    module = train_network("digits-cnn").copy().module.cuda()
    found = subject.maps(subject.trace(module, images=subject.images.cuda()))
    require(found.device.type == "cuda", f"the maps are on {found.device}")
    distance = float((found.cpu() - subject.maps(subject.trace())).abs().max())
    require(distance < 0.01, f"on the GPU, maps change by {distance:.2g}")


SUBJECT = CheckedCam
"""What the checks are given."""

CHECKS = (
    Check("explains", check_maps, first=True),
    Check("an image's map is its own", check_batches),
    Check("same images, same maps", check_repetition),
    Check("seed matters only if declared", check_seeds),
    Check("leaves the network alone", check_network),
    Check("bears a class without gradient", check_no_gradient),
    Check("bears constant activations", check_constant_activations),
    Check("bears ReLUs in place and residual sums", check_in_place),
    Check("works in float64", check_double_precision),
    Check("works on a GPU", check_gpu),
    *DECLARED,
)
