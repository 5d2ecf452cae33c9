"""ONNX's operators in PyTorch's: those that image classifiers use."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import torch
from torch import fx

from prunebench.model_files.graphs.onnx_step import Constant, OnnxStep, Value, to_sizes

aten = torch.ops.aten
Convert = Callable[[OnnxStep], Value | tuple[Value, ...]]


def _call(operator: Any, *defaults: Any) -> Convert:
    """Convert an operator of one or more tensors and no attributes."""
    return lambda s: s.call(operator, *(s.tensor(i) for i in range(len(s.inputs))), *defaults)


# --- convolutions, matrices, normalisation ---


def _split_padding(s: OnnxStep, kernel: list[int], fill: float) -> tuple[Any, list[int]]:
    """Pad the images where it is not the same on both sides; return them and what is left."""
    images, sides = s.tensor(0), len(kernel)
    strides = s.setting("strides", [1] * sides)
    dilations = s.setting("dilations", [1] * sides)
    mode = s.setting("auto_pad", "NOTSET")
    pads = s.setting("pads", [0] * 2 * sides) if mode == "NOTSET" else [0] * 2 * sides
    if mode.startswith("SAME"):
        for side, size in enumerate(s.shape()[2:]):
            if size is None:
                raise s.refuse(f"pads {mode!r} images of unknown size")
            reach = (kernel[side] - 1) * dilations[side] + 1
            whole = max((-(-size // strides[side]) - 1) * strides[side] + reach - size, 0)
            less, more = whole // 2, whole - whole // 2
            first, last = (less, more) if mode == "SAME_UPPER" else (more, less)
            pads[side], pads[side + sides] = first, last
    before, after = pads[:sides], pads[sides:]
    if before == after:
        return images, before
    around = [n for pair in zip(before[::-1], after[::-1], strict=True) for n in pair]
    return s.call(aten.constant_pad_nd.default, images, around, fill), [0] * sides


def _convert_conv(s: OnnxStep) -> Value:
    kernel = list(s.shape(1)[2:])
    if len(kernel) != 2 or None in kernel:
        raise s.refuse(f"has {len(kernel)} dimensions; expected images")
    sizes = [int(k) for k in kernel if k is not None]
    images, padding = _split_padding(s, sizes, 0.0)
    return s.call(
        aten.conv2d.default,
        images,
        s.tensor(1),
        s.tensor(2),
        s.setting("strides", [1, 1]),
        padding,
        s.setting("dilations", [1, 1]),
        s.setting("group", 1),
    )


def _convert_gemm(s: OnnxStep) -> Value:
    scales = s.setting("alpha", 1.0), s.setting("beta", 1.0)
    given = s.inputs[1]
    if scales != (1.0, 1.0) or s.setting("transA", 0) or not isinstance(given, Constant):
        raise s.refuse("scales or transposes its input")
    return s.call(aten.linear.default, s.tensor(0), _transpose(s, given), s.tensor(2))


def _transpose(s: OnnxStep, weight: Constant) -> fx.Node:
    """Return weights, output channels first."""
    if s.setting("transB", 0):
        return s.within.hold(weight)
    return s.within.hold(Constant(np.ascontiguousarray(weight.array.T), weight.name))


def _convert_matmul(s: OnnxStep) -> Value:
    given = s.inputs[1]
    if isinstance(given, Constant) and given.array.ndim == 2:
        return s.call(aten.linear.default, s.tensor(0), _transpose(s, given))
    return s.call(aten.matmul.default, s.tensor(0), s.tensor(1))


def _convert_add(s: OnnxStep) -> Value:
    """Add; the bias of a matrix product becomes that of a linear layer."""
    for product, other in ((0, 1), (1, 0)):
        node, bias = s.inputs[product], s.inputs[other]
        if (
            isinstance(node, fx.Node)
            and isinstance(bias, Constant)
            and bias.array.ndim == 1
            and node.target is aten.linear.default
            and len(node.args) == 2
            and s.within.uses[s.names[product]] == 1
            and s.shape(product)[-1:] == [len(bias.array)]
        ):
            # The bias has to be there before the call.
            with s.within.found.graph.inserting_before(node):
                node.args = (*node.args, s.within.hold(bias))
            return node
    return s.call(aten.add.Tensor, s.tensor(0), s.tensor(1))


def _convert_batch_norm(s: OnnxStep) -> Value:
    scale, bias, mean, deviation = (s.tensor(index) for index in range(1, 5))
    learns = bool(s.setting("training_mode", 0))
    rest = (learns, 0.1, s.setting("epsilon", 1e-5), False)
    return s.call(aten.batch_norm.default, s.tensor(0), scale, bias, mean, deviation, *rest)


def _convert_layer_norm(s: OnnxStep) -> Value:
    shape = list(s.constant(1).shape)
    epsilon = s.setting("epsilon", 1e-5)
    return s.call(aten.layer_norm.default, s.tensor(0), shape, s.tensor(1), s.tensor(2), epsilon)


def _convert_instance_norm(s: OnnxStep) -> Value:
    rest = (None, None, True, 0.1, s.setting("epsilon", 1e-5), False)
    return s.call(aten.instance_norm.default, s.tensor(0), s.tensor(1), s.tensor(2), *rest)


def _convert_group_norm(s: OnnxStep) -> Value:
    if s.within.opset < 21:
        raise s.refuse("scales groups, not channels, in versions before 21")
    groups, epsilon = s.setting("num_groups"), s.setting("epsilon", 1e-5)
    return s.call(aten.group_norm.default, s.tensor(0), groups, s.tensor(1), s.tensor(2), epsilon)


# --- pools ---


def _convert_max_pool(s: OnnxStep) -> Value:
    kernel = s.setting("kernel_shape")
    images, padding = _split_padding(s, kernel, -torch.inf)
    return s.call(
        aten.max_pool2d.default,
        images,
        kernel,
        s.setting("strides", [1] * len(kernel)),
        padding,
        s.setting("dilations", [1] * len(kernel)),
        bool(s.setting("ceil_mode", 0)),
    )


def _convert_average_pool(s: OnnxStep) -> Value:
    kernel, counts = s.setting("kernel_shape"), bool(s.setting("count_include_pad", 0))
    images, padding = _split_padding(s, kernel, 0.0)
    if images is not s.tensor(0) and not counts:
        raise s.refuse("pads its sides differently")
    strides = s.setting("strides", [1] * len(kernel))
    ceil = bool(s.setting("ceil_mode", 0))
    return s.call(aten.avg_pool2d.default, images, kernel, strides, padding, ceil, counts)


def _convert_global_max_pool(s: OnnxStep) -> Value:
    return s.call(aten.amax.default, s.tensor(0), [2, 3], True)


def _reduce(operator: Any) -> Convert:
    def convert(s: OnnxStep) -> Value:
        if not (axes := s.axes()):
            if s.setting("noop_with_empty_axes", 0):
                return s.tensor(0)  # type: ignore[no-any-return]
            axes = list(range(s.rank()))
        return s.call(operator, s.tensor(0), list(axes), bool(s.setting("keepdims", 1)))

    return convert


# --- activations ---


def _convert_clip(s: OnnxStep) -> Value:
    limits = [s.setting("min"), s.setting("max")]
    for index in (1, 2):
        if s.has(index):
            limits[index - 1] = float(s.constant(index).reshape(()))
    if limits[0] == 0 and limits[1] is None:
        return s.call(aten.relu.default, s.tensor(0))
    if None not in limits:
        return s.call(aten.hardtanh.default, s.tensor(0), *limits)
    return s.call(aten.clamp.default, s.tensor(0), *limits)


def _convert_hard_sigmoid(s: OnnxStep) -> Value:
    slope, middle = s.setting("alpha", 0.2), s.setting("beta", 0.5)
    if abs(slope - 1 / 6) < 1e-6 and middle == 0.5:
        return s.call(aten.hardsigmoid.default, s.tensor(0))
    line = s.call(aten.add.Tensor, s.call(aten.mul.Tensor, s.tensor(0), slope), middle)
    return s.call(aten.hardtanh.default, line, 0.0, 1.0)


def _convert_softmax(s: OnnxStep) -> Value:
    operator = aten.softmax.int if s.kind == "Softmax" else aten.log_softmax.int
    if s.within.opset < 13 and s.setting("axis", 1) not in (-1, s.rank() - 1):
        raise s.refuse("joins several axes, as before version 13")
    return s.call(operator, s.tensor(0), s.setting("axis", -1))


def _convert_gelu(s: OnnxStep) -> Value:
    return s.call(aten.gelu.default, s.tensor(0), approximate=s.setting("approximate", "none"))


def _convert_div(s: OnnxStep) -> Value:
    return s.call(aten.div.Tensor, s.tensor(0), s.tensor(1))


def _convert_prelu(s: OnnxStep) -> Value:
    slope = Constant(s.constant(1).reshape(-1), s.names[1])
    return s.call(aten.prelu.default, s.tensor(0), s.within.hold(slope))


# --- shapes ---


def _convert_reshape(s: OnnxStep) -> Value:
    sizes = s.sizes(1)
    if not s.setting("allowzero", 0):
        node = s.tensor(0)
        sizes = [
            s.measure(node, axis).node if isinstance(size, int) and size == 0 else size
            for axis, size in enumerate(sizes)
        ]
    return s.call(aten.reshape.default, s.tensor(0), sizes)


def _convert_flatten(s: OnnxStep) -> Value:
    axis = s.setting("axis", 1)
    if axis != 1:
        raise s.refuse(f"begins at axis {axis}")
    return s.call(aten.flatten.using_ints, s.tensor(0), 1)


def _convert_transpose(s: OnnxStep) -> Value:
    order = s.setting("perm") or list(range(s.rank()))[::-1]
    return s.call(aten.permute.default, s.tensor(0), order)


def _convert_squeeze(s: OnnxStep) -> Value:
    axes = s.axes() or [axis for axis, size in enumerate(s.shape()) if size == 1]
    return s.call(aten.squeeze.dims, s.tensor(0), list(axes))


def _convert_unsqueeze(s: OnnxStep) -> Value:
    node = s.tensor(0)
    for axis in sorted(s.axes()):
        node = s.call(aten.unsqueeze.default, node, axis)
    return node  # type: ignore[no-any-return]


def _convert_concat(s: OnnxStep) -> Value:
    parts = [s.tensor(index) for index in range(len(s.inputs))]
    return s.call(aten.cat.default, parts, s.setting("axis"))


def _convert_split(s: OnnxStep) -> tuple[Value, ...]:
    axis, count = s.setting("axis", 0), s.setting("outputs")
    size = s.shape()[axis]
    parts = s.sizes(1) if s.has(1) else s.setting("split")
    if parts is None:
        if size is None:
            raise s.refuse("splits an axis of unknown size")
        each = -(-size // count)
        parts = [min(each, size - each * index) for index in range(count)]
    # Not aten.split, whose result is no tensor.
    starts = np.cumsum([0, *parts]).tolist()
    return tuple(s.call(aten.slice.Tensor, s.tensor(0), axis, a, b) for a, b in pairwise(starts))


def _convert_slice(s: OnnxStep) -> Value:
    if s.has(1):
        starts, ends = s.sizes(1), s.sizes(2)
        axes = s.sizes(3) if s.has(3) else list(range(len(starts)))
        steps = s.sizes(4) if s.has(4) else [1] * len(starts)
    else:
        starts, ends = s.setting("starts"), s.setting("ends")
        axes, steps = s.setting("axes", list(range(len(starts)))), [1] * len(starts)
    node = s.tensor(0)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if isinstance(step, int) and step < 1:
            raise s.refuse("steps backwards")
        node = s.call(aten.slice.Tensor, node, axis, start, end, step)
    return node  # type: ignore[no-any-return]


def _convert_gather(s: OnnxStep) -> Value:
    axis, indices = s.setting("axis", 0), s.constant(1)
    if indices.ndim == 0:
        return s.call(aten.select.int, s.tensor(0), axis, int(indices))
    if indices.ndim == 1:
        # Negative positions count from the end, which index_select does not know.
        if (indices < 0).any():
            if (size := s.shape()[axis]) is None:
                raise s.refuse("counts from an end that is unknown")
            indices = np.where(indices < 0, indices + size, indices)
        return s.call(
            aten.index_select.default, s.tensor(0), axis, s.within.hold(Constant(indices))
        )
    raise s.refuse("picks by a table of positions")


def _convert_expand(s: OnnxStep) -> Value:
    wanted = s.sizes(1)
    wanted = [1] * (s.rank() - len(wanted)) + wanted
    new = len(wanted) - s.rank()
    # A size of 1 leaves an axis as it is.
    sizes = [-1 if axis >= new and size == 1 else size for axis, size in enumerate(wanted)]
    return s.call(aten.expand.default, s.tensor(0), sizes)


def _convert_shape(s: OnnxStep) -> Value:
    """Return a tensor's sizes: the first, of the batch, is read as the network runs."""
    node, sizes = s.tensor(0), s.shape()
    first, last = s.setting("start", 0), s.setting("end")
    found: list[Any] = [
        s.measure(node, axis) if axis == 0 or sizes[axis] is None else sizes[axis]
        for axis in range(len(sizes))[first:last]
    ]
    array = np.empty(len(found), dtype=object)
    for index, size in enumerate(found):  # numpy would look into what torch.fx writes down
        array[index] = size
    return Constant(array)


