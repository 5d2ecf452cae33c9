"""Where modules come from: a model plugin, ``torchvision/NAME`` or ``file.py:function``."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunebench.errors import RequestError, did_you_mean
from prunebench.plugins import choose

if TYPE_CHECKING:
    from torch import Tensor, nn


def build_module(
    factory: str,
    parameters: dict[str, Any],
    classes: int,
    channels: int,
    size: tuple[int, int],
) -> nn.Module:
    """Builds an untrained module.

    Args:
        factory: A model plugin's name, ``torchvision/NAME``, or ``file.py:function``; the
            function is called with those of ``classes``, ``channels`` and ``size`` it accepts.
        parameters: Parameters of the plugin, or further arguments of the function.
        classes: Number of outputs.
        channels: Channels of the input.
        size: Height and width of the input.

    Raises:
        RequestError: There is no such factory.
    """
    if ".py:" not in factory:
        built: nn.Module = choose("models", factory, parameters).plugin.build(
            classes, channels, size
        )
        return built
    function = _function(factory)
    offered = {"classes": classes, "channels": channels, "size": size}
    accepted = inspect.signature(function).parameters
    return function(**{k: v for k, v in offered.items() if k in accepted}, **parameters)


def parse_model(text: str) -> tuple[str, Path | None]:
    """Splits ``FACTORY[@WEIGHTS]``.

    Args:
        text: A model plugin's name, ``torchvision/NAME`` or ``file.py:function``; and, after an
            ``@``, the file of its weights.

    Returns:
        The factory, and the file if one is given.

    Raises:
        RequestError: There is nothing before or after the ``@``.
    """
    # The folders of file.py may hold an @ of their own, the name of a plugin or function may not.
    parts = re.fullmatch(r"(.*?\.py:\w+|[^@]+)(?:@(.+))?", text.strip())
    if parts is None:
        raise RequestError(
            f"cannot read the model {text!r}; expected FACTORY[@WEIGHTS], where FACTORY is a model "
            "plugin's name, torchvision/NAME or file.py:function"
        )
    factory, weights = parts.groups()
    return factory, Path(weights) if weights else None


def source_file(factory: str) -> Path | None:
    """The file of a ``file.py:function`` factory; None for a plugin."""
    return Path(factory.rpartition(":")[0]) if ".py:" in factory else None


def _function(factory: str) -> Any:
    path, name = source_file(factory), factory.rpartition(":")[2]
    assert path is not None
    if not path.is_file():
        raise RequestError(f"no such file: {path}", where=factory)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RequestError(f"{type(error).__name__}: {error}", where=str(path)) from error
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise RequestError(f"no function {name!r}; {did_you_mean(name, known)}", where=str(path))
    return function


def read_weights(path: Path, *, unsafe_pickle: bool = False) -> dict[str, Tensor]:
    """Reads a state dict from safetensors, or from torch's format without unpickling objects.

    A wrapping ``{"state_dict": ...}`` and the prefix ``module.`` of DataParallel are taken off.

    Args:
        path: The file.
        unsafe_pickle: Read whole pickles too, which can run any code: only for files you made.

    Raises:
        RequestError: The file is missing, unreadable, or not a state dict.
    """
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise RequestError("no such file", where=str(path))
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=not unsafe_pickle)
    except Exception as error:
        raise RequestError(
            f"cannot be read as weights ({type(error).__name__}); expected safetensors or a state "
            "dict saved by torch.save",
            where=str(path),
        ) from error
    if isinstance(found, torch.nn.Module):
        found = found.state_dict()
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not (isinstance(found, dict) and all(torch.is_tensor(v) for v in found.values())):
        raise RequestError("holds no state dict (names and tensors)", where=str(path))
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def load_weights(module: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Loads a state dict into a module.

    Raises:
        RequestError: It does not fit; the message names the first entry that does not.
    """
    own = module.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    # Older files lack BatchNorm's counter of batches, which evaluation never reads.
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or extra:
        found = f"lacks {missing[0]!r}" if missing else f"has {extra[0]!r}, which the model lacks"
        raise RequestError(f"the weights do not fit the model: the file {found}", where=where)
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            last = name == [key for key in own if key.endswith("weight")][-1]
            hint = (
                "; is the number of classes the data set's?"
                if last or name.endswith(".bias")
                else ""
            )
            raise RequestError(
                f"the weights do not fit the model: {name!r} is {tuple(tensor.shape)} in the file "
                f"and {tuple(own[name].shape)} in the model{hint}",
                where=where,
            )
    module.load_state_dict(state, strict=False)
