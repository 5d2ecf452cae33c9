"""What every built-in plugin gives for a fixed tiny input, against ``golden/outputs.json``.

A result in somebody's store is found again by its plugin's ``version``. So where the output of a
plugin changes, or a default, its version must be raised; these tests fail until it is. Then, and
after adding a plugin, write the file again:

    PRUNEBENCH_GOLDEN=write python -m pytest tests/plugins/test_golden_outputs.py

This adds what is new and replaces what has another version; it does not replace the output of a
plugin whose version is still the same. To do that all the same (nobody can have results of this
version yet), delete the plugin's entry from the file first.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pydantic import BaseModel
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.datasets import CIFAR10

from prunebench.cams.cam import Explanation
from prunebench.cams.explained_batches import explain_batches
from prunebench.cams.explainer_training import learn
from prunebench.cams.maps import normalise, upsample
from prunebench.cams.tracer import trace
from prunebench.data import Data, Normalisation, Split
from prunebench.datasets import cifar10, mnist, stl10
from prunebench.execution.stages.context import make_context
from prunebench.metrics import Evidence
from prunebench.networks import Architecture, Network
from prunebench.networks.network import make_masks_permanent
from prunebench.plugins import KINDS, Entry, choose, entries
from prunebench.plugins.preparing import prepared
from prunebench.plugins.recipe import Recipe
from prunebench.seeding import seeded

GOLDEN = Path(__file__).parent.parent / "golden" / "outputs.json"
TOLERANCE = 1e-4  # of the largest number of an output

Golden = dict[str, Any]
BUILT_IN = {
    f"{kind}/{name}": claims[0]
    for kind in KINDS
    for name, claims in entries(kind).items()
    if claims[0].package == "prunebench"
}

BRIEF_AEM: dict[str, Any] = {
    "predictor": {"epochs": 1, "batch_size": 10},
    "selector": {"epochs": 1, "batch_size": 10},
}
BRIEF_ISP: dict[str, Any] = {**BRIEF_AEM, "gates": {"epochs": 1, "batch_size": 10, "lr": 0.1}}
# Parameters of the runs that are kept, one after the other; without any by default.
RUNS: dict[str, list[dict[str, Any]]] = {
    "models/torchvision": [{"name": "resnet18"}],
    "pruners/l1-unstructured": [{}, {"scope": "layerwise"}],
    "pruners/random-unstructured": [{}, {"scope": "layerwise"}],
    "pruners/l1-filter": [{}, {"scope": "layerwise"}, {"target": "channels"}, {"target": "macs"}],
    "pruners/random-filter": [{}, {"target": "channels"}],
    "pruners/l2-filter": [{}, {"scope": "erk"}, {"scope": "sensitivity"}],
    "pruners/lamp": [{}, {"scope": "erk"}],
    "pruners/obd": [{"images": 20}, {"curvature": "hutchinson", "images": 20, "probes": 2}],
    "pruners/hessian-filter": [{"images": 20}],
    # One epoch: rounding must not grow into differences between processors.
    "pruners/network-slimming": [{"training": {"epochs": 1, "lr": 1e-3}}],
    "pruners/group-norm": [{"training": {"epochs": 1, "lr": 1e-3}}, {"regularisation": "none"}],
    "pruners/soft-filter": [{"training": {"epochs": 1, "lr": 1e-3}}],
    "pruners/gradual": [{"training": {"epochs": 1, "lr": 1e-3}}],
    "pruners/iterative": [{}, {"pruner": {"l1-filter": {}}, "rewind": "none"}],
    "pruners/distillation": [{"student": "digits-cnn", "training": {"epochs": 1, "lr": 1e-3}}],
    "models/timm": [{"name": "resnet18"}],
    "pruners/isp": [BRIEF_ISP, {**BRIEF_ISP, "masks": "independent"}],
    "cams/aem-rbf": [BRIEF_AEM],
    "cams/aem-realx": [BRIEF_AEM],
    "cams/library": [{"name": "GradCAM"}, {"name": "FinerCAM"}],
    "cams/captum": [
        {"name": "saliency"},
        {"name": "integrated-gradients", "steps": 8},
        {"name": "deep-lift"},
        {"name": "lrp"},
        {"name": "guided-backprop"},
    ],
    "metrics/sam": [{}, {"variant": "jet"}],
    "metrics/ssim": [{}, {"window": "uniform"}],
    "metrics/sp2ps": [{}, {"variant": "jet"}, {"variant": "uniform"}],
    "metrics/coherency": [{}, {"variant": "ssim"}],
    "metrics/complexity": [{}, {"variant": "l1norm"}],
    "metrics/quantus": [{"name": "Sparseness"}],
    "metrics/latency": [{"batch": 2, "repeats": 5, "warmup": 1, "seconds": 0.01}],
    "metrics/deployed-latency": [{"batch": 2, "repeats": 5, "warmup": 1, "seconds": 0.01}],
}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def numbers(tensor: Tensor) -> list[float]:
    """A tensor as a few numbers that depend on every entry and on its place; NaN counts as -7."""
    flat = tensor.detach().double().flatten().nan_to_num(-7)
    place = torch.arange(len(flat)).double()
    # Divided by the root of their number, so that one entry of many is not lost among them.
    waves = [float((flat * torch.cos(k * place)).sum()) / len(flat) ** 0.5 for k in (0.7, 0.011)]
    return [float(flat.mean()), *waves, float(flat.min()), float(flat.max())]


# --- fingerprints by kind: facts must be equal, numbers may differ by rounding -----------------


def of_model(entry: Entry, parameters: dict[str, Any], folder: Path) -> Golden:
    """Parameters, target layer and recipe, and logits of a network drawn from a fixed seed."""
    model = choose("models", entry.name, parameters).plugin
    size = {"thesis-cnn": 28, "sp2ps-stl10": 96, "torchvision": 64, "timm": 64}.get(entry.name, 32)
    channels = 1 if entry.name in ("digits-cnn", "thesis-cnn") else 3
    with seeded(0, "golden"):
        module = model.build(10, channels, (size, size)).eval()
    with torch.no_grad():
        logits = module(noise(2, channels, size, size))
    normalisation = model.normalisation()
    facts = {
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "target_layer": model.target_layer(),
        "minimum_map": model.minimum_map,
        "fixed_channels": list(model.fixed_channels()),
        "recipe": model.recipe().model_dump(mode="json", exclude={"distillation", "precision"}),
        "normalisation": [*normalisation.mean, *normalisation.std] if normalisation else None,
    }
    return {"facts": facts, "numbers": {"logits": numbers(logits)}}


def small_network() -> Network:
    architecture = Architecture(
        factory="digits-cnn", classes=10, channels=1, size=(16, 16), mean=(0.5,), std=(0.5,)
    )
    with seeded(0, "golden"):
        module = architecture.build().eval()
    with torch.no_grad():  # BatchNorm of a fresh network would show nothing of its own
        for number, layer in enumerate(module.modules()):
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean = 0.1 * noise(layer.num_features, seed=number)
                layer.weight += 0.2 * noise(layer.num_features, seed=number + 100)
    return Network(module, architecture)


def noise_data() -> Data:
    """Sixty images of noise in ten classes."""

    def split(count: int, seed: int) -> Split:
        pixels = (noise(count, 1, 16, 16, seed=seed) * 60 + 128).clamp(0, 255).to(torch.uint8)
        return Split(pixels, torch.arange(count) % 10)

    names = tuple(f"class {k}" for k in range(10))
    return Data(split(60, 5), split(20, 6), split(20, 7), names, Normalisation((0.5,), (0.5,)))


def of_pruner(entry: Entry, parameters: dict[str, Any], folder: Path) -> Golden:
    """Shapes, numbers of zeros and weights of a network compressed to a half."""
    network = small_network()
    if entry.name == "checkpoint":
        save_file(network.module.state_dict(), folder / "weights.safetensors")
        parameters = {"model": f"digits-cnn@{folder / 'weights.safetensors'}"}
    pruner = choose("pruners", entry.name, parameters).plugin

    levels = 1 if pruner.levels == "rounds" else None
    # The baseline's recipe is for those alone that follow it; again one epoch.
    recipe = Recipe(epochs=1, lr=1e-3) if pruner.from_scratch else None
    context = make_context(network, network, noise_data(), 7, round=levels, recipe=recipe)
    context = prepared(pruner.prepare(), network.module, context)
    found = pruner.compress(network.module, 0.5, context)
    module = found.module if isinstance(found, Network) else found
    make_masks_permanent(module)
    weights = {k: v for k, v in module.state_dict().items() if v.dim() > 1}
    facts = {name: [list(v.shape), int((v == 0).sum())] for name, v in weights.items()}
    return {"facts": facts, "numbers": {k: numbers(v) for k, v in weights.items()}}


def of_cam(entry: Entry, parameters: dict[str, Any], folder: Path) -> Golden:
    """Maps of random images at a layer with more layers behind it."""
    network = small_network()
    # With more layers behind it, but for the one method that is defined at the last layer only.
    layer = "stage3" if entry.name == "cam" else "stage2"
    traced = trace(
        network.module, layer, noise(5, 1, 16, 16), torch.tensor([0, 3, 9, 3, 5]), seed=11
    )
    cam = choose("cams", entry.name, parameters).plugin
    found = cam(replace(traced, prepared=learn([cam], network.module, noise(30, 1, 16, 16))))
    raw, told = found if isinstance(found, Explanation) else (found, {})
    maps = normalise(raw)
    kept = {"maps": numbers(maps), **{name: numbers(each) for name, each in told.items()}}
    return {"facts": list(maps.shape), "numbers": kept}


def described(seed: int) -> dict[str, Tensor]:
    """Centres and widths of five maps."""
    names = ("centre_row", "centre_column", "width")
    return {name: 12 + noise(5, seed=seed + k) for k, name in enumerate(names)}


def of_metric(entry: Entry, parameters: dict[str, Any], folder: Path) -> Golden:
    """Values for fixed maps, predictions and networks; of what is timed, the names alone."""
    metric = choose("metrics", entry.name, parameters).plugin
    baseline, network = small_network(), small_network()
    with torch.no_grad():
        for parameter in network.module.parameters():
            parameter[parameter.abs() < 0.05] = 0
    maps = torch.rand(5, 24, 24, generator=torch.Generator().manual_seed(3))
    other = (maps + 0.3 * noise(5, 24, 24)).clamp(0, 1)
    other[3] = 0
    images = noise(5, 1, 24, 24, seed=4)
    classes = torch.tensor([1, 0, 9 if "images" in metric.reads else 11, 4, 4])

    def read_images(batch_size: int) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, 5, batch_size):
            where = slice(start, min(start + batch_size, 5))
            yield where, images[where]

    def explain(
        images: Tensor, classes: Tensor, module: nn.Module | None = None, first: int = 0
    ) -> Tensor:
        cams = {"": choose("cams", "grad-cam").plugin}
        explained = module or network.module
        found = explain_batches(explained, "stage2", [(images, classes)], cams, first=first)
        return upsample(found.maps[""], (24, 24))

    readings: dict[str, Any] = {
        "network": network,
        "baseline": baseline,
        "predictions": noise(40, 12),
        "baseline_predictions": noise(40, 12) + 0.5 * noise(40, 12, seed=1),
        "labels": torch.arange(40) % 12,
        "maps": other,
        "baseline_maps": maps,
        "numbers": described(1),
        "baseline_numbers": described(2),
        "explained": torch.tensor([3, 8, 13, 21, 34]),
        "classes": classes,
        "images": read_images,
        "masks": (torch.rand(5, 24, 24, generator=torch.Generator().manual_seed(9)) > 0.6).float(),
        "masked": (maps.flip(1), noise(5, 12, seed=2)),
        "explainer": explain,
    }
    load = {name: (lambda value=value: value) for name, value in readings.items()}
    values = metric.compute(Evidence(load, torch.device("cpu"), seed=1))
    kept = {
        name: numbers(torch.as_tensor(value))
        for name, value in values.items()
        # How well zeros are packed is zlib's own affair.
        if metric.carries != "hardware" and name != "size_zipped_bytes"
    }
    return {"facts": sorted(values), "numbers": kept}


def of_dataset(entry: Entry, parameters: dict[str, Any], folder: Path) -> Golden:
    """Digests of every split's pixels and labels: of the digits, or of made-up files."""
    if entry.name != "digits":
        parameters = {**WRITERS[entry.name](folder), "validation": 0.25}
    data = choose("datasets", entry.name, parameters).plugin.load()
    facts: dict[str, Any] = {
        "class_names": list(data.class_names),
        "normalisation": [*data.normalisation.mean, *data.normalisation.std],
    }
    for name in ("train", "validation", "test"):
        split = getattr(data, name)
        pixels = split.pixels[torch.arange(len(split))]
        content = pixels.numpy().tobytes() + split.labels.numpy().tobytes()
        facts[name] = [list(pixels.shape), hashlib.sha256(content).hexdigest()[:16]]
    return {"facts": facts, "numbers": {}}


