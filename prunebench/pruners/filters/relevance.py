"""Layer-wise relevance propagation: how much each filter contributes to a logit.

Relevance flows backward as gradients do, through a network whose every step is rewritten so that
its gradient is its rule. Where a step sums contributions, each input receives relevance by its
share of the positive ones: the rule αβ with α=1 and β=0 (Bach, Binder, Montavon, Klauschen, Müller
and Samek 2015, equation 60). Biases receive none, so that none is lost.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.experimental.optimization import fuse
from torch.nn import functional as F

from prunebench.errors import RequestError
from prunebench.pruners.filters.feature_maps import ACTIVATION_CALLS, ACTIVATIONS, NORMALISATIONS

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
AVERAGES = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)
AVERAGE_CALLS = (F.avg_pool2d, F.adaptive_avg_pool2d, torch.mean, "mean")
SUM_CALLS = (operator.add, operator.iadd, torch.add, "add", "add_")
MOVES = (
    *(nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.Flatten, nn.Unflatten, nn.ZeroPad2d),
    *(nn.Dropout, nn.Dropout2d, nn.Identity),
)
"""Modules that only choose or move numbers: relevance goes where the number came from."""

MOVE_CALLS = (
    *(F.max_pool2d, torch.max_pool2d, F.adaptive_max_pool2d, F.dropout, F.pad, torch.flatten),
    *(torch.reshape, torch.cat, torch.chunk, torch.split, torch.squeeze, torch.unsqueeze),
    *(torch.permute, torch.transpose, operator.getitem, getattr, "flatten", "reshape", "view"),
    *("chunk", "split", "squeeze", "unsqueeze", "permute", "transpose", "contiguous", "size"),
)
LEAST = 1e-30
"""Stands for a sum of no positive contributions, all of which are 0."""


class Relevance:
    """Propagates relevance through a network.

    Args:
        module: The network; it is left as it is. Normalisation is folded into the convolution or
            linear layer before it; elsewhere, as a step with one input for each output, it passes
            relevance on.
        example: Normalised inputs on which the rewritten network is compared with the network.

    Raises:
        RequestError: torch.fx cannot follow the network's code, or there is no rule for one of
            its steps.
    """

    def __init__(self, module: nn.Module, example: Tensor) -> None:
        try:
            self._graph: Any = fuse(module.eval())
        except Exception as error:  # the network's code can fail under symbolic values in any way
            reason = str(error).partition("\n")[0]
            raise RequestError(
                f"torch.fx cannot follow the code of {type(module).__name__} to propagate "
                f"relevance: {reason}"
            ) from error
        self._graph.eval().requires_grad_(False)
        with torch.no_grad():
            expected = module(example.clone())
        found, _ = self._run(example)
        if not torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())):
            raise RequestError(
                f"relevance cannot be propagated through {type(module).__name__}: its code works "
                "in place on a tensor that is read again"
            )

    def propagate(self, inputs: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Propagate each image's logit of one class.

        Args:
            inputs: Normalised, B×C×H×W.
            classes: Whose logit, of each image, B.

        Returns:
            Of each convolution and linear layer, by name: the relevance of its outputs, B×C×h×w
            or B×C.
        """
        logits, outputs = self._run(inputs)
        start = F.one_hot(classes, logits.shape[1]) * logits.detach()
        flat = [(name, output) for name, each in outputs.items() for output in each]
        found: dict[str, Tensor] = {}
        shares = torch.autograd.grad(
            logits, [output for _, output in flat], start, materialize_grads=True
        )
        for (name, _), share in zip(flat, shares, strict=True):
            found[name] = found[name] + share if name in found else share
        return found

    def _run(self, inputs: Tensor) -> tuple[Tensor, dict[str, list[Tensor]]]:
        steps = _Steps(self._graph)
        with torch.enable_grad():
            try:
                logits = steps.run(inputs.detach().clone().requires_grad_())
            except RequestError as error:  # torch.fx adds the step's code to the message
                raise RequestError(str(error.args[0]).partition("\n")[0]) from None
        return logits, steps.outputs


