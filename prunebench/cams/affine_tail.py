"""A test whether the logits are affine in the target layer: ablation then has a closed form."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

PERMUTATION = ("torchvision.ops.misc", "Permute")  # importing it takes seconds

_LAYERS: frozenset[type] = frozenset(
    {
        nn.AdaptiveAvgPool2d,
        nn.AvgPool2d,
        nn.BatchNorm1d,
        nn.BatchNorm2d,
        nn.Conv2d,
        nn.Dropout,
        nn.Dropout2d,
        nn.Flatten,
        nn.Identity,
        nn.Linear,
        nn.Unflatten,
    }
)
"""Affine in evaluation mode. Only these very classes: one that derives from them may do more."""

_FUNCTIONS: frozenset[Any] = frozenset(
    {
        functional.adaptive_avg_pool2d,
        functional.avg_pool2d,
        functional.dropout,
        operator.add,
        operator.getitem,
        operator.iadd,
        getattr,
        torch.add,
        torch.flatten,
        torch.mean,
        torch.permute,
        torch.reshape,
        torch.squeeze,
        torch.sum,
        torch.transpose,
    }
)

_OF_ONE: frozenset[Any] = frozenset({functional.linear, operator.mul, torch.mul})
"""Affine where one argument alone depends on the target layer."""

_METHODS = frozenset(
    {
        "add",
        "contiguous",
        "dim",
        "flatten",
        "mean",
        "permute",
        "reshape",
        "size",
        "squeeze",
        "sum",
        "transpose",
        "view",
    }
)


def is_affine(tail: fx.GraphModule, run: Callable[[Tensor], Tensor], output: Tensor) -> bool:
    """Tell whether logits are an affine function of the target layer's output.

    Every step must be of a kind that is affine, and the logits must move along a straight line
    when the output is scaled by 1, 1/2, 0 and -1.

    Args:
        tail: What follows the target layer.
        run: Runs it: the layer's output in, logits out.
        output: Of the target layer, for some images.
    """
    if not all(_is_affine_step(tail, node) for node in tail.graph.nodes):
        return False
    there, half, none, back = (run(by * output) for by in (1, 0.5, 0, -1))
    bent = torch.maximum(((there + back) / 2 - none).abs(), ((there + none) / 2 - half).abs())
    return bool(bent.max() <= 1e-4 * there.abs().max().clamp(min=1e-6))


def _is_affine_step(tail: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        layer = tail.get_submodule(str(node.target))
        # A hook or a parametrisation may do anything.
        plain = not (layer._forward_hooks or layer._forward_pre_hooks)
        kind = type(layer)
        return (kind in _LAYERS or (kind.__module__, kind.__name__) == PERMUTATION) and plain
    if node.op == "call_function":
        dependent = [needed for needed in node.all_input_nodes if not _is_given(needed)]
        of_one = node.target in _OF_ONE and len(node.all_input_nodes) - len(dependent) >= 1
        return node.target in _FUNCTIONS or (of_one and len(dependent) == 1)
    if node.op == "call_method":
        return node.target in _METHODS
    return node.op in ("placeholder", "get_attr", "output")


def _is_given(node: fx.Node) -> bool:
    """Tell whether a step's value does not depend on the target layer."""
    kept = node.op == "placeholder" and str(node.target).startswith("kept_")
    return kept or node.op == "get_attr"