def _convert_cast(s: OnnxStep) -> Value:
    import onnx

    kind = onnx.helper.tensor_dtype_to_np_dtype(s.setting("to"))
    return s.call(aten.to.dtype, s.tensor(0), _to_dtype(kind))


def _to_dtype(kind: Any) -> torch.dtype:
    return torch.from_numpy(np.zeros(0, kind)).dtype


def _convert_pad(s: OnnxStep) -> Value:
    mode, pads = s.setting("mode", "constant"), s.sizes(1) if s.has(1) else s.setting("pads")
    if s.has(3):
        raise s.refuse("names its axes")
    count = len(pads) // 2
    around = [pads[side + part * count] for side in reversed(range(count)) for part in (0, 1)]
    while len(around) > 4 and not any(around[-2:]):
        around = around[:-2]
    if mode == "constant":
        fill = float(s.constant(2).reshape(())) if s.has(2) else s.setting("value", 0.0)
        return s.call(aten.constant_pad_nd.default, s.tensor(0), around, fill)
    operator = {"reflect": aten.reflection_pad2d, "edge": aten.replication_pad2d}.get(mode)
    if operator is None or len(around) != 4:
        raise s.refuse(f"pads in mode {mode!r}")
    return s.call(operator.default, s.tensor(0), around)


