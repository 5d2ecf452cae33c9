"""How a network is trained: the options of training, adaptation and recovery fine-tuning."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["float32", "bf16"]


class Distillation(BaseModel):
    """Options of learning from a teacher: the network before compression."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: float = Field(4.0, gt=0, description="how soft the teacher's predictions are")
    alpha: float = Field(0.9, ge=0, le=1, description="weight of the teacher beside the labels")


class Recipe(BaseModel):
    """Options of one training run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(10, ge=0, description="passes over the training images")
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(1e-2, gt=0, le=1e100, description="learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(0.0, ge=0, le=1e100)
    batch_size: int = Field(128, ge=1)
    schedule: Literal["constant", "cosine"] = "constant"
    milestones: tuple[int, ...] = Field((), description="epochs after which lr is multiplied")
    gamma: float = Field(0.1, gt=0, le=1e100, description="factor of lr at each milestone")
    images: int | None = Field(None, ge=1, description="training images used; all by default")
    augment: Literal["none", "flip", "crop-flip"] = "none"
    keep: Literal["best", "last"] = Field(
        "best", description="the epoch kept: best on the validation split, or the last"
    )
    precision: Precision = Field(
        "float32",
        description="of the arithmetic; bf16 trains faster where the processor has instructions "
        "for it, and keeps weights in float32",
    )
    distillation: Distillation | None = Field(
        None, description="of a recovery: learn from the uncompressed network too"
    )
