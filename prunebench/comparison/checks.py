"""Checks of what is to be compared: everything wrong with networks or images is refused here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError, did_you_mean
from prunebench.networks.evaluation import predict

ClassPolicy = Literal["baseline", "label", "own"]
"""Whose class is explained."""


def check_request(
    images: int, labels: Tensor | None, class_policy: str, names: Sequence[str] | None
) -> None:
    """Check what can be checked before a network is run.

    Raises:
        RequestError: Class policy, labels or names do not fit together.
    """
    policies = get_args(ClassPolicy)
    if class_policy not in policies:
        raise RequestError(
            f"unknown class policy {class_policy!r}; {did_you_mean(class_policy, policies)}"
        )
    if class_policy == "label" and labels is None:
        raise RequestError("class policy 'label' explains the true class; labels are needed")
    if names is not None and len(names) != images:
        raise RequestError(f"{len(names)} names for {images} images; expected one an image")


def check_same_classes(classes: Mapping[str, int]) -> None:
    """Check that all networks have as many classes as the baseline.

    Args:
        classes: How many, by what the network is called; the baseline's first.

    Raises:
        RequestError: They have not.
    """
    expected = next(iter(classes.values()))
    for name, found in classes.items():
        if found != expected:
            network = name if name.startswith("control") else f"{name} network"
            raise RequestError(
                f"the baseline tells {expected} classes apart and the {network} {found}; only "
                "networks with the same classes can be compared"
            )


def check_class_names(names: Sequence[str] | None, classes: int) -> None:
    """Check that each class has a name, where there are names.

    Raises:
        RequestError: There are more or fewer.
    """
    if names and len(names) != classes:
        raise RequestError(f"{len(names)} class names: the networks have {classes} classes")


def check_labels(labels: Tensor, classes: int) -> None:
    """Check that each label is a class of the networks.

    Raises:
        RequestError: One is not, or labels N×K are of another number of classes.
    """
    if labels.dim() == 2:
        if labels.shape[1] != classes:
            raise RequestError(
                f"labels are {tuple(labels.shape)}, of {labels.shape[1]} classes: the networks "
                f"have {classes} classes"
            )
        return
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise RequestError(
            f"label {wrong[0].item()} does not exist: the networks have {classes} classes"
        )


def predict_logits(module: nn.Module, name: str, images: Tensor, batch_size: int) -> Tensor:
    """Return the logits of a network, N×K.

    Args:
        module: The network.
        name: What a message calls it: ``baseline`` or ``pruned``.
        images: Normalised images, N×C×H×W.
        batch_size: Images a batch.

    Raises:
        RequestError: It cannot take these images, or returns no logits.
    """
    where = f"{name} network"
    try:
        logits = predict(module, images, batch_size)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError) as error:
        shape = "×".join(map(str, images.shape[1:]))
        raise RequestError(f"cannot take images of {shape}: {error}", where=where) from error
    if logits.dim() != 2:
        raise RequestError(f"gives {tuple(logits.shape)}; expected logits, N×K", where=where)
    check_finite(logits, name)
    return logits


def check_finite(logits: Tensor, name: str) -> None:
    """Check that a network's logits are numbers.

    Raises:
        RequestError: They are not.
    """
    if not logits.isfinite().all():
        raise RequestError(
            "gives logits that are not finite (NaN or infinite)", where=f"{name} network"
        )
