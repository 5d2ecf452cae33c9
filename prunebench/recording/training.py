"""How a baseline came to be: by which training, and of which network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from prunebench.execution.stages.baseline import find_recipe
from prunebench.models import Model
from prunebench.plan.steps import Step
from prunebench.record import Training


def describe_training(step: Step, content: Any, data: Mapping[str, Any]) -> Training:
    """Describe the training of a baseline.

    Args:
        step: The baseline's step.
        content: Digest of the weights that it was given; None for none.
        data: The step's stored result.
    """
    model: Model = step.plugin.plugin
    recipe = find_recipe(model)
    return Training(
        from_scratch=not model.trained(),
        epochs=recipe.epochs if recipe else 0,
        keep=recipe.keep if recipe else None,
        images_seen=data.get("images_seen", 0),
        network=digest_network(data["architecture"], content),
    )


def digest_network(architecture: Mapping[str, Any], content: Any) -> str:
    """Return a digest of what a network is before it is trained, 16 hexadecimal digits.

    Args:
        architecture: As stored, with how the network sees images.
        content: Digest of given weights; None for none.
    """
    text = json.dumps([architecture, content], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
