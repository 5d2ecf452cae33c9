"""A model that somebody brings, as a module with its weights."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.input_files import is_folder, spell
from prunebench.model_files.file_kinds import FileKind, recognise
from prunebench.model_files.graph_files import GRAPHS, TELLING, read_graph_file
from prunebench.model_files.hub_folder import build_hub_network, find_hub_weights
from prunebench.model_files.loaded_weights import Fit, fit_weights
from prunebench.model_files.model_text import ModelText
from prunebench.model_files.untrained import (
    describe_random,
    describe_statistics,
    find_random_layers,
)
from prunebench.model_files.weights import SavedWeights, check_part, read_network
from prunebench.networks.factory import build_module, find_source_file
from prunebench.networks.layout import Layout
from prunebench.networks.portable import find_architecture, read_exported
from prunebench.plugins import choose

FOLDED = (
    "exporters to ONNX fold BatchNorm into convolutions and merge equal tensors: parameters are "
    "fewer than the network had"
)
DEFAULT_CLASSES = 1000  # ImageNet's, as torchvision's models assume


@dataclass(frozen=True)
class OpenedModel:
    """A network from a file or a factory.

    Attributes:
        module: The network, in evaluation mode.
        notes: What was inferred or left out on the way, one sentence each.
        doubt: Why its weights are not those of a trained network, such as "has random weights";
            empty if nothing says so.
        target_layer: The layer that its plugin explains; None for the last maps.
        layout: How the target layer's output is read.
    """

    module: nn.Module
    notes: tuple[str, ...] = ()
    doubt: str = ""
    target_layer: str | None = None
    layout: Layout = "maps"


@dataclass(frozen=True)
class InputShape:
    """The images that a network will be given.

    Attributes:
        channels: 3 for colour, 1 for grey.
        size: Height and width.
        classes: Number of outputs; None for as many as the weights have.
    """

    channels: int
    size: tuple[int, int]
    classes: int | None = None

    def example(self) -> Tensor:
        """Return one image of zeros."""
        return torch.zeros(1, self.channels, *self.size)


def open_model(model: ModelText, shape: InputShape, *, unsafe_pickle: bool = False) -> OpenedModel:
    """Open a model.

    Args:
        model: As it is asked for.
        shape: The images that it will be given.
        unsafe_pickle: Read whole pickles too, which can run any code.

    Raises:
        RequestError: It cannot be read or built; the message names what to try.
    """
    found = _open(model, shape, unsafe_pickle)
    return replace(found, doubt=found.doubt or describe_statistics(found.module))


def _open(model: ModelText, shape: InputShape, unsafe_pickle: bool) -> OpenedModel:
    if model.file is None:
        return _open_factory(model, shape)
    if is_folder(model.file):
        weights = read_network(find_hub_weights(model.file), model.part)
        module = build_hub_network(model.file).eval()
        fit = fit_weights(module, weights, shape.example(), spell(model.file))
        return OpenedModel(module, _describe_fit(fit, "its config.json"))
    if model.factory:
        return _fill_factory(model, model.file, shape, unsafe_pickle)
    return _open_whole(model.file, model.part, shape, unsafe_pickle)


def _open_factory(model: ModelText, shape: InputShape) -> OpenedModel:
    """Build a factory's network, and see whether it comes with weights."""
    outputs = shape.classes or DEFAULT_CLASSES
    build = partial(build_module, model.factory, {}, outputs, shape.channels, shape.size)
    found = _describe(build(), model)
    if find_source_file(model.factory) is None:
        return replace(found, doubt="has random weights: no file of weights is given")
    return replace(found, doubt=describe_random(*find_random_layers(build)))


