"""What all methods share that make filters small by training before they rank them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from prunebench.plugins.context import Context, Preparation
from prunebench.plugins.objective import Objective
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.filters.filter_pruner import FilterPruner
from prunebench.pruners.sensitivity import Sensitivity

if TYPE_CHECKING:
    from torch import Tensor, nn


class TrainingFilterPruner(FilterPruner):
    """A method that trains the whole network before filters are removed."""

    random: ClassVar[bool] = True

    training: Recipe = Field(
        # Not the epoch best on the validation split: filters are small at the end.
        Recipe(lr=1e-2, weight_decay=5e-4, batch_size=64, schedule="cosine", keep="last"),
        description="how the network is trained before filters go; what is left out stays as here",
    )

    @field_validator("training", mode="before")
    @classmethod
    def _over_the_defaults(cls, training: Any) -> Any:
        if not isinstance(training, dict):
            return training
        return {**cls.model_fields["training"].default.model_dump(), **training}

    @field_validator("training")
    @classmethod
    def _has_no_teacher(cls, training: Recipe) -> Recipe:
        if training.distillation is not None:
            raise ValueError("'distillation' is an option of recovery: here is no teacher")
        return training

    def changed_parameters(self) -> dict[str, Any]:
        """Return these as for all plugins; of the training, only what differs from the default."""
        found = super().changed_parameters()
        if "training" in found:
            default = type(self).model_fields["training"].default.model_dump(mode="json")
            training = self.training.model_dump(mode="json")
            found["training"] = {k: v for k, v in training.items() if v != default[k]}
        return found


class SparseWeights(Preparation):
    """The baseline trained on so that some of its filters become small; all levels share it."""

    name: ClassVar[str] = "sparse-weights"
    random: ClassVar[bool] = True

    training: Recipe

    def objective(self, network: nn.Module, context: Context) -> Objective:
        """Return what the training minimises.

        Args:
            network: The network that will be trained.
            context: As for ``compute``.
        """
        raise NotImplementedError

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Train the network and return its state dict."""
        from prunebench.networks.network import make_masks_permanent

        make_masks_permanent(network)
        context.train(network, self.training, self.objective(network, context))
        return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


class SparseSensitivity(Sensitivity):
    """The sensitivity of the network whose filters training made small."""

    key_name: ClassVar[str] = "prunebench.pruners.filters.sparse_training:SparseSensitivity"

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Measure as ``Sensitivity`` does, but with the prepared weights."""
        load_sparse_weights(network, context)
        return super().compute(network, context)


class SparselyTrained(TrainingFilterPruner):
    """Removes filters from the network with the weights that ``preparations`` trained."""

    def prepare(self) -> tuple[Preparation, ...]:
        """Ask for the trained weights, and the layers' sensitivity if it is needed."""
        return tuple(
            SparseSensitivity(pruner=self) if isinstance(each, Sensitivity) else each
            for each in super().prepare()
        )

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Remove channels until the level is reached; the rest keeps the trained weights.

        Raises:
            RequestError: The level cannot be reached without emptying a layer.
        """
        load_sparse_weights(network, context)
        return super().compress(network, level, context)


def load_sparse_weights(network: nn.Module, context: Context) -> None:
    """Give a network the weights that were prepared for it, in place; none where none were."""
    from prunebench.networks.network import make_masks_permanent

    make_masks_permanent(network)
    if (state := context.prepared.get(SparseWeights.name)) is not None:
        network.load_state_dict(state)
