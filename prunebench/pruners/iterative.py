"""Pruning in rounds: prune a part, recover, prune a part of what is left, and so on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from prunebench.errors import RequestError, did_you_mean
from prunebench.plugins.context import Context, Preparation
from prunebench.plugins.nesting import Named, Nesting
from prunebench.pruners.filters.filter_pruner import FilterPruner
from prunebench.pruners.int8 import Int8
from prunebench.pruners.pruner import Pruner
from prunebench.pruners.ranking_pruner import RankingPruner
from prunebench.pruners.weights.mask_pruner import MaskPruner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.networks import Network


class EarlierWeights(Preparation):
    """The baseline as it was after some epochs of its own training; all rounds share it."""

    name: ClassVar[str] = "earlier-weights"
    key_name: ClassVar[str] = "prunebench.pruners.iterative:EarlierWeights"

    epoch: int = Field(ge=0, description="epochs of the baseline's own training")

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Return its state dict, buffers included."""
        return {k: v.detach() for k, v in context.earlier(self.epoch).state_dict().items()}


class Iterative(Nesting, Pruner):
    """Removes a fraction of what is left in every round, after each of which the suite recovers.

    The defaults are the protocol of the thesis on iterative unstructured pruning: 25 rounds, each
    removing the smallest fifth of the weights, after which those that are left go back to their
    values before pruning (Lukkien 2023, algorithm 2.1).
    """

    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "rounds"
    random: ClassVar[bool] = True
    nested: ClassVar[Mapping[str, str]] = {"pruner": "pruners"}

    pruner: Named = Field(
        "l1-unstructured",
        description="the method of every round, as suites name it; what it needs is computed anew "
        "from the network of each round",
    )
    fraction: float = Field(0.2, gt=0, lt=1, description="part of what is left that a round takes")
    rounds: int = Field(25, ge=1, description="how many rounds there are")
    rewind: str | int = Field(
        "trained",
        description="survivors keep their recovered values (none), go back to the baseline's "
        "(trained), or to those after this many epochs of the baseline's own training",
    )
    rounding: Literal["openlth", "nearest"] = Field(
        "openlth",
        description="weights a round takes of n: ceil(fraction·n) + 1 as the thesis's library "
        "does, or the nearest number; filters are always taken to the nearest",
    )

    @field_validator("rewind", mode="before")
    @classmethod
    def _is_a_place_to_go(cls, rewind: Any) -> Any:
        known = ("none", "trained")
        is_epoch = isinstance(rewind, int) and not isinstance(rewind, bool) and rewind >= 0
        if is_epoch or rewind in known:
            return rewind
        raise RequestError(
            f"parameter 'rewind': expected none, trained or a number of epochs, found {rewind!r}; "
            f"{did_you_mean(str(rewind), known)}",
            location=("rewind",),
        )

    @model_validator(mode="after")
    def _can_be_iterated(self) -> Self:
        chosen = self.chosen("pruner")
        if chosen.plugin.levels != "continuous":
            raise RequestError(
                f"parameter 'pruner': {chosen.name!r} cannot be asked for a fraction of what is "
                "left, which every round is",
                location=("pruner",),
            )
        forgets = chosen.plugin.from_scratch or getattr(chosen.plugin, "at", "") == "initial"
        if isinstance(chosen.plugin, Int8) or forgets:
            raise RequestError(
                f"parameter 'pruner': {chosen.label!r} leaves nothing of the round before that "
                "could be pruned further",
                location=("pruner",),
            )
        if any(preparation.trains for preparation in chosen.plugin.prepare()):
            raise RequestError(
                f"parameter 'pruner': {chosen.label!r} trains something before it prunes, which "
                "every round would do again; it can prune once, to a level",
                location=("pruner",),
            )
        if self.rewind != "none" and not only_ranks(chosen.plugin):
            raise RequestError(
                f"parameter 'rewind': {chosen.name!r} does more than rank weights or filters, so "
                f"that nothing can be rewound after it; expected none, found {self.rewind!r}",
                location=("rewind",),
            )
        return self

    def changed_parameters(self) -> dict[str, Any]:
        """Return these as for all plugins, without the number of rounds, which changes no round."""
        return {k: v for k, v in super().changed_parameters().items() if k != "rounds"}

    def prepare(self) -> tuple[Preparation, ...]:
        """Ask for the weights to go back to, where they are not the baseline's."""
        return (EarlierWeights(epoch=self.rewind),) if isinstance(self.rewind, int) else ()

    def round_count(self) -> int:
        """Return the number of rounds."""
        return self.rounds

    def level_of_round(self, k: int) -> float:
        """Return 1 − (1 − fraction)^k."""
        return 1.0 - (1.0 - self.fraction) ** k

    def check(self, network: nn.Module, context: Context) -> None:
        """Check the request as the method of the rounds does."""
        self.chosen("pruner").plugin.check(network, context)

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module | Network:
        """Remove the fraction of what is left, and rewind the rest.

        A layer that loses all its weights is a result here, not an error.

        Raises:
            RequestError: Nothing can be removed any more, or nothing would be left.
        """
        from prunebench.networks.network import make_masks_permanent
        from prunebench.plugins.preparing import prepared
        from prunebench.pruners import iterative_round

        method: Pruner = self.chosen("pruner").plugin
        make_masks_permanent(network.eval())
        within = prepared(method.prepare(), network, context)
        try:
            if isinstance(method, FilterPruner) and only_ranks(method):
                target = iterative_round.prepare_rewound(network, self.rewind, context)
                return iterative_round.cut_rewound(method, network, self.fraction, target, within)
            wanted = iterative_round.compute_next_level(network, self.fraction, self.rounding)
            if isinstance(method, MaskPruner) and only_ranks(method):
                target = iterative_round.prepare_rewound(network, self.rewind, context)
                return iterative_round.mask_rewound(method, network, wanted, target, within)
            return method.compress(network, wanted, within)
        except RequestError as error:
            message = f"round {context.round}: {error.message}"
            raise RequestError(message, where=error.where) from error


def only_ranks(method: Pruner) -> bool:
    """Tell whether a method only ranks weights or filters, the lowest of which go."""
    return isinstance(method, RankingPruner) and method.only_ranks