# --- 8-bit numbers ---


def _convert_quantise(s: OnnxStep) -> Value:
    """Round to what 8 bits hold, in floating point: what follows computes with the same numbers."""
    zero = s.constant(2) if s.has(2) else np.uint8(0)
    scale = s.constant(1)
    if scale.size != 1 or zero.dtype not in (np.uint8, np.int8):
        raise s.refuse("rounds activations by channel or to other than 8 bits")
    limits = np.iinfo(zero.dtype)
    return s.call(
        aten.fake_quantize_per_tensor_affine.default,
        s.tensor(0),
        float(scale.reshape(())),
        int(zero.reshape(())),
        int(limits.min),
        int(limits.max),
    )


def _convert_dequantise(s: OnnxStep) -> Value:
    codes = s.inputs[0]
    if not isinstance(codes, Constant):
        return s.tensor(0)  # type: ignore[no-any-return]  # in floating point already
    scale, axis = s.constant(1), s.setting("axis", 1)
    zero = s.constant(2) if s.has(2) else np.zeros_like(scale, codes.array.dtype)
    if scale.ndim > 1:
        raise s.refuse("has scales of blocks")
    if scale.size > 1:
        shape = [1] * codes.array.ndim
        shape[axis] = scale.size
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    weights = (codes.array.astype(np.int32) - zero.astype(np.int32)).astype(scale.dtype) * scale
    return Constant(weights, f"{codes.name}_dequantised" if codes.name else "")


