from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunebench.data import Data, Normalisation, Split
from prunebench.errors import RequestError
from prunebench.execution.stages.context import make_context as context_of_data
from prunebench.model_files.loaded_weights import load_weights
from prunebench.model_files.weights import read_weights
from prunebench.networks import Architecture, Network
from prunebench.networks.network import make_masks_permanent
from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.plugins import choose
from prunebench.plugins.context import Context
from prunebench.plugins.preparing import prepared
from prunebench.pruners.weights.derivatives import draw_balanced_batches
from prunebench.pruners.weights.gradient_magnitude import GradientMagnitude
from prunebench.pruners.weights.grasp import Grasp
from prunebench.pruners.weights.lamp import Lamp
from prunebench.pruners.weights.magnitude import RandomUnstructured
from prunebench.pruners.weights.mask_pruner import MaskPruner
from prunebench.pruners.weights.obd import OptimalBrainDamage
from prunebench.pruners.weights.snip import Snip
from prunebench.pruners.weights.synflow import SynFlow
from prunebench.seeding import seeded

METHODS: list[MaskPruner] = [
    Lamp(),
    GradientMagnitude(),
    Snip(per_class=2),
    Grasp(per_class=2),
    SynFlow(rounds=5),
    OptimalBrainDamage(),
    OptimalBrainDamage(curvature="hutchinson", probes=1),
]
FROM_IMAGES = [method for method in METHODS if method.random]
AT_ANY_TIME: list[Any] = [Snip(per_class=2), Grasp(per_class=2), SynFlow(rounds=5)]


def named(method: MaskPruner) -> str:
    return type(method).__name__


@pytest.mark.parametrize("method", METHODS, ids=named)
@pytest.mark.parametrize("scope", ["global", "layerwise", "erk"])
@pytest.mark.parametrize("level", [0.15, 0.7])
def test_level_is_reached(
    method: MaskPruner, scope: str, level: float, tiny: Any, make_context: Any
) -> None:
    spread = method.model_copy(update={"scope": scope})
    context = prepared(spread.prepare(), tiny(), make_context(tiny()))
    masked = spread.compress(tiny(), level, context)
    layers = find_prunable_layers(masked).values()
    gone = [int((layer.weight == 0).sum()) for layer in layers]
    sizes = [layer.weight.numel() for layer in layers]
    if scope == "layerwise":
        assert gone == [round(level * size) for size in sizes]
    else:
        assert sum(gone) == round(level * sum(sizes))


def test_sensitivity_spreads_a_level_of_a_method_with_preparations(
    tiny: Any, make_context: Any
) -> None:
    method = GradientMagnitude(scope="sensitivity")
    context = prepared(method.prepare(), tiny(), make_context(tiny()))
    masks = make_masks_permanent(method.compress(tiny(), 0.5, context))
    assert sum(int((mask == 0).sum()) for mask in masks.values()) == round(
        0.5 * sum(mask.numel() for mask in masks.values())
    )


def digits_like(seed: int) -> tuple[Network, Context]:
    """A network for grey images, and the context of made-up data, of which the seed chooses."""
    architecture = Architecture(
        factory="digits-cnn", classes=10, channels=1, size=(8, 8), mean=(0.5,), std=(0.5,)
    )
    with seeded(0, "digits"):
        network = Network(architecture.build().eval(), architecture)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (90, 1, 8, 8), generator=generator).byte()
    # Of the first class a half, of the last class one image.
    labels = torch.cat([torch.zeros(45), torch.arange(44) % 8 + 1, torch.tensor([9])]).long()
    split = Split(pixels, labels)
    look = Normalisation((0.5,), (0.5,))
    data = Data(split, split, split, tuple("abcdefghij"), look)
    return network, context_of_data(network, network, data, seed)


@pytest.mark.parametrize("method", FROM_IMAGES, ids=named)
def test_the_seed_chooses_the_images(method: MaskPruner) -> None:
    def masks(seed: int) -> Tensor:
        few = {"images": 20} if "images" in type(method).model_fields else {}
        fewer = method.model_copy(update=few)
        network, context = digits_like(seed)
        context = prepared(fewer.prepare(), network.module, context)
        masked = fewer.compress(network.module, 0.5, context)
        return torch.cat([mask.flatten() for mask in make_masks_permanent(masked).values()])

    first = masks(1)
    assert torch.equal(first, masks(1))
    assert not torch.equal(first, masks(2))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_balanced_batch_has_as_many_images_of_each_class(seed: int) -> None:
    _, context = digits_like(seed)
    found = [label for _, labels in draw_balanced_batches(context, 3) for label in labels.tolist()]
    assert [found.count(label) for label in range(10)] == [3] * 9 + [1]


