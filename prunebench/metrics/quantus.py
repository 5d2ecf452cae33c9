"""Any metric of the library Quantus, as ``quantus/NAME``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor


class Quantus(Metric):
    """A metric of Quantus on the maps of the compressed network, as ``quantus/NAME``.

    It is computed once for every explanation method. Which direction is better differs from
    metric to metric and is left open.
    """

    random: ClassVar[bool] = True
    reads: ClassVar[tuple[Reading, ...]] = ("network", "images", "maps", "masks", "explainer")
    unnamed_parameters: ClassVar[frozenset[str]] = frozenset({"name"})
    gives: ClassVar[Mapping[str, Scale]] = {r"quantus_\w+": Scale("quality")}

    name: str = Field(description="class of Quantus, as in quantus/FaithfulnessCorrelation")
    options: dict[str, Any] = Field(
        {},
        description="arguments of that class's constructor; a function is given by its name in "
        "quantus.functions",
    )
    batch_size: int = Field(
        64, ge=1, description="images Quantus is given at once; random draws depend on it"
    )

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        from prunebench.metrics import quantus_calls

        quantus_calls.find(name)
        return name

    @field_validator("options")
    @classmethod
    def _are_arguments(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        from prunebench.metrics import quantus_calls

        if "name" in info.data:
            quantus_calls.build(info.data["name"], options)
        return options

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``quantus_NAME`` in snake case: one number, or one for each image."""
        from prunebench.metrics import quantus_calls

        value = quantus_calls.evaluate(self.name, self.options, self.batch_size, evidence)
        return {f"quantus_{_snake_case(self.name)}": value}


def _snake_case(name: str) -> str:
    """Return ``EfficientMPRT`` as ``efficient_mprt``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
