"""Networks as ONNX files, and run from there by ONNX Runtime."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.networks.network import Network
from prunebench.networks.quantised.layers import Int8Conv2d, Int8Layer, Int8Linear

OPSET = 18
"""Version of ONNX's operators in the files."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What the extra ``prunebench[onnx]`` brings."""


def to_onnx(network: Network, path: str | Path) -> None:
    """Write a network as one ONNX file, opset 18, for batches of any size.

    The input ``images`` is B×C×H×W, normalised; the output ``logits`` is B×K. Channels that were
    removed are not there; masked weights are zeros like any other number; 8-bit weights stay 8-bit
    numbers and rounded inputs become pairs of QuantizeLinear and DequantizeLinear, for which
    runtimes have integer kernels. Mean and deviation of the normalisation, which is not part of
    the graph, are among the file's metadata.

    Args:
        network: The network, which is left as it is.
        path: The file to write.

    Raises:
        RequestError: A package is missing, or the network's code cannot be exported.

    Example:
        >>> from pathlib import Path
        >>> from prunebench import to_onnx
        >>> from prunebench.networks import Architecture, Network
        >>> shapes = {"classes": 10, "channels": 1, "size": (16, 16)}
        >>> look = {"mean": (0.5,), "std": (0.5,)}
        >>> architecture = Architecture(factory="digits-cnn", **shapes, **look)
        >>> network = Network(architecture.build().eval(), architecture)
        >>> to_onnx(network, "digits.onnx")
        >>> Path("digits.onnx").is_file()
        True
    """
    check_packages("exporting to ONNX")
    copied = network.copy().to("cpu")
    module = copied.module.eval()
    for layer in module.modules():
        if type(layer) in _ONNX_LAYERS:
            layer.__class__ = _ONNX_LAYERS[type(layer)]
    # A batch of one would be taken for a constant.
    inputs = copied.example(2)
    batch = torch.export.Dim("batch", min=1)
    try:
        with silence(), torch.no_grad():
            program: Any = torch.onnx.export(
                module,
                (inputs,),
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: batch},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # a network's code can fail to be followed in any way
        cause = error.__cause__ or error
        first = str(cause).strip().partition("\n")[0]
        raise RequestError(
            f"{network.architecture.factory} cannot be exported to ONNX: {first}"
        ) from None
    seen = {"mean": network.architecture.mean, "std": network.architecture.std}
    for node in program.model.graph:
        node.metadata_props.clear()  # where in which file it was called
    program.model.metadata_props.update({name: json.dumps(v) for name, v in seen.items()})
    with silence():
        program.save(str(path), external_data=False)


class Deployed(nn.Module):
    """An ONNX file in ONNX Runtime, on the CPU: images B×C×H×W in, logits B×K out.

    Args:
        path: The file.
        threads: CPU threads.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        super().__init__()
        check_packages("running ONNX files")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        (logits,) = self.session.run(None, {"images": images.numpy()})
        return torch.from_numpy(logits)


def check_packages(what: str) -> None:
    """Refuse to go on without the packages that export and run ONNX files.

    Args:
        what: What needs them.

    Raises:
        RequestError: Naming the first that is missing.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise RequestError(f"{what} needs the package {missing[0]}: pip install 'prunebench[onnx]'")


class _OnnxLayer(Int8Layer):
    """A layer that computes with ONNX's own operators, to be exported."""

    @property
    def weight(self) -> Tensor:
        return _dequantise(self.codes, self.scale, self.codes.new_zeros(len(self.scale)))

    def round_values(
        self, values: Tensor, scale: Tensor | None, zero_point: Tensor | None
    ) -> Tensor:
        if scale is None or zero_point is None:
            return values
        zero = zero_point.to(torch.uint8)
        codes = torch.onnx.ops.symbolic(
            "QuantizeLinear", (values, scale, zero), dtype=torch.uint8, shape=values.shape
        )
        return _dequantise(codes, scale, zero)


def _dequantise(codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    return torch.onnx.ops.symbolic(
        "DequantizeLinear",
        (codes, scale, zero_point),
        {"axis": 0},
        dtype=scale.dtype,
        shape=codes.shape,
    )


class _OnnxConv2d(_OnnxLayer, Int8Conv2d):  # type: ignore[override]  # its weight is computed
    pass


class _OnnxLinear(_OnnxLayer, Int8Linear):  # type: ignore[override]
    pass


_ONNX_LAYERS: dict[type[nn.Module], type[_OnnxLayer]] = {
    Int8Conv2d: _OnnxConv2d,
    Int8Linear: _OnnxLinear,
}


@contextmanager
def silence(level: int = logging.WARNING) -> Iterator[None]:
    """Silence torch's warnings, and what it logs up to a level."""
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
