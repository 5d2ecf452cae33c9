"""Folders of timm and transformers: the network, and what is told of its images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from prunebench.data import Normalisation
from prunebench.errors import RequestError
from prunebench.model_files.model_text import parse_model
from prunebench.model_files.opened_model import InputShape, open_model
from prunebench.model_files.told import Told, read_told

SHAPE = InputShape(3, (64, 64))


def write_timm(folder: Path, network: nn.Module, **more: object) -> str:
    """Write a folder as timm's ``save_for_hf`` does."""
    folder.mkdir()
    config = {
        "architecture": "resnet10t",
        "num_classes": 5,
        "pretrained_cfg": {
            "input_size": [3, 64, 48],
            "mean": [0.1, 0.2, 0.3],
            "std": [0.4, 0.5, 0.6],
        },
        **more,
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(network.state_dict(), folder / "model.safetensors")
    return str(folder)


def resnet() -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = timm.create_model("resnet10t", num_classes=5)
    return network.eval()


def test_a_folder_of_timm_is_a_model_and_tells_how_images_are_seen(tmp_path: Path) -> None:
    network = resnet()
    model = parse_model(write_timm(tmp_path / "hub", network))
    told = read_told(model)
    assert told.normalisation == Normalisation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (told.size, told.classes) == ((64, 48), 5)
    assert told.source.endswith("config.json")
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(open_model(model, SHAPE).module(images), network(images))
    beside = read_told(parse_model(f"timm/resnet10t@{tmp_path / 'hub' / 'model.safetensors'}"))
    assert beside == told


def test_a_folder_cannot_make_timm_read_another_file(tmp_path: Path) -> None:
    args = {"checkpoint_path": "/nowhere", "pretrained": True}
    network = resnet()
    model = parse_model(write_timm(tmp_path / "hub", network, model_args=args))
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(open_model(model, SHAPE).module(images), network(images))


def test_a_folder_of_transformers_is_a_model(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        num_labels=5, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]
    )
    torch.manual_seed(0)
    network = transformers.ResNetForImageClassification(config).eval()
    network.save_pretrained(tmp_path / "hub")
    seen = {
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "size": {"shortest_edge": 72},
        "crop_size": {"height": 64, "width": 64},
        "do_center_crop": True,
    }
    (tmp_path / "hub" / "preprocessor_config.json").write_text(json.dumps(seen))
    model = parse_model(str(tmp_path / "hub"))
    assert read_told(model) == Told(
        Normalisation((0.5,) * 3, (0.5,) * 3),
        (64, 64),
        None,
        str(tmp_path / "hub" / "preprocessor_config.json"),
    )
    images = torch.rand(2, 3, 64, 64)
    found = open_model(model, SHAPE).module(images)
    assert torch.equal(found.logits, network(images).logits)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "holds no JSON object"),
        ("{", "cannot be read as JSON"),
        ('{"pretrained_cfg": {"mean": 3, "std": 3}}', "not as the hub's libraries write it"),
        ('{"architecture": "no-such-net", "num_classes": 2}', "timm has no network 'no-such-net'"),
    ],
)
def test_what_is_no_configuration_is_one_message(
    content: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(content)
    save_file(resnet().state_dict(), tmp_path / "model.safetensors")
    model = parse_model(str(tmp_path))
    with pytest.raises(RequestError, match=message):
        assert read_told(model) == open_model(model, SHAPE)


def test_a_folder_without_weights_says_which_it_looks_for(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architecture": "resnet10t", "num_classes": 2}')
    with pytest.raises(RequestError, match=r"holds no weights \(model.safetensors"):
        open_model(parse_model(str(tmp_path)), SHAPE)


def read_preprocessor(folder: Path, **config: object) -> Told:
    seen = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, **config}
    (folder / "preprocessor_config.json").write_text(json.dumps(seen))
    (folder / "config.json").write_text("{}")
    return read_told(parse_model(str(folder)))


@pytest.mark.parametrize(
    ("config", "mean", "std"),
    [
        ({}, 0.5, 0.25),
        ({"do_normalize": False}, 0, 1),
        ({"do_normalize": False, "do_rescale": False}, 0, 1 / 255),
        ({"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [127.5] * 3}, 0.5, 0.5),
        ({"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}, 0.5, 0.5),
    ],
)
def test_what_a_processor_computes_is_told_of_pixels_from_0_to_1(
    config: dict[str, object], mean: float, std: float, tmp_path: Path
) -> None:
    found = read_preprocessor(tmp_path, **config).normalisation
    assert found is not None
    assert found.mean == pytest.approx((mean,) * 3)
    assert found.std == pytest.approx((std,) * 3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"do_flip_channel_order": True}, "blue before red"),
        ({"image_std": [0, 0, 0]}, "no statistics of channels"),
        ({"image_mean": [float("nan")] * 3}, "no statistics of channels"),
        ({"size": -3}, "no image size"),
    ],
)
def test_what_cannot_be_seen_so_is_refused(
    config: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=message):
        read_preprocessor(tmp_path, **config)


def test_a_folder_that_would_download_is_refused(tmp_path: Path) -> None:
    model = parse_model(write_timm(tmp_path / "hub", resnet(), architecture="hf-hub:some/one"))
    with pytest.raises(RequestError, match="timm has no network 'hf-hub:some/one'"):
        open_model(model, SHAPE)
