"""Complexity, sparseness and entropy: independent formulas, extremes, properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from patch_network import measure, random_maps
from scipy.stats import entropy as scipy_entropy

from prunebench.errors import RequestError
from prunebench.metrics import concentration
from prunebench.plugins import choose

MEASURES = {
    "complexity": ("complexity", {}),
    "complexity_l1norm": ("complexity", {"variant": "l1norm"}),
    "sparseness": ("sparseness", {}),
    "entropy": ("entropy", {}),
}
every_measure = pytest.mark.parametrize("value", MEASURES)


def of(value: str, maps: torch.Tensor) -> torch.Tensor:
    name, parameters = MEASURES[value]
    found = measure(name, {"maps": maps}, **parameters)
    assert set(found) == {value}
    return found[value]


def naive(value: str, pixels: np.ndarray) -> float:
    if value == "complexity":
        return float(np.mean(pixels))
    if value == "complexity_l1norm":
        return float(np.linalg.norm(pixels, 1))
    flat = pixels.ravel()
    if value == "entropy":
        return float(scipy_entropy(flat, base=2) / np.log2(flat.size))
    # Half the relative mean absolute difference, the oldest definition of the Gini index.
    return float(np.abs(flat[:, None] - flat).mean() / (2 * flat.mean()))


@every_measure
def test_agrees_with_an_independent_formula(value: str) -> None:
    maps = random_maps(5, 17) ** torch.tensor([0.1, 1, 3, 10, 40])[:, None, None]
    maps = maps[:, :, :13]
    expected = [naive(value, each.double().numpy()) for each in maps]
    assert of(value, maps).tolist() == pytest.approx(expected, rel=1e-9)


@every_measure
def test_extremes(value: str) -> None:
    zero, even, point = torch.zeros(8, 8), torch.full((8, 8), 0.5), torch.zeros(8, 8)
    point[3, 5] = 1
    expected = {
        "complexity": [0, 0.5, 1 / 64],
        "complexity_l1norm": [0, 4, 1],
        "sparseness": [np.nan, 0, 1 - 1 / 64],
        "entropy": [np.nan, 1, 0],
    }[value]
    found = of(value, torch.stack([zero, even, point]))
    assert found.tolist() == pytest.approx(expected, abs=1e-12, nan_ok=True)


@every_measure
def test_a_more_concentrated_map_is_better(value: str) -> None:
    distance = torch.linspace(-1, 1, 24)[:, None] ** 2 + torch.linspace(-1, 1, 24) ** 2
    wide, narrow = of(value, torch.stack([torch.exp(-distance / s) for s in (0.5, 0.05)])).tolist()
    better = choose("metrics", MEASURES[value][0]).plugin.higher_is_better
    assert (narrow > wide) == better


def test_l1_norm_sums_columns_and_not_rows() -> None:
    maps = torch.zeros(1, 4, 6)
    maps[0, :, 2] = 1
    assert of("complexity_l1norm", maps).item() == 4
    with pytest.raises(RequestError, match="variant"):
        choose("metrics", "complexity", {"variant": "l2norm"})


def test_entropy_of_one_pixel_is_undefined() -> None:
    assert of("entropy", torch.ones(2, 1, 1)).isnan().all()


@every_measure
def test_chunks_leave_no_trace(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = random_maps(7, 10).half()
    whole = of(value, maps)
    assert whole.dtype == torch.float64
    monkeypatch.setattr(concentration, "CHUNK", 2)
    assert torch.allclose(of(value, maps), whole, rtol=0, atol=1e-12)
    assert of(value, maps[:0]).shape == (0,)


@every_measure
@settings(deadline=None, max_examples=40)
@given(
    pixels=arrays(
        np.float32,
        st.tuples(st.just(3), st.integers(1, 9), st.integers(2, 9)),
        elements=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1, width=32)),
    )
)
def test_range(value: str, pixels: np.ndarray) -> None:
    maps = torch.from_numpy(pixels)
    found = of(value, maps)
    zero = maps.amax((1, 2)) == 0
    undefined = zero if value in ("sparseness", "entropy") else torch.zeros_like(zero)
    assert torch.equal(found.isnan(), undefined)
    top = maps.shape[1] if value == "complexity_l1norm" else 1
    assert ((found >= 0) & (found <= top))[~undefined].all()