def bytes_of(*shape: int) -> np.ndarray:
    """Whole numbers below 256 that look like noise, the same everywhere and always."""
    count = np.arange(np.prod(shape, dtype=np.int64))
    return (count * 2654435761 % 2**32 >> 13).astype(np.uint8).reshape(shape)


def write_mnist(folder: Path) -> dict[str, Any]:
    for name in mnist.FILES:
        count = 20 if name.startswith("train") else 8
        array = bytes_of(count, 28, 28) if "images" in name else bytes_of(count) % 10
        header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
        (folder / name).write_bytes(header + array.tobytes())
    return {"root": folder}


def write_cifar10(folder: Path) -> dict[str, Any]:
    batches = folder / cifar10.FOLDER
    batches.mkdir()
    for name in cifar10.FILES[:-1]:
        content = {"data": bytes_of(6, 3072), "labels": [0, 9, 4, 2, 2, 7]}
        (batches / name).write_bytes(pickle.dumps(content))
    meta = {"label_names": list(cifar10.CLASS_NAMES)}
    (batches / cifar10.FILES[-1]).write_bytes(pickle.dumps(meta))
    return {"root": folder}


def write_stl10(folder: Path) -> dict[str, Any]:
    (folder / stl10.FOLDER).mkdir()
    for split, count in (("train", 12), ("test", 6)):
        bytes_of(count, 3, 96, 96).tofile(folder / stl10.FOLDER / f"{split}_X.bin")
        (bytes_of(count) % 10 + 1).tofile(folder / stl10.FOLDER / f"{split}_y.bin")
    return {"root": folder}


