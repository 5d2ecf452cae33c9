"""Every plugin that ships keeps to the kit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.torch import save_file

from prunebench.conformance import check, conforms, report
from prunebench.conformance.bench import train_network
from prunebench.plugins import KINDS, entries

# Tried by every run of the tests; the others take longer, all together.
QUICK = {
    "pruners/l1-filter",
    "pruners/random-unstructured",
    "models/digits-cnn",
    "cams/grad-cam",
    "cams/random-cam",
    "metrics/sp2ps",
    "metrics/accuracy",
    "datasets/digits",
}
# Much like others, but larger.
LARGE = {
    *("models/resnet32", "models/resnet44", "models/resnet56", "models/resnet110"),
    *("models/wrn-28-10", "models/vgg16-cifar", "models/sp2ps-stl10"),
    *("models/torchvision/vit_b_16", "models/timm/resnet18"),
}
# Members of families, and parameters of what needs some.
RUNS: dict[str, list[str]] = {
    "models/torchvision": ["torchvision/resnet18", "torchvision/vit_b_16"],
    "models/timm": ["timm/resnet18", "timm/vit_tiny_patch16_224"],
    "cams/library": ["library/GradCAM", "library/FinerCAM"],
    "cams/captum": ["captum/integrated-gradients", "captum/deep-lift", "captum/lrp"],
    "metrics/quantus": ["quantus/Sparseness"],
}
NEEDS_FILES = {"datasets/mnist", "datasets/fashion-mnist", "datasets/cifar10", "datasets/stl10"}


def cases() -> list[Any]:
    found = []
    for kind in KINDS:
        for name, claims in entries(kind).items():
            own = f"{kind}/{name}"
            if claims[0].package != "prunebench" or own in NEEDS_FILES:
                continue
            for member in RUNS.get(own, [name]):
                place = f"{kind}/{member}"
                marks = [] if own in QUICK else [pytest.mark.slow]
                marks += [pytest.mark.sweep] if place in LARGE else []
                found.append(pytest.param(kind, member, id=place, marks=marks))
    return found


def write_images(folder: Path) -> None:
    for number in range(40):
        place = folder / ("dog" if number % 2 else "cat")
        place.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").rotate(9 * number).resize((12, 12)).save(place / f"{number}.png")


def write_parquet(folder: Path) -> None:
    write_images(folder / "images")
    found = sorted((folder / "images").rglob("*.png"))
    for number, split in enumerate(("train", "test")):
        rows = [
            {"image": {"bytes": path.read_bytes()}, "label": int(path.parent.name == "dog")}
            for path in found[number::2]
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")


def parameters(kind: str, name: str, folder: Path) -> dict[str, Any]:
    if (kind, name) == ("pruners", "checkpoint"):
        path = folder / "weights.safetensors"
        save_file(train_network("digits-cnn").module.state_dict(), path)
        return {"model": f"digits-cnn@{path}"}
    if (kind, name) == ("pruners", "distillation"):
        return {"student": "digits-cnn"}
    if (kind, name) == ("datasets", "folder"):
        write_images(folder)
        return {"path": folder, "validation": 0.25}
    if (kind, name) == ("datasets", "parquet"):
        write_parquet(folder)
        return {"path": folder, "validation": 0.25}
    return {}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), cases())
def test_it_conforms(kind: str, name: str, tmp_path: Path) -> None:
    outcomes = check(kind, name, parameters(kind, name, tmp_path))
    assert conforms(outcomes), report(outcomes)


@pytest.mark.parametrize("kind", KINDS)
def test_no_plugin_is_left_out(kind: str) -> None:
    tried = {case.values[1].partition("/")[0] for case in cases() if case.values[0] == kind}
    ours = {name for name, claims in entries(kind).items() if claims[0].package == "prunebench"}
    assert tried | {name.partition("/")[2] for name in NEEDS_FILES} >= ours