# --- numbers known before the network runs ---


def _look_up(fold: Callable[..., Any]) -> Callable[[OnnxStep], Any]:
    return lambda s: fold(*(s.constant(index) for index in range(len(s.inputs))))


def _divide(a: Any, b: Any) -> Any:
    whole = all(each.dtype == object or each.dtype.kind in "iu" for each in (a, b))
    return a // b if whole else a / b


def _compare(a: Any, b: Any) -> Any:
    # A size is never one of the negative numbers that it is compared with.
    return np.vectorize(
        lambda x, y: not (isinstance(x, fx.Proxy) or isinstance(y, fx.Proxy)) and bool(x == y),
        otypes=[bool],
    )(a, b)


def _fold_slice(s: OnnxStep) -> Any:
    starts, ends = s.sizes(1), s.sizes(2)
    axes = s.sizes(3) if s.has(3) else list(range(len(starts)))
    steps = s.sizes(4) if s.has(4) else [1] * len(starts)
    chosen = [slice(None)] * s.constant(0).ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        chosen[axis] = slice(start, end, step)
    return s.constant(0)[tuple(chosen)]


def _fold_cast(s: OnnxStep) -> Any:
    import onnx

    array, kind = s.constant(0), onnx.helper.tensor_dtype_to_np_dtype(s.setting("to"))
    if array.dtype != object:
        return array.astype(kind)
    if kind.kind in "iu":
        return array
    # What is computed with sizes in floating point, such as 1/sqrt(d), is computed as it runs.
    (size,) = to_sizes(array.reshape(-1))
    return s.call(aten.scalar_tensor.default, size, dtype=_to_dtype(kind))


def _fold_unsqueeze(s: OnnxStep) -> Any:
    return np.expand_dims(s.constant(0), tuple(s.axes()))


def _fold_squeeze(s: OnnxStep) -> Any:
    axes = s.axes()
    return np.squeeze(s.constant(0), None if axes is None else tuple(axes))


