"""Folders as timm and transformers save a network: ``config.json`` beside its weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from prunebench.errors import RequestError
from prunebench.input_files import is_file, spell
from prunebench.model_files.told import read_json

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
NOT_THEIRS = ("pretrained", "checkpoint", "cache", "scriptable", "num_classes")
"""Beginnings of timm's arguments that would read or download something else."""


def find_hub_weights(folder: Path) -> Path:
    """Find the file of the weights in a folder.

    Raises:
        RequestError: There is none.
    """
    for name in WEIGHTS:
        if is_file(folder / name):
            return folder / name
    raise RequestError(f"holds no weights ({' or '.join(WEIGHTS)})", where=spell(folder))


def build_hub_network(folder: Path) -> nn.Module:
    """Build the untrained network that a folder's ``config.json`` describes.

    Nothing is downloaded, and no code of the folder is run.

    Args:
        folder: As ``save_pretrained`` of transformers, or timm's ``save_for_hf``, writes it.

    Raises:
        RequestError: The library is missing, or knows no such network.
    """
    config = read_json(folder / "config.json")
    where = spell(folder / "config.json")
    if "architecture" in config:
        return _build_timm(config, where)
    if find_spec("transformers") is None:
        raise RequestError(
            "is a network of transformers, which is not installed: "
            "pip install 'prunebench[transformers]'",
            where=where,
        )
    from transformers import AutoConfig, AutoModelForImageClassification

    library: Any = AutoModelForImageClassification  # without types
    try:
        found: nn.Module = library.from_config(
            AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        )
    except Exception as error:
        raise RequestError(
            f"is no image classifier that transformers can build: {error}", where=where
        ) from error
    return found


def _build_timm(config: dict[str, object], where: str) -> nn.Module:
    if find_spec("timm") is None:
        raise RequestError(
            "is a network of timm, which is not installed: pip install 'prunebench[timm]'",
            where=where,
        )
    import timm

    name = str(config["architecture"])
    if name.partition(".")[0] not in timm.list_models():  # such as hf-hub:, which downloads
        raise RequestError(f"timm has no network {name!r}", where=where)
    told = config.get("model_args")
    options = {
        name: value
        for name, value in (told.items() if isinstance(told, dict) else ())
        if not name.startswith(NOT_THEIRS)
    }
    try:
        found: nn.Module = timm.create_model(
            name,
            pretrained=False,
            num_classes=int(str(config["num_classes"])),
            **options,
        )
    except Exception as error:
        raise RequestError(f"is no network that timm can build: {error}", where=where) from error
    return found
