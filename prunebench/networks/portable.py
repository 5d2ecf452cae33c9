"""Networks as files for other programs: without pickle, and without PruneBench to read them.

``pt2`` (torch.export) and ``onnx`` hold what the network computes; ``safetensors`` and ``pt`` a
state dict. All but ``onnx`` tell, under ``prunebench.architecture``, how PruneBench builds the
network again: an ``Architecture`` as JSON, with mean and deviation of the normalisation among it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from prunebench.errors import RequestError, did_you_mean
from prunebench.input_files import is_file
from prunebench.networks.network import Architecture, Network, from_tensors
from prunebench.networks.onnx_export import to_onnx
from prunebench.networks.quantised.layers import VALUE_CODES, Int8Conv2d, Int8Layer, Int8Linear

FORMATS = ("pt", "safetensors", "onnx", "pt2")
ARCHITECTURE = "prunebench.architecture"
"""The metadata key; in ``pt`` files, a key beside ``state_dict``."""


def export(network: Network, path: str | Path, to: str | None = None) -> Path:
    """Write a network to a file that other programs read.

    - ``pt2``: a program of torch.export, ``torch.export.load(path).module()``, batches of any size.
    - ``onnx``: for ONNX Runtime and others; see ``to_onnx``.
    - ``safetensors``: the state dict. - ``pt``: the same, for ``torch.load(path)["state_dict"]``.

    Inputs are normalised images, B×C×H×W. Channels that were removed are not there, masked weights
    are zeros. Weights of 8 bits stay such numbers in all but ``pt2``, whose program computes with
    what they stand for; in a state dict they are ``codes``, of which each is worth ``scale``.

    Args:
        network: The network, such as of ``Results.network``. It is left as it is.
        path: The file.
        to: Its format; by default as the file's name ends.

    Returns:
        The file.

    Raises:
        RequestError: There is no such format, a package is missing, or the network's code cannot be
            followed.

    Example:
        >>> import torch, prunebench as pb
        >>> from prunebench.networks import Architecture, Network
        >>> shapes = {"classes": 10, "channels": 1, "size": (16, 16)}
        >>> look = {"mean": (0.5,), "std": (0.5,)}
        >>> architecture = Architecture(factory="digits-cnn", **shapes, **look)
        >>> network = Network(architecture.build().eval(), architecture)
        >>> file = pb.export(network, "digits.pt2")
        >>> torch.export.load(file).module()(torch.zeros(3, 1, 16, 16)).shape
        torch.Size([3, 10])
    """
    path = Path(path)
    form = check_format(to or path.suffix.removeprefix("."))
    if not path.parent.is_dir():
        raise RequestError("no such folder", where=str(path.parent))
    if form == "onnx":
        to_onnx(network, path)
    elif form == "pt2":
        _write_program(network, path)
    else:
        _write_state(network, path, form)
    return path


def check_format(name: str) -> str:
    """Return the name of a format.

    Raises:
        RequestError: There is none such.
    """
    if name not in FORMATS:
        raise RequestError(f"unknown format {name!r}; {did_you_mean(name, FORMATS)}")
    return name


def _describe(network: Network) -> str:
    return json.dumps(network.architecture.model_dump(mode="json", exclude_defaults=True))


def _write_state(network: Network, path: Path, form: str) -> None:
    from safetensors.torch import save

    state = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.module.state_dict().items()
    }
    if form == "safetensors":
        path.write_bytes(save(state, {ARCHITECTURE: _describe(network)}))
    else:
        torch.save({"state_dict": state, ARCHITECTURE: _describe(network)}, path)


def _write_program(network: Network, path: Path) -> None:
    copied = network.copy().to("cpu")
    for layer in copied.module.modules():
        if type(layer) in _EXPLICIT_LAYERS:
            layer.__class__ = _EXPLICIT_LAYERS[type(layer)]
    batch = torch.export.Dim("batch", min=1)
    try:
        with torch.no_grad():
            # A batch of one would be taken for a constant.
            program = torch.export.export(
                copied.module.eval(), (copied.example(2),), dynamic_shapes=({0: batch},)
            )
    except Exception as error:  # a network's code can fail to be followed in any way
        first = str(error).strip().partition("\n")[0]
        raise RequestError(
            f"{network.architecture.factory} cannot be exported to pt2: {first}"
        ) from None
    torch.export.save(program, path, extra_files={ARCHITECTURE: _describe(network)})


class _ExplicitLayer(Int8Layer):
    """A layer that rounds with operators that torch.export knows."""

    def round_values(
        self, values: Tensor, scale: Tensor | None, zero_point: Tensor | None
    ) -> Tensor:
        if scale is None or zero_point is None:
            return values
        codes = (values * (1 / scale)).round() + zero_point
        return (codes.clamp(*VALUE_CODES) - zero_point) * scale


class _ExplicitConv2d(_ExplicitLayer, Int8Conv2d):  # type: ignore[override]  # its weight is computed
    pass


class _ExplicitLinear(_ExplicitLayer, Int8Linear):  # type: ignore[override]
    pass


_EXPLICIT_LAYERS: dict[type[torch.nn.Module], type[_ExplicitLayer]] = {
    Int8Conv2d: _ExplicitConv2d,
    Int8Linear: _ExplicitLinear,
}


def find_architecture(path: Path) -> Architecture | None:
    """Find how a network is built that ``export`` wrote; None in any other file.

    Args:
        path: The file.

    Raises:
        RequestError: It tells so in words that this version does not know.
    """
    try:
        _, text = _read_state(path)
    except RequestError:
        return None
    return None if text is None else _parse(text, path)


def _parse(text: Any, path: Path) -> Architecture:
    try:
        return Architecture.model_validate_json(text)
    except ValidationError as error:
        raise RequestError(
            f"{ARCHITECTURE!r} is not understood: {error.errors()[0]['msg']}", where=str(path)
        ) from None


def read_exported(path: Path, *, trusted: bool = False) -> Network:
    """Build a network from a ``safetensors`` or ``pt`` file that ``export`` wrote; no pickle.

    Args:
        path: The file.
        trusted: Whether Python code may be run that the file holds.

    Raises:
        RequestError: It is no such file, or holds Python code that is not trusted.
    """
    state, text = _read_state(path)
    if text is None:
        raise RequestError(
            f"does not tell how the network is built ({ARCHITECTURE!r}); expected a file that "
            "`prunebench export` wrote",
            where=str(path),
        )
    architecture = _parse(text, path)
    check_code(architecture, trusted, str(path))
    try:
        return from_tensors(architecture, {f"state/{name}": each for name, each in state.items()})
    except (RuntimeError, KeyError, AttributeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise RequestError(
            f"its tensors are not those of {architecture.factory}: {first}", where=str(path)
        ) from None


def check_code(architecture: Architecture, trusted: bool, where: str) -> None:
    """Refuse a network that is built by Python code which nobody said is trusted.

    Raises:
        RequestError: It is.
    """
    if ".py:" in architecture.factory and not trusted:
        raise RequestError(
            f"is built by Python code that comes with it, {architecture.factory}: read it "
            "(`source` in its architecture), then say that you trust it (trusted=True, "
            "--trust-store)",
            where=where,
        )


def _read_state(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Read tensors, and how the network is built if that is told."""
    from safetensors import SafetensorError, safe_open

    if not is_file(path):
        raise RequestError("no such file", where=str(path))
    try:
        if path.suffix == ".pt":
            content = torch.load(path, map_location="cpu", weights_only=True)
            return content["state_dict"], content.get(ARCHITECTURE)
        with safe_open(path, "pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return state, (file.metadata() or {}).get(ARCHITECTURE)
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise RequestError(f"cannot be read as weights: {error}", where=str(path)) from None
    except Exception as error:  # torch's unpickler refuses objects in its own way
        raise RequestError(
            f"cannot be read as weights ({type(error).__name__})", where=str(path)
        ) from None
