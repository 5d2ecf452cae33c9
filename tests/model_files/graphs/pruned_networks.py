"""Networks of torchvision with channels removed."""

from __future__ import annotations

import torch
import torch_pruning as tp
import torchvision
from torch import nn


def prune(name: str, head: str) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = torchvision.models.get_model(name, num_classes=10).eval()
    tp.pruner.MagnitudePruner(
        network,
        torch.rand(2, 3, 64, 64),
        importance=tp.importance.GroupMagnitudeImportance(p=1),
        pruning_ratio=0.3,
        ignored_layers=[network.get_submodule(head)],
    ).step()
    return network
