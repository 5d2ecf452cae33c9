"""Average drop, increase, coherency and ADCC: naive formulas, known truths, properties."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_network import LooksAtPatch, masked, measure, patch_images, random_maps, true_maps

from prunebench.errors import RequestError
from prunebench.metrics.maps import ssim
from prunebench.plugins import choose

NAMES = ["average-drop", "increase", "coherency", "adcc"]


@pytest.fixture
def readings() -> dict:
    generator = torch.Generator().manual_seed(0)
    found = {
        "predictions": torch.randn(20, 4, generator=generator) * 3,
        "explained": torch.tensor([3, 19, 0, 7, 12]),
        "classes": torch.tensor([0, 3, 1, 1, 2]),
        "maps": random_maps(5, 12, 1),
        "masked": (random_maps(5, 12, 2), torch.randn(5, 4, generator=generator) * 3),
    }
    found["masked"][1][2] = found["predictions"][0]  # nothing changes for the third image
    return found


def probability(logits: torch.Tensor, label: int) -> float:
    exponentials = [exp(v) for v in logits.tolist()]
    return exponentials[label] / sum(exponentials)


def before_and_after(readings: dict) -> list[tuple[float, float]]:
    return [
        (
            probability(readings["predictions"][image], label),
            probability(readings["masked"][1][i], label),
        )
        for i, (image, label) in enumerate(
            zip(readings["explained"].tolist(), readings["classes"].tolist(), strict=True)
        )
    ]


def test_drop_and_increase_are_the_naive_formulas(readings: dict) -> None:
    pairs = before_and_after(readings)
    drops = [max(0, p - o) / p for p, o in pairs]
    rises = [float(o > p) for p, o in pairs]
    assert set(rises) == {0.0, 1.0}
    found = measure("average-drop", readings)["average_drop"]
    assert found.tolist() == pytest.approx(drops, abs=1e-12)
    assert found.dtype == torch.float64
    assert found[2] == 0
    assert measure("increase", readings)["increase"].tolist() == rises


def test_coherency_is_pearsons_correlation(readings: dict) -> None:
    expected = [
        (np.corrcoef(a.numpy().ravel(), b.numpy().ravel())[0, 1] + 1) / 2
        for a, b in zip(readings["maps"], readings["masked"][0], strict=True)
    ]
    found = measure("coherency", readings)["coherency"]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_coherency_is_the_librarys_but_for_constant_maps(readings: dict) -> None:
    library = pytest.importorskip("pytorch_grad_cam.metrics.arcc")
    readings["maps"][4] = 0
    expected = library.Coherency()(
        torch.zeros(5, 3, 12, 12),
        readings["maps"].numpy(),
        targets=[],
        model=None,
        base_method=lambda input_tensor, targets: readings["masked"][0].numpy(),
    )
    found = measure("coherency", readings)["coherency"].tolist()
    assert found[:4] == pytest.approx(expected[:4].tolist(), abs=1e-5)
    assert (found[4], expected[4]) == (0, 0.5)


def test_coherency_of_equal_and_of_opposite_maps(readings: dict) -> None:
    maps = readings["maps"]
    for other, expected in ((maps, 1), (maps * 0.5, 1), (1 - maps, 0)):
        readings["masked"] = (other, readings["masked"][1])
        found = measure("coherency", readings)["coherency"]
        assert found.tolist() == pytest.approx([expected] * 5, abs=1e-6)


def test_coherency_by_ssim_has_a_name_of_its_own(readings: dict) -> None:
    found = measure("coherency", readings, variant="ssim")
    assert set(found) == {"coherency_ssim"}
    assert torch.equal(found["coherency_ssim"], ssim(readings["maps"], readings["masked"][0]))
    with pytest.raises(RequestError, match="variant"):
        choose("metrics", "coherency", {"variant": "cosine"})


@pytest.mark.parametrize("variant", ["pearson", "ssim"])
@pytest.mark.parametrize("value", [0.0, 0.4])
def test_constant_maps_are_not_coherent(variant: str, value: float, readings: dict) -> None:
    readings["maps"][0] = readings["masked"][0][1] = value
    readings["maps"][2] = readings["masked"][0][2] = value
    (found,) = measure("coherency", readings, variant=variant).values()
    assert found[:3].tolist() == [0, 0, 0]
    assert (found[3:] != 0).all()


def test_adcc_is_the_harmonic_mean(readings: dict) -> None:
    coherency = measure("coherency", readings)["coherency"].tolist()
    complexity = readings["maps"].double().flatten(1).mean(1).tolist()
    drops = measure("average-drop", readings)["average_drop"].tolist()
    expected = []
    for c, k, d in zip(coherency, complexity, drops, strict=True):
        a, b, e = c, 1 - k, 1 - d
        expected.append(3 * a * b * e / (a * b + b * e + a * e))
    assert measure("adcc", readings)["adcc"].tolist() == pytest.approx(expected, abs=1e-9)


def test_adcc_is_zero_where_a_term_is(readings: dict) -> None:
    readings["maps"][0] = 0  # coherency 0
    readings["maps"][1] = 1  # complexity 1
    readings["predictions"][0] = torch.tensor([0.0, 800, 0, 0])
    readings["masked"][1][2] = torch.tensor([800.0, 0, 0, 0])  # average drop 1
    found = measure("adcc", readings)["adcc"]
    assert found[:3].tolist() == [0, 0, 0]
    assert (found[3:] > 0).all()


def test_a_map_that_covers_what_counts_loses_nothing() -> None:
    module, images = LooksAtPatch(), patch_images(6)
    classes, explained = torch.ones(6).long(), torch.arange(6)
    with torch.no_grad():
        readings = {"predictions": module(images), "classes": classes, "explained": explained}
    right = readings | {"maps": true_maps(6), "masked": masked(module, images, true_maps(6))}
    wrong_maps = 1 - true_maps(6)
    wrong = readings | {"maps": wrong_maps, "masked": masked(module, images, wrong_maps)}
    assert measure("average-drop", right)["average_drop"].tolist() == pytest.approx([0] * 6)
    assert (measure("average-drop", wrong)["average_drop"] > 0.9).all()
    assert (measure("adcc", right)["adcc"] > 0.95).all()
    assert (measure("adcc", wrong)["adcc"] < 0.2).all()


@pytest.mark.parametrize("name", ["average-drop", "increase", "adcc"])
def test_broken_logits_are_undefined_and_lost_probability_is_not(name: str, readings: dict) -> None:
    readings["masked"][1][0] = torch.nan
    readings["predictions"][19] = torch.tensor([2000.0, 0, 0, 0])  # p underflows to 0
    (found,) = measure(name, readings).values()
    assert found[0].isnan()
    assert not found[1:].isnan().any()
    if name == "average-drop":
        assert found[1] == 0


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([0.1, 5.0, 300.0]))
def test_range_and_independence_of_other_images(name: str, seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps, again = (torch.rand(4, 6, 5, generator=generator).round(decimals=1) for _ in "ab")
    maps[0] = again[1] = 0
    logits, masked_logits = (torch.randn(4, 3, generator=generator) * scale for _ in "ab")
    order = torch.randperm(4, generator=generator)

    def of(where: torch.Tensor) -> torch.Tensor:
        readings = {
            "predictions": logits,
            "explained": where,
            "classes": torch.tensor([0, 1, 2, 0])[where],
            "maps": maps[where],
            "masked": (again[where], masked_logits[where]),
        }
        (found,) = measure(name, readings).values()
        return found

    values = of(torch.arange(4))
    assert ((values >= 0) & (values <= 1)).all()
    assert torch.allclose(of(order), values[order], rtol=0, atol=1e-12)
