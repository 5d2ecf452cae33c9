"""Knowledge distillation: another, smaller network learns from the uncompressed one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from prunebench.plugins.context import Context
from prunebench.plugins.nesting import Named, Nesting
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.pruner import Pruner

if TYPE_CHECKING:
    from torch import nn

    from prunebench.models import Model
    from prunebench.networks import Network


class DistillationPruner(Nesting, Pruner):
    """Trains another network on the labels and on the uncompressed network's soft predictions.

    The loss is that of Hinton, Vinyals and Dean 2015, section 2, in the form of the distillation
    study: see ``networks/distillation.py``.
    """

    trains: ClassVar[bool] = True
    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "none"
    random: ClassVar[bool] = True
    nested: ClassVar[Mapping[str, str]] = {"student": "models"}

    student: Named = Field(
        description="the network that learns, as suites name a model; it starts from its weights "
        "if it is given some"
    )
    temperature: float = Field(4.0, gt=0, description="how soft the teacher's predictions are")
    alpha: float = Field(0.9, ge=0, le=1, description="weight of the teacher beside the labels")
    training: Recipe | None = Field(
        None, description="how the student is trained; its own recipe by default"
    )

    @model_validator(mode="after")
    def _is_said_once(self) -> Self:
        if self.training and self.training.distillation:
            raise ValueError("'training' needs no 'distillation': see 'temperature' and 'alpha'")
        return self

    @property
    def model(self) -> Model:
        """The student's plugin."""
        found: Model = self.chosen("student").plugin
        return found

    def recipe(self) -> Recipe:
        """Return how the student is trained."""
        model = self.model
        return self.training or model.adapt or model.training or model.recipe()

    def check(self, network: nn.Module, context: Context) -> None:
        """Build the student and load its weights, to see whether they fit."""
        self._build_student(context)

    def compress(self, network: nn.Module, level: float, context: Context) -> Network:
        """Train the student.

        Returns:
            The student. It sees images as its own model demands, or else as its teacher does.

        Raises:
            RequestError: It cannot be built for these images, or its weights do not fit.
        """
        from prunebench.networks.distillation import make_distillation_objective, make_translation
        from prunebench.plugins.recipe import Distillation as Teaching

        student = self._build_student(context)
        teaching = Teaching(temperature=self.temperature, alpha=self.alpha)
        if student.architecture.mean and context.normalisation is not None:
            own = student.architecture.normalisation
            objective = make_distillation_objective(
                network, teaching, make_translation(own, context.normalisation)
            )
            context.train(student.module, self.recipe(), objective, own)
        else:
            context.train(
                student.module, self.recipe(), make_distillation_objective(network, teaching)
            )
        return student

    def _build_student(self, context: Context) -> Network:
        from prunebench.model_files.loaded_weights import load_weights
        from prunebench.model_files.weights import read_weights
        from prunebench.networks import Architecture, Network
        from prunebench.pruners.output_check import check_network
        from prunebench.seeding import seeded

        name, model = self.chosen("student").name, self.model
        _, channels, height, width = context.example.shape
        demanded = model.normalisation()
        own = {"name"} if "/" in name else set()
        architecture = Architecture(
            factory=name,
            parameters=model.model_dump(
                mode="json",
                exclude_defaults=True,
                exclude={"weights", "training", "adapt", *own},
            ),
            classes=context.classes,
            channels=channels,
            size=(height, width),
            mean=demanded.mean if demanded else (),
            std=demanded.std if demanded else (),
        )
        with seeded(context.seed, "student"):
            module = architecture.build()
        if model.weights is not None:
            load_weights(module, read_weights(model.weights), str(model.weights))
        elif (state := model.pretrained()) is not None:
            load_weights(module, state, name)
        module.to(context.device)
        check_network(module, context.example, context.classes, f"the student {name!r}")
        return Network(module, architecture)
