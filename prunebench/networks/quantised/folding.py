"""BatchNorm folded into the convolution before it, as integer arithmetic needs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from prunebench.networks.shared_weights import make_twin


def fold_batch_norms(module: nn.Module) -> None:
    """Fold, in place, each BatchNorm that follows a convolution and nothing else.

    The convolution takes over scale and shift, and an identity stands where the BatchNorm was.
    A network whose code torch.fx cannot follow is left as it is.

    Args:
        module: The network, in evaluation mode, without masks of torch.nn.utils.prune.
    """
    for convolution, name in list(_find_pairs(module)):
        norm: Any = module.get_submodule(name)
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        module.set_submodule(name, nn.Identity())


def _find_pairs(module: nn.Module) -> Iterator[tuple[nn.Conv2d, str]]:
    """Find convolutions, and the names of the BatchNorms that alone read their outputs."""
    try:
        # Of a twin: following the code may leave symbols in what it keeps.
        graph = fx.Tracer().trace(make_twin(module))
    except Exception:  # the network's code can fail under symbolic values in any way
        return
    calls = Counter(module.get_submodule(str(node.target)) for node in _list_calls(graph))
    names = Counter(layer for _, layer in module.named_modules(remove_duplicate=False))
    for node in _list_calls(graph):
        norm = module.get_submodule(str(node.target))
        before = node.args[0] if node.args else None
        if type(norm) is not nn.BatchNorm2d or norm.running_mean is None:
            continue
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        convolution = module.get_submodule(str(before.target))
        once = all(calls[layer] == names[layer] == 1 for layer in (convolution, norm))
        if type(convolution) is nn.Conv2d and once:
            yield convolution, str(node.target)


def _list_calls(graph: fx.Graph) -> Iterator[fx.Node]:
    return (node for node in graph.nodes if node.op == "call_module")