@pytest.mark.parametrize("method", AT_ANY_TIME, ids=named)
def test_the_initial_network_is_masked_with_its_own_weights(
    method: Any, tiny: Any, make_context: Any
) -> None:
    with seeded(5, "another"):
        start = nn.ModuleList(tiny())
        for layer in start:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        initial = nn.Sequential(*start).eval()
    asked = []

    def earlier(epoch: int) -> nn.Module:
        asked.append(epoch)
        return copy.deepcopy(initial)

    context = make_context(tiny(), earlier=earlier)
    of_initial = method.compress(copy.deepcopy(initial), 0.6, context)
    masks = make_masks_permanent(of_initial)
    assert asked == []
    again = method.model_copy(update={"at": "initial"}).compress(tiny(), 0.6, context)
    assert asked == [0]
    for name, mask in make_masks_permanent(again).items():
        assert torch.equal(mask, masks[name])
        assert torch.equal(again.get_parameter(name), initial.get_parameter(name) * mask)


@pytest.mark.parametrize("method", AT_ANY_TIME, ids=named)
def test_given_weights_have_no_initialisation(method: Any, tiny: Any, make_context: Any) -> None:
    with pytest.raises(RequestError, match="earlier epoch"):
        method.model_copy(update={"at": "initial"}).compress(tiny(), 0.5, make_context(tiny()))


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_sensitivity_of_an_untrained_network_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="measured on the trained network"):
        choose("pruners", name, {"at": "initial", "scope": "sensitivity"})


# --- real images and weights --------------------------------------------------------------------


@pytest.fixture(scope="module")
def resnet20(
    shared_data: Callable[[str], Path], shared_weights: Callable[[str], Path]
) -> tuple[nn.Module, Context, Callable[[nn.Module], float]]:
    """ResNet-20 with published weights, a context of training images, and its accuracy."""
    import numpy as np
    from PIL import Image
    from pyarrow.parquet import ParquetFile

    model = choose("models", "resnet20").plugin
    network = model.build(10, 3, (32, 32)).eval()
    load_weights(network, read_weights(shared_weights("resnet20-12fca82f.th")), "")

    def read(split: str, count: int) -> tuple[Tensor, Tensor]:
        file = ParquetFile(shared_data("cifar10-jpeg") / f"{split}.parquet")
        rows = next(file.iter_batches(batch_size=count)).to_pylist()
        images = [np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows]
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        return model.normalisation()(pixels), torch.tensor([row["label"] for row in rows])

    inputs, labels = read("train", 400)
    test_inputs, test_labels = read("test", 300)

    def batches(count: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        count = min(count, len(inputs))
        yield from zip(inputs[:count].split(size), labels[:count].split(size), strict=True)

    def accuracy(module: nn.Module) -> float:
        with torch.no_grad():
            return float((module(test_inputs).argmax(1) == test_labels).double().mean())

    context = Context(
        example=inputs[:1],
        batches=batches,
        classes=10,
        seed=0,
        device=torch.device("cpu"),
        baseline=copy.deepcopy(network),
    )
    return network, context, accuracy


@pytest.mark.sweep
@pytest.mark.parametrize(
    "method",
    [
        Lamp(),
        GradientMagnitude(),
        Snip(),
        SynFlow(rounds=20),
        OptimalBrainDamage(),
        OptimalBrainDamage(curvature="hutchinson", images=256, probes=2),
    ],
    ids=named,
)
def test_a_real_network_keeps_most_of_its_accuracy_where_random_masks_ruin_it(
    method: MaskPruner, resnet20: Any
) -> None:
    network, context, accuracy = resnet20

    def without(pruner: MaskPruner) -> float:
        within = prepared(pruner.prepare(), network, context)
        return accuracy(pruner.compress(copy.deepcopy(network), 0.3, within))

    assert without(RandomUnstructured()) < 0.3
    assert without(method) > 0.65
