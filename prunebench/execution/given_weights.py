"""A warning where weights that a suite gives meet other images than they were trained with."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from prunebench.plan.trial import Setting

if TYPE_CHECKING:
    from prunebench.data import Data
    from prunebench.networks import Network

logger = logging.getLogger(__name__)

TRIED = 128
"""Images of the test split on which other statistics are tried."""


def warn_of_normalisation(setting: Setting, network: Network, data: Data) -> None:
    """Warn where a model's own weights are normalised otherwise than its images are.

    What is told beside the weights is believed; else the usual statistics are tried.

    Args:
        setting: The model and its data.
        network: The model with the weights that it is given.
        data: Its images.
    """
    from prunebench.model_files.model_text import ModelText
    from prunebench.model_files.told import read_told
    from prunebench.networks.usual_statistics import describe_fitting, find_better_statistics

    model = setting.model.plugin
    if model.weights is None or model.adapt is not None:
        return
    seen = network.architecture.normalisation
    told = read_told(ModelText("", model.weights)).normalisation
    if told is not None:
        found = "" if told == seen else f"was trained with mean {told.mean}, deviation {told.std}"
    else:
        chosen = torch.linspace(0, len(data.test) - 1, min(TRIED, len(data.test))).long()
        images = seen(data.test.pixels[chosen])
        fitting = find_better_statistics(network.module, images, data.test.labels[chosen], seen)
        found = describe_fitting(fitting) if fitting else ""
    if found:
        logger.warning(
            "model %s: the network of %s %s; the data set's mean and std decide (now mean %s, "
            "deviation %s)",
            setting.model.name,
            model.weights,
            found,
            seen.mean,
            seen.std,
        )
