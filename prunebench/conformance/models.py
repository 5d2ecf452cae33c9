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
from prunebench.conformance.bench import digest_network, predict_logits
from prunebench.conformance.checks import Check, Skip, require
from prunebench.conformance.declared import DECLARED
from prunebench.errors import RequestError
from prunebench.models import Model
from prunebench.networks import Architecture, Network
from prunebench.networks.network import from_tensors, to_tensors
from prunebench.plugins import Chosen
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.filters.coupling import find_couplings, trace
from prunebench.pruners.filters.removable import find_whole_layers
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


class CheckedModel:
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
        """Return height and width of the target layer's map.

        Raises:
            RequestError: A suite would refuse the layer.
        """
        module, model = self.build(shape).module, self.model
        example = draw_images(shape, 1)
        return check_target_layer(
            module, model.target_layer(), example, model.minimum_map, model.layout()
        )

    def build(self, shape: Shape, seed: int = 0) -> Network:
        """Build the untrained network, as a suite does."""
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


def draw_images(shape: Shape, count: int) -> torch.Tensor:
    """Return images of noise."""
    _, channels, size = shape
    return torch.randn(count, channels, *size, generator=torch.Generator().manual_seed(0))


def check_shapes(subject: CheckedModel) -> str:
    """Check that it builds a network for some shapes, and refuses the others clearly."""
    reasons = "; ".join(subject.refused.values())
    taken = subject.shapes
    require(bool(taken), f"it refuses every size of images tried: {reasons}")
    for shape in taken:
        module = subject.build(shape).module
        require(isinstance(module, nn.Module), f"it built a {type(module).__name__}")
    return f"for {len(taken)} shapes of {len(taken) + len(subject.refused)}"


def check_logits(subject: CheckedModel) -> None:
    """Check that an image has a logit a class, the same alone as in a batch."""
    for shape in subject.shapes:
        network, images = subject.build(shape), draw_images(shape, 2)
        logits = predict_logits(network, images)
        wanted = (2, shape[0])
        require(tuple(logits.shape) == wanted, f"logits are {tuple(logits.shape)}, not {wanted}")
        require(bool(logits.isfinite().all()), "logits are not finite")
        alone = predict_logits(network, images[:1])
        scale = max(1.0, float(logits.abs().max()))
        close = torch.allclose(alone, logits[:1], atol=1e-4 * scale)
        require(close, "in evaluation mode, an image's logits depend on its batch")


def check_target(subject: CheckedModel) -> str:
    """Check that the target layer is there, and its map large enough."""
    shape = subject.explained or subject.shapes[-1]
    height, width = subject.check_layer(shape)
    return f"{subject.model.target_layer()}: {height}×{width} for {shape[2][0]}×{shape[2][1]}"


def check_gradients(subject: CheckedModel) -> None:
    """Check that the target layer's activations have gradients."""
    shape = subject.explained
    if shape is None:
        raise Skip("its target layer cannot be explained")
    images = draw_images(shape, 2)
    module, model = subject.build(shape).module, subject.model
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():  # some classifiers begin with nothing but zeros
                parameter.fill_(0.1)
    traced = Tracer(module, model.target_layer(), images, model.layout())(images)
    require(bool(traced.gradients.isfinite().all()), "gradients are not finite")
    require(bool(traced.gradients.any()), "the logits do not depend on the target layer")


def check_training(subject: CheckedModel) -> None:
    """Check that a step of training changes the weights and gives numbers."""
    shape = subject.shapes[0]
    module = subject.build(shape).module.train()
    before = [parameter.detach().clone() for parameter in module.parameters()]
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    loss = F.cross_entropy(module(draw_images(shape, 4)), torch.arange(4) % shape[0])
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    require(math.isfinite(loss.item()), f"the loss is {loss.item()}")
    pairs = zip(before, module.parameters(), strict=True)
    require(any(not torch.equal(a, b) for a, b in pairs), "training changes nothing")


def check_initialisation(subject: CheckedModel) -> None:
    """Check that the same seed gives the same weights, another one others."""
    shape = subject.shapes[0]
    first, second, other = (digest_network(subject.build(shape, seed)) for seed in (0, 0, 1))
    require(first == second, "the same seed gives other weights")
    require(first != other, "another seed gives the same weights")


def check_storage(subject: CheckedModel) -> None:
    """Check that it is the same to the last bit when loaded from JSON and tensors."""
    network = subject.build(subject.shapes[0])
    written = network.architecture.model_dump_json()
    architecture = Architecture.model_validate_json(written)
    loaded = from_tensors(architecture, load(save(to_tensors(network))))
    require(digest_network(loaded) == digest_network(network), "tensors differ after loading")
    images = draw_images(subject.shapes[0], 2)
    same = torch.equal(predict_logits(loaded, images), predict_logits(network, images))
    require(same, "outputs differ after loading: something is kept outside the state dict")


def check_fixed_channels(subject: CheckedModel) -> str:
    """Check that the layers whose channels must stay are there."""
    fixed = subject.model.fixed_channels()
    if not fixed:
        raise Skip("it names none")
    layers = dict(subject.build(subject.shapes[0]).module.named_modules())
    for name in fixed:
        require(name in layers, f"there is no layer {name!r}")
    return ", ".join(fixed)


def check_removal(subject: CheckedModel) -> str:
    """Check that channels can be removed, and that all others are then read as before."""
    shape = subject.shapes[0]
    module, images = subject.build(shape).module, draw_images(shape, 1)
    fixed = subject.model.fixed_channels()
    try:
        graph = trace(module, images)
    except RequestError as error:
        raise Skip(error.message) from None
    couplings = find_couplings(module, graph, fixed)
    whole = find_whole_layers(module, graph, fixed)
    require(len(whole) < len(couplings), f"no layer can: {whole}")
    kept = f"; not {', '.join(whole)}" if whole else ""
    return f"{len(couplings) - len(whole)} layers{kept}"


def check_recipe(subject: CheckedModel) -> str:
    """Check that the recipe trains, and that its milestones fall within it."""
    found = subject.model.recipe()
    require(isinstance(found, Recipe), f"the recipe is a {type(found).__name__}, not a Recipe")
    require(found.epochs > 0, "the recipe has no epochs")
    late = [epoch for epoch in found.milestones if epoch >= found.epochs]
    require(not late, f"milestone {late[:1]} is not within {found.epochs} epochs")
    require(found.distillation is None, "a baseline has no teacher")
    return f"{found.epochs} epochs"


def check_gpu(subject: CheckedModel) -> None:
    """Check that on a GPU the outputs are the same but for rounding."""
    if not torch.cuda.is_available():
        raise Skip("there is no GPU here")
    shape = subject.shapes[0]
    network, images = subject.build(shape), draw_images(shape, 2)
    wanted = predict_logits(network, images)
    found = predict_logits(network.to("cuda"), images).cpu()
    require(torch.allclose(found, wanted, atol=1e-2, rtol=1e-2), "other outputs on the GPU")


SUBJECT = CheckedModel
"""What the checks are given."""

CHECKS = (
    Check("builds", check_shapes, first=True),
    Check("gives logits", check_logits),
    Check("has a target layer", check_target),
    Check("can be explained", check_gradients),
    Check("can be trained", check_training),
    Check("is initialised by the seed", check_initialisation),
    Check("is saved and loaded", check_storage),
    Check("fixed channels are there", check_fixed_channels),
    Check("can lose channels", check_removal),
    Check("has a recipe", check_recipe),
    Check("works on a GPU", check_gpu),
    *DECLARED,
)
