"""Networks from ONNX files."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from prunebench.errors import RequestError
from prunebench.input_files import find_status
from prunebench.model_files.graphs.aten_graph import free_batch
from prunebench.model_files.graphs.aten_layers import make_network
from prunebench.model_files.graphs.graph_file import GraphFile, naming
from prunebench.model_files.graphs.onnx_operators import FOLDS, OPERATORS
from prunebench.model_files.graphs.onnx_step import Constant, OnnxStep, OnnxValues, make_constant
from prunebench.model_files.graphs.same_logits import TOLERANCE, check_logits
from prunebench.networks.onnx_export import check_packages

READ_HERE = ("Constant", "Identity")
INT8_TOLERANCE = 0.05
"""Of files that round to 8 bits, where a sum in another order can end at the next code."""
SIZES = (224, 32, 64, 28, 96, 128, 256, 299, 384, 48, 16)
"""Image sizes to try a network on whose file tells none."""
REMEDY = (
    'export it with dynamic_shapes=({0: torch.export.Dim("batch")},), or dynamic_axes={"images": '
    '{0: "batch"}} of the older exporter'
)
SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch's exporter notes the modules that an operator was in."""


def read_onnx(path: Path) -> GraphFile:
    """Read a network from an ONNX file and convert it to layers of ``torch.nn``.

    The file is data: nothing in it is run but ONNX's own operators. Weights beside the file are
    read where they are in its folder. The converted network is held to ONNX Runtime's logits.
    Files with 8-bit weights (pairs of QuantizeLinear and DequantizeLinear) compute in floating
    point here, with the same rounded numbers.

    Args:
        path: The file.

    Raises:
        RequestError: It is no ONNX file, is damaged, reads files elsewhere, takes something else
            than images, uses operators that cannot be converted, or gives other logits than in
            ONNX Runtime.
    """
    check_packages("reading ONNX files")
    find_status(path)
    with naming(path):
        model = _load(path)
        shape = _find_shape(model)
        run = _start_session(path)  # which refuses what is no whole graph
        values = _read_graph(model)
        if shape[0]:
            free_batch(values.found.graph, shape[0])
        network = make_network(values.found)
        example = _find_example(run, shape, network)
        rounds = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
        tolerance = INT8_TOLERANCE if rounds else TOLERANCE
        difference = check_logits(network, run, example, "ONNX Runtime", REMEDY, tolerance)
        notes = [f"converted from ONNX, {len(model.graph.node)} operators; {difference}"]
        if rounds:
            notes.append("8-bit numbers are computed in floating point")
        size = (shape[2], shape[3]) if shape[2] and shape[3] else None
        looks = _read_normalisation(model, example.shape[1])
        return GraphFile(network, tuple(notes), size, example.shape[1], looks)


def _load(path: Path) -> Any:
    """Load a model, with weights that are stored beside it.

    Raises:
        RequestError: It is no ONNX file, or reads files elsewhere.
    """
    import onnx.inliner
    from onnx.external_data_helper import load_external_data_for_model

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own errors, which are of no common kind
        raise RequestError(f"is no ONNX file: {_first_line(error)}") from None
    for tensor in _list_tensors(model):
        for entry in tensor.external_data:
            if entry.key == "location":
                _check_location(path, entry.value)
    try:
        load_external_data_for_model(model, str(path.parent))
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:
        raise RequestError(f"is damaged: {_first_line(error)}") from None


def _list_tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            yield from [attribute.t, *attribute.tensors]


def _check_location(path: Path, location: str) -> None:
    folder = path.parent.resolve()
    if Path(location).is_absolute() or not (folder / location).resolve().is_relative_to(folder):
        raise RequestError(f"reads weights outside of its folder, from {location!r}")