def _fold_filled(s: OnnxStep) -> Any:
    value = s.setting("value", np.zeros(1, np.float32))
    sizes = s.sizes(0)
    if not all(isinstance(size, int) for size in sizes) or prod(sizes) > 1_000_000:
        raise s.refuse("fills a tensor whose size depends on the images")
    return np.full(sizes, value.reshape(()))


FOLDS: dict[str, Callable[[OnnxStep], Any]] = {
    "Add": _look_up(lambda a, b: a + b),
    "Cast": _fold_cast,
    "Concat": lambda s: np.concatenate(
        [s.constant(i) for i in range(len(s.inputs))], s.setting("axis")
    ),
    "ConstantOfShape": _fold_filled,
    "Div": _look_up(_divide),
    "Equal": _look_up(_compare),
    "Gather": lambda s: np.take(s.constant(0), s.constant(1).astype(int), s.setting("axis", 0)),
    "Mul": _look_up(lambda a, b: a * b),
    "Neg": _look_up(lambda a: -a),
    "Range": _look_up(lambda a, b, c: np.arange(a, b, c)),
    "Reshape": _look_up(lambda a, b: a.reshape([int(size) for size in b])),
    "Shape": lambda s: np.array(s.constant(0).shape)[s.setting("start", 0) : s.setting("end")],
    "Slice": _fold_slice,
    "Sqrt": _look_up(lambda a: a**0.5),
    "Squeeze": _fold_squeeze,
    "Sub": _look_up(lambda a, b: a - b),
    "Transpose": lambda s: np.transpose(s.constant(0), s.setting("perm")),
    "Unsqueeze": _fold_unsqueeze,
    "Where": _look_up(np.where),
}
"""Operators that are carried out at once where all they are given is known."""

OPERATORS: dict[str, Convert] = {
    "Abs": _call(aten.abs.default),
    "Add": _convert_add,
    "AveragePool": _convert_average_pool,
    "BatchNormalization": _convert_batch_norm,
    "Cast": _convert_cast,
    "Clip": _convert_clip,
    "Concat": _convert_concat,
    "Conv": _convert_conv,
    "DequantizeLinear": _convert_dequantise,
    "Div": _convert_div,
    "Dropout": lambda s: s.tensor(0),
    "Elu": lambda s: s.call(aten.elu.default, s.tensor(0), s.setting("alpha", 1.0)),
    "Erf": _call(aten.erf.default),
    "Exp": _call(aten.exp.default),
    "Expand": _convert_expand,
    "Flatten": _convert_flatten,
    "Gather": _convert_gather,
    "Gelu": _convert_gelu,
    "Gemm": _convert_gemm,
    "GlobalAveragePool": lambda s: s.call(aten.adaptive_avg_pool2d.default, s.tensor(0), [1, 1]),
    "GlobalMaxPool": _convert_global_max_pool,
    "GroupNormalization": _convert_group_norm,
    "HardSigmoid": _convert_hard_sigmoid,
    "HardSwish": _call(aten.hardswish.default),
    "InstanceNormalization": _convert_instance_norm,
    "LayerNormalization": _convert_layer_norm,
    "LeakyRelu": lambda s: s.call(aten.leaky_relu.default, s.tensor(0), s.setting("alpha", 0.01)),
    "LogSoftmax": _convert_softmax,
    "MatMul": _convert_matmul,
    "MaxPool": _convert_max_pool,
    "Mish": _call(aten.mish.default),
    "Mul": _call(aten.mul.Tensor),
    "Neg": _call(aten.neg.default),
    "PRelu": _convert_prelu,
    "Pad": _convert_pad,
    "Pow": _call(aten.pow.Tensor_Tensor),
    "QuantizeLinear": _convert_quantise,
    "Reciprocal": _call(aten.reciprocal.default),
    "ReduceMax": _reduce(aten.amax.default),
    "ReduceMean": _reduce(aten.mean.dim),
    "ReduceSum": _reduce(aten.sum.dim_IntList),
    "Relu": _call(aten.relu.default),
    "Reshape": _convert_reshape,
    "Selu": _call(aten.selu.default),
    "Shape": _convert_shape,
    "Sigmoid": _call(aten.sigmoid.default),
    "Slice": _convert_slice,
    "Softmax": _convert_softmax,
    "Softplus": _call(aten.softplus.default),
    "Split": _convert_split,
    "Sqrt": _call(aten.sqrt.default),
    "Squeeze": _convert_squeeze,
    "Sub": _call(aten.sub.Tensor),
    "Tanh": _call(aten.tanh.default),
    "Transpose": _convert_transpose,
    "Unsqueeze": _convert_unsqueeze,
}
"""By their names in ONNX."""
