"""The options of a suite that are no list of plugins."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_CONTROL = "none"
"""The control of a suite that names no control of its own."""


class Explain(BaseModel):
    """How maps are made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(500, ge=1, description="test images explained")
    classes: Literal["baseline", "label", "own"] = Field(
        "baseline", description="whose class is explained: the baseline's, the label, each its own"
    )
    target_layer: str | dict[str, str] | None = Field(
        None, description="layer explained, or one for each model; the model's own by default"
    )
    pictures: bool = Field(
        True,
        description="false where the licence of the data set forbids showing its images: records "
        "then keep maps alone",
    )
