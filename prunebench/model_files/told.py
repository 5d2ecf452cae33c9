"""Facts that files tell of a network's input: normalisation, size and number of classes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from prunebench.data import Normalisation
from prunebench.errors import RequestError
from prunebench.input_files import is_file, is_folder, read_bytes, spell
from prunebench.model_files.file_kinds import FileKind, recognise
from prunebench.model_files.graph_files import TELLING, read_graph_file
from prunebench.model_files.model_text import ModelText
from prunebench.networks.factory import find_source_file
from prunebench.networks.portable import find_architecture
from prunebench.plugins import choose

LARGEST_CONFIG = 10_000_000  # bytes


@dataclass(frozen=True)
class Told:
    """What is told of a network's input; None where nothing is.

    Attributes:
        normalisation: Mean and deviation of its channels.
        size: Height and width of its images.
        classes: Number of its outputs.
        source: Who tells it, for the report.
    """

    normalisation: Normalisation | None = None
    size: tuple[int, int] | None = None
    classes: int | None = None
    source: str = ""


def read_told(model: ModelText, *, unsafe_pickle: bool = False) -> Told:
    """Read what the model's plugin, its file or the files beside its weights tell of its input.

    Args:
        model: The model as it is asked for.
        unsafe_pickle: Read an archive of torch.export whatever it holds.

    Raises:
        RequestError: There is no such plugin, or a configuration cannot be read.
    """
    if model.file is not None:
        folder = model.file if is_folder(model.file) else model.file.parent
        if is_folder(model.file) or model.file.stem in ("model", "pytorch_model"):
            told = read_hub_config(folder)
            if told != Told():
                return told
        if not is_folder(model.file):
            told = _read_file(model.file, whole=not model.factory, unsafe_pickle=unsafe_pickle)
            if told != Told():
                return told
    if model.factory and find_source_file(model.factory) is None:
        demanded = choose("models", model.factory).plugin.normalisation()
        if demanded is not None:
            return Told(demanded, source=f"the model plugin {model.factory}")
    return Told()


def _read_file(file: Path, *, whole: bool, unsafe_pickle: bool) -> Told:
    """Read what a file tells itself: of its graph, or as ``prunebench export`` wrote it."""
    kind = recognise(file)
    if kind in TELLING:
        if not whole:
            return Told()  # refused where its weights are read
        graph = read_graph_file(file, kind, unsafe_pickle=unsafe_pickle)
        seen = Normalisation(*graph.normalisation) if graph.normalisation else None
        return Told(seen, graph.input_size, source=spell(file))
    own = find_architecture(file) if kind in (FileKind.SAFETENSORS, FileKind.TORCH) else None
    if own is None:
        return Told()
    return Told(own.normalisation if own.mean else None, own.size, own.classes, spell(file))


def read_hub_config(folder: Path) -> Told:
    """Read timm's ``config.json`` or transformers' ``preprocessor_config.json`` in a folder."""
    for name, read in (
        ("preprocessor_config.json", _read_preprocessor),
        ("config.json", _read_timm),
    ):
        path = folder / name
        if is_file(path):
            config = read_json(path)
            try:
                told = read(config, spell(path))
            except (IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
                raise RequestError(
                    f"is not as the hub's libraries write it ({type(error).__name__}: {error})",
                    where=spell(path),
                ) from None
            if told != Told():
                return told
    return Told()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RequestError: It is none.
    """
    try:
        found = json.loads(read_bytes(path, LARGEST_CONFIG))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"cannot be read as JSON: {error}", where=spell(path)) from None
    if not isinstance(found, dict):
        raise RequestError("holds no JSON object", where=spell(path))
    return found


def _read_timm(config: dict[str, Any], source: str) -> Told:
    own = config.get("pretrained_cfg")
    if not isinstance(own, dict) or "mean" not in own:
        return Told()
    size = own.get("input_size")
    return Told(
        _make_normalisation(own["mean"], own["std"]),
        _check_size(int(size[1]), int(size[2])) if size else None,
        int(config["num_classes"]) if "num_classes" in config else None,
        source,
    )


def _read_preprocessor(config: dict[str, Any], source: str) -> Told:
    if config.get("do_flip_channel_order"):
        raise RequestError(
            "wants blue before red (do_flip_channel_order), and images are given as red, green, "
            "blue; give file.py:function that swaps them",
            where=source,
        )
    seen = None
    if not config.get("do_normalize", True):
        seen = _rescale(Normalisation((0.0,) * 3, (1.0,) * 3), config)
    elif "image_mean" in config:
        seen = _rescale(_make_normalisation(config["image_mean"], config["image_std"]), config)
    crop = config.get("crop_size") if config.get("do_center_crop") else None
    return Told(seen, _read_size(crop or config.get("size")), None, source)


def _rescale(stated: Normalisation, config: dict[str, Any]) -> Normalisation:
    """Turn statistics of the values that the processor computes into those of pixels in [0, 1]."""
    factor = 255 * float(config.get("rescale_factor", 1 / 255))
    if not config.get("do_rescale", True):
        factor = 255.0
    offset = -1.0 if config.get("rescale_offset") and config.get("do_rescale", True) else 0.0
    mean = [(value - offset) / factor for value in stated.mean]
    return _make_normalisation(mean, [value / factor for value in stated.std])


def _make_normalisation(mean: Any, std: Any) -> Normalisation:
    found = Normalisation(tuple(map(float, mean)), tuple(map(float, std)))
    fits = len(found.mean) == len(found.std) and len(found.mean) in (1, 3)
    if not fits or not all(map(isfinite, found.mean + found.std)) or min(found.std) <= 0:
        raise ValueError(f"mean {mean} and deviation {std} are no statistics of channels")
    return found


def _read_size(size: Any) -> tuple[int, int] | None:
    if isinstance(size, int):
        return _check_size(size, size)
    if not isinstance(size, dict):
        return None
    edge = size.get("shortest_edge")
    height, width = size.get("height", edge), size.get("width", edge)
    if not height or not width:
        return None
    return _check_size(int(height), int(width))


def _check_size(height: int, width: int) -> tuple[int, int]:
    if min(height, width) < 1:
        raise ValueError(f"{height}×{width} is no image size")
    return height, width
