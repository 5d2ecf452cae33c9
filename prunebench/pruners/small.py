"""A small network trained from scratch: what pruning is held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from prunebench.errors import RequestError
from prunebench.plugins.context import Context, Preparation
from prunebench.plugins.nesting import Named, Nesting
from prunebench.pruners.pruner import Pruner

if TYPE_CHECKING:
    from torch import nn

Level = Annotated[float, Field(gt=0, lt=1)]


class Small(Nesting, Pruner):
    """Trains the network that a pruner leaves from new random weights, as the baseline was.

    Liu, Sun, Zhou, Huang and Darrell 2019, their Scratch-E: as many epochs as the baseline had. The
    suite's recovery follows as for every network.
    """

    random: ClassVar[bool] = True
    trains: ClassVar[bool] = True
    from_scratch: ClassVar[bool] = True
    levels_parameter: ClassVar[str] = "at"
    nested: ClassVar[Mapping[str, str]] = {"pruner": "pruners"}

    pruner: Named = Field(
        {"l1-filter": {"target": "macs"}},
        description="whose network it is, as suites name it: a method that removes channels",
    )
    at: tuple[Level, ...] = Field(
        (0.3, 0.5),
        min_length=1,
        description="levels at which it is measured, whatever the suite's are",
    )

    @field_validator("at")
    @classmethod
    def _are_distinct(cls, at: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(at)) < len(at):
            raise ValueError(f"a level of {list(at)} is listed twice")
        return at

    @model_validator(mode="after")
    def _is_smaller(self) -> Self:
        chosen = self.chosen("pruner")
        if chosen.plugin.levels != "continuous" or not chosen.plugin.counts_channels():
            raise RequestError(
                f"parameter 'pruner': {chosen.label!r} makes no smaller network of a level; "
                "expected a method that removes channels, such as l1-filter",
                location=("pruner",),
            )
        if chosen.plugin.trains:
            raise RequestError(
                f"parameter 'pruner': {chosen.label!r} trains already, and one compression can "
                "train once; expected a method that only removes channels, such as l1-filter",
                location=("pruner",),
            )
        return self

    def changed_parameters(self) -> dict[str, Any]:
        """Return these as for all plugins, without the levels, which change no network."""
        return {k: v for k, v in super().changed_parameters().items() if k != "at"}

    def counts_channels(self) -> bool:
        """Tell that a level is a fraction of what goes with channels."""
        return True

    def prepare(self) -> tuple[Preparation, ...]:
        """Ask for what the pruning needs."""
        found: tuple[Preparation, ...] = self.chosen("pruner").plugin.prepare()
        return found

    def check(self, network: nn.Module, context: Context) -> None:
        """Check the request as the pruning does, and that the baseline is trained here.

        Raises:
            RequestError: It comes with weights.
        """
        if context.recipe is None:
            raise RequestError(
                "pruner 'small' trains as long as the baseline did, and this one comes with "
                "weights, of whose training nothing is known; leave it out, or let the model be "
                "trained here (`training` in place of `weights`)"
            )
        self.chosen("pruner").plugin.check(network, context)

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Prune to the level, draw new weights and train them.

        Raises:
            RequestError: The level cannot be reached, or the baseline comes with weights.
        """
        from torch import nn

        if context.recipe is None:
            raise RequestError("the baseline was not trained here: there is no recipe to follow")
        pruned = self.chosen("pruner").plugin.compress(network, level, context)
        if not isinstance(pruned, nn.Module):
            raise RequestError(
                f"{self.chosen('pruner').name!r} returns another architecture, of which small "
                "cannot draw new weights"
            )
        _draw_weights(pruned, context.build(context.seed))
        context.train(pruned, context.recipe)
        return pruned


def _draw_weights(small: nn.Module, untrained: nn.Module) -> None:
    """Give a network weights as its model draws them: an untrained whole one's, cut to its sizes.

    Their deviation falls with the root of what a unit reads, and a smaller layer reads less.
    """
    import torch

    whole = untrained.state_dict()
    with torch.no_grad():
        for name, tensor in small.state_dict().items():
            drawn = whole[name][tuple(slice(size) for size in tensor.shape)]
            if drawn.dim() > 1:
                drawn = drawn * (whole[name][0].numel() / drawn[0].numel()) ** 0.5
            tensor.copy_(drawn)
