"""Where modules come from: a model plugin, ``torchvision/NAME`` or ``file.py:function``."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from prunebench.errors import RequestError, did_you_mean
from prunebench.input_files import is_file, spell
from prunebench.plugins import choose

if TYPE_CHECKING:
    from torch import Tensor, nn


class Code(NamedTuple):
    """Python code that builds a module.

    Attributes:
        text: A file's text.
        function: The name of a function in it.
        parameters: What the function is called with, besides classes, channels and size.
    """

    text: str
    function: str
    parameters: dict[str, Any]


def build_module(
    factory: str,
    parameters: dict[str, Any],
    classes: int,
    channels: int,
    size: tuple[int, int],
    source: str = "",
) -> nn.Module:
    """Build an untrained module.

    Args:
        factory: A model plugin's name, ``torchvision/NAME``, or ``file.py:function``; the
            function is called with those of ``classes``, ``channels`` and ``size`` it accepts.
        parameters: Parameters of the plugin, or further arguments of the function.
        classes: Number of outputs.
        channels: Channels of the input.
        size: Height and width of the input.
        source: Of ``file.py:function``, the text to run in place of the file's present one.

    Raises:
        RequestError: There is no such factory, or it cannot be called with these arguments.
    """
    if ".py:" not in factory:
        built: nn.Module = choose("models", factory, parameters).plugin.build(
            classes, channels, size
        )
        return built
    from torch import nn

    function = _find_function(factory, source)
    signature = inspect.signature(function)
    offered = {"classes": classes, "channels": channels, "size": size}
    arguments = {k: v for k, v in offered.items() if k in signature.parameters} | parameters
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise RequestError(
            f"cannot be called with {', '.join(arguments) or 'no arguments'}: {error}",
            where=factory,
        ) from None
    module = function(**arguments)
    if not isinstance(module, nn.Module):
        raise RequestError(
            f"returned a {type(module).__name__}, expected a torch.nn.Module", where=factory
        )
    return module


def parse_model(text: str) -> tuple[str, Path | None]:
    """Split ``FACTORY[@WEIGHTS]``.

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


def find_source_file(factory: str) -> Path | None:
    """Find the file of a ``file.py:function`` factory; None for a plugin."""
    return Path(factory.rpartition(":")[0]) if ".py:" in factory else None


def read_code(factory: str, parameters: dict[str, Any], source: str = "") -> Code:
    """Read the code that a ``file.py:function`` factory stands for.

    Args:
        factory: The factory.
        parameters: What the function is called with.
        source: The text, where it is known already; else the file is read.

    Raises:
        RequestError: There is no such file, or it is no text.
    """
    file, _, function = factory.rpartition(":")
    return Code(source or read_source(Path(file)), function, parameters)


def read_source(path: Path) -> str:
    """Read the text of a Python file.

    Raises:
        RequestError: There is no such file, or it is no text.
    """
    if not is_file(path):
        raise RequestError("no such file", where=spell(path))
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot be read as Python: {error}", where=spell(path)) from None


def _find_function(factory: str, source: str) -> Callable[..., Any]:
    path, name = find_source_file(factory), factory.rpartition(":")[2]
    assert path is not None
    source = source or read_source(path)
    module = _run_source(path.resolve(), source)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if _is_own(value, module)]
        raise RequestError(f"no function {name!r}; {did_you_mean(name, known)}", where=str(path))
    found: Callable[..., Any] = function
    return found


def _is_own(value: Any, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _run_source(path: Path, source: str) -> ModuleType:
    # A text runs once: run twice, its classes would no longer be the same types.
    digest = hashlib.blake2b(f"{path}\0{source}".encode(), digest_size=8)
    name = f"{path.stem}_{digest.hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # where dataclasses and pickle look a class's module up
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:  # a script may end itself
        del sys.modules[name]
        raise RequestError(f"{type(error).__name__}: {error}", where=str(path)) from error
    return module


def read_weights(path: Path, *, unsafe_pickle: bool = False) -> dict[str, Tensor]:
    """Read a state dict from safetensors, or from torch's format without unpickling objects.

    Masks that torch.nn.utils.prune left are applied; a wrapping ``{"state_dict": ...}`` and the
    prefix ``module.`` of DataParallel are taken off.

    Args:
        path: The file.
        unsafe_pickle: Read whole pickles too, which can run any code: only for files you made.

    Raises:
        RequestError: The file is missing, unreadable, or not a state dict.
    """
    import torch
    from safetensors.torch import load_file

    if not is_file(path):
        raise RequestError("no such file", where=str(path))
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=not unsafe_pickle)
    except Exception as error:
        raise RequestError(
            f"cannot be read as weights ({type(error).__name__}); expected safetensors, or a state "
            "dict (not a whole pickled object) saved by torch.save",
            where=str(path),
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict | torch.nn.Module):
            found = found[key]
    if isinstance(found, torch.nn.Module):
        found = found.state_dict()
    if not (
        isinstance(found, dict)
        and found
        and all(isinstance(k, str) and torch.is_tensor(v) for k, v in found.items())
    ):
        raise RequestError("holds no state dict (names and tensors)", where=str(path))
    for name, tensor in found.items():
        if kind := _find_strange(tensor):
            raise RequestError(f"{name!r} is {kind}; expected plain real numbers", where=str(path))
    if all(name.startswith("module.") for name in found):
        found = {name.removeprefix("module."): tensor for name, tensor in found.items()}
    return _apply_masks(found, str(path))


def _find_strange(tensor: Tensor) -> str | None:
    """Say what a tensor is that cannot be loaded as numbers; None if it can."""
    import torch

    if tensor.is_meta:
        return "a meta tensor, without numbers"
    if tensor.layout != torch.strided:
        return "sparse (call to_dense)"
    if tensor.is_quantized:
        return "quantised (call dequantize)"
    return "complex" if tensor.is_complex() else None


def _apply_masks(state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Apply masks that torch.nn.utils.prune left in a state dict."""
    folded = dict(state)
    for name in state:
        stem = name.removesuffix("_mask")
        if stem != name and f"{stem}_orig" in state:
            shape, wanted = tuple(state[name].shape), tuple(state[f"{stem}_orig"].shape)
            if shape != wanted:
                raise RequestError(
                    f"the mask {name!r} is {shape}, and what it masks {wanted}", where=where
                )
            folded[stem] = folded.pop(f"{stem}_orig") * folded.pop(name)
    return folded


def load_weights(module: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Load a state dict into a module.

    Raises:
        RequestError: It does not fit; the message names the first entry that does not.
    """
    import torch

    own = module.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    # Older files lack BatchNorm's counter of batches, which evaluation never reads.
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or extra:
        found = f"lacks {missing[0]!r}" if missing else f"has {extra[0]!r}, which the model lacks"
        raise RequestError(f"the weights do not fit the model: the file {found}", where=where)
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
    last = [name for name in own if name.endswith(("weight", "bias"))][-2:]
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            hint = "; is the number of classes the data set's?" if name in last else ""
            raise RequestError(
                f"the weights do not fit the model: {name!r} is {tuple(tensor.shape)} in the file "
                f"and {tuple(own[name].shape)} in the model{hint}",
                where=where,
            )
    module.load_state_dict(state, strict=False)