def _find_shape(model: Any) -> list[int | None]:
    """Return the shape of the images, as far as the file tells.

    Raises:
        RequestError: It takes something else than images, channels first.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    shapes = [_read_shape(value) for value in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        shown = ", ".join("×".join(str(n or "?") for n in shape) for shape in shapes)
        raise RequestError(f"takes {len(shapes)} inputs ({shown}); expected images alone, B×C×H×W")
    shape = shapes[0]
    if shape[3] in (1, 3) and shape[1] not in (None, 1, 3, 4):
        raise RequestError(
            "takes images with their channels last; export it for images B×C×H×W, such as with "
            "tf2onnx --inputs-as-nchw"
        )
    return shape


def _read_shape(value: Any) -> list[int | None]:
    return [size.dim_value or None for size in value.type.tensor_type.shape.dim]


def _read_graph(model: Any) -> OnnxValues:
    """Write a file's operators in PyTorch's.

    Raises:
        RequestError: Naming all operators that cannot be converted.
    """
    graph = model.graph
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
    known = {*OPERATORS, *FOLDS, *READ_HERE}
    unknown = Counter(
        node.op_type
        for node in graph.node
        if node.op_type not in known or node.domain not in ("", "ai.onnx")
    )
    if unknown:
        raise RequestError(
            f"uses operators that cannot be converted: {', '.join(sorted(unknown))}; give the "
            "module that it was exported from, or its torch.export archive"
        )
    told = [*graph.value_info, *graph.input, *graph.output]
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    shapes = {
        value.name: _read_shape(value) for value in told if value.type.tensor_type.HasField("shape")
    }
    values = OnnxValues(shapes, opset, uses)
    constants = {each.name: Constant(_to_array(each), each.name) for each in graph.initializer}
    values.values.update(constants)
    (images,) = (value.name for value in graph.input if value.name not in constants)
    values.values[images] = values.found.graph.placeholder("images")
    find_path = _find_naming(graph)
    for node in graph.node:
        _read_node(node, values, find_path)
    found = [values.values[value.name] for value in graph.output]
    outputs = [
        _let_gradient_pass(value) if isinstance(value, fx.Node) else values.hold(value)
        for value in found
    ]
    values.found.graph.output(outputs[0] if len(outputs) == 1 else tuple(outputs))
    return values


def _let_gradient_pass(output: fx.Node) -> fx.Node:
    """Let a gradient pass the rounding of logits to 8 bits, also where the largest is clipped.

    Else the very logits that a network is surest of would have no gradient, and empty maps.
    """
    aten = torch.ops.aten
    if output.target is not aten.fake_quantize_per_tensor_affine.default:
        return output
    call, exact = output.graph.call_function, output.args[0]
    step = call(aten.detach.default, (call(aten.sub.Tensor, (output, exact)),))
    return call(aten.add.Tensor, (exact, step))


def _read_node(node: Any, within: OnnxValues, find_path: Callable[[Any], str]) -> None:
    import onnx

    settings: dict[str, Any] = {"outputs": len(node.output)}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        settings[attribute.name] = (
            _to_array(value) if isinstance(value, onnx.TensorProto) else value
        )
    path = find_path(node)
    if node.op_type == "QuantizeLinear":  # after the layer, which stays one operator
        path = path.rpartition(".")[0]
    step = OnnxStep(
        node.op_type,
        [within.values[name] if name else None for name in node.input],
        node.input,
        settings,
        path,
        _find_layer(node, within),
        within,
    )
    try:
        result = _convert(step, node.output[0])
    except (fx.proxy.TraceError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise step.refuse(f"is used in a way that is not known ({error})") from None
    results = result if isinstance(result, tuple) else (result,)
    within.values.update(zip(node.output, results, strict=False))


def _convert(step: OnnxStep, output: str) -> Any:
    if step.kind == "Constant":
        (value,) = (v for k, v in step.settings.items() if k.startswith("value"))
        return make_constant(value)
    given = [value for value in step.inputs if value is not None]
    if step.kind == "Identity":
        (value,) = given
        return Constant(value.array, output) if isinstance(value, Constant) else value
    is_known = all(isinstance(value, Constant) for value in given)
    if step.kind in FOLDS and is_known:
        found = FOLDS[step.kind](step)
        return found if isinstance(found, fx.Node) else make_constant(found)
    if step.kind not in OPERATORS:
        raise step.refuse("depends on the images")
    return OPERATORS[step.kind](step)


def _to_array(tensor: Any) -> Any:
    import onnx

    return onnx.numpy_helper.to_array(tensor)


# --- names ---


def _find_naming(graph: Any) -> Callable[[Any], str]:
    """Return how the file tells the modules that its operators were in, if it does."""
    if any(entry.key == SCOPES for node in graph.node for entry in node.metadata_props):
        return _read_scopes
    return _read_path if any(node.name.count("/") > 1 for node in graph.node) else lambda node: ""


def _read_scopes(node: Any) -> str:
    """Read ``['', 'layer1', 'layer1.0', 'layer1.0.relu', 'relu_2']``."""
    told = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
    try:
        scopes = ast.literal_eval(told)
        return str(scopes[-2]) if len(scopes) > 1 and re.fullmatch(r"[\w.]*", scopes[-2]) else ""
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ""


def _read_path(node: Any) -> str:
    """Read ``/layer1/layer1.0/relu_1/Relu``: children of lists carry their parent's name."""
    found: list[str] = []
    before = ""
    for part in node.name.strip("/").split("/")[:-1]:
        found.append(part.removeprefix(f"{before}.") if before else part)
        before = part
    return ".".join(found)


def _find_layer(node: Any, within: OnnxValues) -> str:
    """Return the name that a convolution's or a matrix's weights tell."""
    if node.op_type not in ("Conv", "Gemm") or len(node.input) < 2:
        return ""
    value = within.values.get(node.input[1])
    name = value.name if isinstance(value, Constant) else ""
    layer, _, last = name.rpartition(".")
    return layer if last.startswith("weight") and re.fullmatch(r"[\w.]+", layer) else ""


# --- ONNX Runtime ---


def _start_session(path: Path) -> Callable[[Tensor], Any]:
    """Return a function that runs the file in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # As the file says: fused kernels for 8 bits round otherwise.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise RequestError(f"cannot be run by ONNX Runtime: {_first_line(error)}") from None
    (name,) = (value.name for value in session.get_inputs())

    def run(images: Tensor) -> Any:
        found = session.run(None, {name: images.numpy()})
        return [torch.from_numpy(each) for each in found]

    return run


def _find_example(
    run: Callable[[Tensor], Any], shape: list[int | None], network: torch.nn.Module
) -> Tensor:
    """Return images of a size that the file takes."""
    first = next((m for m in network.modules() if isinstance(m, torch.nn.Conv2d)), None)
    channels = shape[1] or (first.in_channels if first else 3)
    kind = next((p.dtype for p in network.parameters()), torch.float32)
    problem = ""
    for size in SIZES if None in shape[2:] else (0,):
        example = torch.zeros(
            shape[0] or 2, channels, shape[2] or size, shape[3] or size, dtype=kind
        )
        try:
            run(example)
        except Exception as error:  # ONNX Runtime's own
            problem = problem or _first_line(error)
        else:
            return example
    raise RequestError(f"takes no images in ONNX Runtime: {problem}")


def _read_normalisation(
    model: Any, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Read mean and deviation, which our own exporter writes among the metadata."""
    told = {entry.key: entry.value for entry in model.metadata_props}
    try:
        mean, std = (tuple(map(float, json.loads(told[name]))) for name in ("mean", "std"))
    except (KeyError, ValueError, TypeError):
        return None
    return (mean, std) if len(mean) == len(std) == channels and min(std) > 0 else None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
