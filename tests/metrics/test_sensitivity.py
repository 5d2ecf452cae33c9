"""Max-sensitivity: Captum, a bound, properties."""

from __future__ import annotations

import pytest
import torch
from captum.metrics import sensitivity_max
from patch_network import batches, measure, patch_images
from torch import Tensor

from prunebench.errors import RequestError
from prunebench.plugins import choose
from prunebench.seeding import derive


def explain(images: Tensor, classes: Tensor, module=None, first: int = 0) -> Tensor:
    """A map that changes with the image, not linearly."""
    return (images**2).sum(1) / 10 + classes[:, None, None] / 20


def made(images: Tensor, explainer=explain, batch_size: int | None = None) -> dict:
    classes = torch.arange(len(images)) % 3
    return {
        "images": batches(images, batch_size),
        "maps": explainer(images, classes),
        "classes": classes,
        "explainer": explainer,
    }


def test_is_captums_for_the_same_noise() -> None:
    images, classes = patch_images(3), torch.arange(3)
    seen: list[Tensor] = []

    def watched(given: Tensor, labels: Tensor, module=None, first: int = 0) -> Tensor:
        seen.append(given)
        assert torch.equal(labels, classes)
        return explain(given, labels)

    readings = made(images) | {"explainer": watched}
    found = measure("max-sensitivity", readings, samples=6, radius=0.3)["max_sensitivity"]
    copies = torch.stack(seen, 1)
    assert copies.shape[1] == 6
    for i in range(3):
        expected = sensitivity_max(
            lambda x, i=i: (explain(x[0], classes[i : i + 1].expand(len(x[0]))),),
            images[i : i + 1],
            perturb_func=lambda x, radius, i=i: (copies[i],),
            n_perturb_samples=6,
        )
        assert found[i].item() == pytest.approx(expected.item(), rel=1e-5)


def test_noise_is_uniform_within_the_radius() -> None:
    images = patch_images(2)
    seen: list[Tensor] = []

    def watched(given: Tensor, labels: Tensor, module=None, first: int = 0) -> Tensor:
        seen.append(given)
        return explain(given, labels)

    measure("max-sensitivity", made(images) | {"explainer": watched}, radius=0.25)
    noise = torch.stack(seen) - images
    assert noise.abs().max() <= 0.25 + 1e-6
    assert noise.abs().mean().item() == pytest.approx(0.125, abs=0.01)
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    # Every copy of every image is another one.
    flat = noise.flatten(0, 1).flatten(1)
    assert torch.pdist(flat).min() > 1


def test_a_map_of_the_image_itself_moves_as_the_noise_does() -> None:
    images = patch_images(4).abs() + 0.1

    def identity(given: Tensor, labels: Tensor, module=None, first: int = 0) -> Tensor:
        return given[:, 0]

    found = measure("max-sensitivity", made(images, identity))["max_sensitivity"]
    size = images[:, 0].flatten(1).norm(dim=1).double()
    pixels = images[0, 0].numel()
    assert (found * size <= 0.02 * pixels**0.5).all()
    assert (found * size >= 0.02 * (pixels / 3) ** 0.5 * 0.95).all()


def test_more_samples_and_larger_noise_move_the_map_more() -> None:
    readings = made(patch_images(4))
    few, many, far = (
        measure("max-sensitivity", readings, **p)["max_sensitivity"]
        for p in ({"samples": 2}, {"samples": 12}, {"samples": 2, "radius": 0.2})
    )
    assert (few > 0).all()
    assert (many >= few).all()
    assert (many > few).any()
    assert (far > 5 * few).all()


def test_a_map_that_does_not_move_has_none_and_a_zero_map_is_undefined() -> None:
    fixed = torch.rand(3, 16, 16)
    fixed[1] = 0

    def explainer(given: Tensor, labels: Tensor, module=None, first: int = 0) -> Tensor:
        return fixed[first : first + len(given)]

    found = measure("max-sensitivity", made(patch_images(3), explainer))["max_sensitivity"]
    assert found[[0, 2]].tolist() == [0, 0]
    assert found[1].isnan()


def noisy(given: Tensor, labels: Tensor, module=None, first: int = 0) -> Tensor:
    """Draws random numbers, for each image its own."""
    drawn = [
        torch.rand(16, 16, generator=torch.Generator().manual_seed(derive(0, first + i)))
        for i in range(len(given))
    ]
    return explain(given, labels) + torch.stack(drawn)


@pytest.mark.parametrize("explainer", [explain, noisy])
def test_a_value_depends_on_its_own_image_only(explainer) -> None:
    images = patch_images(5)
    whole = measure("max-sensitivity", made(images, explainer))["max_sensitivity"]
    assert whole.dtype == torch.float64
    assert (whole < 0.1).all()
    for size in (1, 2):
        readings = made(images, explainer) | {"images": batches(images, size)}
        found = measure("max-sensitivity", readings)["max_sensitivity"]
        assert torch.allclose(found, whole, rtol=0, atol=1e-6)
    other = measure("max-sensitivity", made(images, explainer), seed=1)["max_sensitivity"]
    assert not torch.allclose(other, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("parameters", [{"samples": 0}, {"radius": 0}])
def test_bad_parameters_are_refused(parameters: dict) -> None:
    with pytest.raises(RequestError, match=next(iter(parameters))):
        choose("metrics", "max-sensitivity", parameters)
