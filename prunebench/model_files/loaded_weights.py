"""Weights loaded into a network, or refused with the first entry that does not fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.model_files.fitted_names import COUNTER, fit_names
from prunebench.model_files.layer_sizes import Attributes
from prunebench.model_files.narrowing import is_narrower, narrow
from prunebench.model_files.weights import SavedWeights


@dataclass(frozen=True)
class Fit:
    """How weights came to fit a network.

    Attributes:
        resized: By layer the sizes that the weights have and the network had not.
        left_out: Names of entries that belong to something else than the network.
    """

    resized: Attributes
    left_out: tuple[str, ...] = ()


def load_weights(module: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Load a state dict into a module of the same sizes.

    Raises:
        RequestError: It does not fit; the message names the first entry that does not.
    """
    fitted, _ = fit_names(state, module.state_dict(), where)
    _check_names(module, fitted, where)
    _check_numbers(module, fitted, where)
    _check_shapes(module, fitted, where)
    module.load_state_dict(fitted, strict=False)


def fit_weights(module: nn.Module, weights: SavedWeights, example: Tensor, where: str) -> Fit:
    """Load weights into a module, which is brought to their sizes where pruning made them smaller.

    Args:
        module: The network, in evaluation mode and in its original sizes.
        weights: Of the pruned network.
        example: An input, B×C×H×W, on which a smaller network is tried.
        where: The file, for messages.

    Raises:
        RequestError: They do not fit, or do not tell how large the network is.
    """
    state, left_out = fit_names(weights.state, module.state_dict(), where)
    _check_names(module, state, where)
    _check_numbers(module, state, where)
    resized: Attributes = {}
    if is_narrower(module, state):
        own = module.state_dict()
        whole = {name: state.get(name, tensor).to(tensor.dtype) for name, tensor in own.items()}
        resized = narrow(module, whole, weights.attributes, example, where)
    _check_shapes(module, state, where)
    module.load_state_dict(state, strict=False)
    return Fit(resized, left_out)


def _check_names(module: nn.Module, state: dict[str, Tensor], where: str) -> None:
    own = module.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    missing = [name for name in missing if not name.endswith(COUNTER)]
    if behind := [name for name in extra if ".parametrizations." in name]:
        # Their masks are not in the file: taken as they are, they would not be pruned.
        raise RequestError(
            f"holds {behind[0]!r}, a weight behind a parametrization of which the file does not "
            "tell what it does; before saving, call the sparsifier's squash_mask() or "
            "torch.nn.utils.parametrize.remove_parametrizations",
            where=where,
        )
    if missing or extra:
        found = f"lacks {missing[0]!r}" if missing else f"has {extra[0]!r}, which the model lacks"
        shared = len(own.keys() & state.keys())
        raise RequestError(
            f"the weights do not fit the model: the file {found} ({shared} of the model's "
            f"{len(own)} names are in the file, which has {len(state)}; is it the right factory?)",
            where=where,
        )


def _check_numbers(module: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Check that tensors hold finite numbers of the network's kind."""
    own = module.state_dict()
    numbers = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    for name, tensor in state.items():
        if tensor.is_meta or tensor.layout is not torch.strided:
            found = "no numbers (device 'meta')" if tensor.is_meta else "a sparse tensor"
            raise RequestError(f"{name!r} holds {found}; expected a dense one", where=where)
        real = tensor.is_floating_point() or (name not in numbers and not tensor.is_complex())
        if own[name].is_floating_point() and not real:  # a buffer may be a mask
            raise RequestError(
                f"{name!r} holds {tensor.dtype}, and the model {own[name].dtype}: quantised "
                "weights mean nothing without their scale",
                where=where,
            )
        # As the model will hold it: of 64 bits, 32 may remain.
        held = tensor.to(own[name].dtype)
        # A buffer may hold infinities, such as a mask of attention; nothing may be no number.
        bad = held.isnan() if name not in numbers else ~held.isfinite()
        if count := int(bad.sum()):
            raise RequestError(
                f"{name!r} holds {count:,} of {tensor.numel():,} numbers that are not finite: the "
                "training they come from has diverged",
                where=where,
            )


def _check_shapes(module: nn.Module, state: dict[str, Tensor], where: str) -> None:
    own = module.state_dict()
    last = [name for name in own if name.endswith(("weight", "bias"))][-2:]
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            hint = "; is the number of classes the data set's?" if name in last else ""
            raise RequestError(
                f"the weights do not fit the model: {name!r} is {tuple(tensor.shape)} in the file "
                f"and {tuple(own[name].shape)} in the model{hint}",
                where=where,
            )