def write_parquet(folder: Path) -> dict[str, Any]:
    write_folder(folder)
    for split in ("train", "test"):
        files = sorted((folder / split).rglob("*.png"))
        rows = [{"bytes": file.read_bytes(), "path": None} for file in files]
        labels = [int(file.parent.name == "dog") for file in files]
        pq.write_table(pa.table({"image": rows, "label": labels}), folder / f"{split}.parquet")
    return {"path": folder}


def write_folder(folder: Path) -> dict[str, Any]:
    pixels = bytes_of(40, 6, 5, 3)
    for number, image in enumerate(pixels):
        split = "test" if number % 4 == 0 else "train"
        place = folder / split / ("dog" if number % 3 else "cat")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number:02}.png")
    return {"path": folder}


WRITERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "mnist": write_mnist,
    "fashion-mnist": write_mnist,
    "cifar10": write_cifar10,
    "stl10": write_stl10,
    "parquet": write_parquet,
    "folder": write_folder,
}
FINGERPRINT = {
    "datasets": of_dataset,
    "models": of_model,
    "pruners": of_pruner,
    "cams": of_cam,
    "metrics": of_metric,
}


def defaults(entry: Entry) -> dict[str, Any]:
    """Defaults of the parameters, as JSON; of paths, nothing."""
    found = {}
    for name, field in entry.plugin_class.model_fields.items():
        value = field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json", exclude_defaults=True)
        if not field.is_required() and not isinstance(value, Path):
            found[name] = json.loads(json.dumps(value))
    return found