def _fill_factory(
    model: ModelText, file: Path, shape: InputShape, unsafe_pickle: bool
) -> OpenedModel:
    """Build a factory's network and load weights, in whatever sizes they are."""
    weights = read_network(file, model.part, unsafe_pickle=unsafe_pickle)
    told = count_outputs(weights.state)
    if shape.classes and told and told != shape.classes:
        raise RequestError(
            f"the weights do not fit the model: they tell {told} classes apart, not "
            f"{shape.classes}",
            where=spell(file),
        )
    outputs = shape.classes or told or DEFAULT_CLASSES
    module = build_module(model.factory, {}, outputs, shape.channels, shape.size).eval()
    fit = fit_weights(module, weights, shape.example(), spell(file))
    return _describe(module, model, _describe_fit(fit, model.factory))


def find_channels(model: ModelText, *, unsafe_pickle: bool = False) -> int | None:
    """Find the channels of a model's images in its kernels: 1 for grey, else 3; None without."""
    if model.file is None or is_folder(model.file):
        return None
    if not model.factory and recognise(model.file) in TELLING:
        graph = read_graph_file(model.file, recognise(model.file), unsafe_pickle=unsafe_pickle)
        return graph.channels
    state = read_network(model.file, model.part, unsafe_pickle=unsafe_pickle).state
    # Depthwise kernels are of one channel, too, but the first of a colour network is of three.
    widths = {tensor.shape[1] for tensor in state.values() if tensor.ndim == 4}
    return 1 if 1 in widths and 3 not in widths else 3


def count_outputs(state: dict[str, Tensor]) -> int | None:
    """Count the classes that weights were trained for: the rows of the last matrix."""
    matrices = [tensor for tensor in state.values() if tensor.ndim == 2]
    return len(matrices[-1]) if matrices else None


def _describe(module: nn.Module, model: ModelText, notes: tuple[str, ...] = ()) -> OpenedModel:
    """Add the target layer of a model whose plugin reads tokens; elsewhere the last maps do."""
    if find_source_file(model.factory):
        return OpenedModel(module.eval(), notes)
    plugin = choose("models", model.factory).plugin
    layout: Layout = plugin.layout()
    layer = None if layout == "maps" else plugin.target_layer()
    return OpenedModel(module.eval(), notes, target_layer=layer, layout=layout)


def _describe_fit(fit: Fit, whole: str) -> tuple[str, ...]:
    found = []
    if fit.resized:
        found.append(f"{len(fit.resized)} layers are smaller in the file than in {whole}")
    if fit.left_out:
        found.append(
            f"{len(fit.left_out)} entries of the file are not the network's, such as "
            f"{fit.left_out[0]!r}"
        )
    return tuple(found)


def _open_whole(file: Path, part: str, shape: InputShape, unsafe_pickle: bool) -> OpenedModel:
    """Open a file that holds a whole network."""
    kind = recognise(file)
    if kind in GRAPHS:
        check_part(part, spell(file))
        graph = read_graph_file(file, kind, shape.size, unsafe_pickle=unsafe_pickle)
        folded = (FOLDED,) if kind is FileKind.ONNX else ()
        return OpenedModel(deepcopy(graph.module), graph.notes + folded)
    if kind is not FileKind.TORCH_SCRIPT and (architecture := find_architecture(file)):
        if find_source_file(architecture.factory) and not unsafe_pickle:
            raise RequestError(
                f"is built by Python code that comes with it; give {architecture.factory}@"
                f"{file.name}, or --unsafe-pickle, which runs the file's own copy of that code",
                where=spell(file),
            )
        own = read_exported(file, trusted=unsafe_pickle)
        return OpenedModel(own.module, (f"built as {architecture.factory}, as the file tells",))
    found: SavedWeights = read_network(file, part, unsafe_pickle=unsafe_pickle)
    if found.module is None:
        raise RequestError(
            f"holds weights without the network they belong to; give FACTORY@{file.name}, where "
            "FACTORY builds it (a model plugin, torchvision/NAME, timm/NAME or file.py:function): "
            "layers may be smaller than the factory's",
            where=spell(file),
        )
    return OpenedModel(found.module.eval())
