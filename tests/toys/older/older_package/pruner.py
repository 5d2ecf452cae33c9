"""A pruner around another one, and one that returns another architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from prunebench.context import Preparation
from prunebench.network import Architecture, Network
from prunebench.objective import Objective
from prunebench.pruners.nested import Named, Nesting
from pydantic import Field

from prunebench.errors import RequestError
from prunebench.pruners import Context, Pruner
from prunebench.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn


class MeanSizes(Preparation):
    """The mean size of each layer's weights in the baseline."""

    name: ClassVar[str] = "mean-sizes"

    power: float = 1.0

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        from prunebench.pruners.weights.masking import prunable_layers

        return {
            name: layer.weight.detach().abs().mean() ** self.power
            for name, layer in prunable_layers(network).items()
        }


class Penalty(Nesting, Pruner):
    """Trains with a penalty on large weights, then prunes by another method."""

    trains: ClassVar[bool] = True
    nested: ClassVar[Mapping[str, str]] = {"pruner": "pruners"}

    pruner: Named = Field("l1-unstructured", description="the method applied afterwards")
    strength: float = Field(1e-3, ge=0, description="of the penalty")
    training: Recipe = Field(Recipe(epochs=1, lr=1e-3, batch_size=30), description="the training")

    def prepare(self) -> tuple[Preparation, ...]:
        return (MeanSizes(),)

    def check(self, network: nn.Module, context: Context) -> None:
        if self.chosen("pruner").plugin.levels != "continuous":
            raise RequestError(f"older-penalty: {self.pruner} has no level", place=("pruner",))

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module | Network:
        from torch.nn import functional as F

        sizes = context.prepared["mean-sizes"]

        def loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
            penalty = sum(
                module.get_submodule(name).weight.abs().mean() / size
                for name, size in sizes.items()
            )
            return {
                "cross_entropy": F.cross_entropy(module(inputs), labels),
                "penalty": self.strength * penalty,
            }

        context.train(network, self.training, Objective(loss=loss))
        return self.chosen("pruner").plugin.compress(network, level, context)


class Narrow(Pruner):
    """A narrower network, with the first filters of the baseline's."""

    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "none"

    width: int = Field(3, ge=1)

    def compress(self, network: nn.Module, level: float, context: Context) -> Network:
        look = context.normalisation
        assert look is not None
        architecture = Architecture(
            factory="older-cnn",
            parameters={"width": self.width},
            classes=context.classes,
            channels=context.example.shape[1],
            size=tuple(context.example.shape[2:]),
            mean=look.mean,
            std=look.std,
        )
        module = architecture.build().to(context.device)
        wide = network.state_dict()
        state = {
            name: wide[name][tuple(slice(length) for length in tensor.shape)]
            for name, tensor in module.state_dict().items()
        }
        module.load_state_dict(state)
        return Network(module.eval(), architecture)
