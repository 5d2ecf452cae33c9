"""Networks of a Python program as models: a module with its weights, or a function that builds."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from prunebench.cams.target_layer import find_last_feature_layer
from prunebench.data import Normalisation
from prunebench.errors import RequestError
from prunebench.models import Model
from prunebench.networks.wrappers import unwrap
from prunebench.plugins.recipe import Recipe

Shape = tuple[int, int, int, int]
"""Classes, channels, height and width."""
USUAL: tuple[Shape, ...] = tuple(
    (classes, channels, size, size)
    for classes in (10, 1000)
    for size in (224, 96, 64, 32, 28)
    for channels in (3, 1)
)


class GivenNetwork(Model):
    """What modules and functions have in common."""

    content: str = Field(description="digest of the network, or of the function's text")
    mean: tuple[float, ...] = Field((), description="channel means; the data set's by default")
    std: tuple[float, ...] = Field((), description="deviations; the data set's by default")

    shapes: ClassVar[tuple[Shape, ...]] = ()
    """Those of the suite's data sets, where they are known."""
    found_layer: ClassVar[str] = ""

    def normalisation(self) -> Normalisation | None:
        """Return the normalisation, where one was given."""
        if len(self.mean) != len(self.std):
            raise RequestError("parameters 'mean' and 'std': expected as many of one as of another")
        return Normalisation(self.mean, self.std) if self.mean else None

    def target_layer(self) -> str:
        """Return the last layer with maps, found by running the network once."""
        if not self.found_layer:
            type(self).found_layer = self._find_layer()
        return self.found_layer

    def _find_layer(self) -> str:
        reason = "it takes no images of the usual sizes"
        for classes, channels, height, width in self.shapes or USUAL:
            example = torch.zeros(1, channels, height, width)
            try:
                module = self.build(classes, channels, (height, width)).eval()
                return find_last_feature_layer(module, example)
            except RequestError as error:
                reason = error.message
            except Exception:  # one of another number of channels or size fails in any way
                continue
        raise RequestError(
            f"the target layer is not found ({reason}); name it: `explain: {{target_layer: LAYER}}`"
        )


class GivenModule(GivenNetwork):
    """A module with its weights: a baseline that is given."""

    given: ClassVar[nn.Module]

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Copy the module, with new random weights."""
        module = _copy(self.given)
        renew_weights(module)
        return module

    def pretrained(self) -> Mapping[str, Tensor] | None:  # type: ignore[override]
        """Return the weights that it came with."""
        return {name: each.detach().cpu() for name, each in self.given.state_dict().items()}

    def trained(self) -> bool:
        """Tell that it comes with weights."""
        return True


class GivenFunction(GivenNetwork):
    """A function, or a class, that builds an untrained network."""

    given: ClassVar[Callable[..., Any]]

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Call the function with those of classes, channels and size that it takes."""
        offered = {"classes": classes, "channels": channels, "size": size}
        function = type(self).given
        taken = inspect.signature(function).parameters
        module = function(**{name: each for name, each in offered.items() if name in taken})
        if not isinstance(module, nn.Module):
            raise RequestError(f"returned a {type(module).__name__}, expected a torch.nn.Module")
        return module

    def recipe(self) -> Recipe:
        """Refuse: nobody knows how it is trained but who wrote it."""
        raise RequestError(
            "it is not known how this network is trained; say so: {FUNCTION: {'training': "
            "{'epochs': 5}}}, or give 'weights'"
        )


def check_function(function: Callable[..., Any]) -> None:
    """Refuse a function that cannot be called with classes, channels and size.

    Raises:
        RequestError: It needs something else.
    """
    for parameter in inspect.signature(function).parameters.values():
        needed = parameter.default is parameter.empty
        named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        known = parameter.name in ("classes", "channels", "size")
        if (
            needed
            and (not named or not known)
            and parameter.kind
            not in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            )
        ):
            raise RequestError(
                f"a function that builds a network takes of 'classes', 'channels' and 'size' what "
                f"it needs; {parameter.name!r} is not known: give it a default"
            )


def take_module(module: nn.Module) -> nn.Module:
    """Return a copy of a module, on the CPU and without wrappers, that no caller can change.

    Raises:
        RequestError: It cannot be copied, or its layers cannot be looked into.
    """
    return _copy(unwrap(module)).cpu().eval()


@torch.inference_mode(False)
def _copy(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except (TypeError, RuntimeError) as error:
        raise RequestError(
            f"{type(module).__name__} cannot be copied ({error}); keep what cannot be copied "
            "outside of the module, and make masks permanent (torch.nn.utils.prune.remove)"
        ) from error


@torch.no_grad()
def renew_weights(module: nn.Module) -> None:
    """Give a network new random weights, drawn by torch's generator.

    Layers draw their own by ``reset_parameters``. A weight of a layer that cannot do so has its
    numbers shuffled: what was learnt is gone, and their distribution stays.
    """
    for layer in module.modules():
        before = {weight: weight.clone() for weight in layer.parameters(recurse=False)}
        reset = getattr(layer, "reset_parameters", getattr(layer, "_reset_parameters", None))
        try:
            if reset is not None:
                reset()
        except TypeError:  # one that wants arguments
            pass
        for weight, learnt in before.items():
            if torch.equal(weight, learnt):
                shuffled = learnt.flatten()[torch.randperm(learnt.numel())]
                weight.copy_(shuffled.view_as(weight))
