"""Insertion and deletion: a naive loop, known truths, properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from patch_network import (
    PATCH,
    SIDE,
    LooksAtPatch,
    batches,
    measure,
    network,
    patch_images,
    random_maps,
    true_maps,
)
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.metrics.perturbation import blur, rank_pixels
from prunebench.plugins import choose

NAMES = {"insertion": "insertion_auc", "deletion": "deletion_auc"}
both = pytest.mark.parametrize("name", NAMES)


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)
    ).eval()


def made(module: nn.Module, images: Tensor, maps: Tensor, batch_size: int | None = None) -> dict:
    return {
        "network": network(module),
        "images": batches(images, batch_size),
        "maps": maps,
        "classes": torch.ones(len(images)).long(),
    }


def naive_area(
    module: nn.Module, start: np.ndarray, end: np.ndarray, heat: np.ndarray, label: int, steps: int
) -> float:
    """Pixel by pixel and image by image, in the order of a stable sort."""
    order = sorted(range(heat.size), key=lambda i: (-heat.flat[i], i))
    area, last = 0.0, None
    for step in range(steps + 1):
        count = round(step * heat.size / steps)
        image = start.copy()
        for i in order[:count]:
            row, column = divmod(i, heat.shape[1])
            image[:, row, column] = end[:, row, column]
        with torch.no_grad():
            logits = module(torch.from_numpy(image)[None])[0].double().numpy()
        chance = np.exp(logits - logits.max())
        point = (count / heat.size, (chance / chance.sum())[label])
        if last is not None:
            area += (point[0] - last[0]) * (point[1] + last[1]) / 2
        last = point
    return area


@both
@pytest.mark.parametrize("steps", [1, 7, 16])
def test_agrees_with_a_naive_loop(name: str, steps: int) -> None:
    module, images = small_network(), patch_images(3)
    maps = random_maps(3).round(decimals=1)  # many ties
    start = images * 0 if name == "deletion" else blur(images)
    ends = (images, start) if name == "deletion" else (start, images)
    expected = [
        naive_area(module, *(e[i].numpy() for e in ends), maps[i].numpy(), 1, steps)
        for i in range(3)
    ]
    found = measure(name, made(module, images, maps), steps=steps)[NAMES[name]]
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_a_true_map_beats_a_random_and_a_false_one() -> None:
    module, images = LooksAtPatch(), patch_images(8)
    true, noise, false = true_maps(8), random_maps(8), 1 - true_maps(8)
    inserted, deleted = (
        [measure(name, made(module, images, maps))[value] for maps in (true, noise, false)]
        for name, value in NAMES.items()
    )
    assert (inserted[0] > inserted[1]).all()
    assert (inserted[1] > inserted[2]).all()
    assert (deleted[0] < deleted[1]).all()
    assert (deleted[1] < deleted[2]).all()
    # The patch is the first sixteenth: after one step of sixteen nothing more is to come or go.
    with torch.no_grad():
        full = module(images).double().softmax(1)[:, 1]
        gone = module(images * 0).double().softmax(1)[:, 1]
    assert torch.allclose(deleted[0], full / 32 + gone * 31 / 32, atol=1e-6)


def test_insertion_may_start_from_the_mean_colour() -> None:
    module, images = LooksAtPatch(), patch_images(4)
    readings = made(module, images, true_maps(4))
    found = measure("insertion", readings, start="mean")["insertion_auc"]
    with torch.no_grad():
        full = module(images).double().softmax(1)[:, 1]
        none = module(images * 0).double().softmax(1)[:, 1]
    assert torch.allclose(found, none / 32 + full * 31 / 32, atol=1e-6)
    assert (found < measure("insertion", readings)["insertion_auc"]).all()


@both
def test_a_value_depends_on_its_own_image_only(name: str) -> None:
    module, images, maps = small_network(), patch_images(5), random_maps(5)
    whole = measure(name, made(module, images, maps))[NAMES[name]]
    for size in (1, 2, 3):
        found = measure(name, made(module, images, maps, size))[NAMES[name]]
        assert torch.allclose(found, whole, rtol=0, atol=1e-6)


@both
def test_maps_without_an_order_are_undefined(name: str) -> None:
    maps = random_maps(4)
    maps[1], maps[2] = 0, 0.7
    found = measure(name, made(small_network(), patch_images(4), maps))[NAMES[name]]
    assert found.isnan().tolist() == [False, True, True, False]
    defined = found[[0, 3]]
    assert ((defined >= 0) & (defined <= 1)).all()


@both
def test_sure_networks_reach_the_ends_of_the_range(name: str) -> None:
    class Sure(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([[0.0, 900.0]]).repeat(len(images), 1)

    found = measure(name, made(Sure(), patch_images(2), random_maps(2)))[NAMES[name]]
    assert found.tolist() == pytest.approx([1, 1], abs=1e-12)


@both
def test_bad_parameters_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match="steps"):
        choose("metrics", name, {"steps": 0})
    with pytest.raises(RequestError, match="start"):
        choose("metrics", "insertion", {"start": "black"})


def test_places_are_a_stable_descending_order() -> None:
    maps = torch.tensor([[[0.5, 1.0], [0.5, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert rank_pixels(maps).flatten(1).tolist() == [[1, 0, 2, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize(("height", "width", "size"), [(32, 20, 11), (10, 32, 9), (1, 1, 1)])
def test_blur_is_a_gaussian_of_what_fits(height: int, width: int, size: int) -> None:
    image = torch.randn(1, 2, height, width, dtype=torch.float64)
    found = blur(image)
    assert found.shape == image.shape
    offsets = np.arange(size) - size // 2
    weights = np.exp(-(offsets**2) / 50)
    kernel = np.outer(weights, weights) / weights.sum() ** 2
    reach = size // 2
    row, column = height // 2, width // 2
    for channel in range(2):
        padded = np.pad(image[0, channel].numpy(), reach, mode="reflect")
        window = padded[row : row + size, column : column + size]
        expected = (kernel * window).sum()
        assert found[0, channel, row, column].item() == pytest.approx(expected, abs=1e-9)


def test_the_patch_is_a_sixteenth_of_the_image() -> None:
    assert torch.zeros(1, 1, SIDE, SIDE)[PATCH].numel() * 16 == SIDE**2
