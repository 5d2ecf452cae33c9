"""Whole groups of coupled weights, made small together by training and then removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.plugins.objective import Objective
from prunebench.pruners.filters.sparse_training import SparselyTrained, SparseWeights

if TYPE_CHECKING:
    from torch import nn

    from prunebench.pruners.filters.channels import Importance


class ShrunkGroups(SparseWeights):
    """The baseline trained on with a penalty on the squared norms of groups of weights."""

    key_name: ClassVar[str] = "prunebench.pruners.filters.group_norm:ShrunkGroups"

    kind: Literal["group-norm", "growing"]
    penalty: float
    growth: float = 0.0

    def objective(self, network: nn.Module, context: Context) -> Objective:
        """Return cross-entropy and a penalty that is the stronger the smaller a group's norm is."""
        from prunebench.pruners.filters.group_penalty import GroupPenalty

        penalty = GroupPenalty(network, context)

        def shrink(module: nn.Module, passed: float) -> None:
            if self.kind == "growing":
                penalty.add(lambda smallness: self.penalty + self.growth * passed * smallness)
            else:
                penalty.add(lambda smallness: self.penalty * 2 ** (4 * smallness))

        return Objective(on_gradients=shrink)


class GroupNorm(SparselyTrained):
    """Removes the channels whose whole group of weights has the smallest norm.

    A channel's group is all that goes with it: the filters that are coupled, their normalisation
    and the weights that read them. Training before pulls weak groups towards zero as a whole, and
    the compressed network starts from its weights (Fang, Ma, Song, Mi and Wang 2023).
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.group_norm:GroupNorm"
    whole_groups: ClassVar[bool] = True

    regularisation: Literal["none", "group-norm", "growing"] = Field(
        "group-norm",
        description="no training; a penalty up to 16 times as strong for the weakest channel of a "
        "group (DepGraph); or one that grows with training, most for the weakest (after Wang, "
        "Qin, Zhang and Fu 2021)",
    )
    penalty: float = Field(
        5e-4, ge=0, description="what the squared norm of a layer's strongest channel is weighed by"
    )
    growth: float = Field(
        1e-2, ge=0, description="of growing: added to the weakest channel's penalty by the end"
    )

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for the regularised weights, if there is to be a regularisation."""
        if self.regularisation == "none":
            return ()
        growth = self.growth if self.regularisation == "growing" else 0.0
        return (
            ShrunkGroups(
                training=self.training,
                kind=self.regularisation,
                penalty=self.penalty,
                growth=growth,
            ),
        )

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return the squared norm of a channel's whole group, relative to the layer's mean."""
        import torch_pruning as tp

        found: Importance = tp.importance.GroupMagnitudeImportance(p=2, group_reduction="sum")
        return found