def differences(golden: Golden, found: Golden) -> list[str]:
    """What is not as it was. A new parameter with a default is no difference."""
    changed = [
        f"the default of {name!r}"
        for name, value in golden["defaults"].items()
        if name not in found["defaults"] or found["defaults"][name] != value
    ]
    if len(golden["runs"]) != len(found["runs"]):
        return [*changed, "the number of runs"]
    for before, after in zip(golden["runs"], found["runs"], strict=True):
        if before["parameters"] != after["parameters"]:
            changed.append("the parameters of a run")
        if before["facts"] != after["facts"]:
            changed.append(f"facts: {after['facts']}")
        names = before["numbers"].keys() | after["numbers"].keys()
        changed += [
            f"{name}: {after['numbers'].get(name)}"
            for name in sorted(names)
            if not close(before["numbers"].get(name), after["numbers"].get(name))
        ]
    return changed


def close(before: list[float] | None, after: list[float] | None) -> bool:
    if before is None or after is None or len(before) != len(after):
        return False
    scale = max(map(abs, before))
    return all(abs(a - b) <= TOLERANCE * scale for a, b in zip(before, after, strict=True))


def read() -> dict[str, Golden]:
    found: dict[str, Golden] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    return found


@pytest.fixture
def published_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets CIFAR-10's reader take made-up batches for the published ones."""
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    monkeypatch.setattr("torchvision.datasets.utils.check_integrity", lambda *_: True)
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.usefixtures("published_sums")
def test_an_output_changes_only_with_the_version(name: str, tmp_path: Path) -> None:
    entry = BUILT_IN[name]
    runs = []
    for number, parameters in enumerate(RUNS.get(name, [{}])):
        folder = tmp_path / str(number)
        folder.mkdir()
        fingerprint = FINGERPRINT[entry.kind](entry, parameters, folder)
        runs.append({"parameters": parameters, **fingerprint})
    version = entry.plugin_class.version
    found = json.loads(json.dumps({"version": version, "defaults": defaults(entry), "runs": runs}))
    golden = read()
    if os.environ.get("PRUNEBENCH_GOLDEN") == "write" and (
        name not in golden or golden[name]["version"] != version
    ):
        golden[name] = found
        kept = {key: golden[key] for key in sorted(golden.keys() & BUILT_IN.keys())}
        GOLDEN.write_text(json.dumps(kept, indent=1) + "\n")
    how = "see the first lines of this test file for how to write it"
    assert name in golden, f"{GOLDEN.name} has no output of {name}; {how}"
    assert golden[name]["version"] == version, (
        f"{GOLDEN.name} has the output of another version of {name}; {how}"
    )
    changed = differences(golden[name], found)
    assert not changed, (
        f"the output of {name} changed, but its version is still {version}: raise "
        f"{entry.plugin_class.__name__}.version, or results of before will be taken for results "
        f"of now. Changed: {'; '.join(changed)}"
    )