class _Steps(fx.Interpreter):
    """Carries out a network's graph, each step by its rule."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.outputs: dict[str, list[Tensor]] = {}

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer = self.fetch_attr(target)
        if isinstance(layer, WEIGHTED):
            output = _apply_weighted(layer, args[0])
            self.outputs.setdefault(target, []).append(output)
            return output
        if isinstance(layer, (*ACTIVATIONS, *NORMALISATIONS)):
            return _pass_on(args[0], layer(args[0].detach().clone()))
        if isinstance(layer, AVERAGES):
            return _apply_average(layer, args[0])
        if isinstance(layer, MOVES):
            return layer(*args, **kwargs)
        raise _make_error(type(layer).__name__)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._call(target, target, args, kwargs)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._call(target, getattr(Tensor, target), args, kwargs)

    def _call(self, name: Any, function: Any, args: Any, kwargs: Any) -> Any:
        tensors = [each for each in args if isinstance(each, Tensor)]
        if not _has_tensor(args) or name in MOVE_CALLS:
            return function(*args, **kwargs)
        if name in SUM_CALLS and not kwargs:
            return _apply_sum(args) if len(tensors) == 2 else _pass_on(args[0], args[0] + args[1])
        if name in ACTIVATION_CALLS:
            value = function(args[0].detach().clone(), *args[1:], **kwargs)
            return _pass_on(args[0], value)
        if name in AVERAGE_CALLS:
            return _apply_average(lambda x: function(x, *args[1:], **kwargs), args[0])
        raise _make_error(f"the operation {getattr(name, '__name__', name)!r}")


def _has_tensor(values: Iterable[Any]) -> bool:
    return any(
        isinstance(each, Tensor) or (isinstance(each, list | tuple) and _has_tensor(each))
        for each in values
    )


def _apply_weighted(layer: Any, x: Tensor) -> Tensor:
    """Apply a convolution or linear layer, whose contributions are inputs times weights."""

    def contributed(inputs: Tensor, weight: Tensor) -> Tensor:
        found: Tensor = functional_call(layer, {"weight": weight, **without_bias}, inputs)
        return found

    bias = layer.bias
    without_bias: Mapping[str, Any] = {} if bias is None else {"bias": torch.zeros_like(bias)}
    scaled = _multiply_gradient(x)
    positive = contributed(scaled.clamp(min=0), layer.weight.clamp(min=0))
    if bool((x < 0).any()):
        positive = positive + contributed(scaled.clamp(max=0), layer.weight.clamp(max=0))
    return _share_out(layer(x.detach()), positive)


def _apply_average(average: Any, x: Tensor) -> Tensor:
    scaled = _multiply_gradient(x)
    return _share_by_sign(
        average(x.detach()), average(scaled.clamp(min=0)), average((-scaled).clamp(min=0))
    )


def _apply_sum(terms: Iterable[Tensor]) -> Tensor:
    a, b = map(_multiply_gradient, terms)
    return _share_by_sign(
        (a + b).detach(), a.clamp(min=0) + b.clamp(min=0), (-a).clamp(min=0) + (-b).clamp(min=0)
    )


def _share_by_sign(value: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Share out among the terms that have the sum's sign: a negative sum may be read further on."""
    return _share_out(value, torch.where(value < 0, negative, positive))


def _multiply_gradient(x: Tensor) -> Tensor:
    """Return the same numbers, whose gradient arrives multiplied by them."""
    return x.detach() * (1 + (x - x.detach()))


def _share_out(value: Tensor, contributions: Tensor) -> Tensor:
    """Return the step's value, its gradient shared out in proportion to contributions, all ≥ 0."""
    share = contributions / contributions.detach().clamp(min=LEAST)
    return value + (share - share.detach())


def _pass_on(x: Tensor, value: Tensor) -> Tensor:
    """Return the step's value, whose gradient goes to the input as it is."""
    return value.detach() + (x - x.detach())


def _make_error(what: str) -> RequestError:
    return RequestError(
        f"relevance cannot be propagated: there is no rule for {what}; the pruner 'taylor' ranks "
        "the filters of every network"
    )
