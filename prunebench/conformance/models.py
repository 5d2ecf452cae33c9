"""What every model is held to."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional as F

from prunebench.cams.target_layer import check_target_layer
from prunebench.cams.tracer import Tracer
from prunebench.conformance.bench import fingerprint, logits_of
from prunebench.conformance.checks import Check, Skip, require
from prunebench.conformance.declared import DECLARED
from prunebench.errors import RequestError
from prunebench.models import Model
from prunebench.networks import Architecture, Network
from prunebench.networks.network import from_tensors, to_tensors
from prunebench.plugins import Chosen
from prunebench.plugins.recipe import Recipe
from prunebench.seeding import seeded

Shape = tuple[int, int, tuple[int, int]]
"""Classes, channels, and height and width of the images."""

SHAPES: tuple[Shape, ...] = (
    (10, 1, (28, 28)),
    (10, 3, (32, 32)),
    (4, 3, (64, 96)),
    (7, 3, (96, 96)),
)
LARGE: Shape = (3, 3, (224, 224))
"""For a model that takes none of the others, or whose maps are too small in them."""


class Subject:
    """A model, and what it builds for images of several sizes."""

    def __init__(self, chosen: Chosen[Model], parameters: dict[str, object]) -> None:
        self.chosen = chosen
        self.parameters = parameters
        self.model = chosen.plugin
        self.refused: dict[Shape, str] = {}

    @cached_property
    def shapes(self) -> list[Shape]:
        """The shapes that the model takes; why it refuses the others goes to ``refused``."""
        taken = [shape for shape in SHAPES if self._takes(shape)]
        return taken or [shape for shape in (LARGE,) if self._takes(shape)]

    def _takes(self, shape: Shape) -> bool:
        try:
            self.build(shape)
        except RequestError as error:
            self.refused[shape] = error.message
            return False
        return True

    @cached_property
    def explained(self) -> Shape | None:
        """The smallest shape whose target layer can be explained."""
        for shape in dict.fromkeys((*self.shapes, LARGE)):
            try:
                self.check_layer(shape)
            except RequestError:
                continue
            return shape
        return None

    def check_layer(self, shape: Shape) -> tuple[int, int]:
        """Height and width of the target layer's map; refused as a suite would refuse it."""
        module, model = self.build(shape).module, self.model
        example = images_of(shape, 1)
        return check_target_layer(
            module, model.target_layer(), example, model.minimum_map, model.layout()
        )

    def build(self, shape: Shape, seed: int = 0) -> Network:
        """Builds the untrained network, as the harness does."""
        classes, channels, size = shape
        parameters = self.model.model_dump(
            mode="json", exclude_defaults=True, exclude={"weights", "training", "adapt"}
        )
        if "/" in self.chosen.name:
            parameters.pop("name")
        architecture = Architecture(
            factory=self.chosen.name,
            parameters=parameters,
            classes=classes,
            channels=channels,
            size=size,
            mean=(0.5,) * channels,
            std=(0.5,) * channels,
        )
        with seeded(seed, "initialisation"):
            return Network(architecture.build().eval(), architecture)


def images_of(shape: Shape, count: int) -> torch.Tensor:
    """Images of noise."""
    _, channels, size = shape
    return torch.randn(count, channels, *size, generator=torch.Generator().manual_seed(0))


def builds(subject: Subject) -> str:
    """A network for some shapes, a clear refusal for the others."""
    reasons = "; ".join(subject.refused.values())
    taken = subject.shapes
    require(bool(taken), f"it refuses every size of images tried: {reasons}")
    for shape in taken:
        module = subject.build(shape).module
        require(isinstance(module, nn.Module), f"it built a {type(module).__name__}")
    return f"for {len(taken)} shapes of {len(taken) + len(subject.refused)}"


def gives_logits(subject: Subject) -> None:
    """A logit a class for every image, the same alone as in a batch."""
    for shape in subject.shapes:
        network, images = subject.build(shape), images_of(shape, 2)
        logits = logits_of(network, images)
        wanted = (2, shape[0])
        require(tuple(logits.shape) == wanted, f"logits are {tuple(logits.shape)}, not {wanted}")
        require(bool(logits.isfinite().all()), "logits are not finite")
        alone = logits_of(network, images[:1])
        scale = max(1.0, float(logits.abs().max()))
        close = torch.allclose(alone, logits[:1], atol=1e-4 * scale)
        require(close, "in evaluation mode, an image's logits depend on its batch")


