"""The training options that all parts of amortized explainers share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from prunebench.plugins.recipe import Recipe

Masks = Literal["rbf", "independent"]
"""How the probability that a pixel is kept depends on its position: for ``rbf`` it falls from a
centre; for ``independent`` each pixel has its own."""

PREDICTOR = Recipe(epochs=10, optimizer="adam", lr=1e-3, keep="last", augment="crop-flip")
"""How the predictor is trained where nothing else is said."""

SELECTOR = Recipe(epochs=10, optimizer="adam", lr=1e-3, keep="last", augment="crop-flip")
"""How the selector is trained where nothing else is said."""


def _check_training(training: Recipe) -> Recipe:
    if training.keep == "best":
        # The predictor is judged by masked images, the selector by how little it keeps as well:
        # neither is what validation accuracy tells.
        raise ValueError("'keep' must be 'last': validation accuracy is not what is learnt here")
    if training.distillation is not None:
        raise ValueError("'distillation' is an option of recovery: here is no teacher")
    return training


def complete_from(default: Recipe) -> BeforeValidator:
    """Complete a recipe: what is left out stays as in the default."""

    def complete(training: Any) -> Any:
        return {**default.model_dump(), **training} if isinstance(training, dict) else training

    return BeforeValidator(complete)


def list_changes(training: Recipe, default: Recipe) -> dict[str, Any]:
    """List the options that differ from the default's, as JSON values."""
    usual = default.model_dump(mode="json")
    return {k: v for k, v in training.model_dump(mode="json").items() if v != usual[k]}


PredictorRecipe = Annotated[Recipe, complete_from(PREDICTOR), AfterValidator(_check_training)]
SelectorRecipe = Annotated[Recipe, complete_from(SELECTOR), AfterValidator(_check_training)]
