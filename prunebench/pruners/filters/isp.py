"""ISP: gates on channels, trained so that the network goes on looking where it looked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from prunebench.cams.amortized.explainers import AemRbf, AemRealx
from prunebench.cams.amortized.options import (
    PREDICTOR,
    SELECTOR,
    Masks,
    PredictorRecipe,
    SelectorRecipe,
    complete_from,
    list_changes,
)
from prunebench.cams.amortized.selector import Selector
from prunebench.errors import RequestError
from prunebench.plugins.context import Context, Preparation
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.pruner import Pruner, Target

if TYPE_CHECKING:
    from torch import nn

GATES = Recipe(
    epochs=200, optimizer="adamw", lr=1e-3, weight_decay=0.01, batch_size=128, images=2500
)
"""How the gates are trained where nothing else is said: as published."""

TOLERANCE = 1e-3
"""Largest difference of outputs, relative to the largest, that is rounding."""


class Isp(Pruner):
    """Interpretation-steered pruning (Ganjdanesh, Gao and Huang 2022, objective 10).

    Only the gates are trained: cross-entropy, plus the distance between what the selector says of
    the gated network and of the whole one, plus what multiply-accumulates the gates leave above
    those asked for. The weights stay as they are until the recovery.
    """

    random: ClassVar[bool] = True
    counts: ClassVar[Target | None] = "macs"
    trains: ClassVar[bool] = True
    reads_explanations: ClassVar[bool] = True

    masks: Masks = Field("rbf", description="what describes an explanation: see aem-rbf, aem-realx")
    predictor: PredictorRecipe = Field(PREDICTOR, description="as of the explainer of that name")
    selector: SelectorRecipe = Field(SELECTOR, description="as of the explainer of that name")
    size: float = Field(0.2, ge=0, description="λ1 of the selector, what a pixel costs")
    smoothness: float | None = Field(
        None, ge=0, description="λ2 of the selector; by default that of the explainer"
    )
    temperature: float = Field(0.1, gt=0, description="of the selector's masks in training")
    gates: Annotated[Recipe, complete_from(GATES)] = Field(
        GATES, description="how the gates are trained; what is left out stays as here"
    )
    offset: float = Field(
        3.0, allow_inf_nan=False, description="added to the gates' logits; above 0 they start open"
    )
    gate_temperature: float = Field(0.4, gt=0, description="of the gates in training")
    classification: float = Field(1.0, ge=0, description="weight of the cross-entropy")
    interpretation: float = Field(10.0, ge=0, description="γ1, weight of the explanation")
    budget: float = Field(1.0, ge=0, description="γ2, weight of the multiply-accumulates")

    @model_validator(mode="after")
    def _has_something_to_minimise(self) -> Self:
        if not (self.classification or self.interpretation or self.budget):
            raise ValueError(
                "one of 'classification', 'interpretation' and 'budget' must be above 0"
            )
        if self.gates.distillation is not None:
            raise ValueError("'distillation' is an option of recovery: gates have no teacher")
        return self

    def changed_parameters(self) -> dict[str, Any]:
        """Return these as for all plugins; of a training, only what differs from the default."""
        found = super().changed_parameters()
        defaults = {"predictor": PREDICTOR, "selector": SELECTOR, "gates": GATES}
        for name in defaults.keys() & found.keys():
            found[name] = list_changes(getattr(self, name), defaults[name])
        return found

    def prepare(self) -> tuple[Preparation, ...]:
        """Ask for the selector of the explainer with the same options, if explanations count."""
        if not self.interpretation:
            return ()
        explainer = AemRbf if self.masks == "rbf" else AemRealx
        options = {name: getattr(self, name) for name in explainer.model_fields}
        return explainer(**{k: v for k, v in options.items() if v is not None}).prepare()

    def check(self, network: nn.Module, context: Context) -> None:
        """Look whether a closed gate is a removed channel in this network, and it has maps.

        Raises:
            RequestError: It is not, it has none, or there are no channels to remove.
        """
        import torch

        from prunebench.cams.amortized.encoder_maps import require_maps
        from prunebench.pruners.filters.coupling import trace
        from prunebench.pruners.filters.gates import find_gated_channels, measure_disagreement

        if self.interpretation:
            require_maps(network, context.example)
        network.eval().requires_grad_(True)
        graph = trace(network, context.example)
        channels = find_gated_channels(network, graph, context.fixed_channels)
        draw = torch.Generator().manual_seed(context.seed)
        noise = torch.randn(context.example.shape, generator=draw).to(context.example)
        found = measure_disagreement(network, graph, channels, noise, draw)
        if found > TOLERANCE:
            raise RequestError(
                f"pruner 'isp': in {type(network).__name__} a closed gate is not a removed channel "
                f"(outputs differ by {found:.1%}), as where channels are normalised together; "
                "expected a network in which what is made of a channel depends on it alone until "
                "a convolution or a linear layer reads it"
            )

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Train the gates and remove the channels of those that are closed.

        A gate trained to a level is near it, not on it: gates are closed in the order of their
        logits until the level is reached, here and whenever the validation split is asked which
        epoch to keep. The learning curve tells how many that changes.

        Raises:
            RequestError: The level cannot be reached without emptying a layer.
        """
        from prunebench.cams.amortized.decoder import load_decoder
        from prunebench.networks.network import make_masks_permanent
        from prunebench.plugins.objective import Objective
        from prunebench.pruners.filters.gate_training import GateTraining
        from prunebench.pruners.output_check import check_outputs

        make_masks_permanent(network)
        decoder = (
            load_decoder(context.prepared[Selector.name], self.masks)
            if self.interpretation
            else None
        )
        training = GateTraining(
            network,
            decoder,
            context,
            level,
            offset=self.offset,
            temperature=self.gate_temperature,
            weights=(self.classification, self.interpretation, self.budget),
        )
        if level:
            objective = Objective(
                loss=lambda _, inputs, labels: training.compute_losses(inputs, labels),
                observe=lambda _: training.measure_adjustment(),
            )
            context.train(training, self.gates, objective)
        pruned = training.cut()
        check_outputs(pruned, context.example, context.classes, "the network without closed gates")
        return pruned