def has_a_target_layer(subject: Subject) -> str:
    """The target layer is there, and its map is large enough."""
    shape = subject.explained or subject.shapes[-1]
    height, width = subject.check_layer(shape)
    return f"{subject.model.target_layer()}: {height}×{width} for {shape[2][0]}×{shape[2][1]}"


def is_explained(subject: Subject) -> None:
    """The target layer's activations have gradients."""
    shape = subject.explained
    if shape is None:
        raise Skip("its target layer cannot be explained")
    images = images_of(shape, 2)
    module, model = subject.build(shape).module, subject.model
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():  # some classifiers begin with nothing but zeros
                parameter.fill_(0.1)
    traced = Tracer(module, model.target_layer(), images, model.layout())(images)
    require(bool(traced.gradients.isfinite().all()), "gradients are not finite")
    require(bool(traced.gradients.any()), "the logits do not depend on the target layer")


def trains(subject: Subject) -> None:
    """A step of training changes the weights and gives numbers."""
    shape = subject.shapes[0]
    module = subject.build(shape).module.train()
    before = [parameter.detach().clone() for parameter in module.parameters()]
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    loss = F.cross_entropy(module(images_of(shape, 4)), torch.arange(4) % shape[0])
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    require(math.isfinite(loss.item()), f"the loss is {loss.item()}")
    pairs = zip(before, module.parameters(), strict=True)
    require(any(not torch.equal(a, b) for a, b in pairs), "training changes nothing")


def initialised_by_the_seed(subject: Subject) -> None:
    """The same seed gives the same weights, another one others."""
    shape = subject.shapes[0]
    first, second, other = (fingerprint(subject.build(shape, seed)) for seed in (0, 0, 1))
    require(first == second, "the same seed gives other weights")
    require(first != other, "another seed gives the same weights")


def saved_and_loaded(subject: Subject) -> None:
    """The same to the last bit from JSON and tensors."""
    network = subject.build(subject.shapes[0])
    written = network.architecture.model_dump_json()
    architecture = Architecture.model_validate_json(written)
    loaded = from_tensors(architecture, load(save(to_tensors(network))))
    require(fingerprint(loaded) == fingerprint(network), "tensors differ after loading")
    images = images_of(subject.shapes[0], 2)
    same = torch.equal(logits_of(loaded, images), logits_of(network, images))
    require(same, "outputs differ after loading: something is kept outside the state dict")


def fixed_channels(subject: Subject) -> str:
    """Layers whose channels must stay are there."""
    fixed = subject.model.fixed_channels()
    if not fixed:
        raise Skip("it names none")
    layers = dict(subject.build(subject.shapes[0]).module.named_modules())
    for name in fixed:
        require(name in layers, f"there is no layer {name!r}")
    return ", ".join(fixed)


def recipe(subject: Subject) -> str:
    """The recipe trains, and its milestones fall within it."""
    found = subject.model.recipe()
    require(isinstance(found, Recipe), f"the recipe is a {type(found).__name__}, not a Recipe")
    require(found.epochs > 0, "the recipe has no epochs")
    late = [epoch for epoch in found.milestones if epoch >= found.epochs]
    require(not late, f"milestone {late[:1]} is not within {found.epochs} epochs")
    require(found.distillation is None, "a baseline has no teacher")
    return f"{found.epochs} epochs"


def on_a_gpu(subject: Subject) -> None:
    """On a GPU the outputs are the same but for rounding."""
    if not torch.cuda.is_available():
        raise Skip("there is no GPU here")
    shape = subject.shapes[0]
    network, images = subject.build(shape), images_of(shape, 2)
    wanted = logits_of(network, images)
    found = logits_of(network.to("cuda"), images).cpu()
    require(torch.allclose(found, wanted, atol=1e-2, rtol=1e-2), "other outputs on the GPU")


CHECKS = (
    Check("builds", builds, first=True),
    Check("gives logits", gives_logits),
    Check("has a target layer", has_a_target_layer),
    Check("can be explained", is_explained),
    Check("can be trained", trains),
    Check("is initialised by the seed", initialised_by_the_seed),
    Check("is saved and loaded", saved_and_loaded),
    Check("fixed channels are there", fixed_channels),
    Check("has a recipe", recipe),
    Check("works on a GPU", on_a_gpu),
    *DECLARED,
)
