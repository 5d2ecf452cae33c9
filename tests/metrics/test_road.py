"""ROAD: the library's imputation, a naive loop, known truths, properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_network import (
    LooksAtPatch,
    batches,
    measure,
    network,
    patch_images,
    random_maps,
    true_maps,
)
from pytorch_grad_cam.metrics.road import NoisyLinearImputer, ROADCombined, neighbors_weights
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve
from torch import Tensor, nn
from torch.nn.functional import interpolate

from prunebench.errors import RequestError
from prunebench.metrics import imputation
from prunebench.metrics.imputation import impute, impute_by_conjugate_gradients, impute_directly
from prunebench.plugins import choose


def removing(share: float, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    pixels = height * width
    place = torch.rand(pixels, generator=generator).argsort().argsort()
    return place.view(height, width) < min(max(round(share * pixels), 1), pixels - 1)


def made(module: nn.Module, images: Tensor, maps: Tensor, batch_size: int | None = None) -> dict:
    return {
        "network": network(module),
        "images": batches(images, batch_size),
        "maps": maps,
        "classes": torch.ones(len(images)).long(),
    }


@pytest.mark.parametrize("size", [(32, 32), (20, 33), (7, 5), (1, 9), (9, 1), (2, 2)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("blob", [False, True], ids=["scattered", "in one piece"])
def test_solves_the_librarys_system(size: tuple[int, int], share: float, blob: bool) -> None:
    image = torch.randn(3, *size, dtype=torch.float64)
    removed = removing(share, *size)
    if blob:
        removed = removed.flatten().sort(descending=True).values.view(size)
    matrix, right = NoisyLinearImputer.setup_sparse_system(
        (~removed).double().numpy(), image.numpy(), neighbors_weights
    )
    expected = spsolve(csc_matrix(matrix), right).reshape(right.shape)
    found = impute_directly(image, removed)
    np.testing.assert_allclose(found[:, removed].numpy().T, expected, atol=1e-10)
    assert torch.equal(found[:, ~removed], image[:, ~removed])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_large_images_are_imputed_alike(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(3)
    images = torch.randn(3, 2, 20, 24, dtype=torch.float64, generator=draw)
    order = interpolate(torch.rand(3, 1, 4, 4, generator=draw), (20, 24), mode="bilinear")[:, 0]
    removed = order < order.flatten(1).quantile(share, 1)[:, None, None]
    removed[2] = False
    small = impute(images, removed)
    monkeypatch.setattr(imputation, "LARGEST_DIRECT", 100)
    torch.testing.assert_close(impute(images, removed), small, rtol=0, atol=1e-5)
    alone = impute_by_conjugate_gradients(images[:1], removed[:1])
    torch.testing.assert_close(alone[0], small[0], rtol=0, atol=1e-5)


def test_imputes_what_the_library_imputes() -> None:
    image = torch.randn(3, 32, 32)
    removed = removing(0.6, 32, 32)
    expected = NoisyLinearImputer(noise=0)(image, (~removed).float())
    assert torch.allclose(impute_directly(image, removed), expected, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(1, 9),
    width=st.integers(2, 9),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_imputation_stays_between_what_is_left(
    height: int, width: int, share: float, seed: int
) -> None:
    removed = removing(share, height, width, seed)
    removed[0, 0] = False
    image = torch.rand(2, height, width, generator=torch.Generator().manual_seed(seed))
    found = impute_directly(image, removed)
    for before, after in zip(image, found, strict=True):
        left = before[~removed]
        assert after.min() >= left.min() - 1e-6
        assert after.max() <= left.max() + 1e-6
    flat = torch.full((1, height, width), 0.3)
    assert torch.allclose(impute_directly(flat, removed), flat, atol=1e-6)


def test_nothing_removed_changes_nothing() -> None:
    image = torch.randn(3, 4, 4)
    assert torch.equal(impute_directly(image, torch.zeros(4, 4, dtype=torch.bool)), image)


def test_agrees_with_the_library() -> None:
    module, images = LooksAtPatch(), patch_images(3)
    maps = random_maps(3) + true_maps(3) * torch.tensor([0.2, 0.5, -0.5])[:, None, None]
    # It counts what stays; of 256 pixels these are the percentages that round alike.
    found = measure("road", made(module, images, maps), noise=0, percentages=[90, 70, 50, 30])
    road = ROADCombined(percentiles=[10, 30, 50, 70])
    for average in (road.morf_averager, road.lerf_averager):
        kind = average.imputer

        def silent(percentile: int, kind=kind):
            metric = kind(percentile)
            metric.perturbation.imputer.noise = 0
            return metric

        average.imputer = silent
    expected = road(images, maps.numpy(), [ClassifierOutputSoftmaxTarget(1)] * 3, module)
    assert found["road"].tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert np.abs(expected).min() > 0.01


def test_is_the_naive_loop() -> None:
    module, images, maps = LooksAtPatch(), patch_images(2), random_maps(2).round(decimals=1)
    found = measure("road", made(module, images, maps), percentages=[25, 60], noise=0)
    for i, (image, heat) in enumerate(zip(images, maps, strict=True)):
        order = sorted(range(heat.numel()), key=lambda k: (-heat.flatten()[k].item(), k))
        means = []
        for chosen in (order, order[::-1]):
            chances = []
            for percentage in (25, 60):
                removed = torch.zeros(heat.numel(), dtype=torch.bool)
                removed[chosen[: round(percentage / 100 * heat.numel())]] = True
                with torch.no_grad():
                    logits = module(impute_directly(image, removed.view_as(heat))[None])
                chances.append(logits.double().softmax(1)[0, 1].item())
            means.append(sum(chances) / 2)
        assert found["road_morf"][i].item() == pytest.approx(means[0], abs=1e-6)
        assert found["road_lerf"][i].item() == pytest.approx(means[1], abs=1e-6)
        assert found["road"][i].item() == pytest.approx((means[1] - means[0]) / 2, abs=1e-6)


@pytest.mark.slow
def test_a_true_map_beats_a_random_and_a_false_one() -> None:
    module, images = LooksAtPatch(), patch_images(6)
    true, noise, false = (
        measure("road", made(module, images, maps))["road"]
        for maps in (true_maps(6), random_maps(6), 1 - true_maps(6))
    )
    assert (true > 0.1).all()
    assert (true > noise).all()
    assert (noise > false).all()
    # The opposite map removes the same pixels, up to ties, in the opposite order.
    heat = random_maps(6)
    opposite = measure("road", made(module, images, 1 - heat), noise=0)["road"]
    same = measure("road", made(module, images, heat), noise=0)["road"]
    assert torch.allclose(opposite, -same, atol=1e-6)


@pytest.mark.slow
def test_noise_is_each_images_own() -> None:
    module, images, maps = LooksAtPatch(), patch_images(5), random_maps(5)
    whole = measure("road", made(module, images, maps), noise=0.5)
    for size in (1, 2):
        found = measure("road", made(module, images, maps, size), noise=0.5)
        for value, expected in whole.items():
            assert torch.allclose(found[value], expected, rtol=0, atol=1e-6)
    other = measure("road", made(module, images, maps), seed=1, noise=0.5)
    assert (other["road"] - whole["road"]).abs().min() > 1e-5
    copies = made(module, images[:1].repeat(2, 1, 1, 1), maps[:1].repeat(2, 1, 1))
    first, second = measure("road", copies, noise=0.5)["road"].tolist()
    assert abs(first - second) > 1e-5
    first, second = measure("road", copies, noise=0)["road"].tolist()
    assert first == pytest.approx(second, abs=1e-7)


def test_maps_without_an_order_are_undefined() -> None:
    maps = random_maps(3)
    maps[0], maps[2] = 0, 0.2
    for value, found in measure("road", made(LooksAtPatch(), patch_images(3), maps)).items():
        assert found.isnan().tolist() == [True, False, True]
        assert -0.5 <= found[1] <= 0.5 if value == "road" else 0 <= found[1] <= 1


def test_one_pixel_stays_whatever_is_removed() -> None:
    readings = made(LooksAtPatch(), patch_images(2), random_maps(2))
    all_but_one, nearly_all = (
        measure("road", readings, percentages=[p])["road"] for p in (100 * 255 / 256, 99.99)
    )
    assert torch.equal(all_but_one, nearly_all)


@pytest.mark.parametrize(
    "parameters", [{"percentages": [0]}, {"percentages": [100]}, {"percentages": []}, {"noise": -1}]
)
def test_bad_parameters_are_refused(parameters: dict) -> None:
    with pytest.raises(RequestError, match=next(iter(parameters))):
        choose("metrics", "road", parameters)