def test_nothing_is_kept_of_plugins_that_are_gone() -> None:
    assert read().keys() == BUILT_IN.keys()


def test_differences_are_seen_and_rounding_is_not() -> None:
    run = {"parameters": {}, "facts": {"shape": [2, 3]}, "numbers": {"maps": [0.5, -2.0, 0.0]}}
    golden = {"version": 1, "defaults": {"scope": "global"}, "runs": [run]}
    assert differences(golden, copy.deepcopy(golden)) == []
    assert differences(golden, golden | {"defaults": {"scope": "global", "new": 1}}) == []
    assert differences(golden, golden | {"defaults": {"scope": "layerwise"}})
    assert differences(golden, golden | {"defaults": {}})

    def with_maps(*values: float) -> Golden:
        return golden | {"runs": [run | {"numbers": {"maps": list(values)}}]}

    assert differences(golden, with_maps(0.5, -2.00001, 1e-5)) == []
    assert differences(golden, with_maps(0.5, -2.001, 0.0))
    assert differences(golden, with_maps(0.5, -2.0, 0.01))
    assert differences(golden, with_maps(0.5, -2.0))
    assert differences(golden, golden | {"runs": [run | {"facts": {"shape": [3, 2]}}]})
    assert differences(golden, golden | {"runs": []})


def test_numbers_tell_one_tensor_from_another() -> None:
    tensor = noise(4, 5)
    assert close(numbers(tensor), numbers(tensor + 1e-7))
    assert not close(numbers(tensor), numbers(tensor.flip(0)))
    changed = tensor.clone()
    changed[2, 2] += 0.1
    assert not close(numbers(tensor), numbers(changed))
    changed[2, 2] = torch.nan
    assert not close(numbers(tensor), numbers(changed))
